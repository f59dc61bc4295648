#include "grid.h"

#include "check.h"

using namespace ourgan;

TEST(cores_partition_the_largest_picture) {
    const Grid grid(kMaxSide, kMaxSide - 1, 37, 1001, 3);
    std::int64_t y = 0;
    for (std::int64_t row = 0; row < grid.rows(); ++row) {
        const Tile tile = grid.tile(row, 2);
        CHECK(tile.core.y0 == y && tile.core.y1 > y);
        CHECK(tile.window.y0 >= 0 && tile.window.y1 <= kMaxSide);
        CHECK(row == 0 || tile.core.y0 - tile.window.y0 >= 37);
        CHECK(row == 1000 || tile.window.y1 - tile.core.y1 >= 37);
        y = tile.core.y1;
    }
    CHECK(y == kMaxSide);
    CHECK(grid.tile(0, 2).core.x1 == kMaxSide - 1);
}

TEST(planning_the_largest_picture_is_quick_and_fits) {
    const Grid grid = plan_grid(kMaxSide, kMaxSide, 64, 1 << 20);
    CHECK(grid.window_height() * grid.window_width() <= 1 << 20);
    CHECK(grid.recomputation() < 0.35);
}

TEST(a_picture_that_fits_is_one_tile) {
    const Grid grid = plan_grid(300, 500, 20, 150000);
    CHECK(grid.rows() == 1 && grid.columns() == 1);
    CHECK(grid.tile(0, 0).core == (Box{0, 0, 300, 500}));
}

TEST(strips_win_where_they_waste_less) {
    const Grid grid = plan_grid(1000, 1000, 10, 1000 * 510);
    CHECK(grid.rows() == 2 && grid.columns() == 1);
}

TEST(bad_grids_are_refused) {
    CHECK_THROWS(Grid(0, 5, 1, 1, 1), std::invalid_argument, "height must be in [1, 2147483648], got 0");
    CHECK_THROWS(Grid(5, kMaxSide + 1, 1, 1, 1), std::invalid_argument, "width must be in");
    CHECK_THROWS(Grid(5, 5, -1, 1, 1), std::invalid_argument, "halo must be in");
    CHECK_THROWS(Grid(10, 10, 3, 5, 1), std::invalid_argument, "rows must be in [1, 4], got 5");
    CHECK_THROWS(Grid(10, 10, 5, 1, 2), std::invalid_argument, "columns must be in [1, 1], got 2");
    CHECK_THROWS(Grid(10, 10, 1, 2, 2).tile(2, 0), std::out_of_range, "tile (2, 0) is outside");
    CHECK_THROWS(plan_grid(100, 100, 8, 288), BudgetError, "has 289 pixels: allow at least that");
    CHECK(plan_grid(100, 100, 8, 289).window_height() == 17);
}
