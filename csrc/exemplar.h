// A photograph at all its levels, ready to be searched and gathered from.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "grid.h"
#include "levels.h"
#include "patches.h"
#include "pixels.h"

namespace ourgan {

// Planes of a picture that is whole in memory.
class Planes16 {
public:
    Planes16(std::int32_t height, std::int32_t width, std::int32_t y0 = 0, std::int32_t x0 = 0);

    Window<std::int16_t> writable();
    Window<const std::int16_t> window() const;
    std::int32_t height() const { return height_; }
    std::int32_t width() const { return width_; }

private:
    std::int32_t height_, width_, y0_, x0_;
    std::int64_t stride_;
    std::vector<std::int16_t> values_;
};

// Bytes R, G, B, 0 of a picture, with kMargin repeated pixels on every side.
class RgbxPicture {
public:
    explicit RgbxPicture(const Window<const std::int16_t>& planes);

    Rgbx view() const;

private:
    std::int32_t height_, width_;
    std::int64_t stride_;
    std::vector<std::uint8_t> bytes_;
};

class PhotographLevels {
public:
    // levels: uint8 pictures of three channels, coarsest first, each twice as high and wide as the one before.
    // searched: of how many of them, from the first on, patches will be searched.
    // Throws std::invalid_argument where they are something else, or a side is shorter than a patch.
    PhotographLevels(const std::vector<ConstPicture>& levels, int searched, int threads = 0);

    int count() const { return static_cast<int>(levels_.size()); }
    int searched() const { return searched_; }
    std::int32_t height(int level) const { return levels_[static_cast<std::size_t>(level)].height; }
    std::int32_t width(int level) const { return levels_[static_cast<std::size_t>(level)].width; }
    std::int64_t bytes() const;

    Exemplar exemplar(int level) const;
    Rgbx values(int level) const { return levels_[static_cast<std::size_t>(level)].patches[0].view(); }
    Rgbx keys(int level) const { return levels_[static_cast<std::size_t>(level)].patches[1].view(); }

private:
    struct Level {
        std::int32_t height, width;
        std::vector<std::uint8_t> values;  // planes
        Planes16 keys;
        std::vector<RgbxPicture> patches;  // of the values and of the keys, where they are searched
    };

    static Level make_level(const ConstPicture& picture, const ConstPicture* below, bool is_searched,
                            int threads);

    int searched_;
    std::vector<Level> levels_;
};

// `picture`, whole, enlarged twofold and cut to height x width, as the next level sees it.
Planes16 enlarge_whole(const Window<const std::int16_t>& picture, std::int32_t height, std::int32_t width, int threads);

}  // namespace ourgan
