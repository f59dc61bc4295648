#include "composition.h"

#include <cmath>
#include <cstdlib>
#include <set>

#include "check.h"
#include "detail_pictures.h"

using namespace ourgan;

namespace {

using Extent = std::pair<std::int32_t, std::int32_t>;

constexpr Wrap kWraps[] = {{false, false}, {false, true}, {true, false}, {true, true}};

const Report kSilent = [](double) {};

// The defaults, with fewer rounds: a composition in milliseconds.
CompositionSettings quick() {
    CompositionSettings settings;
    settings.rounds = 2;
    settings.tries = 3;
    settings.exhaustive = 1 << 17;
    return settings;
}

// Each level three quarters of the next one, the last one of the sizes that are given.
std::vector<CompositionLevel> levels_of(const Extent& photograph, const Extent& picture, int count) {
    std::vector<CompositionLevel> levels{{photograph, picture}};
    const auto less = [](std::int32_t side, std::int32_t least) { return std::max(least, side * 3 / 4); };
    for (int i = 1; i < count; ++i) {
        const auto [photo, canvas] = levels.front();
        levels.insert(levels.begin(), {{less(photo.first, kPatch), less(photo.second, kPatch)},
                                       {less(canvas.first, 1), less(canvas.second, 1)}});
    }
    return levels;
}

Composition composed(const OwnedPicture& photograph, const Extent& picture, int count, const Wrap& wrap = {},
                     const CompositionSettings& settings = quick(), Beginning beginning = Beginning::noise,
                     std::uint64_t seed = 5, int threads = 2) {
    const Extent own(static_cast<std::int32_t>(photograph.height), static_cast<std::int32_t>(photograph.width));
    return compose(photograph.readable(), levels_of(own, picture, count), beginning, wrap, seed, settings, threads,
                   kSilent);
}

// Brighter from row to row, as nothing else is.
OwnedPicture gradient(std::int32_t height, std::int32_t width) {
    std::mt19937 random(3);
    OwnedPicture picture(height, width);
    for (std::int32_t y = 0; y < height; ++y) {
        for (std::int32_t i = 0; i < 3 * width; ++i) {
            picture.bytes[static_cast<std::size_t>(3 * y * width + i)] =
                static_cast<std::uint8_t>(20 + 200 * y / height + draw(random, 0, 20));
        }
    }
    return picture;
}

bool lies_within(const Field& field, std::int32_t height, std::int32_t width) {
    for (std::int32_t i = 0; i < field.rows; ++i) {
        for (std::int32_t j = 0; j < field.columns; ++j) {
            const Offset o = *field.cells().at(i, j);
            const std::int32_t y = field.stride * i - kLead + o.y, x = field.stride * j - kLead + o.x;
            if (y < 0 || x < 0 || y > height - kPatch || x > width - kPatch) return false;
        }
    }
    return true;
}

// The means of a field's patches, laid down one by one: what lies beyond a border that wraps, on the other side.
Planes16 laid_down(const OwnedPicture& photograph, const Field& field, const Wrap& wrap) {
    std::vector<std::int64_t> sums(field.offsets.size() * kColours), counts(field.offsets.size());
    const auto around = [](std::int32_t at, std::int32_t size) { return (at % size + size) % size; };
    for (std::int32_t i = 0; i < field.rows; ++i) {
        for (std::int32_t j = 0; j < field.columns; ++j) {
            const Offset o = *field.cells().at(i, j);
            for (std::int32_t y = i - kLead; y < i - kLead + kPatch; ++y) {
                for (std::int32_t x = j - kLead; x < j - kLead + kPatch; ++x) {
                    if ((!wrap.y && (y < 0 || y >= field.rows)) || (!wrap.x && (x < 0 || x >= field.columns))) continue;
                    const std::int32_t row = around(y, field.rows), column = around(x, field.columns);
                    const auto at = static_cast<std::size_t>(row * field.columns + column);
                    ++counts[at];
                    for (int c = 0; c < kColours; ++c) {
                        const auto from = ((y + o.y) * photograph.width + x + o.x) * kColours + c;
                        sums[at * kColours + static_cast<std::size_t>(c)] +=
                            photograph.bytes[static_cast<std::size_t>(from)];
                    }
                }
            }
        }
    }
    Planes16 result(field.rows, field.columns);
    for (std::size_t at = 0; at < counts.size(); ++at) {
        for (int c = 0; c < kColours; ++c) {
            const std::int64_t sum = sums[at * kColours + static_cast<std::size_t>(c)];
            result.writable().plane[c][at] = static_cast<std::int16_t>((sum * kSteps + counts[at] / 2) / counts[at]);
        }
    }
    return result;
}

// How far from their place in the photograph, as a share of its height, rows of the picture come from on average.
double mean_fall(const Composition& composition) {
    const Field& field = composition.field;
    double sum = 0;
    for (std::int32_t i = 0; i < field.rows; ++i) {
        for (std::int32_t j = 0; j < field.columns; ++j) {
            const double from = (i + field.cells().at(i, j)->y + 0.5) / composition.photograph_height;
            sum += std::abs(from - (i + 0.5) / field.rows);
        }
    }
    return sum / static_cast<double>(field.offsets.size());
}

// The mean step between a column and the next one, or a row and the next one; from the last one to the first.
double mean_step(const Planes16& picture, bool is_down, std::int32_t at) {
    const Window<const std::int16_t> w = picture.window();
    const std::int32_t count = is_down ? w.width : w.height, next = (at + 1) % (is_down ? w.height : w.width);
    double sum = 0;
    for (int c = 0; c < kColours; ++c) {
        for (std::int32_t n = 0; n < count; ++n) {
            sum += is_down ? std::abs(*w.at(c, at, n) - *w.at(c, next, n))
                           : std::abs(*w.at(c, n, at) - *w.at(c, n, next));
        }
    }
    return sum / (kColours * count);
}

Field field_of(std::int32_t rows, std::int32_t columns, Offset (*offset)(std::int32_t, std::int32_t)) {
    Field field = make_field(rows, columns, 1);
    for (std::int32_t i = 0; i < rows; ++i) {
        for (std::int32_t j = 0; j < columns; ++j) *field.cells().at(i, j) = offset(i, j);
    }
    return field;
}

// Thin ones, some smaller than a patch, and some larger than the photograph.
constexpr Extent kSizes[] = {{1, 1}, {3, 90}, {70, 2}, {7, 8}, {8, 8}, {45, 31}};

}  // namespace

