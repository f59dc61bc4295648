#include "pixels.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace ourgan {
namespace {

constexpr std::int64_t kBytes[kPixelTypes] = {1, 2, 2, 4};

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

// Fills a row of every plane with copies of the first and the last of the `count` values that begin at `begin`.
void repeat_ends(const Planes& tile, std::int64_t row, std::int64_t begin, std::int64_t count) {
    for (std::int64_t c = 0; c < tile.channels; ++c) {
        float* values = tile.data + (c * tile.height + row) * tile.width;
        const std::int64_t end = begin + count;
        std::fill_n(values, begin, values[begin]);
        std::fill_n(values + end, tile.width - end, values[end - 1]);
    }
}

// Calls work(first, last) on consecutive ranges of rows, the last one on the calling thread.
template <class Work>
void parallel_rows(std::int64_t rows, std::int64_t values_per_row, int threads, const Work& work) {
    const auto wanted = threads > 0 ? threads : static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
    const std::int64_t useful = std::max<std::int64_t>(1, rows * values_per_row / kValuesPerThread);
    const std::int64_t parts = std::min<std::int64_t>({wanted, useful, rows});
    std::vector<std::thread> others;
    std::int64_t first = 0;
    try {
        for (std::int64_t part = 1; part < parts; ++part) {
            const std::int64_t last = rows * part / parts;
            others.emplace_back(work, first, last);
            first = last;
        }
    } catch (const std::exception&) {
        // The system gives no more threads: this one does the rest.
    }
    work(first, rows);
    for (std::thread& other : others) other.join();
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

}  // namespace

template <class Byte>
Byte* BasicPicture<Byte>::pixel(std::int64_t y, std::int64_t x) const {
    return data + y * row_stride + x * channels * kBytes[static_cast<int>(type)];
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

void check_gather(const Part& part, const Box& window, const Planes& tile) {
    check_window(part, window);
    const std::int64_t channels = part.picture.channels;
    if (tile.channels != channels || tile.height != window.height() || tile.width != window.width()) {
        throw std::invalid_argument("tile of " + to_text(tile.height, tile.width, tile.channels) +
                                    " (height x width x channels) cannot hold a window of " +
                                    to_text(window.height(), window.width(), channels));
    }
}

void gather(const Part& part, const Box& window, const Noise& noise, const Planes& tile, int threads) {
    check_gather(part, window, tile);
    const Kernels& kernel = kernels();
    const ConstPicture& picture = part.picture;
    const Kernels::Decode decode = kernel.decode[static_cast<int>(picture.type)];
    const std::int64_t plane = tile.height * tile.width;
    const Box shown = clamped(window, part.extent);
    // Where the pixels shown lie in a row; in a window beside the picture any place will do.
    const std::int64_t left = std::clamp<std::int64_t>(shown.x0 - window.x0, 0, tile.width - shown.width());
    parallel_rows(tile.height, tile.width * tile.channels, threads, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t row = first; row < last; ++row) {
            const std::int64_t y = window.y0 + row;
            const std::int64_t from = std::clamp(y, shown.y0, shown.y1 - 1);
            float* out = tile.data + row * tile.width;
            decode(picture.pixel(from - part.origin.y, shown.x0 - part.origin.x), shown.width(), tile.channels,
                   out + left, plane);
            if (shown.width() < tile.width) repeat_ends(tile, row, left, shown.width());
            if (noise.deviation == 0.0f) continue;
            const NoiseRow at{noise.seed, noise.stream, static_cast<std::uint32_t>(y),
                              static_cast<std::uint32_t>(window.x0)};
            kernel.add_normal(at, noise.deviation, tile.width, tile.channels, out, plane);
        }
    });
}

void check_scatter(const ConstPlanes& tile, const Box& crop, const Picture& picture, std::int64_t y,
                   std::int64_t x) {
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

std::int64_t scatter(const ConstPlanes& tile, const Box& crop, const Picture& picture, std::int64_t y,
                     std::int64_t x, int threads) {
    check_scatter(tile, crop, picture, y, x);
    const std::int64_t rows = std::min(crop.height(), picture.height - y);
    const std::int64_t columns = std::min(crop.width(), picture.width - x);
    if (rows <= 0 || columns <= 0) return 0;
    const Kernels::Encode encode = kernels().encode[static_cast<int>(picture.type)];
    std::atomic<std::int64_t> broken{0};
    parallel_rows(rows, columns * tile.channels, threads, [&](std::int64_t first, std::int64_t last) {
        std::int64_t seen = 0;
        for (std::int64_t row = first; row < last; ++row) {
            const std::int64_t start = (crop.y0 + row) * tile.width + crop.x0;
            seen += encode(tile.data + start, tile.height * tile.width, columns, tile.channels,
                           picture.pixel(y + row, x));
            if (row + 1 < last) bridge_rows(tile, start + columns, tile.width - columns);
        }
        broken += seen;
    });
    return broken;
}

}  // namespace ourgan
