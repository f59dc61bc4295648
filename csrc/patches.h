// The inner loops of the search for a field: matching a picture's patches against a photograph's. Compiled once per
// instruction set and chosen at run time. Integers alone, in a fixed order: every build gives the same bits.
#pragma once

#include <cstdint>
#include <vector>

#include "levels.h"

namespace ourgan {

// How far beyond its borders a picture is repeated in memory, so that no patch of a cell reads past it.
inline constexpr int kMargin = 16;

// Values of a patch.
inline constexpr std::int32_t kValues = kPatch * kPatch * kColours;

// A candidate that is dearer than any.
inline constexpr std::uint32_t kDearest = 0xFFFFFFFFu;

// Bytes R, G, B, 0 per pixel; `data` is pixel (0, 0), rows lie `stride` bytes apart, and kMargin pixels on every side
// may be read as well.
struct Rgbx {
    const std::uint8_t* data;
    std::int64_t stride;
    std::int32_t height;
    std::int32_t width;
};

// What an iteration of the search works on, and its prices: sums of squared differences of 8-bit levels.
struct Search {
    Rgbx query;   // the enlarged level below, or what was made of it
    Rgbx keys;    // the photograph as that level shows it
    Rgbx values;  // the photograph as it is, of the same size
    std::int32_t stride;
    std::int32_t rows;
    std::int32_t columns;
    const Offset* field;  // (rows, columns), before
    const std::uint32_t* cost;
    const std::uint32_t* weights;  // 65536ths that all a candidate costs counts, by its patch's first pixel, or null
    Offset* new_field;  // and after the iteration
    std::uint32_t* new_cost;
    std::int32_t jump;    // cells to the neighbours whose offsets are tried, beside those next to a cell
    std::int32_t tries;   // random positions around the best one, each within half the radius of the one before
    std::int32_t radius;  // of the first try, pixels
    std::uint64_t seed;
    std::uint32_t stream;
    std::uint32_t iteration;
    std::int32_t incoherence;  // of four neighbours that come from elsewhere
    std::int32_t seam;         // 256ths of what the photograph differs by where neighbours meet, on average
    std::int32_t echo;         // of all neighbours, at 1, 4 and 8 pixels, that come from nearly the same place
    std::int32_t echo_radius;  // pixels
    std::int32_t top;          // the picture's first row, and the height, of the whole that it is a part of
    std::int32_t whole_height;
    std::int32_t row;          // of a squared pixel that a patch lies too high or too low for its place, beyond
    std::int32_t row_slack;    // so many pixels
    const std::int32_t* overuse;  // by position in the photograph (of a patch's first pixel), or null
};

struct PatchKernels {
    const char* instruction_set;

    // The cost of rows first..last of the field as it is.
    void (*measure)(const Search& search, std::int32_t first, std::int32_t last);
    // One iteration over rows first..last.
    void (*improve)(const Search& search, std::int32_t first, std::int32_t last);
    // The best of all offsets there are, for every cell of rows first..last: the first of equals, by rows.
    void (*exhaust)(const Search& search, std::int32_t first, std::int32_t last);
};

const std::vector<const PatchKernels*>& available_patch_kernels();
const PatchKernels& patch_kernels();

}  // namespace ourgan
