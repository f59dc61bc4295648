#include "source.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <utility>

#include "bundle.h"
#include "error.h"
#include "resample.h"

namespace ourgan::c {
namespace {

constexpr auto kLook = std::chrono::milliseconds(50);  // how often a waiting call looks around

}  // namespace

Reduced resampled(const ConstPicture& picture, const Size& size, int threads) {
    Reduced result{std::vector<std::byte>(static_cast<std::size_t>(3 * size.height * size.width)), size};
    resample(picture, {result.bytes.data(), PixelType::uint8, size.height, size.width, 3, 3 * size.width}, threads);
    return result;
}

void Ledger::take(std::uint64_t bytes, const std::string& what) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (limit_ != 0 && bytes > limit_ - std::min(limit_, taken_)) {
        throw Error(OURGAN_BUDGET_ERROR, what + " takes " + std::to_string(bytes) + " bytes beside " +
                                             std::to_string(taken_) + " that are taken: give a memory limit of at least " +
                                             std::to_string(bytes + taken_) + " in place of " + std::to_string(limit_));
    }
    taken_ += bytes;
}

void Ledger::give_back(std::uint64_t bytes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    taken_ -= bytes;
}

Source::Source(const Input& input, const std::string& name, bool is_bundle, std::uint64_t memory_limit, int threads)
    : threads_(threads), ledger_(memory_limit), photograph_(read(input, name, is_bundle)) {
    reduced_ = resampled(photograph_.picture(), patches_size(photograph_.size), threads_);
}

Photograph Source::read(const Input& input, const std::string& name, bool is_bundle) {
    std::uint64_t file_bytes = 0;
    const auto take = [&](std::uint64_t bytes) {
        share_.reset();
        share_ = std::make_unique<Share>(ledger_, bytes, name);
    };
    const Reading how{[&](const Needed& needed) { take(file_bytes + needed.bytes); }, threads_};
    Photograph photograph;
    if (is_bundle || View(input.read(0, 4)).starts_with("PK\3\4", 4)) {
        const auto called = [&](const std::string& member) { return name + ": member '" + member + "'"; };
        const auto of_bundle = [](const auto& work) {
            try {
                work();
            } catch (const Error& error) {
                if (error.status() != OURGAN_PHOTOGRAPH_ERROR) throw;
                throw Error(OURGAN_BUNDLE_ERROR, error.what());
            }
        };
        const BundledPhotograph bundled =
            read_bundle(input, name, [&](const std::string& member, std::uint64_t bytes, const View& head) {
                of_bundle([&] { check_kind(head, called(member)); });
                file_bytes = bytes;
                take(file_bytes);
            });
        const std::string member = called(bundled.member);
        of_bundle([&] { photograph = decode_photograph(bundled.file, member, how); });
        const auto [height, width] = photograph.size;
        if (height != bundled.size.height || width != bundled.size.width) {
            throw Error(OURGAN_BUNDLE_ERROR, member + " has " + std::to_string(width) + " x " + std::to_string(height) +
                                                 " pixels, the manifest declares " + std::to_string(bundled.size.width) +
                                                 " x " + std::to_string(bundled.size.height));
        }
    } else {
        check_kind(input.read(0, kHead), name);
        constexpr std::uint64_t kMostBytes = 9ull << 29;
        if (input.size() > kMostBytes) {
            throw Error(OURGAN_PHOTOGRAPH_ERROR, name + " has " + std::to_string(input.size()) + " bytes; at most " +
                                                     std::to_string(kMostBytes) + " are accepted: reduce it first");
        }
        file_bytes = input.size();
        take(file_bytes);
        const Bytes file = input.read(0, file_bytes);
        photograph = learn_photograph(file, name, how);
    }
    share_.reset();
    share_ = std::make_unique<Share>(ledger_, static_cast<std::uint64_t>(photograph.bytes()), name);
    return photograph;
}

std::shared_ptr<const PhotographLevels> Source::levels(const DetailPlan& plan, Task& task) const {
    std::unique_lock<std::mutex> lock(mutex_);
    const auto known = [&] {
        const bool is_asked = known_sizes_ == plan.photograph && known_searched_ == plan.searched;
        return is_asked ? known_.lock() : nullptr;
    };
    // What a progress function of that same thread asks for is made beside it.
    while (!known() && is_building_ && builder_ != std::this_thread::get_id()) {
        changed_.wait_for(lock, kLook);
        lock.unlock();
        task.check();
        lock.lock();
    }
    if (auto found = known()) return found;
    if (is_building_) {
        lock.unlock();
        return build(plan, task);
    }
    is_building_ = true;
    builder_ = std::this_thread::get_id();
    lock.unlock();
    std::shared_ptr<const PhotographLevels> made;
    std::exception_ptr failure;
    try {
        made = build(plan, task);
    } catch (...) {
        failure = std::current_exception();
    }
    lock.lock();
    is_building_ = false;
    if (made) {
        known_sizes_ = plan.photograph;
        known_searched_ = plan.searched;
        known_ = made;
    }
    lock.unlock();
    changed_.notify_all();
    if (failure) std::rethrow_exception(failure);
    return made;
}

std::shared_ptr<const PhotographLevels> Source::build(const DetailPlan& plan, Task& task) const {
    std::vector<Reduced> levels;  // finest first
    for (auto size = plan.photograph.rbegin(); size != plan.photograph.rend(); ++size) {
        task.check();
        const ConstPicture from = levels.empty() ? photograph_.picture() : levels.back().picture();
        levels.push_back(resampled(from, {size->first, size->second}, threads_));
    }
    task.check();
    std::vector<ConstPicture> pictures;
    for (auto level = levels.rbegin(); level != levels.rend(); ++level) pictures.push_back(level->picture());
    return std::make_shared<const PhotographLevels>(pictures, plan.searched, threads_);
}

}  // namespace ourgan::c
