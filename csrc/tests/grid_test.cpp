#include "grid.h"

#include <limits>

#include "check.h"

using namespace ourgan;

namespace {

WindowRules within(std::int64_t budget) {
    WindowRules rules;
    rules.budget = budget;
    return rules;
}

}  // namespace

TEST(cores_partition_the_largest_picture) {
    const Grid grid(kMaxSide, kMaxSide - 1, 37, 1001, 3);
    std::int64_t y = 0;
    for (std::int64_t row = 0; row < grid.rows(); ++row) {
        const Tile tile = grid.tile(row, 2);
        CHECK(tile.core.y0 == y && tile.core.y1 > y);
        CHECK(tile.window.height() == grid.window_height());
        CHECK(tile.core.y0 - tile.window.y0 >= 37 && tile.window.y1 - tile.core.y1 >= 37);
        y = tile.core.y1;
    }
    CHECK(y == kMaxSide);
    CHECK(grid.tile(0, 2).core.x1 == kMaxSide - 1);
}

TEST(a_given_window_has_its_core_in_the_middle) {
    const Grid grid(10, 10, 2, 1, 3, 16, 9);
    CHECK((grid.tile(0, 0).window == Box{-3, -3, 13, 6}));
    CHECK((grid.tile(0, 2).window == Box{-3, 4, 13, 13}));
    CHECK((grid.tile(0, 2).core == Box{0, 6, 10, 10}));
}

TEST(planning_the_largest_picture_is_quick_and_fits) {
    const Grid grid = plan_grid(kMaxSide, kMaxSide, 64, within(1 << 20));
    CHECK(grid.window_height() * grid.window_width() <= 1 << 20);
    CHECK(grid.recomputation() < 0.35);
}

TEST(extreme_rules_do_not_overflow) {
    WindowRules rules = within(std::numeric_limits<std::int64_t>::max());
    rules.alignment = kMaxHalo;
    const Grid grid = plan_grid(kMaxSide, kMaxSide, kMaxHalo, rules);
    CHECK(grid.window_height() % kMaxHalo == 0 && grid.window_height() <= kMaxWindow);
    CHECK(grid.tile(grid.rows() - 1, 0).window.y1 >= kMaxSide + kMaxHalo);
    rules.pixel_bytes = std::int64_t{1} << 30;
    rules.row_bytes = std::int64_t{1} << 60;
    CHECK_THROWS(plan_grid(kMaxSide, kMaxSide, kMaxHalo, rules), BudgetError, "takes more than 9223372036854775807");
    rules.window = Size{kMaxWindow, kMaxWindow};
    CHECK_THROWS(plan_grid(kMaxSide, kMaxSide, kMaxHalo, rules), BudgetError, "has more than 9223372036854775807");
    CHECK_THROWS(plan_grid(1, 1, 0, within(std::numeric_limits<std::int64_t>::min())), BudgetError, "takes 1:");
}

TEST(a_picture_that_fits_is_one_tile) {
    const Grid grid = plan_grid(300, 500, 20, within(340 * 540));
    CHECK(grid.rows() == 1 && grid.columns() == 1);
    CHECK((grid.tile(0, 0).core == Box{0, 0, 300, 500}));
    CHECK((grid.tile(0, 0).window == Box{-20, -20, 320, 520}));
}

TEST(strips_win_where_they_waste_less) {
    const Grid grid = plan_grid(1000, 1000, 10, within(1020 * 520));
    CHECK(grid.rows() == 2 && grid.columns() == 1);
}

TEST(expensive_rows_make_windows_low) {
    WindowRules rules = within(1 << 20);
    const Grid free = plan_grid(20000, 50000, 16, rules);
    rules.row_bytes = 20000;
    CHECK(plan_grid(20000, 50000, 16, rules).window_height() < free.window_height() / 10);
}

TEST(limits_of_an_engine_are_kept) {
    WindowRules rules = within(1 << 20);
    rules.alignment = 64;
    rules.max_pixels = 200 * 200;
    const Grid aligned = plan_grid(1000, 700, 10, rules);
    CHECK(aligned.window_height() % 64 == 0 && aligned.window_width() % 64 == 0);
    CHECK(aligned.window_height() * aligned.window_width() <= 200 * 200);
    rules.window = Size{100, 120};
    const Grid fixed = plan_grid(1000, 700, 10, rules);
    CHECK(fixed.window_height() == 100 && fixed.window_width() == 120);
    CHECK(fixed.rows() == 13 && fixed.columns() == 7);
    rules.window = Size{21, 20};
    CHECK_THROWS(plan_grid(1000, 700, 10, rules), BudgetError, "is 20 x 21 pixels: both sides must be at least 21");
}

TEST(bad_grids_are_refused) {
    CHECK_THROWS(Grid(0, 5, 1, 1, 1), std::invalid_argument, "height must be in [1, 2147483648], got 0");
    CHECK_THROWS(Grid(5, kMaxSide + 1, 1, 1, 1), std::invalid_argument, "width must be in");
    CHECK_THROWS(Grid(5, 5, -1, 1, 1), std::invalid_argument, "halo must be in");
    CHECK_THROWS(Grid(10, 10, 3, 11, 1), std::invalid_argument, "rows must be in [1, 10], got 11");
    CHECK_THROWS(Grid(10, 10, 3, 1, 3, 0, 9), std::invalid_argument, "window_width must be in [10, 4294967296], got 9");
    CHECK_THROWS(Grid(10, 10, 1, 2, 2).tile(2, 0), std::out_of_range, "tile (2, 0) is outside");
    CHECK_THROWS(plan_grid(100, 100, 8, within(288)), BudgetError, "takes 289: allow at least that");
    CHECK(plan_grid(100, 100, 8, within(289)).window_height() == 17);
    WindowRules rules = within(1000);
    rules.alignment = 0;
    CHECK_THROWS(plan_grid(100, 100, 8, rules), std::invalid_argument, "alignment must be in [1, 268435456], got 0");
}
