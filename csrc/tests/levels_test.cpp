#include "levels.h"

#include <cmath>

#include "check.h"
#include "detail_pictures.h"

using namespace ourgan;

namespace {

constexpr std::pair<std::int32_t, std::int32_t> kSizes[] = {{1, 1},  {1, 2},   {2, 1},  {3, 5},
                                                            {1, 40}, {37, 1}, {16, 16}, {33, 67}};

// Rows first..last of the part of the enlarged picture that begins at (y0, x0).
Planes16 enlarged_part(const LevelKernels& kernels, const Planes16& small, const Box& box) {
    const auto height = static_cast<std::int32_t>(box.height()), width = static_cast<std::int32_t>(box.width());
    Planes16 result(height, width, static_cast<std::int32_t>(box.y0), static_cast<std::int32_t>(box.x0));
    std::vector<std::int16_t> buffer(static_cast<std::size_t>(3 * (width + 16)));
    kernels.enlarge(small.window(), small.height(), small.width(), result.writable(), buffer.data(),
                    static_cast<std::int32_t>(box.y0), static_cast<std::int32_t>(box.y1));
    return result;
}

std::int32_t mixed(std::int32_t a, std::int32_t b, std::int32_t c, std::int32_t d) {
    const std::int32_t sum = -9 * a + 111 * b + 29 * c - 3 * d + 64;
    return std::clamp(sum < 0 ? -((-sum + 127) / 128) : sum / 128, 0, kWhite);
}

// A pixel of the enlarged picture, straight from the definition: rows first, then columns, each rounded and clamped.
std::int32_t reference(const Window<const std::int16_t>& small, int colour, std::int32_t y, std::int32_t x) {
    const auto half = [](std::int32_t value) { return value >= 0 ? value / 2 : -((1 - value) / 2); };
    const auto pixel = [&](std::int32_t row, std::int32_t column) -> std::int32_t {
        return *small.at(colour, std::clamp(row, 0, small.height - 1), std::clamp(column, 0, small.width - 1));
    };
    const std::int32_t row = half(y), down = y - 2 * row == 1 ? 1 : -1;
    const std::int32_t column = half(x), right = x - 2 * column == 1 ? 1 : -1;
    const auto at = [&](std::int32_t one) {
        return mixed(pixel(row - down, one), pixel(row, one), pixel(row + down, one), pixel(row + 2 * down, one));
    };
    return mixed(at(column - right), at(column), at(column + right), at(column + 2 * right));
}

// The windows that a renderer asks for: the whole, odd and even corners, and beyond every border.
std::vector<Box> windows_of(std::int32_t height, std::int32_t width) {
    const std::int32_t tall = 2 * height, wide = 2 * width;
    return {{0, 0, tall, wide},
            {0, 0, tall - 1, wide - 1},
            {tall / 2, wide / 2, tall, wide},
            {tall - 1, wide - 1, tall, wide},
            {tall / 3, wide / 3, tall / 3 + 1, wide / 3 + 1},
            {-3, -3, tall + 5, wide + 5},
            {-3, wide - 2, 2, wide + 5},
            {tall - 2, -3, tall + 4, 2}};
}

// What a cell inherits, straight from the definition: of the four cells below whose patches' centres lie nearest, twice
// the offset whose keys differ least.
Offset inherited(const Exemplar& e, const Window<const std::int16_t>& enlarged, const Field& below, std::int32_t stride,
                 std::int32_t i, std::int32_t j) {
    // Of two cells, by their centres on the finer level: 2 * below.stride * cell + 1.5, and stride * i + 0.5.
    const auto first = [&](std::int32_t cell) {
        return static_cast<std::int32_t>(std::floor((stride * cell - 1.0) / (2.0 * below.stride)));
    };
    Offset best{};
    std::int64_t least = -1;
    for (const std::int32_t a : {first(i), first(i) + 1}) {
        for (const std::int32_t b : {first(j), first(j) + 1}) {
            const Offset from = *below.cells().at(std::clamp(a, 0, below.rows - 1), std::clamp(b, 0, below.columns - 1));
            const std::int32_t y = stride * i - kLead, x = stride * j - kLead;
            const Offset o{std::clamp(y + 2 * from.y, 0, e.keys.height - kPatch) - y,
                           std::clamp(x + 2 * from.x, 0, e.keys.width - kPatch) - x};
            std::int64_t sum = 0;
            for (int c = 0; c < kColours; ++c) {
                for (std::int32_t v = y; v < y + kPatch; ++v) {
                    for (std::int32_t u = x; u < x + kPatch; ++u) {
                        const std::int32_t d = (*enlarged.at(c, v, u) >> 5) - (*e.keys.at(c, v + o.y, u + o.x) >> 5);
                        sum += d * d;
                    }
                }
            }
            if (least < 0 || sum < least) {
                best = o;
                least = sum;
            }
        }
    }
    return best;
}

// A blended value in exact arithmetic: the cells around weigh so much by rows and by columns.
double blended(const Exemplar& e, const Window<const std::int16_t>& enlarged, const Field& field, std::int32_t limit,
               int colour, std::int32_t y, std::int32_t x) {
    const std::vector<double> weights1{0, 4, 28, 28, 4, 0}, even{39, 79, 10}, odd{10, 79, 39};
    const auto weights = [&](std::int32_t at) { return field.stride == 1 ? weights1 : at % 2 == 0 ? even : odd; };
    const std::vector<double> down = weights(y), right = weights(x);
    const std::int32_t before = field.stride == 1 ? 3 : 1;
    double value = 0, key = 0, sum = 0;
    for (std::size_t a = 0; a < down.size(); ++a) {
        for (std::size_t b = 0; b < right.size(); ++b) {
            const std::int32_t row = y / field.stride - before + static_cast<std::int32_t>(a);
            const std::int32_t column = x / field.stride - before + static_cast<std::int32_t>(b);
            const Offset o =
                *field.cells().at(std::clamp(row, 0, field.rows - 1), std::clamp(column, 0, field.columns - 1));
            const std::int32_t from_y = std::clamp(y + o.y, 0, e.values.height - 1);
            const std::int32_t from_x = std::clamp(x + o.x, 0, e.values.width - 1);
            value += down[a] * right[b] * kSteps * *e.values.at(colour, from_y, from_x);
            key += down[a] * right[b] * *e.keys.at(colour, from_y, from_x);
            sum += down[a] * right[b];
        }
    }
    const double departure = std::clamp<double>(*enlarged.at(colour, y, x) - key / sum, -limit, limit);
    return std::clamp<double>(value / sum + departure, 0, kWhite);
}

Cells<const Offset> readable(const Cells<Offset>& cells) {
    return {cells.data, cells.row0, cells.column0, cells.rows, cells.columns};
}

}  // namespace

