// Tiles in flight: while an engine runs one tile, worker threads pack the next and unpack the previous one.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

#include "device.h"
#include "noise.h"
#include "pixels.h"

namespace ourgan {

// An engine's output held NaN or infinity.
class NonFiniteError : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

// Size of the tensors of a pipeline: input (channels, height, width), output scale times as high and wide.
struct TileShape {
    std::int64_t channels;
    std::int64_t height;
    std::int64_t width;
    std::int64_t scale;
};

// The life of a slot: pack() takes a free one, packed() waits until its input is on the device, the engine runs,
// unpack() hands it back; it is free again once its output has been written. All functions may be called from
// several threads. Pictures must stay alive until packed(slot) and wait(ticket) have returned.
class Pipeline {
public:
    // check_interrupt is called about every 50 ms by the thread that waits, and ends the wait by throwing.
    Pipeline(std::unique_ptr<Device> device, const TileShape& shape, int slots, int threads,
             std::function<void()> check_interrupt);
    ~Pipeline();
    Pipeline(const Pipeline&) = delete;
    Pipeline& operator=(const Pipeline&) = delete;

    const TileShape& shape() const { return shape_; }
    // Host memory of a slot's tensors, alive as long as the pipeline. Throw std::out_of_range for no such slot.
    float* input(int slot) const;
    float* output(int slot) const;

    // Takes the slot that has been free the longest, waiting for one, and queues gather() into it.
    int pack(const Part& part, const Box& window, const Noise& noise);
    // Waits until the slot's input is ready. Rethrows what went wrong in packing it; the slot is then free.
    void packed(int slot);
    // Queues scatter() of the slot's output. Tickets count up from 0.
    std::int64_t unpack(int slot, const Box& crop, const Picture& picture, std::int64_t y, std::int64_t x);
    // Waits until all unpacks up to and including `ticket` are done. Throws the first error among them, once.
    void wait(std::int64_t ticket);
    // All unpacks before this ticket are done.
    std::int64_t unfinished_ticket() const;

    // Finishes what is queued and joins the workers. Threads that wait for a slot get std::runtime_error.
    void close();

private:
    enum class Stage { free, packing, packed, unpacking };
    struct Slot {
        std::unique_ptr<Buffer> input;
        std::unique_ptr<Buffer> output;
        std::unique_ptr<Event> copied_in;
        std::unique_ptr<Event> copied_out;
        Stage stage = Stage::free;
        std::exception_ptr error;
    };
    using Lock = std::unique_lock<std::mutex>;

    Slot& slot_at(int slot);
    const Slot& slot_at(int slot) const;
    Planes input_planes(const Slot& slot) const;
    ConstPlanes output_planes(const Slot& slot) const;
    void check_open() const;
    template <class Ready>
    void wait_until(Lock& lock, const Ready& ready);
    void enqueue(std::function<void()> job);
    void work();
    void run_pack(int slot, const Part& part, const Box& window, const Noise& noise);
    void run_unpack(int slot, std::int64_t ticket, const Box& crop, const Picture& picture, std::int64_t y,
                    std::int64_t x);
    void release(int slot);

    const std::unique_ptr<Device> device_;
    const TileShape shape_;
    const std::function<void()> check_interrupt_;
    const std::unique_ptr<Stream> copy_in_;
    const std::unique_ptr<Stream> copy_out_;

    mutable std::mutex mutex_;
    std::condition_variable changed_;  // anything a caller may wait for
    std::condition_variable queued_;   // anything a worker may wait for
    std::vector<Slot> slots_;
    std::deque<int> free_;
    std::deque<std::function<void()>> jobs_;
    std::int64_t next_ticket_ = 0;
    std::set<std::int64_t> unpacking_;
    std::map<std::int64_t, std::exception_ptr> failed_;
    bool closed_ = false;
    std::mutex joining_;
    std::vector<std::thread> workers_;
};

}  // namespace ourgan
