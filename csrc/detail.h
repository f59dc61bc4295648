// A picture whose detail is the photograph's own: its coarse level is whole, and any part of a finer one is gathered.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "field.h"

namespace ourgan {

class Detail {
public:
    // found: with sizes and wrap, by this process or another one; sizes: of all levels of the picture; limit: settings'.
    // Throws std::invalid_argument where check_found() does.
    Detail(std::shared_ptr<const PhotographLevels> photograph, Found found, LevelSizes sizes, const Wrap& wrap,
           std::int32_t limit);

    // The coarsest level that can be gathered: it is whole in memory.
    int base() const { return photograph_->searched() - 1; }
    int levels() const { return static_cast<int>(sizes_.size()); }
    std::int64_t bytes() const;
    const Found& found() const { return found_; }

    // Writes `box` of a level, in its pixels, to `out`, uint8 or uint16 of three channels and the box's size. Where the
    // picture wraps, a box may lie anywhere and be as long as the picture.
    // Throws std::invalid_argument where box, level or out are something else.
    void gather(int level, const Box& box, const Picture& out, int threads) const;

    // For each pixel of `box`: from where in the photograph's level it mainly comes, (y, x).
    void sources(int level, const Box& box, std::int32_t* out) const;

private:
    struct Tile;

    void check(int level, const Box& box) const;
    std::int32_t tile_side(int level) const;
    Box place(int level, const Box& box) const;
    Tile render(int level, const Box& box, bool wants_picture) const;

    std::shared_ptr<const PhotographLevels> photograph_;
    Found found_;
    LevelSizes sizes_;
    Wrap wrap_;
    std::int32_t limit_;
};

}  // namespace ourgan
