// An opened photograph: its pixels, what of it canvases share, and what all of them may take.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "exemplar.h"
#include "photograph.h"
#include "plan.h"
#include "task.h"

namespace ourgan::c {

// A picture of its own memory, uint8 RGB.
struct Reduced {
    std::vector<std::byte> bytes;
    Size size;

    ConstPicture picture() const {
        return {bytes.data(), PixelType::uint8, size.height, size.width, 3, 3 * size.width};
    }
};

Reduced resampled(const ConstPicture& picture, const Size& size, int threads);

// Bytes that are taken, of a limit.
class Ledger {
public:
    explicit Ledger(std::uint64_t limit) : limit_(limit) {}

    // Throws Error (budget) where that is more than the limit leaves; `what` needs it.
    void take(std::uint64_t bytes, const std::string& what);
    void give_back(std::uint64_t bytes);

private:
    const std::uint64_t limit_;  // 0: none
    std::mutex mutex_;
    std::uint64_t taken_ = 0;
};

// What is taken of a ledger as long as this lives.
class Share {
public:
    Share(Ledger& ledger, std::uint64_t bytes, const std::string& what) : ledger_(ledger), bytes_(bytes) {
        ledger.take(bytes, what);
    }
    ~Share() { ledger_.give_back(bytes_); }
    Share(const Share&) = delete;
    Share& operator=(const Share&) = delete;

    std::uint64_t bytes() const { return bytes_; }

private:
    Ledger& ledger_;
    const std::uint64_t bytes_;
};

class Source {
public:
    // A bundle or a photograph: `is_bundle` is for what it is called, else its first bytes tell.
    // Throws Error (bundle, photograph, budget).
    Source(const Input& input, const std::string& name, bool is_bundle, std::uint64_t memory_limit, int threads);

    Size size() const { return photograph_.size; }
    int threads() const { return threads_; }
    Ledger& ledger() const { return ledger_; }
    // At the size of structures of patches.
    const Reduced& reduced() const { return reduced_; }
    // At the levels of `plan`, shared with other canvases that have the same.
    // Another thread that makes some is waited for. Throws Error (cancelled).
    std::shared_ptr<const PhotographLevels> levels(const DetailPlan& plan, Task& task) const;

private:
    std::shared_ptr<const PhotographLevels> build(const DetailPlan& plan, Task& task) const;
    Photograph read(const Input& input, const std::string& name, bool is_bundle);

    const int threads_;
    mutable Ledger ledger_;
    std::unique_ptr<Share> share_;
    Photograph photograph_;
    Reduced reduced_;
    mutable std::mutex mutex_;
    mutable std::condition_variable changed_;
    mutable bool is_building_ = false;
    mutable std::thread::id builder_;
    mutable LevelSizes known_sizes_;
    mutable int known_searched_ = 0;
    mutable std::weak_ptr<const PhotographLevels> known_;
};

}  // namespace ourgan::c