TEST(a_composition_does_not_depend_on_threads) {
    const OwnedPicture photograph = random_photograph(40, 52, 1);
    for (const Extent& size : kSizes) {
        for (const Wrap& wrap : {Wrap{}, Wrap{true, true}}) {
            const Composition expected = composed(photograph, size, 3, wrap, quick(), Beginning::noise, 5, 1);
            for (const int threads : {2, 4}) {
                const Composition other = composed(photograph, size, 3, wrap, quick(), Beginning::noise, 5, threads);
                CHECK(same(other.picture, expected.picture));
                CHECK(other.field.offsets == expected.field.offsets);
            }
        }
    }
}

TEST(another_seed_is_another_composition) {
    const OwnedPicture photograph = random_photograph(40, 52, 1);
    const auto picture = [&](std::uint64_t seed) {
        return composed(photograph, {40, 60}, 3, {}, quick(), Beginning::noise, seed).picture;
    };
    const Planes16 one = picture(5);
    CHECK(same(one, picture(5)));
    CHECK(!same(one, picture(6)));
    CHECK(!same(one, picture(5 + (std::uint64_t{1} << 32))));
}

TEST(a_composition_is_the_mean_of_patches_that_lie_within_the_photograph) {
    const OwnedPicture photograph = random_photograph(40, 52, 2);
    for (const Extent& size : kSizes) {
        for (const Wrap& wrap : kWraps) {
            for (const Beginning beginning : {Beginning::noise, Beginning::photograph}) {
                const Composition one = composed(photograph, size, 3, wrap, quick(), beginning);
                CHECK(one.photograph_height == 40 && one.photograph_width == 52);
                CHECK(one.field.stride == 1 && one.field.rows == size.first && one.field.columns == size.second);
                CHECK(lies_within(one.field, 40, 52));
                CHECK(same(one.picture, laid_down(photograph, one.field, wrap)));
            }
        }
    }
}

