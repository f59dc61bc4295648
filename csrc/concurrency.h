// The threads and locks of the pipeline. Included in angle brackets, so that the test of the pipeline's timeline can
// put a simulation with a clock of its own in this header's place.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

namespace ourgan {

using Mutex = std::mutex;
using ConditionVariable = std::condition_variable;
using Thread = std::thread;

}  // namespace ourgan
