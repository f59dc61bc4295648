#include "detail.h"

#include <atomic>
#include <cstdint>
#include <cstring>
#include <thread>

#include "check.h"
#include "detail_pictures.h"

using namespace ourgan;

namespace {

// The defaults, with fewer iterations: a search in milliseconds.
DetailSettings quick() {
    DetailSettings settings;
    settings.iterations = 8;
    settings.rounds = 2;
    settings.known_rounds = 2;
    settings.coarse_tries = 4;
    settings.tone.iterations = 8;
    return settings;
}

const Report kSilent = [](double) {};

Start from(const Planes16& structure) { return {&structure, nullptr, 0}; }

constexpr int kLevels = 4, kSearched = 2;

std::shared_ptr<const PhotographLevels> photograph() {
    static const auto result = make_photograph(128, 192, kLevels, kSearched);
    return result;
}

Detail make_detail(std::int32_t height, std::int32_t width, int threads = 1, std::uint64_t seed = 7) {
    const LevelSizes sizes = halved(height, width, kLevels);
    const Planes16 structure = random_planes(sizes.front().first, sizes.front().second, 2);
    const DetailSettings settings = quick();
    return Detail(photograph(), find_field(*photograph(), from(structure), sizes, {}, seed, settings, threads, kSilent),
                  sizes, {}, settings.limit);
}

OwnedPicture gathered(const Detail& detail, int level, const Box& box, PixelType type = PixelType::uint8,
                      int threads = 1) {
    OwnedPicture picture(box.height(), box.width(), type);
    detail.gather(level, box, picture.writable(), threads);
    return picture;
}

std::vector<std::uint8_t> slice(const OwnedPicture& whole, const Box& box) {
    std::vector<std::uint8_t> bytes;
    const std::int64_t pixel = 3 * bytes_of(whole.type);
    for (std::int64_t y = box.y0; y < box.y1; ++y) {
        const auto row = whole.bytes.begin() + y * whole.row_stride();
        bytes.insert(bytes.end(), row + box.x0 * pixel, row + box.x1 * pixel);
    }
    return bytes;
}

Box whole_of(const LevelSizes& sizes, int level) {
    const auto& [height, width] = sizes[static_cast<std::size_t>(level)];
    return {0, 0, height, width};
}

// From 1 x 1 up, thin ones, odd ones, and one of more than a tile.
constexpr std::pair<std::int32_t, std::int32_t> kSizes[] = {{1, 1},   {1, 2},   {3, 2},    {1, 400},
                                                            {500, 1}, {2, 333}, {115, 203}, {300, 421}};

}  // namespace

TEST(a_field_and_its_pictures_do_not_depend_on_threads) {
    for (const auto& [height, width] : {std::pair{1, 70}, {115, 203}}) {
        const LevelSizes sizes = halved(height, width, kLevels);
        const Planes16 structure = random_planes(sizes.front().first, sizes.front().second, 2);
        const Found expected = find_field(*photograph(), from(structure), sizes, {}, 7, quick(), 1, kSilent);
        const Detail detail = make_detail(height, width);
        const Box box = whole_of(sizes, kLevels - 1);
        for (const int threads : {2, 4}) {
            const Found found = find_field(*photograph(), from(structure), sizes, {}, 7, quick(), threads, kSilent);
            CHECK(found.field.offsets == expected.field.offsets);
            CHECK(same(found.picture, expected.picture));
            CHECK(same(found.tone, expected.tone));
            CHECK(gathered(detail, kLevels - 1, box, PixelType::uint8, threads).bytes ==
                  gathered(detail, kLevels - 1, box).bytes);
        }
    }
}

TEST(another_seed_is_another_field) {
    CHECK(gathered(make_detail(115, 203), 3, {0, 0, 115, 203}).bytes !=
          gathered(make_detail(115, 203, 1, 8), 3, {0, 0, 115, 203}).bytes);
}

TEST(regions_are_slices_of_the_whole_at_every_level_and_type) {
    std::mt19937 random(1);
    for (const auto& [height, width] : kSizes) {
        const Detail detail = make_detail(height, width);
        const LevelSizes sizes = halved(height, width, kLevels);
        for (int level = detail.base(); level < kLevels; ++level) {
            const Box all = whole_of(sizes, level);
            for (const PixelType type : {PixelType::uint8, PixelType::uint16}) {
                const OwnedPicture whole = gathered(detail, level, all, type);
                for (int n = 0; n < 5; ++n) {
                    Box box;
                    box.y0 = draw(random, 0, static_cast<std::int32_t>(all.y1) - 1);
                    box.x0 = draw(random, 0, static_cast<std::int32_t>(all.x1) - 1);
                    box.y1 = draw(random, static_cast<std::int32_t>(box.y0) + 1, static_cast<std::int32_t>(all.y1));
                    box.x1 = draw(random, static_cast<std::int32_t>(box.x0) + 1, static_cast<std::int32_t>(all.x1));
                    CHECK(gathered(detail, level, box, type, 2).bytes == slice(whole, box));
                }
            }
        }
    }
}

