#include "detail.h"

#include <atomic>
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
    for (int c = 0; c < kColours; ++c) std::fill_n(tone.plane[c], 64, static_cast<std::int16_t>(kWhite));
    const Detail detail(deep, found, sizes, {}, 24);
    const OwnedPicture picture = gathered(detail, count - 1, {1000, 1000, 1010, 1010});
    CHECK(picture.bytes == std::vector<std::uint8_t>(picture.bytes.size(), 255));
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