TEST(at_the_coarsest_level_few_pairs_of_patches_are_compared_all_with_all_and_many_at_random) {
    const OwnedPicture photograph = random_photograph(32, 40, 4);
    const auto picture = [&](std::int64_t exhaustive) {
        CompositionSettings settings = quick();
        settings.exhaustive = exhaustive;
        return composed(photograph, {30, 31}, 1, {}, settings).picture;
    };
    constexpr std::int64_t pairs = 30 * 31 * 32 * 40;
    CHECK(same(picture(pairs), picture(1 << 24)));
    CHECK(same(picture(pairs - 1), picture(0)));
    CHECK(!same(picture(pairs), picture(pairs - 1)));
}

TEST(rows_stay_near_their_place_as_far_as_that_has_a_price) {
    const OwnedPicture photograph = gradient(48, 40);
    for (const Extent& size : {Extent{48, 50}, {72, 30}, {30, 60}}) {
        CompositionSettings settings = quick();
        const double priced = mean_fall(composed(photograph, size, 4, {}, settings));
        settings.row = 0;
        const double free = mean_fall(composed(photograph, size, 4, {}, settings));
        CHECK(priced < 0.1);
        CHECK(free > 0.15);
    }
}

TEST(what_the_picture_lacks_of_the_photograph_is_preferred) {
    for (const unsigned seed : {3u, 4u, 5u}) {
        const OwnedPicture photograph = random_photograph(48, 64, seed);
        // Places of the photograph that the picture comes from.
        const auto shown = [&](std::int32_t completeness) {
            CompositionSettings settings = quick();
            settings.completeness = completeness;
            const Composition one = composed(photograph, {48, 64}, 3, {}, settings);
            std::set<std::pair<std::int32_t, std::int32_t>> places;
            for (std::int32_t i = 0; i < 48; ++i) {
                for (std::int32_t j = 0; j < 64; ++j) {
                    const Offset o = *one.field.cells().at(i, j);
                    places.insert({i + o.y, j + o.x});
                }
            }
            return places.size();
        };
        CHECK(2 * shown(15) > 3 * shown(1 << 24));  // the less, the more it is
    }
}

TEST(a_photograph_retargeted_to_its_own_size_stays_nearly_as_it_is) {
    const OwnedPicture photograph = random_photograph(48, 64, 3);
    // At one level, all with all: whatever has its whole patch within the photograph stays in its place.
    const Composition own = composed(photograph, {48, 64}, 1, {}, {}, Beginning::photograph);
    for (std::int32_t i = kLead; i <= 48 - kPatch + kLead; ++i) {
        for (std::int32_t j = kLead; j <= 64 - kPatch + kLead; ++j) {
            CHECK((*own.field.cells().at(i, j) == Offset{0, 0}));
        }
    }
    CHECK(copied_share(own.field) > 0.85);
    // At several, most does, and what does not looks alike.
    const Composition fine = composed(photograph, {48, 64}, 3, {}, {}, Beginning::photograph);
    CHECK(copied_share(fine.field) > 0.9);
    const Planes16 planes = to_planes(photograph.readable());
    for (const auto& [one, most] : {std::pair(&own, 4), {&fine, 8}}) {
        double sum = 0;
        for (int c = 0; c < kColours; ++c) {
            for (std::int32_t n = 0; n < 48 * 64; ++n) {
                sum += std::abs(planes.window().plane[c][n] - one->picture.window().plane[c][n]);
            }
        }
        CHECK(sum / (3 * 48 * 64 * kSteps) < most);
    }
    // From noise it is another picture.
    CHECK(!same(composed(photograph, {48, 64}, 3, {}, {}, Beginning::noise).picture, fine.picture));
}

