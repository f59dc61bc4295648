#include "source.h"

#include <algorithm>

#include "bundle.h"
#include "error.h"
#include "resample.h"

namespace ourgan::c {

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
    const Sized sized = [&](const Size& size) {
        // Twice: a picture that is turned, laid over white or encoded anew lies there before and after.
        const auto pixels = static_cast<std::uint64_t>(3 * size.height * size.width);
        share_.reset();
        share_ = std::make_unique<Share>(ledger_, 2 * pixels + file_bytes, name);
    };
    Photograph photograph;
    if (is_bundle || View(input.read(0, 4)).starts_with("PK\3\4", 4)) {
        const BundledPhotograph bundled = read_bundle(input, name);
        const std::string member = name + ": member '" + bundled.member + "'";
        file_bytes = bundled.file.size();
        try {
            photograph = decode_photograph(bundled.file, member, sized);
        } catch (const Error& error) {
            if (error.status() != OURGAN_PHOTOGRAPH_ERROR) throw;
            throw Error(OURGAN_BUNDLE_ERROR, error.what());
        }
        const auto [height, width] = photograph.size;
        if (height != bundled.size.height || width != bundled.size.width) {
            throw Error(OURGAN_BUNDLE_ERROR, member + " has " + std::to_string(width) + " x " + std::to_string(height) +
                                                 " pixels, the manifest declares " + std::to_string(bundled.size.width) +
                                                 " x " + std::to_string(bundled.size.height));
        }
    } else {
        constexpr std::uint64_t kMostBytes = 9ull << 29;
        if (input.size() > kMostBytes) {
            throw Error(OURGAN_PHOTOGRAPH_ERROR, name + " has " + std::to_string(input.size()) + " bytes; at most " +
                                                     std::to_string(kMostBytes) + " are accepted: reduce it first");
        }
        const Bytes file = input.read(0, input.size());
        file_bytes = file.size();
        photograph = learn_photograph(file, name, sized);
    }
    share_.reset();
    share_ = std::make_unique<Share>(ledger_, static_cast<std::uint64_t>(photograph.bytes()), name);
    return photograph;
}

std::shared_ptr<const PhotographLevels> Source::levels(const DetailPlan& plan) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (known_sizes_ == plan.photograph && known_searched_ == plan.searched) {
        if (auto known = known_.lock()) return known;
    }
    std::vector<Reduced> levels;  // finest first
    for (auto size = plan.photograph.rbegin(); size != plan.photograph.rend(); ++size) {
        const ConstPicture from = levels.empty() ? photograph_.picture() : levels.back().picture();
        levels.push_back(resampled(from, {size->first, size->second}, threads_));
    }
    std::vector<ConstPicture> pictures;
    for (auto level = levels.rbegin(); level != levels.rend(); ++level) pictures.push_back(level->picture());
    const auto made = std::make_shared<const PhotographLevels>(pictures, plan.searched, threads_);
    known_sizes_ = plan.photograph;
    known_searched_ = plan.searched;
    known_ = made;
    return made;
}

}  // namespace ourgan::c