TEST(enlarging_is_catmull_rom_rounded_after_each_axis_and_every_window_is_its_slice) {
    for (const auto& [height, width] : kSizes) {
        const Planes16 small = random_planes(height, width, 7);
        for (const LevelKernels* kernels : available_level_kernels()) {
            for (const Box& box : windows_of(height, width)) {
                const Planes16 part = enlarged_part(*kernels, small, box);
                const auto window = part.window();
                for (int c = 0; c < kColours; ++c) {
                    for (std::int32_t y = window.y0; y < window.y0 + window.height; ++y) {
                        for (std::int32_t x = window.x0; x < window.x0 + window.width; ++x) {
                            CHECK(*window.at(c, y, x) == reference(small.window(), c, y, x));
                        }
                    }
                }
            }
        }
    }
}

TEST(enlarging_needs_no_more_of_the_small_picture_than_two_pixels_around) {
    const std::int32_t height = 30, width = 41;
    const Planes16 small = random_planes(height, width, 8);
    std::mt19937 random(3);
    for (int n = 0; n < 40; ++n) {
        const std::int32_t y0 = draw(random, 0, 2 * height - 1), y1 = draw(random, y0 + 1, 2 * height);
        const std::int32_t x0 = draw(random, 0, 2 * width - 1), x1 = draw(random, x0 + 1, 2 * width);
        const std::int32_t top = std::max(y0 / 2 - 2, 0), bottom = std::min((y1 - 1) / 2 + 3, height);
        const std::int32_t left = std::max(x0 / 2 - 2, 0), right = std::min((x1 - 1) / 2 + 3, width);
        Planes16 cut(bottom - top, right - left, top, left);
        const auto to = cut.writable();
        for (int c = 0; c < kColours; ++c) {
            for (std::int32_t y = top; y < bottom; ++y) {
                std::copy_n(small.window().at(c, y, left), right - left, to.at(c, y, left));
            }
        }
        Planes16 part(y1 - y0, x1 - x0, y0, x0);
        std::vector<std::int16_t> buffer(static_cast<std::size_t>(3 * (x1 - x0 + 16)));
        level_kernels().enlarge(cut.window(), height, width, part.writable(), buffer.data(), y0, y1);
        CHECK(same(part, enlarged_part(level_kernels(), small, {y0, x0, y1, x1})));
    }
}