TEST(the_largest_piece_is_what_hangs_together_and_comes_from_one_place) {
    using Place = std::int32_t;
    CHECK(copied_share(field_of(1, 1, [](Place, Place) { return Offset{9, -7}; })) == 1);
    CHECK(copied_share(field_of(6, 10, [](Place, Place) { return Offset{3, -2}; })) == 1);
    CHECK(copied_share(field_of(6, 10, [](Place, Place j) { return Offset{0, j < 5 ? 0 : 9}; })) == 0.5);
    CHECK(copied_share(field_of(6, 10, [](Place i, Place) { return Offset{i < 2 ? 0 : -9, 0}; })) == 4 / 6.0);
    // Places that only touch at corners do not hang together.
    CHECK(copied_share(field_of(6, 10, [](Place i, Place j) { return Offset{0, (i + j) % 2 * 50}; })) == 1 / 60.0);
    // A pixel more is nearly the same, two are not; and a piece may bend.
    CHECK(copied_share(field_of(1, 9, [](Place, Place j) { return Offset{j, -j}; })) == 1);
    CHECK(copied_share(field_of(1, 9, [](Place, Place j) { return Offset{2 * j, 0}; })) == 1 / 9.0);
    CHECK(copied_share(field_of(9, 1, [](Place i, Place) { return Offset{0, -2 * i}; })) == 1 / 9.0);
    // The same offset on both sides of a wall is two pieces, but for a gap in it.
    CHECK(copied_share(field_of(5, 5, [](Place, Place j) { return Offset{j == 2 ? 70 : 0, 0}; })) == 10 / 25.0);
    CHECK(copied_share(field_of(5, 5, [](Place i, Place j) { return Offset{j == 2 && i < 4 ? 70 : 0, 0}; })) ==
          21 / 25.0);
    // A comb, whose teeth only meet at its last row: joined late.
    const Field comb = field_of(8, 9, [](Place i, Place j) { return Offset{j % 2 == 1 && i < 7 ? 70 + 9 * j : 0, 0}; });
    CHECK(copied_share(comb) == 44 / 72.0);
}

TEST(a_picture_that_wraps_has_no_seam_and_one_that_does_not_has_one) {
    const OwnedPicture photograph = random_photograph(48, 64, 6);
    for (const Wrap& wrap : kWraps) {
        // Steps over the border, and the mean of those within; to the right and down.
        double seam[2] = {}, others[2] = {};
        for (std::uint64_t seed = 0; seed < 2; ++seed) {
            const Composition one = composed(photograph, {40, 48}, 3, wrap, quick(), Beginning::noise, seed);
            for (const bool is_down : {false, true}) {
                const std::int32_t last = is_down ? 39 : 47;
                seam[is_down] += mean_step(one.picture, is_down, last);
                for (std::int32_t at = 0; at < last; ++at) others[is_down] += mean_step(one.picture, is_down, at) / last;
            }
        }
        CHECK(wrap.x ? seam[0] < 1.25 * others[0] : seam[0] > 2 * others[0]);
        CHECK(wrap.y ? seam[1] < 1.25 * others[1] : seam[1] > 2 * others[1]);
    }
}

TEST(the_smallest_photographs_make_pictures_of_any_size_at_extreme_settings) {
    // 8 x 8 pixels at every level: one patch, which all the picture is made of.
    const OwnedPicture smallest = random_photograph(8, 8, 7);
    const OwnedPicture thin = random_photograph(8, 80, 7);
    CompositionSettings dear = quick(), free = quick();
    dear.row *= 16;
    dear.completeness = 1 << 20;
    dear.noise = 10000;
    dear.exhaustive = 0;
    free.row = free.completeness = free.noise = free.tries = 0;
    for (const OwnedPicture* photograph : {&smallest, &thin}) {
        for (const Extent& size : {Extent{1, 1}, {1, 2}, {3, 400}, {300, 2}, {8, 8}, {9, 17}}) {
            for (const CompositionSettings& settings : {quick(), dear, free}) {
                for (const Wrap& wrap : {Wrap{}, Wrap{true, true}}) {
                    for (const Beginning beginning : {Beginning::noise, Beginning::photograph}) {
                        const Composition one = composed(*photograph, size, 2, wrap, settings, beginning);
                        CHECK(lies_within(one.field, 8, static_cast<std::int32_t>(photograph->width)));
                        CHECK(same(one.picture, laid_down(*photograph, one.field, wrap)));
                        CHECK(copied_share(one.field) > 0);
                    }
                }
            }
        }
    }
}

