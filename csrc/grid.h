// Splitting a picture into overlapping windows of one size.
#pragma once

#include <cstdint>
#include <stdexcept>

namespace ourgan {

// Longest side of a picture that the grid, the noise and the pixels can address.
inline constexpr std::int64_t kMaxSide = std::int64_t{1} << 31;

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

// One axis of a grid: `count` windows of equal `window` length, spread evenly over `length` pixels.
class Axis {
public:
    // Throws std::invalid_argument unless count is 1 or at most length - 2 * halo.
    Axis(const char* name, std::int64_t length, std::int64_t halo, std::int64_t count);

    std::int64_t count() const { return count_; }
    std::int64_t window() const { return window_; }
    std::int64_t start(std::int64_t index) const;
    // First pixel of core `index`; border(count()) is the length of the axis.
    std::int64_t border(std::int64_t index) const;

private:
    std::int64_t length_;
    std::int64_t count_;
    std::int64_t window_;
};

class Grid {
public:
    Grid(std::int64_t height, std::int64_t width, std::int64_t halo, std::int64_t rows, std::int64_t columns);

    std::int64_t height() const { return height_; }
    std::int64_t width() const { return width_; }
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
    std::int64_t height_;
    std::int64_t width_;
    std::int64_t halo_;
    Axis vertical_;
    Axis horizontal_;
};

// No window with its halo fits the memory budget.
class BudgetError : public std::invalid_argument {
public:
    using std::invalid_argument::invalid_argument;
};

// The grid of least total window area whose window holds at most max_pixels; among equals the one with
// fewer tiles, then with fewer columns (wide windows keep bands low). Throws BudgetError when none fits.
Grid plan_grid(std::int64_t height, std::int64_t width, std::int64_t halo, std::int64_t max_pixels);

}  // namespace ourgan
