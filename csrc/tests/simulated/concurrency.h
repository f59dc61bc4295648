// Takes the place of csrc/concurrency.h: threads that take turns, one at a time, and a clock that moves on only when
// all of them wait. Threads that wait for each other for ever end the program with a message.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace ourgan {

using Nanoseconds = std::int64_t;

// One thread of the simulation. It runs when it is its turn.
struct Turn {
    std::condition_variable given;
    Nanoseconds deadline = 0;
    bool timed_out = false;
    bool ended = false;
};

class Simulation {
public:
    static constexpr Nanoseconds kNever = std::numeric_limits<Nanoseconds>::max();

    static Simulation& instance() {
        static Simulation simulation;
        return simulation;
    }

    Nanoseconds now() const { return now_; }
    Turn* current() const { return current_; }

    // Gives up the turn until somebody wakes the thread, or until the deadline. Returns whether it was woken.
    bool wait(Nanoseconds deadline) {
        std::unique_lock<std::mutex> lock(mutex_);
        Turn* const self = current_;
        self->deadline = deadline;
        waiting_.push_back(self);
        give_turn();
        self->given.wait(lock, [&] { return current_ == self; });
        return !self->timed_out;
    }

    void wake(Turn* turn) {
        const std::lock_guard<std::mutex> lock(mutex_);
        const auto place = std::find(waiting_.begin(), waiting_.end(), turn);
        if (place == waiting_.end()) return;
        waiting_.erase(place);
        turn->timed_out = false;
        ready_.push_back(turn);
    }

    void start(Turn* turn) {
        const std::lock_guard<std::mutex> lock(mutex_);
        ready_.push_back(turn);
    }
    void begin(Turn* turn) {
        std::unique_lock<std::mutex> lock(mutex_);
        turn->given.wait(lock, [&] { return current_ == turn; });
    }
    void end() {
        const std::lock_guard<std::mutex> lock(mutex_);
        current_->ended = true;
        give_turn();
    }

private:
    // The thread that has been ready the longest, or else the one whose deadline comes first.
    void give_turn() {
        if (ready_.empty()) {
            const auto first = std::min_element(waiting_.begin(), waiting_.end(), [](const Turn* a, const Turn* b) {
                return a->deadline < b->deadline;
            });
            if (first == waiting_.end() || (*first)->deadline == kNever) {
                std::fputs("all threads wait for each other\n", stderr);
                std::abort();
            }
            now_ = std::max(now_, (*first)->deadline);
            (*first)->timed_out = true;
            ready_.push_back(*first);
            waiting_.erase(first);
        }
        current_ = ready_.front();
        ready_.pop_front();
        current_->given.notify_one();
    }

    std::mutex mutex_;
    Turn main_;
    Turn* current_ = &main_;
    std::deque<Turn*> ready_;
    std::vector<Turn*> waiting_;
    Nanoseconds now_ = 0;
};

// Threads in the order in which they came.
class Queue {
public:
    bool wait(Nanoseconds deadline) {
        Turn* const self = Simulation::instance().current();
        turns_.push_back(self);
        const bool woken = Simulation::instance().wait(deadline);
        if (!woken) turns_.erase(std::find(turns_.begin(), turns_.end(), self));
        return woken;
    }
    void wake_one() {
        if (turns_.empty()) return;
        Simulation::instance().wake(turns_.front());
        turns_.pop_front();
    }
    void wake_all() {
        while (!turns_.empty()) wake_one();
    }

private:
    std::deque<Turn*> turns_;
};

class Mutex {
public:
    void lock() {
        while (locked_) queue_.wait(Simulation::kNever);
        locked_ = true;
    }
    void unlock() {
        locked_ = false;
        queue_.wake_one();
    }

private:
    bool locked_ = false;
    Queue queue_;
};

class ConditionVariable {
public:
    template <class Ready>
    void wait(std::unique_lock<Mutex>& lock, const Ready& ready) {
        while (!ready()) pause(lock, Simulation::kNever);
    }
    template <class Duration, class Ready>
    bool wait_for(std::unique_lock<Mutex>& lock, const Duration& duration, const Ready& ready) {
        const Nanoseconds length = std::chrono::duration_cast<std::chrono::nanoseconds>(duration).count();
        const Nanoseconds deadline = Simulation::instance().now() + length;
        while (!ready()) {
            if (!pause(lock, deadline)) return ready();
        }
        return true;
    }
    void notify_one() { queue_.wake_one(); }
    void notify_all() { queue_.wake_all(); }

private:
    bool pause(std::unique_lock<Mutex>& lock, Nanoseconds deadline) {
        lock.unlock();
        const bool woken = queue_.wait(deadline);
        lock.lock();
        return woken;
    }

    Queue queue_;
};

class Thread {
public:
    template <class Function, class... Arguments>
    explicit Thread(Function function, Arguments... arguments)
        : state_(std::make_unique<State>()), thread_([state = state_.get(), function, arguments...] {
              Simulation::instance().begin(&state->turn);
              std::invoke(function, arguments...);
              state->joining.wake_all();
              Simulation::instance().end();
          }) {
        Simulation::instance().start(&state_->turn);
    }
    Thread(Thread&&) = default;

    void join() {
        while (!state_->turn.ended) state_->joining.wait(Simulation::kNever);
        thread_.join();
    }

private:
    struct State {
        Turn turn;
        Queue joining;
    };
    std::unique_ptr<State> state_;
    std::thread thread_;
};

}  // namespace ourgan