TEST(enlarging_whole_pictures_does_not_depend_on_threads) {
    const Planes16 small = random_planes(150, 31, 9);
    const Planes16 expected = enlarged_part(level_kernels(), small, {0, 0, 299, 61});
    for (const int threads : {1, 2, 5}) CHECK(same(enlarge_whole(small.window(), 299, 61, threads), expected));
}

TEST(every_instruction_set_inherits_the_same_field) {
    for (const std::int32_t stride : {1, 2}) {
        for (const std::int32_t below_stride : {1, 2}) {
            for (const auto& [height, width] : {std::pair{16, 32}, {34, 22}}) {
                const auto photograph = make_photograph(2 * height, 2 * width, 2, 2);
                // A picture of another size than the photograph, odd.
                const std::int32_t tall = 2 * height + 5, wide = 2 * width - 3;
                const Planes16 enlarged =
                    random_planes(tall + 2 * kMargin, wide + 2 * kMargin, 5, -kMargin, -kMargin);
                const std::int32_t rows = (tall + stride - 1) / stride, columns = (wide + stride - 1) / stride;
                const std::int32_t small_rows = ((tall + 1) / 2 + below_stride - 1) / below_stride;
                const std::int32_t small_columns = ((wide + 1) / 2 + below_stride - 1) / below_stride;
                for (const unsigned seed : {0u, 1u, 2u}) {
                    const Field below = random_field(small_rows, small_columns, below_stride, height, width, seed);
                    std::vector<Offset> expected(static_cast<std::size_t>(rows * columns)), actual(expected.size());
                    const auto inherit = [&](const LevelKernels& kernels, std::vector<Offset>& offsets) {
                        const Cells<Offset> cells{offsets.data(), 0, 0, rows, columns};
                        kernels.inherit(photograph->exemplar(1), enlarged.window(), below.cells(), below_stride, cells,
                                        stride, 0, rows);
                    };
                    inherit(*available_level_kernels().front(), expected);
                    for (const LevelKernels* kernels : available_level_kernels()) {
                        inherit(*kernels, actual);
                        CHECK(actual == expected);
                    }
                    // Every patch lies within the photograph.
                    for (std::int32_t i = 0; i < rows; ++i) {
                        for (std::int32_t j = 0; j < columns; ++j) {
                            const Offset o = expected[static_cast<std::size_t>(i * columns + j)];
                            const std::int32_t y = stride * i - kLead + o.y, x = stride * j - kLead + o.x;
                            CHECK(y >= 0 && x >= 0 && y <= 2 * height - kPatch && x <= 2 * width - kPatch);
                            CHECK(o == inherited(photograph->exemplar(1), enlarged.window(), below, stride, i, j));
                        }
                    }
                }
            }
        }
    }
}

