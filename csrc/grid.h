// Splitting a picture into cores, each with a margin in a window of one size.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <stdexcept>

namespace ourgan {

// Longest side of a picture that the grid, the noise and the pixels can address.
inline constexpr std::int64_t kMaxSide = std::int64_t{1} << 31;
// Longest side of a window.
inline constexpr std::int64_t kMaxWindow = 2 * kMaxSide;
// Widest halo and largest alignment: with these limits the windows along a side have fewer than 2^62 pixels.
inline constexpr std::int64_t kMaxHalo = std::int64_t{1} << 28;

struct Size {
    std::int64_t height = 0;
    std::int64_t width = 0;
};

// Half-open region [y0, y1) x [x0, x1) in pixels.
struct Box {
    std::int64_t y0 = 0;
    std::int64_t x0 = 0;
    std::int64_t y1 = 0;
    std::int64_t x1 = 0;

    std::int64_t height() const { return y1 - y0; }
    std::int64_t width() const { return x1 - x0; }
    bool operator==(const Box& other) const {
        return y0 == other.y0 && x0 == other.x0 && y1 == other.y1 && x1 == other.x1;
    }
};

struct Tile {
    std::int64_t row = 0;
    std::int64_t column = 0;
    Box window;
    Box core;
};

// One axis of a grid: `count` cores that share `length` pixels evenly, each in the middle of a window.
class Axis {
public:
    // Unchecked; Grid says what is allowed.
    Axis(std::int64_t length, std::int64_t count, std::int64_t window)
        : length_(length), count_(count), window_(window) {}

    std::int64_t length() const { return length_; }
    std::int64_t count() const { return count_; }
    std::int64_t window() const { return window_; }
    // First pixel of core `index`; border(count()) is the length of the axis.
    std::int64_t border(std::int64_t index) const { return index * length_ / count_; }
    // First pixel of window `index`; negative where the window reaches beyond the picture.
    std::int64_t start(std::int64_t index) const;

private:
    std::int64_t length_;
    std::int64_t count_;
    std::int64_t window_;
};

// rows x columns tiles: cores that partition the picture, in windows of one size that hold at least a halo on
// every side of their core. At the picture's border windows reach beyond it.
class Grid {
public:
    // A window side of 0 is the smallest: the longest core and two halos. Throws std::invalid_argument when a
    // number is out of its range, there are more tiles than pixels along a side, or a window is too small.
    Grid(std::int64_t height, std::int64_t width, std::int64_t halo, std::int64_t rows, std::int64_t columns,
         std::int64_t window_height = 0, std::int64_t window_width = 0);

    std::int64_t height() const { return vertical_.length(); }
    std::int64_t width() const { return horizontal_.length(); }
    std::int64_t halo() const { return halo_; }
    std::int64_t rows() const { return vertical_.count(); }
    std::int64_t columns() const { return horizontal_.count(); }
    std::int64_t window_height() const { return vertical_.window(); }
    std::int64_t window_width() const { return horizontal_.window(); }

    // Throws std::out_of_range for a row or column outside the grid.
    Tile tile(std::int64_t row, std::int64_t column) const;
    // Total window area / picture area - 1.
    double recomputation() const;

private:
    std::int64_t halo_;
    Axis vertical_;
    Axis horizontal_;
};

// Which windows an engine and its memory allow.
struct WindowRules {
    // Bounds window_height * (window_width * pixel_bytes + row_bytes): a tile, and what a row of a band costs.
    std::int64_t budget = 0;
    std::int64_t pixel_bytes = 1;  // in [1, 2^30]
    std::int64_t row_bytes = 0;    // in [0, 2^60]
    // Bounds window_height * window_width.
    std::int64_t max_pixels = std::numeric_limits<std::int64_t>::max();
    // Bounds both sides of a window.
    std::int64_t max_side = std::numeric_limits<std::int64_t>::max();
    // Both sides of a window are multiples of this.
    std::int64_t alignment = 1;
    // Of tiles, where the picture has as many rows of pixels: low bands are on their way earlier.
    std::int64_t least_rows = 1;
    // The one window of an engine of fixed shape; the three before do not matter then.
    std::optional<Size> window;
};

// The rules allow no window.
class BudgetError : public std::invalid_argument {
public:
    using std::invalid_argument::invalid_argument;
};

// The grid of least total window area that the rules allow; among equals the one with fewer tiles, then with
// fewer columns (wide windows keep bands low). Throws BudgetError when there is none, and
// std::invalid_argument for a number out of its range.
Grid plan_grid(std::int64_t height, std::int64_t width, std::int64_t halo, const WindowRules& rules);

}  // namespace ourgan
