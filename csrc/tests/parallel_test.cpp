#include "parallel.h"

#include <atomic>
#include <new>
#include <stdexcept>

#include "check.h"

using namespace ourgan;

TEST(every_row_is_worked_on_once_by_any_number_of_threads) {
    for (const int threads : {1, 2, 5, 40}) {
        std::vector<std::atomic<int>> rows(17);
        parallel_rows(17, 1, threads, [&](std::int64_t first, std::int64_t last) {
            for (std::int64_t row = first; row < last; ++row) ++rows[static_cast<std::size_t>(row)];
        });
        for (const std::atomic<int>& row : rows) CHECK(row == 1);
    }
}

// A bad_alloc in one of several threads must not end the process.
TEST(what_a_thread_throws_comes_out_once_all_have_ended) {
    for (const std::int64_t failing : {0, 7, 15}) {
        std::atomic<int> ended{0};
        bool thrown = false;
        try {
            parallel_rows(16, 1, 4, [&](std::int64_t first, std::int64_t last) {
                if (first <= failing && failing < last) throw std::bad_alloc();
                ++ended;
            });
        } catch (const std::bad_alloc&) {
            thrown = true;
        }
        CHECK(thrown);
        CHECK(ended == 3);
    }
    CHECK_THROWS(parallel_rows(4, 1, 4, [](std::int64_t, std::int64_t) { throw std::runtime_error("each"); }),
                 std::runtime_error, "each");
}
