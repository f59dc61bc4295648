#include "noise.h"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "grid.h"
#include "philox.h"

namespace ourgan {
namespace {

void check_span(const char* name, std::int64_t start, std::int64_t length) {
    if (start < -kMaxSide || length < 0 || length > 2 * kMaxSide || start > kMaxSide - length) {
        throw std::invalid_argument(std::string("noise ") + name + " must lie in [" + std::to_string(-kMaxSide) +
                                    ", " + std::to_string(kMaxSide) + "), got " + std::to_string(length) +
                                    " from " + std::to_string(start));
    }
}

}  // namespace

std::array<std::uint32_t, 4> philox4x32(const std::array<std::uint32_t, 4>& counter,
                                        const std::array<std::uint32_t, 2>& key) {
    const Words4 words = philox_4x32_10({{counter[0], counter[1], counter[2], counter[3]}}, key[0], key[1]);
    return {words.word[0], words.word[1], words.word[2], words.word[3]};
}

void fill_normal(const Noise& noise, std::int64_t channels, std::int64_t height, std::int64_t width,
                 std::int64_t y, std::int64_t x, float* out) {
    check_span("rows", y, height);
    check_span("columns", x, width);
    std::fill_n(out, channels * height * width, 0.0f);
    for (std::int64_t row = 0; row < height; ++row) {
        const NoiseRow at{noise.seed, noise.stream, static_cast<std::uint32_t>(y + row),
                          static_cast<std::uint32_t>(x)};
        kernels().add_normal(at, noise.deviation, width, channels, out + row * width, height * width);
    }
}

}  // namespace ourgan
