#include "resample.h"

#include <cmath>
#include <cstring>

#include "check.h"
#include "detail_pictures.h"

using namespace ourgan;

namespace {

OwnedPicture random_picture(std::int64_t height, std::int64_t width, PixelType type, std::int64_t channels = 3) {
    std::mt19937 random(4);
    OwnedPicture picture(height, width, type, channels);
    for (auto& value : picture.bytes) value = static_cast<std::uint8_t>(draw(random, 0, 255));
    return picture;
}

OwnedPicture resized(const OwnedPicture& in, std::int64_t height, std::int64_t width, int threads = 1) {
    OwnedPicture out(height, width, in.type, in.channels);
    resample(in.readable(), out.writable(), threads);
    return out;
}

double value(const OwnedPicture& picture, std::int64_t y, std::int64_t x, std::int64_t c) {
    const auto at = static_cast<std::size_t>((y * picture.width + x) * picture.channels + c);
    if (picture.type == PixelType::uint8) return picture.bytes[at];
    std::uint16_t wide;
    std::memcpy(&wide, picture.bytes.data() + 2 * at, 2);
    return wide;
}

// Weights of `in` pixels for pixel `i` of `out`, by the border's pixels where they reach beyond it.
std::vector<double> weights(std::int64_t in, std::int64_t out, std::int64_t i) {
    const double ratio = static_cast<double>(in) / static_cast<double>(out), wide = ratio > 1 ? ratio : 1;
    const double centre = (static_cast<double>(i) + 0.5) * ratio - 0.5;
    std::vector<double> result(static_cast<std::size_t>(in));
    double sum = 0;
    const auto first = static_cast<std::int64_t>(centre - 2 * wide) - 3, last = static_cast<std::int64_t>(centre + 2 * wide) + 3;
    for (std::int64_t at = first; at <= last; ++at) {
        const double t = std::abs(static_cast<double>(at) - centre) / wide;
        const double weight = t <= 1 ? 1.5 * t * t * t - 2.5 * t * t + 1
                              : t < 2 ? -0.5 * t * t * t + 2.5 * t * t - 4 * t + 2
                                      : 0;
        result[static_cast<std::size_t>(std::clamp<std::int64_t>(at, 0, in - 1))] += weight;
        sum += weight;
    }
    for (double& one : result) one /= sum;
    return result;
}

constexpr std::pair<std::int64_t, std::int64_t> kSizes[] = {{1, 1}, {1, 37}, {29, 1}, {5, 3}, {31, 47}};

}  // namespace

TEST(resampling_keeps_what_is_flat) {
    for (const PixelType type : {PixelType::uint8, PixelType::uint16}) {
        for (const int level : {0, 1, 77, 254, 255}) {
            for (const auto& [height, width] : kSizes) {
                OwnedPicture flat(23, 41, type);
                std::fill(flat.bytes.begin(), flat.bytes.end(), static_cast<std::uint8_t>(level));
                const OwnedPicture out = resized(flat, height, width);
                CHECK(out.bytes == std::vector<std::uint8_t>(out.bytes.size(), static_cast<std::uint8_t>(level)));
                flat = OwnedPicture(height, width, type);
                std::fill(flat.bytes.begin(), flat.bytes.end(), static_cast<std::uint8_t>(level));
                const OwnedPicture large = resized(flat, 50, 70);
                CHECK(large.bytes == std::vector<std::uint8_t>(large.bytes.size(), static_cast<std::uint8_t>(level)));
            }
        }
    }
}

TEST(resampling_to_the_same_size_changes_nothing) {
    for (const PixelType type : {PixelType::uint8, PixelType::uint16}) {
        for (const auto& [height, width] : kSizes) {
            for (const std::int64_t channels : {1, 3, 4}) {
                const OwnedPicture picture = random_picture(height, width, type, channels);
                CHECK(resized(picture, height, width).bytes == picture.bytes);
            }
        }
    }
}

TEST(resampling_is_the_cubic_in_double_precision_within_a_level) {
    for (const PixelType type : {PixelType::uint8, PixelType::uint16}) {
        const double white = type == PixelType::uint8 ? 255 : 65535, allowed = type == PixelType::uint8 ? 1 : 16;
        for (const auto& [from_height, from_width] : kSizes) {
            const OwnedPicture in = random_picture(from_height, from_width, type);
            for (const auto& [height, width] : {std::pair<std::int64_t, std::int64_t>{1, 1}, {7, 5}, {60, 11}, {33, 90}}) {
                const OwnedPicture out = resized(in, height, width);
                for (std::int64_t y = 0; y < height; ++y) {
                    const std::vector<double> down = weights(from_height, height, y);
                    for (std::int64_t x = 0; x < width; ++x) {
                        const std::vector<double> across = weights(from_width, width, x);
                        for (std::int64_t c = 0; c < 3; ++c) {
                            double sum = 0;
                            for (std::int64_t a = 0; a < from_height; ++a) {
                                double row = 0;
                                for (std::int64_t b = 0; b < from_width; ++b) {
                                    row += across[static_cast<std::size_t>(b)] * value(in, a, b, c);
                                }
                                sum += down[static_cast<std::size_t>(a)] * row;
                            }
                            CHECK(std::abs(value(out, y, x, c) - std::clamp(sum, 0.0, white)) <= allowed);
                        }
                    }
                }
            }
        }
    }
}