TEST(sixteen_bits_are_the_same_picture_finer) {
    const Detail detail = make_detail(115, 203);
    const OwnedPicture narrow = gathered(detail, 3, {0, 0, 115, 203});
    const OwnedPicture wide = gathered(detail, 3, {0, 0, 115, 203}, PixelType::uint16);
    bool is_finer = false;
    for (std::size_t i = 0; i < narrow.bytes.size(); ++i) {
        std::uint16_t value;
        std::memcpy(&value, wide.bytes.data() + 2 * i, 2);
        CHECK(std::abs(value - 257 * narrow.bytes[i]) <= 129);
        is_finer = is_finer || value % 257 != 0;
    }
    CHECK(is_finer);
}

TEST(sources_lie_in_the_photograph_and_do_not_depend_on_the_box) {
    std::mt19937 random(2);
    for (const auto& [height, width] : kSizes) {
        const Detail detail = make_detail(height, width);
        const LevelSizes sizes = halved(height, width, kLevels);
        for (int level = detail.base(); level < kLevels; ++level) {
            const Box all = whole_of(sizes, level);
            std::vector<std::int32_t> whole(static_cast<std::size_t>(2 * all.height() * all.width()));
            detail.sources(level, all, whole.data());
            for (std::size_t i = 0; i < whole.size(); i += 2) {
                // Its patch lies within; the pixel is one of those around the patch's middle.
                CHECK(whole[i] >= 0 && whole[i] < photograph()->height(level));
                CHECK(whole[i + 1] >= 0 && whole[i + 1] < photograph()->width(level));
            }
            const Box box{all.y1 / 2, all.x1 / 3, all.y1, all.x1};
            std::vector<std::int32_t> part(static_cast<std::size_t>(2 * box.height() * box.width()));
            detail.sources(level, box, part.data());
            const std::int32_t* next = part.data();
            for (std::int64_t y = box.y0; y < box.y1; ++y) {
                for (std::int64_t i = 2 * box.x0; i < 2 * box.x1; ++i) {
                    CHECK(*next++ == whole[static_cast<std::size_t>(2 * y * all.x1 + i)]);
                }
            }
        }
    }
}

TEST(a_report_that_throws_ends_the_search_wherever_it_is) {
    struct Cancelled : std::runtime_error {
        Cancelled() : std::runtime_error("cancelled") {}
    };
    const LevelSizes sizes = halved(60, 90, kLevels);
    const Planes16 structure = random_planes(sizes.front().first, sizes.front().second, 2);
    int calls = 0;
    double last = 0;
    const Report count = [&](double share) {
        ++calls;
        CHECK(share >= last && share <= 1);
        last = share;
    };
    find_field(*photograph(), from(structure), sizes, {}, 7, quick(), 2, count);
    CHECK(calls > 10);
    CHECK(last == 1);
    for (int stop = 1; stop <= calls; ++stop) {
        int left = stop;
        const Report cancel = [&](double) {
            if (--left == 0) throw Cancelled();
            CHECK(left > 0);  // it is not asked again
        };
        CHECK_THROWS(find_field(*photograph(), from(structure), sizes, {}, 7, quick(), 2, cancel), Cancelled, "cancelled");
    }
}

TEST(what_does_not_belong_together_is_refused_before_anything_is_searched) {
    const Report never = [](double) { fail(__FILE__, __LINE__, "searched"); };
    const Planes16 structure = random_planes(8, 12, 2);
    const auto find = [&](const LevelSizes& sizes) {
        return find_field(*photograph(), from(structure), sizes, {}, 7, quick(), 1, never);
    };
    CHECK_THROWS(find({{8, 12}}), std::invalid_argument, "as many sizes");
    CHECK_THROWS(find({}), std::invalid_argument, "as many sizes");
    CHECK_THROWS(find({{8, 11}, {16, 22}}), std::invalid_argument, "the first size to be the structure's");
    CHECK_THROWS(find({{8, 12}, {17, 24}}), std::invalid_argument, "half the next one's sides");
    CHECK_THROWS(find({{8, 12}, {16, 0}}), std::invalid_argument, "sides");
    CHECK_THROWS(find({{8, 12}, {-16, 24}}), std::invalid_argument, "sides");
    CHECK_THROWS(find({{8, 12}, {16, 24}, {32, 44}}), std::invalid_argument, "half the next one's sides");
    CHECK_THROWS(find(halved(128, 192, 5)), std::invalid_argument, "as many sizes");
}

