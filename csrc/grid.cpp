#include "grid.h"

#include <algorithm>
#include <limits>
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
    check_range("halo", halo, 0, kMaxHalo);
}

void check_rules(const WindowRules& rules) {
    check_range("pixel_bytes", rules.pixel_bytes, 1, std::int64_t{1} << 30);
    check_range("row_bytes", rules.row_bytes, 0, std::int64_t{1} << 60);
    check_range("alignment", rules.alignment, 1, kMaxHalo);
    check_range("least_rows", rules.least_rows, 1, kMaxSide);
    if (rules.window) {
        check_range("window's height", rules.window->height, 1, kMaxWindow);
        check_range("window's width", rules.window->width, 1, kMaxWindow);
    }
}

std::int64_t smallest_window(std::int64_t length, std::int64_t halo, std::int64_t count) {
    return divide_up(length, count) + 2 * halo;
}

// `name` and `window_name`: what messages call the count and the window.
Axis checked_axis(const char* name, const char* window_name, std::int64_t length, std::int64_t halo,
                  std::int64_t count, std::int64_t window) {
    check_range(name, count, 1, length);
    const std::int64_t smallest = smallest_window(length, halo, count);
    if (window != 0) check_range(window_name, window, smallest, kMaxWindow);
    return Axis(length, count, window != 0 ? window : smallest);
}

struct Split {
    std::int64_t window;
    std::int64_t count;

    std::int64_t total() const { return window * count; }
};

// Every split of an axis that can be part of an optimal grid, from the longest window to the shortest: each
// window that is the smallest for some count from `least` on, with the smallest such count. There are O(sqrt(length)).
std::vector<Split> splits(std::int64_t length, std::int64_t halo, std::int64_t alignment, std::int64_t least) {
    std::vector<Split> result;
    for (std::int64_t count = std::min(least, length);;) {
        const std::int64_t window = divide_up(smallest_window(length, halo, count), alignment) * alignment;
        result.push_back({window, count});
        const std::int64_t core = window - alignment - 2 * halo;  // the longest in the next shorter window
        if (core < 1) return result;
        count = divide_up(length, core);
    }
}

// What a side may be split into under the rules: nothing, if max_side is too short for two halos and a pixel. A fixed
// window must hold more than two halos.
std::vector<Split> candidates(std::int64_t length, std::int64_t halo, const WindowRules& rules,
                              std::int64_t Size::* side) {
    if (!rules.window) {
        const std::int64_t least = side == &Size::height ? rules.least_rows : 1;
        std::vector<Split> found = splits(length, halo, rules.alignment, least);
        const auto fits = [&](const Split& split) { return split.window <= rules.max_side; };
        found.erase(found.begin(), std::find_if(found.begin(), found.end(), fits));
        return found;
    }
    const std::int64_t window = *rules.window.*side;
    return {{window, divide_up(length, window - 2 * halo)}};
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

// The widest window of this height that the rules allow; not positive if there is none.
std::int64_t widest(const WindowRules& rules, std::int64_t window_height) {
    const std::int64_t row = std::max<std::int64_t>(0, rules.budget) / window_height;
    return std::min((row - rules.row_bytes) / rules.pixel_bytes, rules.max_pixels / window_height);
}

std::string to_text(std::int64_t height, std::int64_t width) {
    return std::to_string(width) + " x " + std::to_string(height);
}

// window.height * (window.width * pixel_bytes + row_bytes)
std::string cost_text(const Size& window, std::int64_t pixel_bytes, std::int64_t row_bytes) {
    constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
    const std::int64_t row = window.width * pixel_bytes + row_bytes;
    if (row > kMost / window.height) return "more than " + std::to_string(kMost);
    return std::to_string(window.height * row);
}

// The beginning of a message on `window`, the least that the rules name.
std::string subject(std::int64_t height, std::int64_t width, std::int64_t halo, const WindowRules& rules,
                    const Size& window) {
    return std::string(rules.window ? "the engine's" : "the smallest") + " window for a " + to_text(height, width) +
           " picture with a halo of " + std::to_string(halo) + " is " + to_text(window.height, window.width) +
           " pixels";
}

// Says which limit `window`, described by `subject`, breaks.
std::string refusal(const std::string& subject, const WindowRules& rules, const Size& window) {
    if (window.width > rules.max_pixels / window.height) {
        return "max_pixels is " + std::to_string(rules.max_pixels) + ", but " + subject + " and has " +
               cost_text(window, 1, 0) + ": allow at least that";
    }
    return "budget is " + std::to_string(rules.budget) + ", but " + subject + " and takes " +
           cost_text(window, rules.pixel_bytes, rules.row_bytes) + ": allow at least that";
}

}  // namespace

std::int64_t Axis::start(std::int64_t index) const {
    const std::int64_t core = border(index + 1) - border(index);
    return border(index) - (window_ - core) / 2;
}

Grid::Grid(std::int64_t height, std::int64_t width, std::int64_t halo, std::int64_t rows, std::int64_t columns,
           std::int64_t window_height, std::int64_t window_width)
    : halo_((check_picture(height, width, halo), halo)),
      vertical_(checked_axis("rows", "window_height", height, halo, rows, window_height)),
      horizontal_(checked_axis("columns", "window_width", width, halo, columns, window_width)) {}

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
    const auto ratio = [](const Axis& axis) {
        return static_cast<double>(axis.count()) * static_cast<double>(axis.window()) /
               static_cast<double>(axis.length());
    };
    return ratio(vertical_) * ratio(horizontal_) - 1.0;
}

Grid plan_grid(std::int64_t height, std::int64_t width, std::int64_t halo, const WindowRules& rules) {
    check_picture(height, width, halo);
    check_rules(rules);
    if (rules.window && std::min(rules.window->height, rules.window->width) <= 2 * halo) {
        throw BudgetError(subject(height, width, halo, rules, *rules.window) + ": both sides must be at least " +
                          std::to_string(2 * halo + 1));
    }
    const std::vector<Split> vertical = candidates(height, halo, rules, &Size::height);
    if (vertical.empty()) {
        throw BudgetError("max_side is " + std::to_string(rules.max_side) + ": windows with a halo of " +
                          std::to_string(halo) + " have sides of at least " +
                          std::to_string(divide_up(2 * halo + 1, rules.alignment) * rules.alignment));
    }
    std::vector<Split> horizontal = candidates(width, halo, rules, &Size::width);
    std::reverse(horizontal.begin(), horizontal.end());  // from the narrowest window to the widest

    // As windows get lower, wider ones fit: `best` is the best horizontal split among those that fit so far.
    using Cost = std::tuple<std::pair<std::uint64_t, std::uint64_t>, std::int64_t, std::int64_t>;
    std::optional<Split> best;
    std::optional<Cost> least;
    std::optional<Grid> plan;
    std::size_t next = 0;
    for (const Split& row : vertical) {
        const std::int64_t limit = widest(rules, row.window);
        while (next < horizontal.size() && horizontal[next].window <= limit) {
            const Split& column = horizontal[next++];
            if (!best || column.total() <= best->total()) best = column;  // equal: this one has fewer tiles
        }
        if (!best) continue;
        const Cost cost{wide_product(row.total(), best->total()), row.count * best->count, best->count};
        if (!least || cost < *least) {
            least = cost;
            plan.emplace(height, width, halo, row.count, best->count, row.window, best->window);
        }
    }
    if (!plan) {
        const Size smallest{vertical.back().window, horizontal.front().window};
        throw BudgetError(refusal(subject(height, width, halo, rules, smallest), rules, smallest));
    }
    return *plan;
}

}  // namespace ourgan
