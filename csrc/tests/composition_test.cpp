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
                     const CompositionSettings& settings = quick(), const OwnedPicture* start = nullptr,
                     std::uint64_t seed = 5, int threads = 2) {
    const Extent own(static_cast<std::int32_t>(photograph.height), static_cast<std::int32_t>(photograph.width));
    const ConstPicture begin = (start != nullptr ? start : &photograph)->readable();
    return compose(photograph.readable(), levels_of(own, picture, count), start != nullptr ? &begin : nullptr, wrap,
                   seed, settings, threads, kSilent);
}

// What a composition begins with at its only level: without a round it stays as it is.
Planes16 begun(const OwnedPicture* start, const Extent& picture, const Wrap& wrap = {}, std::int32_t noise = 0,
               std::uint64_t seed = 5) {
    CompositionSettings settings;
    settings.first_rounds = 0;
    (start != nullptr ? settings.start_noise : settings.noise) = noise;
    return composed(random_photograph(8, 8, 1), picture, 1, wrap, settings, start, seed).picture;
}

// `picture` with its columns moved to the right, around its border.
OwnedPicture rolled(const OwnedPicture& picture, std::int64_t columns) {
    OwnedPicture result(picture.height, picture.width);
    for (std::int64_t y = 0; y < picture.height; ++y) {
        for (std::int64_t x = 0; x < picture.width; ++x) {
            const auto from = static_cast<std::size_t>(3 * (y * picture.width + x));
            const auto to = static_cast<std::size_t>(3 * (y * picture.width + (x + columns) % picture.width));
            std::copy_n(&picture.bytes[from], 3, &result.bytes[to]);
        }
    }
    return result;
}

// The mean difference, in 8-bit levels, of two pictures of the same size.
double mean_difference(const Planes16& one, const Planes16& other) {
    const auto a = one.window(), b = other.window();
    double sum = 0;
    for (int c = 0; c < kColours; ++c) {
        for (std::int32_t y = 0; y < a.height; ++y) {
            for (std::int32_t x = 0; x < a.width; ++x) sum += std::abs(*a.at(c, y, x) - *b.at(c, y, x));
        }
    }
    return sum / (kColours * a.height * a.width * kSteps);
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
    const OwnedPicture* const no_start = nullptr;
    CompositionSettings settings = quick();
    settings.start_noise = 20;
    for (const Extent& size : kSizes) {
        for (const Wrap& wrap : {Wrap{}, Wrap{true, true}}) {
            for (const OwnedPicture* start : {no_start, &photograph}) {
                const Composition expected = composed(photograph, size, 3, wrap, settings, start, 5, 1);
                for (const int threads : {2, 4}) {
                    const Composition other = composed(photograph, size, 3, wrap, settings, start, 5, threads);
                    CHECK(same(other.picture, expected.picture));
                    CHECK(other.field.offsets == expected.field.offsets);
                }
            }
        }
    }
}

TEST(another_seed_is_another_composition) {
    const OwnedPicture photograph = random_photograph(40, 52, 1);
    const auto picture = [&](std::uint64_t seed) {
        return composed(photograph, {40, 60}, 3, {}, quick(), nullptr, seed).picture;
    };
    const Planes16 one = picture(5);
    CHECK(same(one, picture(5)));
    CHECK(!same(one, picture(6)));
    CHECK(!same(one, picture(5 + (std::uint64_t{1} << 32))));
}