TEST(detail_refuses_sizes_levels_boxes_and_pictures_that_do_not_fit) {
    const LevelSizes sizes = halved(60, 90, kLevels);
    const Planes16 structure = random_planes(sizes.front().first, sizes.front().second, 2);
    const Found found = find_field(*photograph(), from(structure), sizes, {}, 7, quick(), 1, kSilent);
    const auto make = [&](const LevelSizes& other) { return Detail(photograph(), found, other, {}, 24); };
    CHECK_THROWS(make({sizes[0]}), std::invalid_argument, "as many sizes");
    CHECK_THROWS(make(halved(240, 360, kLevels + 2)), std::invalid_argument, "as many sizes");
    CHECK_THROWS(make({sizes[0], sizes[1], {29, 44}}), std::invalid_argument, "half the next one's sides");
    CHECK_THROWS(make({{0, 1}, {0, 2}}), std::invalid_argument, "sides from 1");
    const Detail detail = make(sizes);
    CHECK(detail.base() == kSearched - 1);
    CHECK(detail.levels() == kLevels);
    OwnedPicture out(4, 5), grey(4, 5, PixelType::uint8, 1), real(4, 5, PixelType::float32);
    for (const int level : {-1, 0, kLevels}) {
        CHECK_THROWS(detail.gather(level, {0, 0, 4, 5}, out.writable(), 1), std::invalid_argument, "a level from 1 to 3");
    }
    for (const Box& box : {Box{-1, 0, 3, 5}, Box{0, -1, 4, 4}, Box{57, 0, 61, 5}, Box{0, 86, 4, 91}, Box{4, 5, 4, 5},
                           Box{3, 5, 2, 9}, Box{0, 0, std::int64_t{1} << 40, 5}}) {
        CHECK_THROWS(detail.gather(3, box, out.writable(), 1), std::invalid_argument, "the box");
        CHECK_THROWS(detail.sources(3, box, nullptr), std::invalid_argument, "the box");
    }
    for (OwnedPicture* wrong : {&grey, &real}) {
        CHECK_THROWS(detail.gather(3, {0, 0, 4, 5}, wrong->writable(), 1), std::invalid_argument, "out must be");
    }
    CHECK_THROWS(detail.gather(3, {0, 0, 4, 6}, out.writable(), 1), std::invalid_argument, "out must be");
    CHECK_THROWS(detail.gather(3, {0, 0, 3, 5}, out.writable(), 1), std::invalid_argument, "out must be");
}

TEST(a_photographs_levels_are_checked) {
    const auto make = [](std::vector<OwnedPicture> owned, int searched) {
        std::vector<ConstPicture> levels;
        for (const OwnedPicture& one : owned) levels.push_back(one.readable());
        return PhotographLevels(levels, searched);
    };
    CHECK_THROWS(make({}, 1), std::invalid_argument, "expected levels");
    CHECK_THROWS(make({{8, 8}}, 0), std::invalid_argument, "expected levels");
    CHECK_THROWS(make({{8, 8}}, 2), std::invalid_argument, "expected levels");
    CHECK_THROWS(make({{7, 8}}, 1), std::invalid_argument, "7 x 8");
    CHECK_THROWS(make({{8, 8}, {16, 17}}, 1), std::invalid_argument, "twice as high");
    CHECK_THROWS(make({{8, 8, PixelType::uint16}}, 1), std::invalid_argument, "uint8");
    CHECK_THROWS(make({{8, 8, PixelType::uint8, 4}}, 1), std::invalid_argument, "three channels");
    CHECK(make({{8, 8}, {16, 16}}, 1).count() == 2);
}

TEST(the_smallest_photograph_makes_pictures_of_any_size) {
    const auto smallest = make_photograph(32, 32, 3, 3);  // 8 x 8 at its coarsest: one patch
    for (const auto& [height, width] : {std::pair{1, 1}, {1, 2}, {3, 2}, {1, 90}, {77, 1}, {31, 45}}) {
        const LevelSizes sizes = halved(height, width, 3);
        const Planes16 structure = random_planes(sizes.front().first, sizes.front().second, 2);
        const Detail detail(smallest, find_field(*smallest, from(structure), sizes, {}, 1, quick(), 2, kSilent), sizes,
                            {}, 24);
        CHECK(detail.base() == 2);
        gathered(detail, 2, {0, 0, height, width}, PixelType::uint16, 2);
    }
}

TEST(a_picture_like_the_photograph_becomes_the_photograph) {
    // Its own coarsest level as the structure: most is taken from where it lies (no patch reaches beyond the photograph).
    const LevelSizes sizes = halved(128, 192, kLevels);
    const auto values = photograph()->exemplar(0).values;
    Planes16 structure(16, 24);
    for (int c = 0; c < kColours; ++c) {
        for (std::int32_t y = 0; y < 16; ++y) {
            for (std::int32_t x = 0; x < 24; ++x) {
                *structure.writable().at(c, y, x) = static_cast<std::int16_t>(*values.at(c, y, x) * kSteps);
            }
        }
    }
    DetailSettings settings;
    settings.overuse = 0;
    const Detail detail(photograph(), find_field(*photograph(), from(structure), sizes, {}, 3, settings, 2, kSilent),
                        sizes, {}, settings.limit);
    std::vector<std::int32_t> sources(2 * 128 * 192);
    detail.sources(kLevels - 1, {0, 0, 128, 192}, sources.data());
    int kept = 0;
    for (std::int32_t n = 0; n < 128 * 192; ++n) {
        kept += sources[static_cast<std::size_t>(2 * n)] == n / 192 &&
                sources[static_cast<std::size_t>(2 * n + 1)] == n % 192;
    }
    CHECK(2 * kept > 128 * 192);
}

TEST(the_strongest_tone_at_the_deepest_level_does_not_overflow) {
    const int count = 9;
    std::vector<OwnedPicture> black;
    std::vector<ConstPicture> levels;
    for (int i = 0; i < count; ++i) black.emplace_back(8 << i, 8 << i);
    for (const OwnedPicture& one : black) levels.push_back(one.readable());
    const auto deep = std::make_shared<PhotographLevels>(levels, 1);
    const LevelSizes sizes = halved(8 << (count - 1), 8 << (count - 1), count);
    Found found{Planes16(8, 8), random_field(4, 4, 2, 8, 8, 0), Planes16(8, 8)};
    const auto tone = found.tone.writable();
    // Half the range is what tone may be; it changes as fast as it can.
    for (int c = 0; c < kColours; ++c) {
        for (int i = 0; i < 64; ++i) tone.plane[c][i] = static_cast<std::int16_t>(i % 8 < 4 ? kWhite / 2 : -kWhite / 2);
    }
    for (int levels_up = 1; levels_up < count; ++levels_up) {
        const LevelSizes part(sizes.begin(), sizes.begin() + levels_up + 1);
        const Detail detail(deep, found, part, {}, 24);
        const std::int32_t unit = 1 << levels_up;
        const OwnedPicture picture = gathered(detail, levels_up, {unit, unit, unit + 2, 5 * unit});
        CHECK(picture.bytes.front() == 128 && picture.bytes.back() == 0);
    }
}