TEST(a_cell_inherits_twice_the_offset_whose_keys_differ_least) {
    const auto photograph = make_photograph(64, 64, 2, 2);
    const auto keys = photograph->exemplar(1).keys;
    // The enlarged picture is the keys themselves, moved by an even offset; one of the cells below knows it.
    const Offset right{6, -4};
    const std::int32_t side = 40, margin = 8;
    Planes16 enlarged(side + 2 * margin, side + 2 * margin, -margin, -margin);
    const auto window = enlarged.writable();
    for (int c = 0; c < kColours; ++c) {
        for (std::int32_t y = -margin; y < side + margin; ++y) {
            for (std::int32_t x = -margin; x < side + margin; ++x) {
                *window.at(c, y, x) = *keys.at(c, std::clamp(y + right.y, 0, 63), std::clamp(x + right.x, 0, 63));
            }
        }
    }
    std::mt19937 random(1);
    Field below{1, side / 2, side / 2, {}};
    for (std::int32_t n = 0; n < below.rows * below.columns; ++n) {
        const bool is_right = (n / below.columns + n % below.columns) % 2 == 0;
        below.offsets.push_back(is_right ? Offset{right.y / 2, right.x / 2}
                                         : Offset{draw(random, -9, 9), draw(random, -9, 9)});
    }
    for (const std::int32_t stride : {1, 2}) {
        std::vector<Offset> offsets(static_cast<std::size_t>(side * side));
        const Cells<Offset> cells{offsets.data(), 0, 0, side / stride, side / stride};
        level_kernels().inherit(photograph->exemplar(1), enlarged.window(), std::as_const(below).cells(), 1, cells, stride,
                                0, side / stride);
        for (std::int32_t i = 8 / stride; i < 32 / stride; ++i) {
            for (std::int32_t j = 12 / stride; j < 32 / stride; ++j) CHECK(*cells.at(i, j) == right);
        }
    }
}

