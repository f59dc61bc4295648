#include "grid.h"

#include <algorithm>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace ourgan {
namespace {

std::int64_t divide_up(std::int64_t a, std::int64_t b) { return a / b + (a % b != 0); }

void check_range(const char* name, std::int64_t value, std::int64_t low, std::int64_t high) {
    if (value < low || value > high) {
        throw std::invalid_argument(std::string(name) + " must be in [" + std::to_string(low) + ", " +
                                    std::to_string(high) + "], got " + std::to_string(value));
    }
}

void check_picture(std::int64_t height, std::int64_t width, std::int64_t halo) {
    check_range("height", height, 1, kMaxSide);
    check_range("width", width, 1, kMaxSide);
    check_range("halo", halo, 0, kMaxSide);
}

// Window length for `count` tiles along `length`: the shortest at which neighbours overlap by two halos,
// ceil((length + 2 * halo * (count - 1)) / count), written so that nothing overflows.
std::int64_t window_length(std::int64_t length, std::int64_t halo, std::int64_t count) {
    return count == 1 ? length : 2 * halo + divide_up(length - 2 * halo, count);
}

struct Split {
    std::int64_t window;
    std::int64_t count;

    std::int64_t total() const { return window * count; }
};

// Every split of an axis that can be part of an optimal grid, from the longest window to the shortest.
// ceil((length - 2 halo) / count) takes only O(sqrt(length)) values, and for each the smallest count is best.
std::vector<Split> splits(std::int64_t length, std::int64_t halo) {
    std::vector<Split> result{{length, 1}};
    const std::int64_t inner = length - 2 * halo;
    for (std::int64_t count = 2; count <= inner;) {
        const std::int64_t window = window_length(length, halo, count);
        result.push_back({window, count});
        const std::int64_t step = window - 2 * halo;
        count = step == 1 ? inner + 1 : divide_up(inner, step - 1);
    }
    return result;
}

// Product of two non-negative numbers below 2^63 as (high, low) words: areas of absurd grids pass 2^64.
std::pair<std::uint64_t, std::uint64_t> wide_product(std::int64_t a, std::int64_t b) {
    constexpr std::uint64_t kLow = 0xFFFFFFFFu;
    const auto x = static_cast<std::uint64_t>(a);
    const auto y = static_cast<std::uint64_t>(b);
    const std::uint64_t cross = (x >> 32) * (y & kLow) + (((x & kLow) * (y & kLow)) >> 32);
    const std::uint64_t middle = (x & kLow) * (y >> 32) + (cross & kLow);
    return {(x >> 32) * (y >> 32) + (cross >> 32) + (middle >> 32), x * y};
}

}  // namespace

Axis::Axis(const char* name, std::int64_t length, std::int64_t halo, std::int64_t count)
    : length_(length), count_(count), window_(length) {
    // Beyond this many tiles windows would coincide and cores would be empty.
    check_range(name, count, 1, std::max<std::int64_t>(1, length - 2 * halo));
    window_ = window_length(length, halo, count);
}

std::int64_t Axis::start(std::int64_t index) const {
    if (count_ == 1) return 0;
    const std::int64_t gaps = count_ - 1;
    const std::int64_t product = index * (length_ - window_);
    const std::int64_t remainder = product % gaps;
    return product / gaps + (2 * remainder >= gaps);
}

std::int64_t Axis::border(std::int64_t index) const {
    if (index == 0) return 0;
    if (index == count_) return length_;
    return (start(index) + start(index - 1) + window_) / 2;  // middle of the overlap
}

Grid::Grid(std::int64_t height, std::int64_t width, std::int64_t halo, std::int64_t rows, std::int64_t columns)
    : height_((check_picture(height, width, halo), height)),
      width_(width),
      halo_(halo),
      vertical_("rows", height, halo, rows),
      horizontal_("columns", width, halo, columns) {}

Tile Grid::tile(std::int64_t row, std::int64_t column) const {
    if (row < 0 || row >= rows() || column < 0 || column >= columns()) {
        throw std::out_of_range("tile (" + std::to_string(row) + ", " + std::to_string(column) +
                                ") is outside a grid of " + std::to_string(rows()) + " x " +
                                std::to_string(columns()) + " tiles");
    }
    const std::int64_t y = vertical_.start(row);
    const std::int64_t x = horizontal_.start(column);
    return {row, column,
            {y, x, y + window_height(), x + window_width()},
            {vertical_.border(row), horizontal_.border(column), vertical_.border(row + 1),
             horizontal_.border(column + 1)}};
}

double Grid::recomputation() const {
    const auto ratio = [](std::int64_t count, std::int64_t window, std::int64_t length) {
        return static_cast<double>(count * window) / static_cast<double>(length);
    };
    return ratio(rows(), window_height(), height_) * ratio(columns(), window_width(), width_) - 1.0;
}

Grid plan_grid(std::int64_t height, std::int64_t width, std::int64_t halo, std::int64_t max_pixels) {
    check_picture(height, width, halo);
    const std::vector<Split> vertical = splits(height, halo);
    std::vector<Split> horizontal = splits(width, halo);
    std::reverse(horizontal.begin(), horizontal.end());  // from the narrowest window to the widest

    // As windows get lower, wider ones fit: `best` is the best horizontal split among those that fit so far.
    using Cost = std::tuple<std::pair<std::uint64_t, std::uint64_t>, std::int64_t, std::int64_t>;
    std::optional<Split> best;
    std::optional<Cost> least;
    std::int64_t rows = 0;
    std::size_t next = 0;
    for (const Split& row : vertical) {
        while (next < horizontal.size() && horizontal[next].window <= max_pixels / row.window) {
            const Split& column = horizontal[next++];
            if (!best || column.total() <= best->total()) best = column;  // equal: this one has fewer tiles
        }
        if (!best) continue;
        const Cost cost{wide_product(row.total(), best->total()), row.count * best->count, best->count};
        if (!least || cost < *least) {
            least = cost;
            rows = row.count;
        }
    }
    if (!least) {
        const std::int64_t needed = vertical.back().window * horizontal.front().window;
        throw BudgetError("max_pixels is " + std::to_string(max_pixels) + ", but the smallest window of a " +
                          std::to_string(width) + " x " + std::to_string(height) + " picture with a halo of " +
                          std::to_string(halo) + " has " + std::to_string(needed) + " pixels: allow at least that");
    }
    return Grid(height, width, halo, rows, std::get<2>(*least));
}

}  // namespace ourgan