TEST(many_threads_gather_from_one_detail) {
    const Detail detail = make_detail(300, 421);
    const OwnedPicture whole = gathered(detail, 3, {0, 0, 300, 421});
    std::atomic<int> wrong{0};
    std::vector<std::thread> threads;
    for (int n = 0; n < 4; ++n) {
        threads.emplace_back([&, n] {
            for (int i = 0; i < 3; ++i) {
                const Box box{10 * n + i, 20 * n, 100 + 30 * n, 200 + 50 * n};
                if (gathered(detail, 3, box, PixelType::uint8, 2).bytes != slice(whole, box)) ++wrong;
            }
        });
    }
    for (std::thread& one : threads) one.join();
    CHECK(wrong == 0);
}

namespace {

constexpr Wrap kWraps[] = {{false, true}, {true, false}, {true, true}};

// Of a picture whose sides are exactly halved from level to level where it wraps, and rounded up elsewhere.
LevelSizes wrapping(std::int32_t height, std::int32_t width, int count, const Wrap& wrap) {
    const std::int32_t whole = 1 << (count - 1);
    const LevelSizes odd = halved(whole * height - 1, whole * width - std::min(3, whole - 1), count);
    LevelSizes sizes;
    for (int i = 0; i < count; ++i) {
        const auto& [rows, columns] = odd[static_cast<std::size_t>(i)];
        sizes.emplace_back(wrap.y ? height << i : rows, wrap.x ? width << i : columns);
    }
    return sizes;
}

// A photograph of four levels, of which so many are searched.
std::shared_ptr<const PhotographLevels> searched_photograph(int searched) {
    static const std::shared_ptr<const PhotographLevels> photographs[] = {make_photograph(128, 192, kLevels, 1),
                                                                          make_photograph(128, 192, kLevels, 2),
                                                                          make_photograph(128, 192, kLevels, 3)};
    return photographs[searched - 1];
}

Found wrapped_field(int searched, const LevelSizes& sizes, const Wrap& wrap, int threads = 1) {
    const Planes16 structure = random_planes(sizes.front().first, sizes.front().second, 2);
    return find_field(*searched_photograph(searched), from(structure), sizes, wrap, 7, quick(), threads, kSilent);
}

Detail wrapped_detail(int searched, const LevelSizes& sizes, const Wrap& wrap) {
    return Detail(searched_photograph(searched), wrapped_field(searched, sizes, wrap), sizes, wrap, quick().limit);
}

std::int64_t around(std::int64_t place, std::int64_t size) { return (place % size + size) % size; }

// What `whole` shows in a box that may lie anywhere.
std::vector<std::uint8_t> rolled(const OwnedPicture& whole, const Box& box) {
    std::vector<std::uint8_t> bytes;
    const std::int64_t pixel = 3 * bytes_of(whole.type);
    for (std::int64_t y = box.y0; y < box.y1; ++y) {
        for (std::int64_t x = box.x0; x < box.x1; ++x) {
            const std::int64_t row = around(y, whole.height) * whole.row_stride();
            const auto at = whole.bytes.begin() + row + around(x, whole.width) * pixel;
            bytes.insert(bytes.end(), at, at + pixel);
        }
    }
    return bytes;
}

// A box of any place and size; within the picture where that does not wrap.
Box any_box(std::mt19937& random, const Box& whole, const Wrap& wrap) {
    const auto side = [&](std::int64_t whole_side, bool wraps, std::int64_t& from, std::int64_t& to) {
        const auto size = static_cast<std::int32_t>(whole_side), length = draw(random, 1, size);
        from = wraps ? draw(random, -3 * size, 3 * size) : draw(random, 0, size - length);
        to = from + length;
    };
    Box box;
    side(whole.y1, wrap.y, box.y0, box.y1);
    side(whole.x1, wrap.x, box.x0, box.x1);
    return box;
}

std::vector<std::int32_t> sources_of(const Detail& detail, int level, const Box& box) {
    std::vector<std::int32_t> sources(static_cast<std::size_t>(2 * box.height() * box.width()));
    detail.sources(level, box, sources.data());
    return sources;
}

// Sizes of the coarsest level: single pixels, less than a patch, and more than a tile at the finest.
constexpr std::pair<std::int32_t, std::int32_t> kCoarsest[] = {{1, 1}, {5, 2}, {3, 37}, {35, 4}};

}  // namespace

