// Sharing rows among threads.
#pragma once

#include <algorithm>
#include <cstdint>
#include <exception>
#include <thread>
#include <vector>

namespace ourgan {

// Calls work(first, last) on consecutive ranges of rows, the last one on the calling thread. Ranges are not smaller
// than `fewest` rows: starting threads costs more than little work saves. threads: 0 for as many as the hardware has.
// `work` must not throw.
template <class Work>
void parallel_rows(std::int64_t rows, std::int64_t fewest, int threads, const Work& work) {
    const auto wanted = threads > 0 ? threads : static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
    const std::int64_t useful = std::max<std::int64_t>(1, rows / std::max<std::int64_t>(1, fewest));
    const std::int64_t parts = std::min<std::int64_t>({wanted, useful, rows});
    std::vector<std::thread> others;
    std::int64_t first = 0;
    try {
        for (std::int64_t part = 1; part < parts; ++part) {
            const std::int64_t last = rows * part / parts;
            others.emplace_back(work, first, last);
            first = last;
        }
    } catch (const std::exception&) {
        // The system gives no more threads: this one does the rest.
    }
    work(first, rows);
    for (std::thread& other : others) other.join();
}

}  // namespace ourgan