TEST(resampling_does_not_depend_on_threads) {
    for (const PixelType type : {PixelType::uint8, PixelType::uint16}) {
        const OwnedPicture in = random_picture(150, 47, type);
        for (const auto& [height, width] : {std::pair<std::int64_t, std::int64_t>{67, 20}, {211, 99}}) {
            const OwnedPicture expected = resized(in, height, width);
            for (const int threads : {0, 2, 4}) CHECK(resized(in, height, width, threads).bytes == expected.bytes);
        }
    }
}

TEST(resampling_reads_pictures_with_gaps_between_their_rows) {
    const OwnedPicture in = random_picture(30, 20, PixelType::uint8);
    const Box part{3, 4, 28, 15};
    OwnedPicture copy(part.height(), part.width());
    for (std::int64_t y = 0; y < part.height(); ++y) {
        std::memcpy(copy.bytes.data() + y * copy.row_stride(), in.bytes.data() + (y + 3) * in.row_stride() + 4 * 3,
                    static_cast<std::size_t>(copy.row_stride()));
    }
    const ConstPicture view{reinterpret_cast<const std::byte*>(in.bytes.data() + 3 * in.row_stride() + 4 * 3),
                            PixelType::uint8, part.height(), part.width(), 3, in.row_stride()};
    OwnedPicture out(9, 31);
    resample(view, out.writable(), 1);
    CHECK(out.bytes == resized(copy, 9, 31).bytes);
}

TEST(resampling_refuses_other_types) {
    const OwnedPicture bytes = random_picture(4, 4, PixelType::uint8), real(4, 4, PixelType::float32);
    OwnedPicture wide(4, 4, PixelType::uint16), grey(4, 4, PixelType::uint8, 1), out(4, 4, PixelType::float32);
    CHECK_THROWS(resample(bytes.readable(), wide.writable(), 1), std::invalid_argument, "same type");
    CHECK_THROWS(resample(bytes.readable(), grey.writable(), 1), std::invalid_argument, "same type and channels");
    CHECK_THROWS(resample(real.readable(), out.writable(), 1), std::invalid_argument, "uint8 or uint16");
}

TEST(halving_is_the_rounded_mean_of_four_and_repeats_odd_ends) {
    for (const PixelType type : {PixelType::uint8, PixelType::uint16}) {
        for (const auto& [height, width] : kSizes) {
            const OwnedPicture in = random_picture(height, width, type);
            for (const int threads : {0, 1, 3}) {
                OwnedPicture out((height + 1) / 2, (width + 1) / 2, type);
                halve(in.readable(), out.writable(), threads);
                for (std::int64_t y = 0; y < out.height; ++y) {
                    for (std::int64_t x = 0; x < out.width; ++x) {
                        const std::int64_t below = std::min<std::int64_t>(2 * y + 1, height - 1);
                        const std::int64_t right = std::min<std::int64_t>(2 * x + 1, width - 1);
                        for (std::int64_t c = 0; c < 3; ++c) {
                            const double sum = value(in, 2 * y, 2 * x, c) + value(in, 2 * y, right, c) +
                                               value(in, below, 2 * x, c) + value(in, below, right, c);
                            CHECK(value(out, y, x, c) == std::floor(sum / 4 + 0.5));
                        }
                    }
                }
            }
        }
    }
}

TEST(halving_refuses_other_sizes_and_types) {
    const OwnedPicture bytes = random_picture(5, 4, PixelType::uint8), real(4, 4, PixelType::float32);
    OwnedPicture low(2, 2), wide(3, 2, PixelType::uint16), grey(3, 2, PixelType::uint8, 1), out(2, 2, PixelType::float32);
    CHECK_THROWS(halve(bytes.readable(), low.writable(), 1), std::invalid_argument, "half the sides");
    CHECK_THROWS(halve(bytes.readable(), wide.writable(), 1), std::invalid_argument, "same type");
    CHECK_THROWS(halve(bytes.readable(), grey.writable(), 1), std::invalid_argument, "same type and channels");
    CHECK_THROWS(halve(real.readable(), out.writable(), 1), std::invalid_argument, "uint8 or uint16");
}
