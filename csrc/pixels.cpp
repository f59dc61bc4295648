#include "pixels.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <stdexcept>
#include <string>
#include <vector>

#include "parallel.h"

namespace ourgan {
namespace {

// Values of an interleaved tile converted at a time: they stay in the L1 cache.
constexpr std::int64_t kChunk = 2048;

// Below this many values per thread, starting threads costs more than they save.
constexpr std::int64_t kValuesPerThread = 1 << 20;

constexpr std::int64_t kCacheLine = 64 / sizeof(float);

// Widest gap between the rows of a crop, in values, that is worth bridging.
constexpr std::int64_t kBridge = 1024;

std::string to_text(const Box& box) {
    return "[" + std::to_string(box.y0) + ":" + std::to_string(box.y1) + ", " + std::to_string(box.x0) + ":" +
           std::to_string(box.x1) + "]";
}

std::string to_text(std::int64_t height, std::int64_t width, std::int64_t channels) {
    return std::to_string(height) + " x " + std::to_string(width) + " x " + std::to_string(channels);
}

// Whether a side of `length` pixels that starts at `origin` ends by the largest side allowed.
bool starts_within(std::int64_t origin, std::int64_t length) {
    return origin >= 0 && length <= kMaxSide && origin <= kMaxSide - length;
}

bool contains(const Box& outer, const Box& inner) {
    return outer.y0 <= inner.y0 && inner.y0 < inner.y1 && inner.y1 <= outer.y1 && outer.x0 <= inner.x0 &&
           inner.x0 < inner.x1 && inner.x1 <= outer.x1;
}

Box held_by(const Part& part) {
    return {part.origin.y, part.origin.x, part.origin.y + part.picture.height, part.origin.x + part.picture.width};
}

// The pixels of a picture that a window shows: those nearest to its own.
Box clamped(const Box& window, const Size& extent) {
    return {std::clamp<std::int64_t>(window.y0, 0, extent.height - 1),
            std::clamp<std::int64_t>(window.x0, 0, extent.width - 1),
            std::clamp<std::int64_t>(window.y1, 1, extent.height),
            std::clamp<std::int64_t>(window.x1, 1, extent.width)};
}

// How many rows of so many values are worth a thread.
std::int64_t rows_per_thread(std::int64_t values_per_row) {
    return kValuesPerThread / std::max<std::int64_t>(1, values_per_row) + 1;
}

// Prefetches what lies between a row of a crop, which ends at `end`, and the next one. The processor's own
// prefetcher follows each plane as a stream and loses it where the crop jumps over the halo; an unbroken stream
// makes scatter about 1.6 times as fast.
void bridge_rows(const ConstPlanes& tile, std::int64_t end, std::int64_t gap) {
#if defined(__GNUC__)
    if (gap > kBridge) return;
    for (std::int64_t c = 0; c < tile.channels; ++c) {
        const float* values = tile.data + c * tile.height * tile.width + end;
        for (std::int64_t i = 0; i < gap; i += kCacheLine) __builtin_prefetch(values + i);
    }
#else
    (void)tile, (void)end, (void)gap;
#endif
}

// The rows of a window of a picture.
class WindowReader {
public:
    WindowReader(const Part& part, const Box& window, const Noise& noise)
        : part_(part), window_(window), noise_(noise), shown_(clamped(window, part.extent)),
          left_(std::clamp<std::int64_t>(shown_.x0 - window.x0, 0, window.width() - shown_.width())) {}

    // Row `row` as values in [0, 1] plus noise, one plane of the row per channel, `stride` floats apart.
    void read(std::int64_t row, float* planes, std::int64_t stride) const {
        const std::int64_t channels = part_.picture.channels;
        const Kernels& kernel = kernels();
        kernel.decode[static_cast<int>(part_.picture.type)](shown(row), shown_.width(), channels, planes + left_,
                                                            stride);
        for (std::int64_t c = 0; c < channels; ++c) {
            float* values = planes + c * stride;
            std::fill_n(values, left_, values[left_]);
            std::fill_n(values + right(), window_.width() - right(), values[right() - 1]);
        }
        if (noise_.deviation == 0.0f) return;
        const NoiseRow at{noise_.seed, noise_.stream, static_cast<std::uint32_t>(window_.y0 + row),
                          static_cast<std::uint32_t>(window_.x0)};
        kernel.add_normal(at, noise_.deviation, window_.width(), channels, planes, stride);
    }

    // Row `row` of a picture of 8 bits as it is, interleaved.
    void copy(std::int64_t row, std::byte* out) const {
        const std::int64_t channels = part_.picture.channels;
        const std::byte* source = shown(row);
        for (std::int64_t x = 0; x < left_; ++x) std::copy_n(source, channels, out + x * channels);
        std::copy_n(source, shown_.width() * channels, out + left_ * channels);
        const std::byte* last = source + (shown_.width() - 1) * channels;
        for (std::int64_t x = right(); x < window_.width(); ++x) std::copy_n(last, channels, out + x * channels);
    }

private:
    std::int64_t right() const { return left_ + shown_.width(); }

