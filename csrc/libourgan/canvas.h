// One picture of a source: planned at once, searched when it is first needed, and read in any parts.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "composition.h"
#include "detail.h"
#include "source.h"
#include "task.h"

namespace ourgan::c {

// What is asked of a picture, decided: ourgan_sdk/structure/layout.py.
struct Layout {
    double variety = 0.5;
    double rows = 1;  // how much up and down matter
    Wrap wrap;
    bool mirror_y = false;
    bool mirror_x = false;
    bool retarget = false;
};

struct Picturing {
    Size size;
    std::uint64_t seed = 0;
    std::optional<double> extent;
    Layout layout;
};

// Where a region's pixels go.
struct Target {
    std::byte* pixels = nullptr;
    std::int64_t row_stride = 0;  // bytes
    PixelType type = PixelType::uint8;
    int channels = 3;  // or 4, the last one opaque
};

class Canvas {
public:
    // Throws Error (size, budget, engine).
    Canvas(std::shared_ptr<const Source> source, const Picturing& asked);

    double extent() const;
    std::uint64_t memory() const { return share_->bytes(); }
    int levels() const { return static_cast<int>(plan_.picture.size()) - plan_.searched + 1; }
    // (height, width) of a level, counted from the finest. Throws Error (index).
    Size level_size(int level) const;
    // Throws Error (value) before the picture has been searched.
    double copied_share() const;

    void prepare(Task& task);
    // Throws Error (index, cancelled, size).
    void read(int level, const Box& region, const Target& target, Task& task);

private:
    struct Known {
        std::unique_ptr<const Detail> detail;
        double copied;
    };

    double search_work() const;
    std::shared_ptr<const Known> known() const;
    std::shared_ptr<const Known> found(Task& task);
    std::shared_ptr<const Known> find(Task& task) const;
    Composition compose(Task& task) const;
    void read_part(const Detail& detail, int level, const Box& part, const Target& target, const Box& region) const;

    const std::shared_ptr<const Source> source_;
    const Picturing asked_;
    const Size half_;  // what is made of it: all, unless it is mirrored
    const DetailPlan plan_;
    const Size structure_;
    std::unique_ptr<Share> share_;

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    bool is_searching_ = false;
    std::thread::id searcher_;
    std::shared_ptr<const Known> known_;
};

}  // namespace ourgan::c