TEST(a_box_of_a_picture_that_wraps_is_the_whole_rolled_at_every_level_and_type) {
    std::mt19937 random(5);
    for (const int searched : {1, 2, 3}) {
        for (const Wrap& wrap : kWraps) {
            if (searched == 3 && wrap.x != wrap.y) continue;  // its margins are wide: once is enough
            for (const auto& [height, width] : kCoarsest) {
                const LevelSizes sizes = wrapping(height, width, kLevels, wrap);
                const Detail detail = wrapped_detail(searched, sizes, wrap);
                for (int level = detail.base(); level < kLevels; ++level) {
                    const Box all = whole_of(sizes, level);
                    const PixelType type = (level + searched) % 2 == 0 ? PixelType::uint8 : PixelType::uint16;
                    const OwnedPicture whole = gathered(detail, level, all, type);
                    const std::int64_t down = wrap.y ? all.y1 / 2 : 0, right = wrap.x ? all.x1 / 2 : 0;
                    const Box shifted{down, right, down + all.y1, right + all.x1};
                    CHECK(gathered(detail, level, shifted, type, 2).bytes == rolled(whole, shifted));
                    for (int n = 0; n < 6; ++n) {
                        const Box box = any_box(random, all, wrap);
                        CHECK(gathered(detail, level, box, type).bytes == rolled(whole, box));
                    }
                    const std::vector<std::int32_t> sources = sources_of(detail, level, all);
                    for (const Box& box : {shifted, any_box(random, all, wrap), any_box(random, all, wrap)}) {
                        const std::vector<std::int32_t> part = sources_of(detail, level, box);
                        const std::int32_t* next = part.data();
                        for (std::int64_t y = box.y0; y < box.y1; ++y) {
                            for (std::int64_t x = box.x0; x < box.x1; ++x) {
                                const std::int64_t at = around(y, all.y1) * all.x1 + around(x, all.x1);
                                const std::int32_t* expected = sources.data() + 2 * at;
                                CHECK(next[0] == expected[0] && next[1] == expected[1]);
                                next += 2;
                            }
                        }
                    }
                }
            }
        }
    }
}

TEST(single_pixels_of_a_picture_that_wraps_are_those_of_the_whole) {
    const Wrap wrap{true, true};
    const LevelSizes sizes = wrapping(2, 3, kLevels, wrap);
    const Detail detail = wrapped_detail(2, sizes, wrap);
    for (int level = detail.base(); level < kLevels; ++level) {
        const Box all = whole_of(sizes, level);
        const OwnedPicture whole = gathered(detail, level, all);
        for (std::int64_t y = -all.y1; y < 2 * all.y1; y += 3) {
            for (std::int64_t x = -all.x1; x < 2 * all.x1; ++x) {
                const Box box{y, x, y + 1, x + 1};
                CHECK(gathered(detail, level, box).bytes == rolled(whole, box));
            }
        }
    }
    // As far away as a box may lie.
    const OwnedPicture whole = gathered(detail, 3, whole_of(sizes, 3));
    for (const std::int64_t at : {-std::int64_t{kLongestSide}, std::int64_t{kLongestSide}}) {
        const Box box{at, -at, at + 16, -at + 24};
        CHECK(gathered(detail, 3, box).bytes == rolled(whole, box));
    }
}

TEST(what_is_found_of_a_picture_that_wraps_has_its_other_side_as_a_margin_and_does_not_depend_on_threads) {
    for (const int searched : {1, 2, 3}) {
        for (const Wrap& wrap : kWraps) {
            const LevelSizes sizes = wrapping(5, 9, kLevels, wrap);
            const Found found = wrapped_field(searched, sizes, wrap);
            const Found threaded = wrapped_field(searched, sizes, wrap, 4);
            CHECK(threaded.field.offsets == found.field.offsets);
            CHECK(same(threaded.picture, found.picture) && same(threaded.tone, found.tone));
            const auto& [height, width] = sizes[static_cast<std::size_t>(searched - 1)];
            const Margin margin = margin_at(searched - 1, wrap);
            CHECK(margin.y == (wrap.y ? 24 << (searched - 1) : 0) && margin.x == (wrap.x ? 24 << (searched - 1) : 0));
            CHECK(found.picture.height() == height + 2 * margin.y && found.picture.width() == width + 2 * margin.x);
            const std::int32_t stride = found.field.stride;
            for (std::int32_t y = 0; y < found.picture.height(); ++y) {
                const auto a = static_cast<std::int32_t>(margin.y + around(y - margin.y, height));
                for (std::int32_t x = 0; x < found.picture.width(); ++x) {
                    const auto b = static_cast<std::int32_t>(margin.x + around(x - margin.x, width));
                    for (int c = 0; c < kColours; ++c) {
                        CHECK(*found.picture.window().at(c, y, x) == *found.picture.window().at(c, a, b));
                        CHECK(*found.tone.window().at(c, y, x) == *found.tone.window().at(c, a, b));
                    }
                    const Offset own = *found.field.cells().at(y / stride, x / stride);
                    const Offset other = *found.field.cells().at(a / stride, b / stride);
                    CHECK(y + own.y == a + other.y && x + own.x == b + other.x);
                }
            }
        }
    }
}

