// Sharing rows among threads.
#pragma once

#include <algorithm>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace ourgan {

// Calls work(first, last) on consecutive ranges of rows, the last one on the calling thread. Ranges are not smaller than
// `fewest` rows: starting threads costs more than little work saves. threads: 0 for as many as the hardware has.
// What `work` throws comes out of this call, the first of it, once all threads have ended.
template <class Work>
void parallel_rows(std::int64_t rows, std::int64_t fewest, int threads, const Work& work) {
    const auto wanted = threads > 0 ? threads : static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
    const std::int64_t useful = std::max<std::int64_t>(1, rows / std::max<std::int64_t>(1, fewest));
    const std::int64_t parts = std::min<std::int64_t>({wanted, useful, rows});
    std::exception_ptr failure;
    std::mutex failing;
    const auto guarded = [&](std::int64_t first, std::int64_t last) {
        try {
            work(first, last);
        } catch (...) {
            const std::lock_guard<std::mutex> lock(failing);
            if (!failure) failure = std::current_exception();
        }
    };
    std::vector<std::thread> others;
    std::int64_t first = 0;
    try {
        others.reserve(static_cast<std::size_t>(std::max<std::int64_t>(0, parts - 1)));
        for (std::int64_t part = 1; part < parts; ++part) {
            const std::int64_t last = rows * part / parts;
            others.emplace_back(guarded, first, last);
            first = last;
        }
    } catch (const std::exception&) {
        // The system gives no more threads, or no memory for them: this one does the rest.
    }
    guarded(first, rows);
    for (std::thread& other : others) other.join();
    if (failure) std::rethrow_exception(failure);
}

}  // namespace ourgan
