// Counter-based noise: a value depends on the seed, the stream and its position alone.
#pragma once

#include <array>
#include <cstdint>

#include "kernels.h"

namespace ourgan {

// Normal noise of one pass or one structure scale.
struct Noise {
    std::uint64_t seed = 0;
    std::uint32_t stream = 0;
    float deviation = 0.0f;
};

std::array<std::uint32_t, 4> philox4x32(const std::array<std::uint32_t, 4>& counter,
                                        const std::array<std::uint32_t, 2>& key);

// Fills `out` (channels, height, width) with the noise at rows y.. and columns x.. of a plane in which the picture
// begins at (0, 0). Throws std::invalid_argument when the region leaves [-kMaxSide, kMaxSide) or has a negative
// size.
void fill_normal(const Noise& noise, std::int64_t channels, std::int64_t height, std::int64_t width,
                 std::int64_t y, std::int64_t x, float* out);

}  // namespace ourgan