    // The first of the pixels that row `row` shows.
    const std::byte* shown(std::int64_t row) const {
        const std::int64_t y = std::clamp(window_.y0 + row, shown_.y0, shown_.y1 - 1);
        return part_.picture.pixel(y - part_.origin.y, shown_.x0 - part_.origin.x);
    }

    const Part& part_;
    const Box window_;
    const Noise noise_;
    const Box shown_;
    const std::int64_t left_;  // where the pixels shown begin in a row; in a window beside the picture any place will do
};

// Writes `count` values, clamped to [0, 1] and rounded, and returns how many were not finite.
std::int64_t convert(const std::byte* from, PixelType from_type, std::byte* to, PixelType to_type,
                     std::int64_t count) {
    if (from_type == PixelType::uint8 && to_type == PixelType::uint8) {
        std::copy_n(from, count, to);
        return 0;
    }
    const Kernels::Decode decode = kernels().decode[static_cast<int>(from_type)];
    const Kernels::Encode encode = kernels().encode[static_cast<int>(to_type)];
    float values[kChunk];
    std::int64_t broken = 0;
    for (std::int64_t start = 0; start < count; start += kChunk) {
        const std::int64_t n = std::min(kChunk, count - start);
        decode(from + start * bytes_of(from_type), n, 1, values, n);
        broken += encode(values, n, n, 1, to + start * bytes_of(to_type));
    }
    return broken;
}

// Throws unless a tile of either layout has the window's size and the picture's channels.
template <class Tile>
void check_fits(const Part& part, const Box& window, const Tile& tile) {
    const std::int64_t channels = part.picture.channels;
    if (tile.channels != channels || tile.height != window.height() || tile.width != window.width()) {
        throw std::invalid_argument("tile of " + to_text(tile.height, tile.width, tile.channels) +
                                    " (height x width x channels) cannot hold a window of " +
                                    to_text(window.height(), window.width(), channels));
    }
}

template <class Tile>
void check_crop(const Tile& tile, const Box& crop, const Picture& picture, std::int64_t y, std::int64_t x) {
    const Box whole{0, 0, tile.height, tile.width};
    if (!contains(whole, crop)) {
        throw std::invalid_argument("crop " + to_text(crop) + " must be a non-empty part of the tile's " +
                                    to_text(whole));
    }
    if (tile.channels != picture.channels) {
        throw std::invalid_argument("a tile of " + std::to_string(tile.channels) +
                                    " channels cannot go into a picture of " + std::to_string(picture.channels));
    }
    if (y < 0 || x < 0) {
        throw std::invalid_argument("y and x must not be negative, got (" + std::to_string(y) + ", " +
                                    std::to_string(x) + ")");
    }
}

// What of a crop written at (y, x) lies in the picture; not positive if nothing does.
Size visible(const Box& crop, const Picture& picture, std::int64_t y, std::int64_t x) {
    return {std::min(crop.height(), picture.height - y), std::min(crop.width(), picture.width - x)};
}

}  // namespace

std::int64_t bytes_of(PixelType type) {
    constexpr std::int64_t kBytes[kPixelTypes] = {1, 2, 2, 4};
    return kBytes[static_cast<int>(type)];
}

template <class Byte>
Byte* BasicPicture<Byte>::pixel(std::int64_t y, std::int64_t x) const {
    return data + y * row_stride + x * channels * bytes_of(type);
}
template struct BasicPicture<std::byte>;
template struct BasicPicture<const std::byte>;

Part::Part(const ConstPicture& part, const Position& at, const std::optional<Size>& whole)
    : picture(part), origin(at) {
    if (!starts_within(at.y, part.height) || !starts_within(at.x, part.width)) {
        throw std::invalid_argument("origin must be in [0, " + std::to_string(kMaxSide) +
                                    "] and the picture end there, got (" + std::to_string(at.y) + ", " +
                                    std::to_string(at.x) + ")");
    }
    const Box held = held_by(*this);
    extent = whole.value_or(Size{held.y1, held.x1});
    if (extent.height < held.y1 || extent.height > kMaxSide || extent.width < held.x1 || extent.width > kMaxSide) {
        throw std::invalid_argument("extent must hold the picture's " + to_text(held) + " and not pass " +
                                    std::to_string(kMaxSide) + ", got (" + std::to_string(extent.height) + ", " +
                                    std::to_string(extent.width) + ")");
    }
}

void check_window(const Part& part, const Box& window) {
    if (!contains({-kMaxSide, -kMaxSide, kMaxSide, kMaxSide}, window)) {
        throw std::invalid_argument("window " + to_text(window) + " must not be empty and lie in [" +
                                    std::to_string(-kMaxSide) + ", " + std::to_string(kMaxSide) + ")");
    }
    const Box shown = clamped(window, part.extent);
    if (!contains(held_by(part), shown)) {
        throw std::invalid_argument("window " + to_text(window) + " shows the picture's " + to_text(shown) +
                                    ", but the array holds " + to_text(held_by(part)));
    }
}

void check_gather(const Part& part, const Box& window, const Noise&, const Planes& tile) {
    check_window(part, window);
    check_fits(part, window, tile);
}

void check_gather(const Part& part, const Box& window, const Noise& noise, const Picture& tile) {
    check_window(part, window);
    check_fits(part, window, tile);
    if (noise.deviation != 0.0f && (tile.type == PixelType::uint8 || tile.type == PixelType::uint16)) {
        throw std::invalid_argument("a tile of integers has no room for noise: deviation must be 0, got " +
                                    std::to_string(noise.deviation));
    }
}

void gather(const Part& part, const Box& window, const Noise& noise, const Planes& tile, int threads) {
    check_gather(part, window, noise, tile);
    const WindowReader reader(part, window, noise);
    parallel_rows(tile.height, rows_per_thread(tile.width * tile.channels), threads, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t row = first; row < last; ++row) {
            reader.read(row, tile.data + row * tile.width, tile.height * tile.width);
        }
    });
}

