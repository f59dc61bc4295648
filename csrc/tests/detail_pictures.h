// Random photographs, structures and fields for the tests of detail.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "detail.h"
#include "resample.h"

// A picture that owns its bytes, interleaved.
struct OwnedPicture {
    OwnedPicture(std::int64_t height_, std::int64_t width_, ourgan::PixelType type_ = ourgan::PixelType::uint8,
                 std::int64_t channels_ = 3)
        : height(height_),
          width(width_),
          channels(channels_),
          type(type_),
          bytes(static_cast<std::size_t>(height * width * channels * ourgan::bytes_of(type))) {}

    std::int64_t row_stride() const { return width * channels * ourgan::bytes_of(type); }
    ourgan::Picture writable() {
        return {reinterpret_cast<std::byte*>(bytes.data()), type, height, width, channels, row_stride()};
    }
    ourgan::ConstPicture readable() const {
        return {reinterpret_cast<const std::byte*>(bytes.data()), type, height, width, channels, row_stride()};
    }

    std::int64_t height, width, channels;
    ourgan::PixelType type;
    std::vector<std::uint8_t> bytes;
};

inline std::int32_t draw(std::mt19937& random, std::int32_t low, std::int32_t high) {
    return std::uniform_int_distribution<std::int32_t>(low, high)(random);
}

// Blobs of colour under noise: something to match, at every scale.
inline OwnedPicture random_photograph(std::int32_t height, std::int32_t width, unsigned seed) {
    std::mt19937 random(seed);
    OwnedPicture picture(height, width);
    for (auto& value : picture.bytes) value = static_cast<std::uint8_t>(draw(random, 90, 120));
    for (int blob = 0; blob < 12; ++blob) {
        const std::int32_t y0 = draw(random, 0, height - 1), x0 = draw(random, 0, width - 1);
        const std::int32_t y1 = std::min(height, y0 + 2 + height / 3), x1 = std::min(width, x0 + 2 + width / 3);
        const std::int32_t colours[3] = {draw(random, 0, 225), draw(random, 0, 225), draw(random, 0, 225)};
        for (std::int32_t y = y0; y < y1; ++y) {
            for (std::int32_t x = x0; x < x1; ++x) {
                for (int c = 0; c < 3; ++c) {
                    picture.bytes[static_cast<std::size_t>(3 * (y * width + x) + c)] =
                        static_cast<std::uint8_t>(colours[c] + draw(random, 0, 30));
                }
            }
        }
    }
    return picture;
}

// The photograph's levels, coarsest first, of which the finest is `height` x `width`.
inline std::vector<OwnedPicture> photograph_levels(std::int32_t height, std::int32_t width, int count, unsigned seed) {
    std::vector<OwnedPicture> levels;
    for (int i = 0; i < count; ++i) levels.emplace_back(height >> (count - 1 - i), width >> (count - 1 - i));
    levels.back() = random_photograph(height, width, seed);
    for (int i = count - 2; i >= 0; --i) {
        const auto at = static_cast<std::size_t>(i);
        ourgan::resample(levels[at + 1].readable(), levels[at].writable(), 1);
    }
    return levels;
}

inline std::shared_ptr<const ourgan::PhotographLevels> make_photograph(std::int32_t height, std::int32_t width,
                                                                       int count, int searched, unsigned seed = 1) {
    const std::vector<OwnedPicture> owned = photograph_levels(height, width, count, seed);
    std::vector<ourgan::ConstPicture> levels;
    for (const OwnedPicture& level : owned) levels.push_back(level.readable());
    return std::make_shared<ourgan::PhotographLevels>(levels, searched);
}

// Two levels of one colour, of which the finer is `height` x `width`.
inline std::shared_ptr<const ourgan::PhotographLevels> flat_photograph(std::int32_t height, std::int32_t width,
                                                                       std::uint8_t value) {
    std::vector<OwnedPicture> owned;
    std::vector<ourgan::ConstPicture> levels;
    for (const int shift : {1, 0}) {
        owned.emplace_back(height >> shift, width >> shift);
        std::fill(owned.back().bytes.begin(), owned.back().bytes.end(), value);
    }
    for (const OwnedPicture& level : owned) levels.push_back(level.readable());
    return std::make_shared<ourgan::PhotographLevels>(levels, 2);
}

inline ourgan::LevelSizes halved(std::int32_t height, std::int32_t width, int count) {
    ourgan::LevelSizes sizes;
    for (int i = count - 1; i >= 0; --i) sizes.emplace_back(((height - 1) >> i) + 1, ((width - 1) >> i) + 1);
    return sizes;
}

// Noise of all the range, with a share at either end of it.
inline ourgan::Planes16 random_planes(std::int32_t height, std::int32_t width, unsigned seed, std::int32_t y0 = 0,
                                      std::int32_t x0 = 0) {
    std::mt19937 random(seed);
    ourgan::Planes16 planes(height, width, y0, x0);
    const auto window = planes.writable();
    for (int c = 0; c < ourgan::kColours; ++c) {
        for (std::int32_t y = y0; y < y0 + height; ++y) {
            for (std::int32_t x = x0; x < x0 + width; ++x) {
                const std::int32_t value = draw(random, -ourgan::kWhite / 4, ourgan::kWhite * 5 / 4);
                *window.at(c, y, x) = static_cast<std::int16_t>(std::clamp(value, 0, ourgan::kWhite));
            }
        }
    }
    return planes;
}

inline bool same(const ourgan::Planes16& one, const ourgan::Planes16& other) {
    const auto a = one.window(), b = other.window();
    if (a.height != b.height || a.width != b.width) return false;
    for (int c = 0; c < ourgan::kColours; ++c) {
        for (std::int32_t y = 0; y < a.height; ++y) {
            for (std::int32_t x = 0; x < a.width; ++x) {
                if (*a.at(c, a.y0 + y, a.x0 + x) != *b.at(c, b.y0 + y, b.x0 + x)) return false;
            }
        }
    }
    return true;
}

// Offsets from every cell into a photograph of `height` x `width`: pieces of a few cells that belong together, or all
// alike for seed 0.
inline ourgan::Field random_field(std::int32_t rows, std::int32_t columns, std::int32_t stride, std::int32_t height,
                                  std::int32_t width, unsigned seed) {
    std::mt19937 random(seed);
    ourgan::Field field{stride, rows, columns, {}};
    for (std::int32_t i = 0; i < rows; ++i) {
        for (std::int32_t j = 0; j < columns; ++j) {
            const auto fit = [&](ourgan::Offset o) {
                const std::int32_t y = stride * i - ourgan::kLead, x = stride * j - ourgan::kLead;
                return ourgan::Offset{std::clamp(y + o.y, 0, height - ourgan::kPatch) - y,
                                      std::clamp(x + o.x, 0, width - ourgan::kPatch) - x};
            };
            const int kind = draw(random, 0, 9);
            ourgan::Offset o{draw(random, -height, height), draw(random, -width, width)};
            if (seed == 0 || kind < 7) {
                o = j > 0 && (i == 0 || kind < 4) ? field.offsets[static_cast<std::size_t>(i * columns + j - 1)]
                    : i > 0                       ? field.offsets[static_cast<std::size_t>((i - 1) * columns + j)]
                                                  : ourgan::Offset{0, 0};
            }
            field.offsets.push_back(fit(o));
        }
    }
    return field;
}