TEST(sides_that_wrap_are_exactly_twice_as_long_at_each_level) {
    const Report never = [](double) { fail(__FILE__, __LINE__, "searched"); };
    const Planes16 structure = random_planes(8, 12, 2);
    const auto find = [&](const LevelSizes& sizes, const Wrap& wrap) {
        return find_field(*photograph(), from(structure), sizes, wrap, 7, quick(), 1, never);
    };
    const LevelSizes odd_height = {{8, 12}, {15, 24}}, odd_width = {{8, 12}, {16, 23}};
    const LevelSizes late = {{8, 12}, {16, 24}, {31, 47}};
    for (const Wrap& wrap : kWraps) {
        CHECK_THROWS(find(late, wrap), std::invalid_argument, "twice as long");
        if (wrap.y) CHECK_THROWS(find(odd_height, wrap), std::invalid_argument, "twice as long");
        if (wrap.x) CHECK_THROWS(find(odd_width, wrap), std::invalid_argument, "twice as long");
    }
    // The other side need not be.
    const auto works = [&](const LevelSizes& sizes, const Wrap& wrap) {
        find_field(*photograph(), from(structure), sizes, wrap, 7, quick(), 1, kSilent);
    };
    works(odd_height, {false, true});
    works(odd_width, {true, false});
}

TEST(boxes_of_a_picture_that_wraps_are_no_longer_than_it_and_lie_where_numbers_do_not_end) {
    constexpr std::int64_t far = kLongestSide, least = INT64_MIN, most = INT64_MAX;
    const LevelSizes sizes = wrapping(4, 5, kLevels, {true, true});
    const Detail detail = wrapped_detail(2, sizes, {true, true});
    OwnedPicture out(4, 5);
    for (const Box& box : {Box{0, 0, 33, 5}, Box{0, 0, 4, 41}, Box{-20, 0, 13, 5}, Box{4, 5, 4, 9}, Box{4, 5, 8, 5},
                           Box{far + 1, 0, far + 5, 5}, Box{0, -far - 1, 4, -far + 4}, Box{least, 0, least + 4, 5},
                           Box{least, 0, most, 5}, Box{-5, 0, most, 5}, Box{0, most - 5, 4, most}}) {
        CHECK_THROWS(detail.gather(3, box, out.writable(), 1), std::invalid_argument, "the box");
        CHECK_THROWS(detail.sources(3, box, nullptr), std::invalid_argument, "the box");
    }
    // Where only one side wraps, boxes end at the other.
    const Detail across = wrapped_detail(2, wrapping(4, 5, kLevels, {false, true}), {false, true});
    gathered(across, 3, {0, -2, 4, 3});
    CHECK_THROWS(across.gather(3, {-1, 0, 3, 5}, out.writable(), 1), std::invalid_argument, "the box");
    CHECK_THROWS(across.gather(3, {28, 0, 32, 5}, out.writable(), 1), std::invalid_argument, "the box");
}

TEST(a_search_may_start_from_a_known_field_at_every_level_that_is_searched) {
    const auto known_photograph = searched_photograph(3);
    std::mt19937 random(8);
    for (const Wrap& wrap : {Wrap{}, Wrap{true, true}}) {
        const LevelSizes sizes = wrapping(5, 8, kLevels, wrap);
        for (const int level : {0, 1, 2}) {
            const auto& [rows, columns] = sizes[static_cast<std::size_t>(level)];
            const Field field = random_field(rows, columns, 1, known_photograph->height(level),
                                             known_photograph->width(level), 6);
            const Start start{nullptr, &field, level};
            const auto find = [&](int threads) {
                return find_field(*known_photograph, start, sizes, wrap, 7, quick(), threads, kSilent);
            };
            const Found found = find(1), other = find(2);
            CHECK(found.field.offsets == other.field.offsets);
            CHECK(same(found.picture, other.picture) && same(found.tone, other.tone));
            const std::int32_t stride = found.field.stride;
            CHECK(stride == (level == 2 ? 1 : 2));
            for (std::int32_t i = 0; i < found.field.rows; ++i) {
                for (std::int32_t j = 0; j < found.field.columns; ++j) {
                    const Offset o = *found.field.cells().at(i, j);
                    const std::int32_t y = stride * i - kLead + o.y, x = stride * j - kLead + o.x;
                    CHECK(y >= 0 && x >= 0 && y <= known_photograph->height(2) - kPatch &&
                          x <= known_photograph->width(2) - kPatch);
                }
            }
            const Detail detail(known_photograph, found, sizes, wrap, 24);
            const Box all = whole_of(sizes, kLevels - 1);
            const OwnedPicture whole = gathered(detail, kLevels - 1, all);
            for (int n = 0; n < 3; ++n) {
                const Box box = any_box(random, all, wrap);
                CHECK(gathered(detail, kLevels - 1, box).bytes == rolled(whole, box));
            }
        }
    }
}

TEST(a_known_field_without_seams_stays_as_it_is) {
    // The photograph in its own place.
    for (const int level : {0, 1, 2}) {
        const LevelSizes sizes = halved(128, 192, kLevels);
        const auto& [height, width] = sizes[static_cast<std::size_t>(level)];
        Field field = make_field(height, width, 1);
        for (std::int32_t i = 0; i < height; ++i) {
            for (std::int32_t j = 0; j < width; ++j) {
                *field.cells().at(i, j) = {std::clamp(i - kLead, 0, height - kPatch) - (i - kLead),
                                           std::clamp(j - kLead, 0, width - kPatch) - (j - kLead)};
            }
        }
        DetailSettings settings = quick();
        settings.overuse = 0;
        const Start start{nullptr, &field, level};
        const Found found = find_field(*searched_photograph(3), start, sizes, {}, 1, settings, 2, kSilent);
        const Detail detail(searched_photograph(3), found, sizes, {}, 24);
        const std::vector<std::int32_t> sources = sources_of(detail, kLevels - 1, {0, 0, 128, 192});
        int kept = 0;
        for (std::int32_t n = 0; n < 128 * 192; ++n) {
            const auto at = static_cast<std::size_t>(n);
            kept += sources[2 * at] == n / 192 && sources[2 * at + 1] == n % 192;
        }
        CHECK(kept > 0.6 * 128 * 192);  // all but what lies at the border, and what that reaches
    }
}

