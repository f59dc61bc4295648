// What a call tells its caller while it works, and how it is ended.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "error.h"

struct ourgan_cancel {
    std::atomic<bool> is_set{false};
};

namespace ourgan::c {

class Task {
public:
    Task(const ourgan_cancel* token, ourgan_progress progress, void* user)
        : token_(token), progress_(progress), user_(user) {}

    // From now on, `work` is what is to be done in all, of any unit.
    void begin(double work) { total_ = std::max(work, 1.0); }
    // So much has been done. Throws Error (cancelled).
    void advance(double work) {
        done_ += work;
        check();
    }
    // Part of what follows has been done, and will be told by advance() once it is whole. Throws Error (cancelled).
    void check(double part = 0) {
        if (token_ != nullptr && token_->is_set) throw Error(OURGAN_CANCELLED, "cancelled by its token");
        if (progress_ == nullptr) return;
        told_ = std::max(told_, std::min(1.0, (done_ + part) / total_));
        if (progress_(told_, user_) != 0) throw Error(OURGAN_CANCELLED, "cancelled by its progress function");
    }

private:
    const ourgan_cancel* token_;
    ourgan_progress progress_;
    void* user_;
    double total_ = 1;
    double done_ = 0;
    double told_ = 0;
};

}  // namespace ourgan::c
