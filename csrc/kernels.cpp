// Compiled once per instruction set: CMake defines OURGAN_KERNELS, the name of the table that this build
// exports. Everything else has internal linkage, and no standard library template is used, so that code for a
// newer processor never leaks into the portable build.
#include "kernels.h"

#include <cmath>
#include <cstring>

#include "philox.h"

#define OURGAN_NAME_(isa) kernels_##isa
#define OURGAN_NAME(isa) OURGAN_NAME_(isa)
#define OURGAN_STRING_(x) #x
#define OURGAN_STRING(x) OURGAN_STRING_(x)

namespace ourgan {
namespace {

constexpr std::int64_t kBlock = 256;  // pixels converted at a time: the intermediate rows stay in the L1 cache

struct Half {
    std::uint16_t bits;
};

std::uint32_t float_bits(float value) {
    std::uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

float bits_float(std::uint32_t bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

// NaN compares false and becomes 0.
float clamp_unit(float v) {
    const float positive = v > 0.0f ? v : 0.0f;
    return positive < 1.0f ? positive : 1.0f;
}

// Adding 2^23 leaves the integer nearest to v (half to even) in the low bits of the significand, 0 <= v < 2^23.
std::uint32_t round_to_integer(float v) { return float_bits(v + 8388608.0f) & 0x7FFFFFu; }

float to_float(std::uint8_t v) { return static_cast<float>(static_cast<std::int32_t>(v)) / 255.0f; }
float to_float(std::uint16_t v) { return static_cast<float>(static_cast<std::int32_t>(v)) / 65535.0f; }
float to_float(float v) { return v; }
float to_float(Half v) {
    const std::uint32_t sign = static_cast<std::uint32_t>(v.bits & 0x8000u) << 16;
    const std::uint32_t magnitude = v.bits & 0x7FFFu;
    const std::uint32_t bias = magnitude >= 0x7C00u ? 224u : 112u;  // infinity and NaN keep the top exponent
    const std::uint32_t normal = (magnitude << 13) + (bias << 23);
    const float subnormal = static_cast<float>(static_cast<std::int32_t>(magnitude)) * 0x1p-24f;
    return bits_float(sign | (magnitude < 0x0400u ? float_bits(subnormal) : normal));
}

// From a float in [0, 1].
void from_unit(float v, std::uint8_t& out) { out = static_cast<std::uint8_t>(round_to_integer(v * 255.0f)); }
void from_unit(float v, std::uint16_t& out) { out = static_cast<std::uint16_t>(round_to_integer(v * 65535.0f)); }
void from_unit(float v, float& out) { out = v; }
void from_unit(float v, Half& out) {
    const std::uint32_t bits = float_bits(v);
    const std::uint32_t normal = (bits - (112u << 23) + 0x0FFFu + ((bits >> 13) & 1u)) >> 13;
    const std::uint32_t subnormal = float_bits(v + 0.5f) - 0x3F000000u;  // 0.5 has an ulp of 2^-24
    out.bits = static_cast<std::uint16_t>(v < 0x1p-14f ? subnormal : normal);
}

template <class T>
void decode(const void* pixels, std::int64_t count, std::int64_t channels, float* planes,
            std::int64_t plane_stride) {
    const T* source = static_cast<const T*>(pixels);
    if (channels == 3) {
        float* __restrict red = planes;
        float* __restrict green = planes + plane_stride;
        float* __restrict blue = planes + 2 * plane_stride;
        for (std::int64_t i = 0; i < count; ++i) {
            red[i] = to_float(source[3 * i]);
            green[i] = to_float(source[3 * i + 1]);
            blue[i] = to_float(source[3 * i + 2]);
        }
        return;
    }
    if (channels == 1) {
        float* __restrict plane = planes;
        for (std::int64_t i = 0; i < count; ++i) plane[i] = to_float(source[i]);
        return;
    }
    for (std::int64_t c = 0; c < channels; ++c) {
        float* __restrict plane = planes + c * plane_stride;
        for (std::int64_t i = 0; i < count; ++i) plane[i] = to_float(source[i * channels + c]);
    }
}

// From any float, NaN and infinity included.
void from_float(float v, float& out) { out = v; }
void from_float(float v, Half& out) {
    const std::uint32_t bits = float_bits(v);
    const std::uint32_t sign = (bits >> 16) & 0x8000u;
    const std::uint32_t magnitude = bits & 0x7FFFFFFFu;
    const std::uint32_t huge = magnitude > 0x7F800000u ? 0x7E00u : 0x7C00u;
    Half finite;
    from_unit(bits_float(magnitude), finite);  // its arithmetic holds below 65536; what rounds up to that is infinity
    out.bits = static_cast<std::uint16_t>(sign | (magnitude < 0x47800000u ? finite.bits : huge));
}

enum class Range { unit, any };

// Returns the number of non-finite values.
template <class T, Range range>
std::int32_t encode_block(const float* __restrict values, std::int64_t count, T* __restrict out) {
    std::int32_t broken = 0;
    for (std::int64_t i = 0; i < count; ++i) {
        broken += (float_bits(values[i]) & 0x7F800000u) == 0x7F800000u;
        if constexpr (range == Range::unit) {
            from_unit(clamp_unit(values[i]), out[i]);
        } else {
            from_float(values[i], out[i]);
        }
    }
    return broken;
}

template <class T>
void interleave3(const T* __restrict red, const T* __restrict green, const T* __restrict blue,
                 std::int64_t count, T* __restrict out) {
    for (std::int64_t i = 0; i < count; ++i) {
        out[3 * i] = red[i];
        out[3 * i + 1] = green[i];
        out[3 * i + 2] = blue[i];
    }
}

template <class T, Range range = Range::unit>
std::int64_t encode(const float* planes, std::int64_t plane_stride, std::int64_t count, std::int64_t channels,
                    void* pixels) {
    T* target = static_cast<T*>(pixels);
    std::int64_t broken = 0;
    for (std::int64_t start = 0; start < count; start += kBlock) {
        const std::int64_t n = count - start < kBlock ? count - start : kBlock;
        const float* values = planes + start;
        T* out = target + start * channels;
        if (channels == 1) {
            broken += encode_block<T, range>(values, n, out);
            continue;
        }
        T block[3][kBlock];
        if (channels == 3) {
            for (std::int64_t c = 0; c < 3; ++c) broken += encode_block<T, range>(values + c * plane_stride, n, block[c]);
            interleave3(block[0], block[1], block[2], n, out);
            continue;
        }
        for (std::int64_t c = 0; c < channels; ++c) {
            broken += encode_block<T, range>(values + c * plane_stride, n, block[0]);
            for (std::int64_t i = 0; i < n; ++i) out[i * channels + c] = block[0][i];
        }
    }
    return broken;
}

// Natural logarithm of u in [2^-24, 1]: u = m * 2^e with m in [sqrt(1/2), sqrt(2)), ln m = 2 artanh((m-1)/(m+1)).
float log_unit(float u) {
    const std::uint32_t offset = float_bits(u) - 0x3F3504F3u;  // bits of sqrt(1/2)
    const std::int32_t exponent = static_cast<std::int32_t>(offset) >> 23;
    const float m = bits_float((offset & 0x7FFFFFu) + 0x3F3504F3u);
    const float s = (m - 1.0f) / (m + 1.0f);
    const float z = s * s;
    const float tail = z * (0.666666667f + z * (0.4f + z * (0.285714286f + z * 0.222222222f)));
    return static_cast<float>(exponent) * 0.693147181f + (s * tail + 2.0f * s);
}

struct SinCos {
    float sin;
    float cos;
};

// Sine and cosine of 2 pi k / 2^24: quarter turns are split off exactly, the rest lies in [-pi/4, pi/4].
SinCos sincos_turn(std::uint32_t k) {
    const std::uint32_t quarter = (k + (1u << 21)) >> 22;
    const auto rest = static_cast<std::int32_t>(k - (quarter << 22));
    const float a = static_cast<float>(rest) * 3.74507028e-7f;  // 2 pi / 2^24
    const float z = a * a;
    const float sine =
        a + a * z * (-1.66666667e-1f + z * (8.33333333e-3f + z * (-1.98412698e-4f + z * 2.75573192e-6f)));
    const float cosine =
        1.0f + z * (-0.5f + z * (4.16666667e-2f +
                                 z * (-1.38888889e-3f + z * (2.48015873e-5f + z * -2.75573192e-7f))));
    const bool odd = (quarter & 1u) != 0;
    const std::uint32_t sine_sign = (quarter & 2u) << 30;
    const std::uint32_t cosine_sign = ((quarter + 1u) & 2u) << 30;
    return {bits_float(float_bits(odd ? cosine : sine) ^ sine_sign),
            bits_float(float_bits(odd ? sine : cosine) ^ cosine_sign)};
}

// Box-Muller: two independent standard normal values from two random words.
void box_muller(std::uint32_t first, std::uint32_t second, float& even, float& odd) {
    const float u = static_cast<float>(static_cast<std::int32_t>((first >> 8) + 1u)) * 0x1p-24f;  // (0, 1]
    const float radius = std::sqrt(-2.0f * log_unit(u));
    const SinCos turn = sincos_turn(second >> 8);
    even = radius * turn.cos;
    odd = radius * turn.sin;
}

// Channels 4 * group to 4 * group + 3 of `count` positions from column x on. Two loops, because compilers give up
// on vectorising the whole.
void normal_block(const NoiseRow& row, std::uint32_t x, std::uint32_t group, std::int64_t count,
                  float (*lanes)[kBlock]) {
    const auto key0 = static_cast<std::uint32_t>(row.seed);
    const auto key1 = static_cast<std::uint32_t>(row.seed >> 32);
    const std::uint32_t y = row.y, stream = row.stream;
    std::uint32_t words[4][kBlock];
    for (std::int64_t i = 0; i < count; ++i) {
        const Words4 random = philox_4x32_10({{x + static_cast<std::uint32_t>(i), y, group, stream}}, key0, key1);
        words[0][i] = random.word[0];
        words[1][i] = random.word[1];
        words[2][i] = random.word[2];
        words[3][i] = random.word[3];
    }
    for (int pair = 0; pair < 4; pair += 2) {
        for (std::int64_t i = 0; i < count; ++i) {
            box_muller(words[pair][i], words[pair + 1][i], lanes[pair][i], lanes[pair + 1][i]);
        }
    }
}

void add_normal(const NoiseRow& row, float deviation, std::int64_t count, std::int64_t channels, float* planes,
                std::int64_t plane_stride) {
    float lanes[4][kBlock];
    for (std::int64_t start = 0; start < count; start += kBlock) {
        const std::int64_t n = count - start < kBlock ? count - start : kBlock;
        for (std::int64_t c = 0; c < channels; ++c) {
            if (c % 4 == 0) {
                normal_block(row, row.x + static_cast<std::uint32_t>(start), static_cast<std::uint32_t>(c / 4), n,
                             lanes);
            }
            float* __restrict plane = planes + c * plane_stride + start;
            const float* __restrict lane = lanes[c % 4];
            for (std::int64_t i = 0; i < n; ++i) plane[i] += deviation * lane[i];
        }
    }
}

}  // namespace

extern const Kernels OURGAN_NAME(OURGAN_KERNELS);
const Kernels OURGAN_NAME(OURGAN_KERNELS) = {
    OURGAN_STRING(OURGAN_KERNELS),
    {decode<std::uint8_t>, decode<std::uint16_t>, decode<Half>, decode<float>},
    {encode<std::uint8_t>, encode<std::uint16_t>, encode<Half>, encode<float>},
    {encode<std::uint8_t>, encode<std::uint16_t>, encode<Half, Range::any>, encode<float, Range::any>},
    add_normal,
};

}  // namespace ourgan