TEST(a_start_that_does_not_belong_to_photograph_and_sizes_is_refused) {
    const Report never = [](double) { fail(__FILE__, __LINE__, "searched"); };
    const LevelSizes sizes = halved(64, 96, kLevels);
    const Planes16 structure(8, 12), large(16, 24);
    const Field field = random_field(8, 12, 1, 16, 24, 6), finer = random_field(16, 24, 1, 32, 48, 6);
    const auto find = [&](const Start& start) {
        return find_field(*photograph(), start, sizes, {}, 7, quick(), 1, never);
    };
    CHECK_THROWS(find({}), std::invalid_argument, "a start");
    CHECK_THROWS(find({&structure, &field, 0}), std::invalid_argument, "a start");
    CHECK_THROWS(find({nullptr, &field, -1}), std::invalid_argument, "a start");
    CHECK_THROWS(find({nullptr, &finer, kSearched}), std::invalid_argument, "a start");
    CHECK_THROWS(find({&structure, nullptr, 1}), std::invalid_argument, "the structure's");
    CHECK_THROWS(find({&large, nullptr, 1}), std::invalid_argument, "the structure's");
    CHECK_THROWS(find({&large, nullptr, 0}), std::invalid_argument, "the structure's");
    CHECK_THROWS(find({nullptr, &field, 1}), std::invalid_argument, "the field's");
    CHECK_THROWS(find({nullptr, &finer, 0}), std::invalid_argument, "the field's");
    const Field coarse{2, 8, 12, field.offsets};
    CHECK_THROWS(find({nullptr, &coarse, 0}), std::invalid_argument, "the field's");
    // The photograph is 16 x 24 there; first pixels of patches may lie at 0 .. 8 and 0 .. 16.
    const auto with = [&](std::int32_t i, std::int32_t j, std::int32_t y, std::int32_t x) {
        Field wrong = field;
        *wrong.cells().at(i, j) = {y - (i - kLead), x - (j - kLead)};
        find({nullptr, &wrong, 0});
    };
    CHECK_THROWS(with(0, 0, -1, 0), std::invalid_argument, "within the photograph");
    CHECK_THROWS(with(7, 11, 0, -1), std::invalid_argument, "within the photograph");
    CHECK_THROWS(with(3, 4, 9, 16), std::invalid_argument, "within the photograph");
    CHECK_THROWS(with(3, 4, 8, 17), std::invalid_argument, "within the photograph");
    CHECK_THROWS(with(3, 4, 8, 16), std::runtime_error, "searched");
}

TEST(a_level_that_is_searched_in_parts_is_as_if_searched_whole) {
    for (const Wrap& wrap : {Wrap{}, Wrap{false, true}}) {
        const LevelSizes sizes = wrapping(90, 4, 3, wrap);
        const Planes16 structure = random_planes(sizes.front().first, sizes.front().second, 2);
        const auto three = make_photograph(64, 96, 3, 3);
        const auto find = [&](std::int32_t part, int& steps) {
            DetailSettings settings = quick();
            settings.part = part;
            steps = 0;
            const Report count = [&](double) { ++steps; };
            return find_field(*three, from(structure), sizes, wrap, 7, settings, 2, count);
        };
        int whole_steps, steps;
        const Found whole = find(1 << 30, whole_steps);
        const Found parts = find(1, steps);
        CHECK(steps > whole_steps);
        CHECK(whole.field.offsets == parts.field.offsets);
        CHECK(same(whole.picture, parts.picture) && same(whole.tone, parts.tone));
    }
}

TEST(extreme_prices_and_the_smallest_photograph_do_not_overflow) {
    DetailSettings settings = quick();
    settings.row *= 16;
    settings.row_slack = 0;
    settings.seam *= 16;
    settings.incoherence *= 16;
    settings.echo *= 16;
    settings.overuse *= 16;
    const auto smallest = make_photograph(16, 16, 2, 2);
    for (const Wrap& wrap : {Wrap{}, Wrap{true, true}}) {
        for (const auto& [height, width] : {std::pair{1, 1}, {1, 50}, {41, 1}}) {
            const LevelSizes sizes = wrapping(height, width, 2, wrap);
            const Planes16 structure = random_planes(height, width, 2);
            const Field field = random_field(height, width, 1, 8, 8, 6);
            for (const Start& start : {from(structure), Start{nullptr, &field, 0}}) {
                const Found found = find_field(*smallest, start, sizes, wrap, 1, settings, 2, kSilent);
                const Detail detail(smallest, found, sizes, wrap, 24);
                gathered(detail, 1, whole_of(sizes, 1), PixelType::uint16, 2);
            }
        }
    }
}

