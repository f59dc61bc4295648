// The inner loops over the levels of a picture, each twice as high and wide as the one below: enlarging, inheriting
// the field, and putting the photograph's pixels in their place. Compiled once per instruction set and chosen at run
// time. Integers alone, in a fixed order: every build gives the same bits.
#pragma once

#include <cstdint>
#include <vector>

namespace ourgan {

// Pictures of the chain are planes of int16, 128 steps per 8-bit level.
inline constexpr int kSteps = 128;
inline constexpr int kWhite = 255 * kSteps;
inline constexpr int kColours = 3;

// Patches are kPatch x kPatch pixels. Cell (i, j) of a field stands for `stride` x `stride` pixels, 1 or 2, and its
// patch begins kLead pixels above and to the left of the first of them.
inline constexpr int kPatch = 8;
inline constexpr int kLead = 3;

// From where in the photograph a cell's patch comes: the position there minus the position here, in pixels.
struct Offset {
    std::int32_t y;
    std::int32_t x;
};

inline bool operator==(const Offset& a, const Offset& b) { return a.y == b.y && a.x == b.x; }
inline bool operator!=(const Offset& a, const Offset& b) { return !(a == b); }

// A part of a picture's planes: rows y0.. and columns x0.. of it lie in memory.
template <class T>
struct Window {
    T* plane[kColours];
    std::int64_t stride;  // from row to row, in values
    std::int32_t y0;
    std::int32_t x0;
    std::int32_t height;
    std::int32_t width;

    T* at(int colour, std::int32_t y, std::int32_t x) const { return plane[colour] + (y - y0) * stride + (x - x0); }
};

// A part of a field: cells (row0.., column0..).
template <class T>
struct Cells {
    T* data;
    std::int32_t row0;
    std::int32_t column0;
    std::int32_t rows;
    std::int32_t columns;

    T* at(std::int32_t i, std::int32_t j) const {
        return data + static_cast<std::int64_t>(i - row0) * columns + (j - column0);
    }
};

// The photograph at a level: whole.
struct Exemplar {
    Window<const std::uint8_t> values;  // as it is
    Window<const std::int16_t> keys;    // as the level below shows it, enlarged
};

// The most levels that are gathered above the base.
inline constexpr int kMostShift = 8;

struct LevelKernels {
    const char* instruction_set;

    // Rows first..last (of `large`) of a picture of `height` x `width` enlarged twofold, as far as `large` holds
    // them; `small` has to hold two more pixels on every side than that stands for, or end with the picture. What
    // lies beyond the picture repeats its border.
    void (*enlarge)(const Window<const std::int16_t>& small, std::int32_t height, std::int32_t width,
                    const Window<std::int16_t>& large, std::int16_t* buffer, std::int32_t first, std::int32_t last);
    // Rows first..last of `cells`: of the offsets of the four nearest cells below the one whose keys differ least
    // from the enlarged picture.
    void (*inherit)(const Exemplar& exemplar, const Window<const std::int16_t>& enlarged,
                    const Cells<const Offset>& below, std::int32_t below_stride, const Cells<Offset>& cells,
                    std::int32_t stride, std::int32_t first, std::int32_t last);
    // Rows first..last of `picture`: the values of the cells around each pixel, weighted, plus what the enlarged
    // picture differs from their keys by, up to `limit`. Where all cells agree and did so below, that is nothing;
    // where pieces meet, it is the softer transition of the levels below. `buffer` holds a value per column of cells.
    void (*blend)(const Exemplar& exemplar, const Window<const std::int16_t>& enlarged,
                  const Cells<const Offset>& cells, std::int32_t stride, std::int32_t limit,
                  const Window<std::int16_t>& picture, std::uint8_t* buffer, std::int32_t first, std::int32_t last);
    // The tone of `count` pixels of a row, from column x on: that of the base level, 2^shift times smaller and
    // `width` wide, linear in between; shift is at most kMostShift. The row lies share / 2^(shift + 1) of the way
    // from `above` to `below`.
    void (*tone_row)(const std::int16_t* above, const std::int16_t* below, std::int32_t share, std::int32_t width,
                     int shift, std::int32_t x, std::int32_t count, std::int16_t* out);
    // `count` pixels of three planes plus their tone, interleaved, uint8 or uint16.
    void (*to_uint8)(const std::int16_t* const planes[kColours], const std::int16_t* const tone[kColours],
                     std::int32_t count, void* pixels);
    void (*to_uint16)(const std::int16_t* const planes[kColours], const std::int16_t* const tone[kColours],
                      std::int32_t count, void* pixels);
};

const std::vector<const LevelKernels*>& available_level_kernels();
const LevelKernels& level_kernels();

}  // namespace ourgan