void gather(const Part& part, const Box& window, const Noise& noise, const Picture& tile, int threads) {
    check_gather(part, window, noise, tile);
    const WindowReader reader(part, window, noise);
    const Kernels::Encode store = kernels().store[static_cast<int>(tile.type)];
    const bool copies = part.picture.type == PixelType::uint8 && tile.type == PixelType::uint8;
    parallel_rows(tile.height, rows_per_thread(tile.width * tile.channels), threads, [&](std::int64_t first, std::int64_t last) {
        std::vector<float> values(copies ? 0 : static_cast<std::size_t>(tile.width * tile.channels));
        for (std::int64_t row = first; row < last; ++row) {
            if (copies) {
                reader.copy(row, tile.pixel(row, 0));
                continue;
            }
            reader.read(row, values.data(), tile.width);
            store(values.data(), tile.width, tile.width, tile.channels, tile.pixel(row, 0));
        }
    });
}

void check_scatter(const ConstPlanes& tile, const Box& crop, const Picture& picture, std::int64_t y,
                   std::int64_t x) {
    check_crop(tile, crop, picture, y, x);
}

void check_scatter(const ConstPicture& tile, const Box& crop, const Picture& picture, std::int64_t y,
                   std::int64_t x) {
    check_crop(tile, crop, picture, y, x);
}

std::int64_t scatter(const ConstPlanes& tile, const Box& crop, const Picture& picture, std::int64_t y,
                     std::int64_t x, int threads) {
    check_scatter(tile, crop, picture, y, x);
    const Size part = visible(crop, picture, y, x);
    if (part.height <= 0 || part.width <= 0) return 0;
    const Kernels::Encode encode = kernels().encode[static_cast<int>(picture.type)];
    std::atomic<std::int64_t> broken{0};
    parallel_rows(part.height, rows_per_thread(part.width * tile.channels), threads, [&](std::int64_t first, std::int64_t last) {
        std::int64_t seen = 0;
        for (std::int64_t row = first; row < last; ++row) {
            const std::int64_t start = (crop.y0 + row) * tile.width + crop.x0;
            seen += encode(tile.data + start, tile.height * tile.width, part.width, tile.channels,
                           picture.pixel(y + row, x));
            if (row + 1 < last) bridge_rows(tile, start + part.width, tile.width - part.width);
        }
        broken += seen;
    });
    return broken;
}

std::int64_t scatter(const ConstPicture& tile, const Box& crop, const Picture& picture, std::int64_t y,
                     std::int64_t x, int threads) {
    check_scatter(tile, crop, picture, y, x);
    const Size part = visible(crop, picture, y, x);
    if (part.height <= 0 || part.width <= 0) return 0;
    const std::int64_t values = part.width * tile.channels;
    std::atomic<std::int64_t> broken{0};
    parallel_rows(part.height, rows_per_thread(values), threads, [&](std::int64_t first, std::int64_t last) {
        std::int64_t seen = 0;
        for (std::int64_t row = first; row < last; ++row) {
            seen += convert(tile.pixel(crop.y0 + row, crop.x0), tile.type, picture.pixel(y + row, x), picture.type,
                            values);
        }
        broken += seen;
    });
    return broken;
}

}  // namespace ourgan
