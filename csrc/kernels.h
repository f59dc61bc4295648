// The inner loops over one row of pixels, compiled once per instruction set and chosen at run time.
// Every build gives the same bits: plain IEEE single precision, no fused multiply-add.
#pragma once

#include <cstdint>
#include <vector>

namespace ourgan {

enum class PixelType { uint8, uint16, float16, float32 };
inline constexpr int kPixelTypes = 4;

// Where a row of noise lies: position (y, x) of its first value in the whole picture, negative numbers in two's
// complement.
struct NoiseRow {
    std::uint64_t seed;
    std::uint32_t stream;
    std::uint32_t y;
    std::uint32_t x;
};

struct Kernels {
    const char* instruction_set;

    // `count` interleaved pixels -> one float row per channel, `plane_stride` floats apart.
    using Decode = void (*)(const void* pixels, std::int64_t count, std::int64_t channels, float* planes,
                            std::int64_t plane_stride);
    // The reverse, clamped to [0, 1] and rounded (non-finite values are clamped too, NaN to 0).
    // Returns how many values were not finite.
    using Encode = std::int64_t (*)(const float* planes, std::int64_t plane_stride, std::int64_t count,
                                    std::int64_t channels, void* pixels);
    // planes[c][i] += deviation * normal(c, row.y, row.x + i)
    using AddNormal = void (*)(const NoiseRow& row, float deviation, std::int64_t count, std::int64_t channels,
                               float* planes, std::int64_t plane_stride);

    Decode decode[kPixelTypes];  // indexed by PixelType
    Encode encode[kPixelTypes];
    Encode store[kPixelTypes];  // as encode, but floats keep values outside [0, 1] as far as the type holds them
    AddNormal add_normal;
};

// All builds that this processor can run, from the plainest to the fastest.
const std::vector<const Kernels*>& available_kernels();

// The fastest of them.
const Kernels& kernels();

}  // namespace ourgan