TEST(a_composition_is_the_mean_of_patches_that_lie_within_the_photograph) {
    const OwnedPicture photograph = random_photograph(40, 52, 2), other = random_photograph(9, 300, 3);
    const OwnedPicture* const no_start = nullptr;
    for (const Extent& size : kSizes) {
        for (const Wrap& wrap : kWraps) {
            for (const OwnedPicture* start : {no_start, &photograph, &other}) {
                const Composition one = composed(photograph, size, 3, wrap, quick(), start);
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
    const Composition own = composed(photograph, {48, 64}, 1, {}, {}, &photograph);
    for (std::int32_t i = kLead; i <= 48 - kPatch + kLead; ++i) {
        for (std::int32_t j = kLead; j <= 64 - kPatch + kLead; ++j) {
            CHECK((*own.field.cells().at(i, j) == Offset{0, 0}));
        }
    }
    CHECK(copied_share(own.field) > 0.85);
    // At several, most does, and what does not looks alike.
    const Composition fine = composed(photograph, {48, 64}, 3, {}, {}, &photograph);
    CHECK(copied_share(fine.field) > 0.9);
    const Planes16 planes = to_planes(photograph.readable());
    CHECK(mean_difference(own.picture, planes) < 4);
    CHECK(mean_difference(fine.picture, planes) < 8);
    // From noise it is another picture.
    CHECK(!same(composed(photograph, {48, 64}, 3, {}, {}).picture, fine.picture));
}

TEST(a_composition_begins_with_the_picture_that_is_given_at_its_size) {
    const OwnedPicture start = random_photograph(20, 24, 2);
    const Planes16 planes = to_planes(start.readable());
    for (const Wrap& wrap : kWraps) CHECK(same(begun(&start, {20, 24}, wrap), planes));
    // Smaller or larger, by little or by much: the same but for what is lost.
    OwnedPicture smaller(40, 48), larger(200, 240);
    resample(start.readable(), smaller.writable(), 1);
    resample(start.readable(), larger.writable(), 1);
    for (const Wrap& wrap : kWraps) {
        CHECK(mean_difference(begun(&smaller, {20, 24}, wrap), planes) < 6);
        CHECK(mean_difference(begun(&larger, {20, 24}, wrap), planes) < 6);
        CHECK(mean_difference(begun(&start, {40, 48}, wrap), to_planes(smaller.readable())) < 6);
    }
    // What is reduced is antialiased: of stripes their mean is left.
    OwnedPicture stripes(16, 600);
    for (std::size_t n = 0; n < stripes.bytes.size(); ++n) stripes.bytes[n] = n / 3 % 2 == 0 ? 0 : 200;
    OwnedPicture grey(1, 1);
    std::fill(grey.bytes.begin(), grey.bytes.end(), std::uint8_t{100});
    for (const Wrap& wrap : kWraps) {
        CHECK(mean_difference(begun(&stripes, {16, 20}, wrap), begun(&grey, {16, 20}, wrap)) < 2);
        CHECK(mean_difference(begun(&stripes, {16, 150}, wrap), begun(&grey, {16, 150}, wrap)) < 2);
    }
}

TEST(where_a_composition_wraps_what_it_begins_with_does) {
    // Moved around its border by a third, it is resized to the same, moved by a third.
    const OwnedPicture start = random_photograph(20, 24, 2), moved = rolled(start, 8);
    for (const Extent& size : {Extent{10, 12}, {20, 24}, {40, 48}, {30, 36}}) {
        const auto is_moved = [&](const Wrap& wrap) {
            const Planes16 one = begun(&start, size, wrap), other = begun(&moved, size, wrap);
            const auto a = one.window(), b = other.window();
            for (int c = 0; c < kColours; ++c) {
                for (std::int32_t y = 0; y < a.height; ++y) {
                    for (std::int32_t x = 0; x < a.width; ++x) {
                        if (*a.at(c, y, x) != *b.at(c, y, (x + a.width / 3) % a.width)) return false;
                    }
                }
            }
            return true;
        };
        CHECK(is_moved({false, true}) && is_moved({true, true}));
        CHECK(is_moved({}) == (size == Extent{20, 24}));
        CHECK(is_moved({true, false}) == (size == Extent{20, 24}));
    }
}

TEST(noise_around_what_is_given_is_that_around_grey) {
    OwnedPicture grey(1, 1);
    std::fill(grey.bytes.begin(), grey.bytes.end(), std::uint8_t{127});
    const Extent size(60, 80);
    for (const std::int32_t noise : {0, 1, 18, 30}) {
        const Planes16 one = begun(&grey, size, {}, noise), other = begun(nullptr, size, {}, noise);
        double squares = 0;
        for (int c = 0; c < kColours; ++c) {
            for (std::int32_t n = 0; n < 60 * 80; ++n) {
                const std::int32_t value = one.window().plane[c][n] - 127 * kSteps;
                CHECK(value == other.window().plane[c][n] - kWhite / 2);
                squares += value * value;
            }
        }
        CHECK(std::abs(std::sqrt(squares / (3 * 60 * 80)) / kSteps - noise) < 0.03 * noise + 0.01);
    }
    // Of much, what is white or black stays within the range.
    const OwnedPicture photograph = random_photograph(60, 80, 3);
    const Planes16 wild = begun(&photograph, size, {}, 10000);
    for (int c = 0; c < kColours; ++c) {
        for (std::int32_t n = 0; n < 60 * 80; ++n) {
            CHECK(wild.window().plane[c][n] >= 0 && wild.window().plane[c][n] <= kWhite);
        }
    }
}

TEST(a_composition_has_the_layout_of_what_it_begins_with_as_far_as_the_photograph_is_shown) {
    // Bands, red and blue in turns, or the reverse, of the same grain.
    const auto bands = [](const Extent& size, std::int32_t count, bool is_reverse) {
        std::mt19937 random(6);
        OwnedPicture picture(size.first, size.second);
        for (std::int32_t n = 0; n < size.first * size.second; ++n) {
            const bool is_red = (n % size.second * count / size.second % 2 == 0) != is_reverse;
            for (int c = 0; c < 3; ++c) {
                picture.bytes[static_cast<std::size_t>(3 * n + c)] =
                    static_cast<std::uint8_t>((c == (is_red ? 0 : 2) ? 180 : 30) + draw(random, 0, 40));
            }
        }
        return picture;
    };
    const Extent own(48, 64);
    const auto differences = [&](std::int32_t count, const Extent& size, const CompositionSettings& settings) {
        const OwnedPicture photograph = bands(own, count, false), start = bands(size, count, true);
        const Planes16 picture = composed(photograph, own, 3, {}, settings, &start).picture;
        return std::pair(mean_difference(picture, to_planes(photograph.readable())),
                         mean_difference(picture, to_planes(bands(own, count, true).readable())));
    };
    CompositionSettings settings = quick();
    for (const Extent& size : {own, {12, 16}, {200, 300}}) {
        for (const std::int32_t noise : {0, 20}) {
            settings.start_noise = noise;
            const auto [from_photograph, from_start] = differences(3, size, settings);
            CHECK(from_photograph > 90);
            CHECK(from_start < 20);
        }
    }
    // Halves: that red ends where blue begins is in the photograph and not in the start, and is wished for.
    CHECK(differences(2, own, settings).second > 25);
    settings.completeness = 1 << 24;
    CHECK(differences(2, own, settings).second < 20);
}

TEST(compositions_of_one_beginning_differ_between_seeds_by_its_noise) {
    // Small, as all pairs of patches are compared.
    const OwnedPicture photograph = random_photograph(24, 32, 1), start = random_photograph(20, 20, 2);
    const auto picture = [&](std::uint64_t seed, std::int32_t noise) {
        CompositionSettings settings;
        settings.start_noise = noise;
        return composed(photograph, {24, 36}, 1, {}, settings, &start, seed).picture;
    };
    CHECK(same(picture(5, 10), picture(5, 10)));
    CHECK(!same(picture(5, 10), picture(6, 10)));
    CHECK(!same(picture(5, 10), picture(5 + (std::uint64_t{1} << 32), 10)));
    // Without any, where all pairs of patches are compared, nothing is left to the seed.
    CHECK(same(picture(5, 0), picture(6, 0)));
    CHECK(!same(picture(5, 0), picture(5, 10)));
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
            const Composition one = composed(photograph, {40, 48}, 3, wrap, quick(), nullptr, seed);
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
    dear.noise = dear.start_noise = 10000;
    dear.exhaustive = 0;
    free.row = free.completeness = free.noise = free.tries = 0;
    const OwnedPicture* const no_start = nullptr;
    const OwnedPicture dot = random_photograph(1, 1, 7);
    for (const OwnedPicture* photograph : {&smallest, &thin}) {
        for (const Extent& size : {Extent{1, 1}, {1, 2}, {3, 400}, {300, 2}, {8, 8}, {9, 17}}) {
            for (const CompositionSettings& settings : {quick(), dear, free}) {
                for (const Wrap& wrap : {Wrap{}, Wrap{true, true}}) {
                    for (const OwnedPicture* start : {no_start, photograph, &dot}) {
                        const Composition one = composed(*photograph, size, 2, wrap, settings, start);
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
    CHECK(same(composed(flat, {16, 16}, 2, {}, settings, &flat).picture, to_planes(flat.readable())));
}

TEST(levels_may_stay_as_they_are_or_shrink_and_need_not_be_of_one_shape) {
    const OwnedPicture photograph = random_photograph(24, 30, 8);
    const std::vector<CompositionLevel> levels = {
        {{8, 40}, {64, 3}}, {{24, 30}, {64, 3}}, {{48, 9}, {2, 2}}, {{24, 30}, {20, 80}}};
    for (const Wrap& wrap : kWraps) {
        const Composition one = compose(photograph.readable(), levels, nullptr, wrap, 1, quick(), 2, kSilent);
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
        return compose(photograph.readable(), levels, nullptr, {}, 1, quick(), 2, report);
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
        return compose(photograph.readable(), levels, nullptr, {}, 1, quick(), 1, never);
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
    for (const OwnedPicture& start : {OwnedPicture(9, 9, PixelType::uint16), OwnedPicture(9, 9, PixelType::float32),
                                      OwnedPicture(9, 9, PixelType::uint8, 1), OwnedPicture(9, 9, PixelType::uint8, 4),
                                      OwnedPicture(0, 9), OwnedPicture(9, 0)}) {
        const ConstPicture wrong = start.readable();
        const auto from = [&] {
            return compose(photograph.readable(), {{{24, 30}, {20, 20}}}, &wrong, {}, 1, quick(), 1, never);
        };
        CHECK_THROWS(from(), std::invalid_argument, "the start must be uint8 of three channels");
    }
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
