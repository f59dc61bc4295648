// Moving pixels between pictures (H, W, C) and tiles: planar floats (C, h, w), or interleaved as pictures are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "grid.h"
#include "kernels.h"
#include "noise.h"

namespace ourgan {

// Size of one value of a pixel.
std::int64_t bytes_of(PixelType type);

// A picture (height, width, channels) in memory that somebody else owns. Pixels of a row are contiguous;
// rows lie row_stride bytes apart (which may be negative).
template <class Byte>
struct BasicPicture {
    Byte* data = nullptr;
    PixelType type = PixelType::uint8;
    std::int64_t height = 0;
    std::int64_t width = 0;
    std::int64_t channels = 0;
    std::int64_t row_stride = 0;

    Byte* pixel(std::int64_t y, std::int64_t x) const;
};
using Picture = BasicPicture<std::byte>;
using ConstPicture = BasicPicture<const std::byte>;

// A pixel of the whole picture.
struct Position {
    std::int64_t y = 0;
    std::int64_t x = 0;
};

// The part of a whole picture, `extent` pixels in size, that begins at `origin` and is in memory.
struct Part {
    // extent: by default the whole picture ends where this part does.
    // Throws std::invalid_argument when the part leaves the whole picture, or that is larger than kMaxSide.
    Part(const ConstPicture& part, const Position& at = {}, const std::optional<Size>& whole = std::nullopt);

    ConstPicture picture;
    Position origin;
    Size extent;
};

// A planar tile (channels, height, width), contiguous.
template <class Float>
struct BasicPlanes {
    Float* data = nullptr;
    std::int64_t channels = 0;
    std::int64_t height = 0;
    std::int64_t width = 0;
};
using Planes = BasicPlanes<float>;
using ConstPlanes = BasicPlanes<const float>;

// Windows are in coordinates of the whole picture and may reach beyond it, to [-kMaxSide, kMaxSide): what lies there
// repeats the picture's border.

// Throws std::invalid_argument unless `window` is not empty and `part` holds the pixels that it shows.
void check_window(const Part& part, const Box& window);

// Throws std::invalid_argument too when `tile` has another size than the window or other channels, or if it holds
// integers, which have no room for noise.
void check_gather(const Part& part, const Box& window, const Noise& noise, const Planes& tile);
void check_gather(const Part& part, const Box& window, const Noise& noise, const Picture& tile);

// Reads `window` into `tile` as values in [0, 1] plus noise addressed by the position in the whole picture, which
// is not repeated beyond the border. Integers are scaled to their range and rounded.
// threads: how many share the rows, 0 for as many as the hardware has.
void gather(const Part& part, const Box& window, const Noise& noise, const Planes& tile, int threads);
void gather(const Part& part, const Box& window, const Noise& noise, const Picture& tile, int threads);

// Throws std::invalid_argument unless `crop` lies within `tile`, the channels agree and y, x >= 0.
void check_scatter(const ConstPlanes& tile, const Box& crop, const Picture& picture, std::int64_t y,
                   std::int64_t x);
void check_scatter(const ConstPicture& tile, const Box& crop, const Picture& picture, std::int64_t y,
                   std::int64_t x);

// Writes `crop` of `tile`, clamped and rounded, to `picture` at (y, x). What falls beyond its right and bottom
// edge is left out. Returns how many of the values written were not finite.
std::int64_t scatter(const ConstPlanes& tile, const Box& crop, const Picture& picture, std::int64_t y,
                     std::int64_t x, int threads);
std::int64_t scatter(const ConstPicture& tile, const Box& crop, const Picture& picture, std::int64_t y,
                     std::int64_t x, int threads);

}  // namespace ourgan