TEST(every_instruction_set_blends_the_same_pixels) {
    for (const std::int32_t stride : {1, 2}) {
        for (const auto& [height, width] : {std::pair{16, 24}, {40, 24}}) {
            const auto photograph = make_photograph(2 * height, 2 * width, 2, 2);
            for (const auto& [tall, wide] : {std::pair{1, 1}, {2, 3}, {1, 50}, {45, 1}, {37, 63}}) {
                const Planes16 enlarged = random_planes(tall, wide, 6);
                const std::int32_t rows = (tall + stride - 1) / stride, columns = (wide + stride - 1) / stride;
                for (const unsigned seed : {0u, 1u, 2u}) {
                    const Field field = random_field(rows, columns, stride, 2 * height, 2 * width, seed);
                    for (const std::int32_t limit : {0, 24 * kSteps, kWhite}) {
                        const auto blend = [&](const LevelKernels& kernels) {
                            Planes16 picture(tall, wide);
                            std::vector<std::uint8_t> buffer(static_cast<std::size_t>(wide) + 1);
                            kernels.blend(photograph->exemplar(1), enlarged.window(), field.cells(), stride, limit,
                                          picture.writable(), buffer.data(), 0, tall);
                            return picture;
                        };
                        const Planes16 expected = blend(*available_level_kernels().front());
                        for (const LevelKernels* kernels : available_level_kernels()) {
                            CHECK(same(blend(*kernels), expected));
                        }
                        for (int c = 0; c < kColours; ++c) {
                            for (std::int32_t y = 0; y < tall; ++y) {
                                for (std::int32_t x = 0; x < wide; ++x) {
                                    const double exact =
                                        blended(photograph->exemplar(1), enlarged.window(), field, limit, c, y, x);
                                    CHECK(std::abs(*expected.window().at(c, y, x) - exact) <= 1.5);
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

TEST(a_region_blended_is_the_slice_of_the_whole) {
    const std::int32_t tall = 53, wide = 71;
    const auto photograph = make_photograph(64, 80, 2, 2);
    const Planes16 enlarged = random_planes(tall, wide, 6);
    std::mt19937 random(4);
    for (const std::int32_t stride : {1, 2}) {
        const std::int32_t rows = (tall + stride - 1) / stride, columns = (wide + stride - 1) / stride;
        const Field field = random_field(rows, columns, stride, 64, 80, 9);
        Planes16 whole(tall, wide);
        std::vector<std::uint8_t> buffer(static_cast<std::size_t>(wide) + 1);
        level_kernels().blend(photograph->exemplar(1), enlarged.window(), field.cells(), stride, 24 * kSteps,
                              whole.writable(), buffer.data(), 0, tall);
        const std::int32_t before = stride == 1 ? 3 : 1, behind = stride == 1 ? 2 : 1;
        for (int n = 0; n < 60; ++n) {
            const std::int32_t y0 = draw(random, 0, tall - 1), y1 = draw(random, y0 + 1, tall);
            const std::int32_t x0 = draw(random, 0, wide - 1), x1 = draw(random, x0 + 1, wide);
            // No more cells than the pixels are made of, in memory of their own.
            const std::int32_t row0 = std::max(y0 / stride - before, 0), row1 = std::min((y1 - 1) / stride + behind + 1, rows);
            const std::int32_t column0 = std::max(x0 / stride - before, 0);
            const std::int32_t column1 = std::min((x1 - 1) / stride + behind + 1, columns);
            std::vector<Offset> offsets;
            for (std::int32_t i = row0; i < row1; ++i) {
                for (std::int32_t j = column0; j < column1; ++j) offsets.push_back(*field.cells().at(i, j));
            }
            Planes16 region(y1 - y0, x1 - x0, y0, x0), slice(y1 - y0, x1 - x0);
            std::vector<std::uint8_t> calm(static_cast<std::size_t>(x1 - x0) + 1);
            const Cells<Offset> cells{offsets.data(), row0, column0, row1 - row0, column1 - column0};
            level_kernels().blend(photograph->exemplar(1), enlarged.window(), readable(cells), stride, 24 * kSteps,
                                  region.writable(), calm.data(), y0, y1);
            for (int c = 0; c < kColours; ++c) {
                for (std::int32_t y = y0; y < y1; ++y) {
                    std::copy_n(static_cast<const Planes16&>(whole).window().at(c, y, x0), x1 - x0,
                                slice.writable().at(c, y - y0, 0));
                }
            }
            CHECK(same(region, slice));
        }
    }
}

TEST(where_all_cells_agree_the_photographs_own_pixels_come_through) {
    // Enlarged is what the photograph's keys are there, as when they agreed below too.
    const auto photograph = make_photograph(64, 64, 2, 2);
    const auto exemplar = photograph->exemplar(1);
    for (const std::int32_t stride : {1, 2}) {
        const Field field{stride, 30 / stride, 30 / stride,
                          std::vector<Offset>(static_cast<std::size_t>(900 / stride / stride), Offset{10, 5})};
        Planes16 enlarged(30, 30), picture(30, 30);
        for (int c = 0; c < kColours; ++c) {
            for (std::int32_t y = 0; y < 30; ++y) {
                std::copy_n(exemplar.keys.at(c, y + 10, 5), 30, enlarged.writable().at(c, y, 0));
            }
        }
        std::vector<std::uint8_t> buffer(31);
        level_kernels().blend(exemplar, static_cast<const Planes16&>(enlarged).window(), field.cells(), stride,
                              24 * kSteps, picture.writable(), buffer.data(), 0, 30);
        for (int c = 0; c < kColours; ++c) {
            for (std::int32_t y = 0; y < 30; ++y) {
                for (std::int32_t x = 0; x < 30; ++x) {
                    CHECK(*picture.writable().at(c, y, x) == *exemplar.values.at(c, y + 10, x + 5) * kSteps);
                }
            }
        }
    }
}

TEST(blending_writes_no_other_rows_than_it_is_asked_for) {
    // Others may be at work on them: the rows of a cell of two by two are not all of one thread.
    const auto photograph = make_photograph(48, 64, 2, 2);
    const Planes16 enlarged = random_planes(27, 31, 1);
    std::vector<std::uint8_t> calm(32);
    for (const std::int32_t stride : {1, 2}) {
        const Field field = random_field((27 + stride - 1) / stride, (31 + stride - 1) / stride, stride, 48, 64, 4);
        for (const LevelKernels* kernels : available_level_kernels()) {
            const auto blend = [&](Planes16& out, std::int32_t first, std::int32_t last) {
                kernels->blend(photograph->exemplar(1), enlarged.window(), field.cells(), stride, 24 * kSteps,
                               out.writable(), calm.data(), first, last);
            };
            Planes16 whole(27, 31);
            blend(whole, 0, 27);
            for (const auto& [first, last] : {std::pair{0, 1}, {1, 2}, {3, 8}, {8, 13}, {13, 27}}) {
                Planes16 part(27, 31);
                for (int c = 0; c < kColours; ++c) std::fill_n(part.writable().plane[c], 27 * 31, std::int16_t{-1});
                blend(part, first, last);
                for (int c = 0; c < kColours; ++c) {
                    for (std::int32_t y = 0; y < 27; ++y) {
                        for (std::int32_t x = 0; x < 31; ++x) {
                            const bool is_asked = y >= first && y < last;
                            CHECK(*part.window().at(c, y, x) == (is_asked ? *whole.window().at(c, y, x) : -1));
                        }
                    }
                }
            }
        }
    }
}