TEST(without_any_wish_for_completeness_a_photograph_that_the_picture_shows_is_no_division_by_nothing) {
    // Of one colour, and shown as it is: nothing differs from anything.
    OwnedPicture flat(16, 16);
    std::fill(flat.bytes.begin(), flat.bytes.end(), std::uint8_t{90});
    CompositionSettings settings = quick();
    settings.completeness = 0;
    CHECK(same(composed(flat, {16, 16}, 2, {}, settings, Beginning::photograph).picture, to_planes(flat.readable())));
}

TEST(levels_may_stay_as_they_are_or_shrink_and_need_not_be_of_one_shape) {
    const OwnedPicture photograph = random_photograph(24, 30, 8);
    const std::vector<CompositionLevel> levels = {
        {{8, 40}, {64, 3}}, {{24, 30}, {64, 3}}, {{48, 9}, {2, 2}}, {{24, 30}, {20, 80}}};
    for (const Wrap& wrap : kWraps) {
        const Composition one = compose(photograph.readable(), levels, Beginning::noise, wrap, 1, quick(), 2, kSilent);
        CHECK(lies_within(one.field, 24, 30));
        CHECK(same(one.picture, laid_down(photograph, one.field, wrap)));
    }
}

TEST(a_composition_reports_its_share_and_ends_where_the_report_throws) {
    struct Cancelled : std::runtime_error {
        Cancelled() : std::runtime_error("cancelled") {}
    };
    const OwnedPicture photograph = random_photograph(24, 30, 8);
    const auto compose_with = [&](const Report& report) {
        const auto levels = levels_of({24, 30}, {20, 20}, 3);
        return compose(photograph.readable(), levels, Beginning::noise, {}, 1, quick(), 2, report);
    };
    int calls = 0;
    double last = 0;
    compose_with([&](double share) {
        ++calls;
        CHECK(share >= last && share <= 1);
        last = share;
    });
    const CompositionSettings settings = quick();
    CHECK(calls == settings.first_rounds + 2 * settings.rounds);
    CHECK(last > 0);
    for (int stop = 1; stop <= calls; ++stop) {
        int left = stop;
        const Report cancel = [&](double) {
            if (--left == 0) throw Cancelled();
            CHECK(left > 0);  // it is not asked again
        };
        CHECK_THROWS(compose_with(cancel), Cancelled, "cancelled");
    }
}

TEST(what_cannot_be_composed_is_refused_before_anything_is_searched) {
    const Report never = [](double) { fail(__FILE__, __LINE__, "searched"); };
    const auto with = [&](const OwnedPicture& photograph, const std::vector<CompositionLevel>& levels) {
        return compose(photograph.readable(), levels, Beginning::noise, {}, 1, quick(), 1, never);
    };
    const OwnedPicture photograph = random_photograph(24, 30, 8);
    CHECK_THROWS(with(photograph, {}), std::invalid_argument, "expected levels");
    CHECK_THROWS(with(photograph, {{{24, 29}, {20, 20}}}), std::invalid_argument, "the photograph's size");
    CHECK_THROWS(with(photograph, {{{23, 30}, {20, 20}}}), std::invalid_argument, "the photograph's size");
    CHECK_THROWS(with(photograph, {{{24, 30}, {20, 20}}, {{12, 15}, {10, 10}}}), std::invalid_argument,
                 "the photograph's size");
    for (const Extent& wrong : {Extent{7, 8}, {8, 7}, {0, 9}, {-20, 9}, {1 << 30, 8}, {8, (1 << 20) + 1}}) {
        CHECK_THROWS(with(photograph, {{wrong, {20, 20}}, {{24, 30}, {20, 20}}}), std::invalid_argument,
                     "8 to 1048576 pixels a side");
    }
    for (const Extent& size : {Extent{0, 20}, {20, 0}, {-1, 20}, {20, (1 << 16) + 1}, {(1 << 16) + 1, 20}}) {
        CHECK_THROWS(with(photograph, {{{24, 30}, size}}), std::invalid_argument, "1 to 65536");
        CHECK_THROWS(with(photograph, {{{12, 15}, size}, {{24, 30}, {20, 20}}}), std::invalid_argument, "1 to 65536");
    }
    CHECK_THROWS(with(OwnedPicture(7, 30), {{{7, 30}, {20, 20}}}), std::invalid_argument, "8 to 1048576 pixels a side");
    CHECK_THROWS(with(OwnedPicture(24, 30, PixelType::uint16), {{{24, 30}, {20, 20}}}), std::invalid_argument, "uint8");
    CHECK_THROWS(with(OwnedPicture(24, 30, PixelType::uint8, 4), {{{24, 30}, {20, 20}}}), std::invalid_argument,
                 "three channels");
}

