// A pass over a picture as a renderer drives it, on the stand-in for a CUDA device.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <vector>

#include "fake_cuda.h"
#include "grid.h"
#include "pipeline.h"

namespace ourgan {

inline constexpr std::int64_t kPassScale = 2;

inline TileShape tile_shape(const Grid& grid) {
    return {3, grid.window_height(), grid.window_width(), kPassScale};
}

inline constexpr TileFormat kPassFormat{PixelType::float32, PixelType::uint8, true};

// Queues the engine's work on a slot.
inline void enlarge(const Pipeline& pipeline, int slot) {
    const TileShape& shape = pipeline.shape();
    const int result = fake_launch_upscale(pipeline.stream().native(), pipeline.input(slot)->device(),
                                           pipeline.output(slot)->device(), pipeline.check(slot)->device(),
                                           shape.height, shape.width, shape.channels, shape.scale, 4, 1);
    if (result != 0) throw std::runtime_error("launch failed");
}

// Source and target are pictures of 8 bits and three channels. Packs one tile ahead, where there are slots for that.
// Returns whether all tiles were finite.
inline bool run_pass(Pipeline& pipeline, int slots, const Grid& grid, const std::vector<std::uint8_t>& source,
                     std::vector<std::uint8_t>& target) {
    const ConstPicture from{reinterpret_cast<const std::byte*>(source.data()), PixelType::uint8, grid.height(),
                            grid.width(), 3, 3 * grid.width()};
    const Picture to{reinterpret_cast<std::byte*>(target.data()), PixelType::uint8, kPassScale * grid.height(),
                     kPassScale * grid.width(), 3, 3 * kPassScale * grid.width()};
    const std::int64_t count = grid.rows() * grid.columns();
    const auto tile = [&](std::int64_t i) { return grid.tile(i / grid.columns(), i % grid.columns()); };
    const auto pack = [&](std::int64_t i) { return pipeline.pack(from, tile(i).window, {}); };
    int next = pack(0);
    for (std::int64_t i = 0; i < count; ++i) {
        const int slot = next;
        if (i + 1 < count && slots > 1) next = pack(i + 1);
        pipeline.packed(slot);
        enlarge(pipeline, slot);
        const Box &window = tile(i).window, core = tile(i).core;
        const Box crop{kPassScale * (core.y0 - window.y0), kPassScale * (core.x0 - window.x0),
                       kPassScale * (core.y1 - window.y0), kPassScale * (core.x1 - window.x0)};
        pipeline.unpack(slot, crop, to, kPassScale * core.y0, kPassScale * core.x0);
        if (i + 1 < count && slots == 1) next = pack(i + 1);
    }
    return pipeline.wait(count - 1).empty();
}

// What run_pass() makes of `source`: every pixel twice in both directions.
inline std::vector<std::uint8_t> enlarged(const Grid& grid, const std::vector<std::uint8_t>& source) {
    std::vector<std::uint8_t> result(source.size() * kPassScale * kPassScale);
    const std::int64_t row = 3 * grid.width();
    for (std::size_t i = 0; i < result.size(); ++i) {
        const auto at = static_cast<std::int64_t>(i);
        const std::int64_t y = at / (kPassScale * row), x = at % (kPassScale * row);
        result[i] = source[static_cast<std::size_t>(y / kPassScale * row + x / 3 / kPassScale * 3 + x % 3)];
    }
    return result;
}

inline std::vector<std::uint8_t> test_picture(const Grid& grid) {
    std::vector<std::uint8_t> picture(static_cast<std::size_t>(3 * grid.height() * grid.width()));
    for (std::size_t i = 0; i < picture.size(); ++i) picture[i] = static_cast<std::uint8_t>(i * 2654435761u >> 9);
    return picture;
}

}  // namespace ourgan