namespace {

// The same numbers in other memory, as if they came from elsewhere.
Found copied(const Found& found) {
    const auto copy = [](const Planes16& planes) {
        Planes16 result(planes.height(), planes.width());
        const auto from = planes.window();
        std::copy_n(from.plane[0], kColours * from.stride * from.height, result.writable().plane[0]);
        return result;
    };
    return {copy(found.picture), found.field, copy(found.tone)};
}

std::int16_t& any_value(std::mt19937& random, Planes16& planes) {
    const auto window = planes.writable();
    return window.plane[draw(random, 0, kColours - 1)][draw(random, 0, window.height * window.width - 1)];
}

}  // namespace

TEST(what_was_found_makes_the_same_picture_elsewhere) {
    for (const int searched : {1, 2, 3}) {
        for (const Wrap& wrap : {Wrap{}, Wrap{false, true}, Wrap{true, true}}) {
            const LevelSizes sizes = wrapping(5, 9, kLevels, wrap);
            const Detail detail = wrapped_detail(searched, sizes, wrap);
            const Detail other(searched_photograph(searched), copied(detail.found()), sizes, wrap, quick().limit);
            for (int level = detail.base(); level < kLevels; ++level) {
                const Box all = whole_of(sizes, level);
                CHECK(gathered(other, level, all, PixelType::uint16).bytes == gathered(detail, level, all, PixelType::uint16).bytes);
                CHECK(sources_of(other, level, all) == sources_of(detail, level, all));
            }
        }
    }
}

TEST(what_no_search_finds_is_refused) {
    const LevelSizes sizes = halved(115, 203, kLevels);
    const Detail detail = make_detail(115, 203);
    const auto with = [&](const auto& damage, const LevelSizes& other = {}, const Wrap& wrap = {}) {
        Found found = copied(detail.found());
        damage(found);
        Detail(photograph(), std::move(found), other.empty() ? sizes : other, wrap, 24);
    };
    const auto nothing = [](Found&) {};
    with(nothing);
    CHECK_THROWS(with(nothing, halved(117, 203, kLevels)), std::invalid_argument, "the picture of 30 x 51, got 29 x 51");
    CHECK_THROWS(with(nothing, {}, {true, false}), std::invalid_argument, "twice as long");
    CHECK_THROWS(with(nothing, wrapping(8, 13, kLevels, {true, true}), {true, true}), std::invalid_argument,
                 "the picture of 112 x 122");
    CHECK_THROWS(with([](Found& found) { found.tone = Planes16(29, 50); }), std::invalid_argument, "the tone of 29 x 51");
    for (const std::int32_t stride : {-2, 0, 1, 3}) {
        CHECK_THROWS(with([&](Found& found) { found.field.stride = stride; }), std::invalid_argument, "a field of");
    }
    CHECK_THROWS(with([](Found& found) { ++found.field.rows; }), std::invalid_argument, "a field of");
    CHECK_THROWS(with([](Found& found) { found.field.offsets.pop_back(); }), std::invalid_argument, "a field of");
    std::mt19937 random(4);
    for (int n = 0; n < 50; ++n) {
        const bool is_low = n % 2 == 0;
        CHECK_THROWS(with([&](Found& found) { any_value(random, found.picture) = is_low ? -1 : kWhite + 1; }),
                     std::invalid_argument, "the picture from 0");
        CHECK_THROWS(with([&](Found& found) {
                         any_value(random, found.tone) = static_cast<std::int16_t>(is_low ? -kWhite / 2 - 1 : kWhite / 2 + 1);
                     }),
                     std::invalid_argument, "the tone from");
        const auto misplace = [&](Found& found) {
            const auto count = static_cast<std::int32_t>(found.field.offsets.size());
            Offset& offset = found.field.offsets[static_cast<std::size_t>(draw(random, 0, count - 1))];
            const std::int32_t numbers[] = {INT32_MIN, INT32_MAX, -1000, 1000};
            (draw(random, 0, 1) == 0 ? offset.y : offset.x) = numbers[n % 4];
        };
        CHECK_THROWS(with(misplace), std::invalid_argument, "within the photograph");
    }
}

TEST(whatever_is_let_in_is_gathered_within_the_photograph) {
    // Sanitizers see what is read beyond it.
    std::mt19937 random(6);
    for (const int searched : {1, 2}) {
        for (const Wrap& wrap : {Wrap{}, Wrap{true, true}}) {
            const LevelSizes sizes = wrapping(5, 9, kLevels, wrap);
            const auto photo = searched_photograph(searched);
            const auto [height, width] = found_size(*photo, sizes, wrap);
            for (unsigned n = 0; n < 4; ++n) {
                const std::int32_t stride = 1 + static_cast<std::int32_t>(n) % 2;
                const std::int32_t rows = (height + stride - 1) / stride, columns = (width + stride - 1) / stride;
                Found found{random_planes(height, width, n),
                            random_field(rows, columns, stride, photo->height(searched - 1), photo->width(searched - 1), n),
                            Planes16(height, width)};
                for (int i = 0; i < 2000; ++i) {
                    any_value(random, found.tone) = static_cast<std::int16_t>(draw(random, -kWhite / 2, kWhite / 2));
                }
                const Detail detail(photo, std::move(found), sizes, wrap, 24);
                for (int level = detail.base(); level < kLevels; ++level) {
                    const Box all = whole_of(sizes, level);
                    const OwnedPicture whole = gathered(detail, level, all);
                    CHECK(whole.bytes.size() == static_cast<std::size_t>(3 * all.height() * all.width()));
                    sources_of(detail, level, all);
                }
            }
        }
    }
}