TEST(a_known_field_is_that_of_the_level_nearest_to_the_compositions_size) {
    const auto photograph = make_photograph(128, 192, 4, 3);  // 16 x 24, 32 x 48 and 64 x 96 are searched
    const auto known = [&](std::int32_t height, std::int32_t width) {
        const OwnedPicture own = random_photograph(height, width, 9);
        const Composition one = composed(own, {40, 30}, 1);
        const KnownField result = known_field(one, *photograph, halved(160, 120, 4));
        const std::int32_t side = 20 << result.level;
        CHECK(result.field.stride == 1 && result.field.rows == side && result.field.columns == side * 3 / 4);
        CHECK(lies_within(result.field, photograph->height(result.level), photograph->width(result.level)));
        return result.level;
    };
    CHECK(known(8, 12) == 0);
    CHECK(known(16, 24) == 0);
    CHECK(known(22, 33) == 0);  // not twice the area
    CHECK(known(23, 34) == 1);
    CHECK(known(32, 48) == 1);
    CHECK(known(64, 96) == 2);
    CHECK(known(128, 192) == 2);  // the last that is searched
    const Composition one = composed(random_photograph(16, 24, 9), {40, 30}, 1);
    CHECK_THROWS(known_field(one, *photograph, halved(160, 120, 5)), std::invalid_argument, "as many sizes");
    CHECK_THROWS(known_field(one, *photograph, {{20, 15}, {41, 30}, {80, 60}}), std::invalid_argument, "half");
}

TEST(a_known_field_at_its_own_size_is_the_compositions_and_at_another_it_shows_the_same_places) {
    const auto photograph = make_photograph(128, 192, 4, 3);
    const OwnedPicture own = random_photograph(32, 48, 9);
    Composition one = composed(own, {40, 60}, 3);
    const KnownField same_size = known_field(one, *photograph, halved(160, 240, 4));
    CHECK(same_size.level == 1);
    CHECK(same_size.field.offsets == one.field.offsets);
    // Half the photograph's size and 1.5 times the picture's: each cell comes from half as far into the photograph as
    // the nearest cell does, give or take the way between the two, but for what is kept within the photograph.
    const auto half = make_photograph(64, 96, 3, 1);
    const KnownField other = known_field(one, *half, halved(240, 360, 3));
    CHECK(other.level == 0 && other.field.rows == 60 && other.field.columns == 90);
    CHECK(lies_within(other.field, 16, 24));
    for (std::int32_t i = 0; i < 60; ++i) {
        for (std::int32_t j = 0; j < 90; ++j) {
            const Offset o = *other.field.cells().at(i, j);
            const std::int32_t a = (2 * i + 1) / 3, b = (2 * j + 1) / 3;
            const Offset from = *one.field.cells().at(a, b);
            const double y = (a + from.y + 0.5) / 2, x = (b + from.x + 0.5) / 2;
            const double wanted_y = std::clamp(y, kLead + 0.5, 16.5 - kPatch + kLead);
            const double wanted_x = std::clamp(x, kLead + 0.5, 24.5 - kPatch + kLead);
            CHECK(std::abs(i + o.y + 0.5 - wanted_y) <= 1.5 && std::abs(j + o.x + 0.5 - wanted_x) <= 1.5);
        }
    }
}
