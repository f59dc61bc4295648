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

// Along which sides a picture goes on behind its borders with what lies at the opposite ones.
struct Wrap {
    bool y = false;
    bool x = false;
};

// The place that stands for one beyond a side of `size` pixels: on the other side, or the last one.
inline std::int32_t beyond(std::int32_t place, std::int32_t size, bool wraps) {
    if (place >= 0 && place < size) return place;
    if (!wraps) return place < 0 ? 0 : size - 1;
    const std::int32_t rest = place % size;
    return rest < 0 ? rest + size : rest;
}

// Bytes R, G, B, 0 of a picture, with kMargin pixels more on every side.
class RgbxPicture {
public:
    explicit RgbxPicture(const Window<const std::int16_t>& planes, const Wrap& wrap = {});

    Rgbx view() const;

private:
    std::int32_t height_, width_;
    std::int64_t stride_;
    std::vector<std::uint8_t> bytes_;
};

// A photograph at one scale, as it is and as the level below shows it, ready to be searched.
class PhotographLevel {
public:
    // keys: what the level below shows of `picture`, uint8 of three channels, of its size.
    // is_searched: whether patches will be.
    PhotographLevel(const ConstPicture& picture, Planes16 keys, bool is_searched);

    std::int32_t height() const { return height_; }
    std::int32_t width() const { return width_; }
    Exemplar exemplar() const;
    Rgbx values() const { return patches_[0].view(); }
    Rgbx keys() const { return patches_[1].view(); }

private:
    std::int32_t height_, width_;
    std::vector<std::uint8_t> values_;  // planes
    Planes16 keys_;
    std::vector<RgbxPicture> patches_;  // of the values and of the keys, where they are searched
};

class PhotographLevels {
public:
    // levels: uint8 pictures of three channels, coarsest first, each twice as high and wide as the one before.
    // searched: of how many of them, from the first on, patches will be searched.
    // Throws std::invalid_argument where they are something else, or a side is shorter than a patch.
    PhotographLevels(const std::vector<ConstPicture>& levels, int searched, int threads = 0);

    int count() const { return static_cast<int>(levels_.size()); }
    int searched() const { return searched_; }
    std::int32_t height(int level) const { return at(level).height(); }
    std::int32_t width(int level) const { return at(level).width(); }
    std::int64_t bytes() const;

    const PhotographLevel& at(int level) const { return levels_[static_cast<std::size_t>(level)]; }
    Exemplar exemplar(int level) const { return at(level).exemplar(); }
    Rgbx values(int level) const { return at(level).values(); }
    Rgbx keys(int level) const { return at(level).keys(); }

private:
    int searched_;
    std::vector<PhotographLevel> levels_;
};

// `picture`, uint8 of three channels, as planes.
Planes16 to_planes(const ConstPicture& picture);

// `picture`, whole, enlarged twofold and cut to height x width, as the next level sees it.
Planes16 enlarge_whole(const Window<const std::int16_t>& picture, std::int32_t height, std::int32_t width, int threads);

}  // namespace ourgan
