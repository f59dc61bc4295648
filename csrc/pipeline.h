// Tiles in flight: while an engine runs one tile, worker threads pack the next and unpack the previous one, and the
// device copies both.
#pragma once

#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <variant>
#include <vector>

#include <concurrency.h>

#include "device.h"
#include "noise.h"
#include "pixels.h"

namespace ourgan {

// Size of the tensors of a pipeline: input (channels, height, width), output scale times as high and wide.
struct TileShape {
    std::int64_t channels;
    std::int64_t height;
    std::int64_t width;
    std::int64_t scale;
};

// How a pipeline's tensors lie in memory: planar (channels, height, width) and of float32, or interleaved (height,
// width, channels) and of uint8, float16 or float32.
struct TileFormat {
    PixelType input = PixelType::float32;
    PixelType output = PixelType::float32;
    bool interleaved = false;
};

// The life of a slot: pack() takes a free one and copies a tile towards the device, packed() lets the engine's work
// follow that copy, the engine runs or queues its work on stream(), unpack() lets the way back follow that work; the
// slot is free again once its output has been written. The host waits for the device in one place, where a tile has
// come back. All functions may be called from several threads. Pictures must stay alive until packed(slot) and
// wait(ticket) have returned.
class Pipeline {
public:
    // check_interrupt is called about every 50 ms by the thread that waits, and ends the wait by throwing.
    Pipeline(std::shared_ptr<Device> device, const TileShape& shape, const TileFormat& format, int slots, int threads,
             std::function<void()> check_interrupt);
    ~Pipeline();
    Pipeline(const Pipeline&) = delete;
    Pipeline& operator=(const Pipeline&) = delete;

    const TileShape& shape() const { return shape_; }
    const TileFormat& format() const { return format_; }
    // The stream of the engine's work.
    const Stream& stream() const { return compute_; }
    // A slot's tensors: the pipeline lets go of them in close(), whoever holds them may use them after that. Throw
    // std::out_of_range for no such slot, std::runtime_error once the pipeline is closed.
    std::shared_ptr<const Buffer> input(int slot) const { return tensor(slot, &Slot::input); }
    std::shared_ptr<const Buffer> output(int slot) const { return tensor(slot, &Slot::output); }
    // One float32 that the engine may set to tell by NaN or infinity that its output was not finite.
    std::shared_ptr<const Buffer> check(int slot) const { return tensor(slot, &Slot::check); }

    // Takes the slot that has been free the longest, waiting for one, and queues gather() into it.
    int pack(const Part& part, const Box& window, const Noise& noise);
    // Waits until the slot's input is on its way, and makes what is queued on the stream from now on follow it.
    // Rethrows what went wrong in packing it; the slot is then free.
    void packed(int slot);
    // Queues scatter() of the slot's output, after all that is on the stream. Tickets count up from 0.
    std::int64_t unpack(int slot, const Box& crop, const Picture& picture, std::int64_t y, std::int64_t x);
    // Waits until all unpacks up to and including `ticket` are done, and returns those of them that held values that
    // are not finite. Throws the first error among them. Tells each ticket and each error once.
    std::vector<std::int64_t> wait(std::int64_t ticket);
    // All unpacks before this ticket are done.
    std::int64_t unfinished_ticket() const;
    // Time that the unpacked tiles were in the engine: from packed() to unpack() in the stream's own time.
    double engine_seconds() const;

    // Finishes what is queued, joins the workers, waits for the device, and lets go of the tensors. Threads that wait
    // for a slot or a tile get std::runtime_error.
    void close();

private:
    enum class Stage { free, packing, packed, running, unpacking };
    struct Slot {
        std::shared_ptr<Buffer> input;
        std::shared_ptr<Buffer> output;
        std::shared_ptr<Buffer> check;
        std::unique_ptr<Event> copied_in;
        std::unique_ptr<Event> started;
        std::unique_ptr<Event> computed;
        std::unique_ptr<Event> copied_out;
        Stage stage = Stage::free;
        std::exception_ptr error;
    };
    using Lock = std::unique_lock<Mutex>;

    Slot create_slot();
    Slot& slot_at(int slot);
    const Slot& slot_at(int slot) const;
    std::shared_ptr<const Buffer> tensor(int slot, std::shared_ptr<Buffer> Slot::* which) const;
    std::variant<Planes, Picture> input_tile(const Slot& slot) const;
    std::variant<ConstPlanes, ConstPicture> output_tile(const Slot& slot) const;
    void check_open() const;
    template <class Ready>
    void wait_until(Lock& lock, const Ready& ready);
    void enqueue(std::function<void()> job);
    void work();
    void run_pack(int slot, const Part& part, const Box& window, const Noise& noise);
    void run_unpack(int slot, std::int64_t ticket, const Box& crop, const Picture& picture, std::int64_t y,
                    std::int64_t x);
    void release(int slot);
    void drain();

    const std::shared_ptr<Device> device_;
    const TileShape shape_;
    const TileFormat format_;
    const std::function<void()> check_interrupt_;
    const std::unique_ptr<Stream> copy_in_;
    const std::unique_ptr<Stream> copy_out_;
    Stream& compute_;  // the device's

    mutable Mutex mutex_;
    ConditionVariable changed_;  // anything a caller may wait for
    ConditionVariable queued_;   // anything a worker may wait for
    std::vector<Slot> slots_;
    std::deque<int> free_;
    std::deque<std::function<void()>> jobs_;
    std::int64_t next_ticket_ = 0;
    std::set<std::int64_t> unpacking_;
    std::set<std::int64_t> non_finite_;
    std::map<std::int64_t, std::exception_ptr> failed_;
    double engine_seconds_ = 0.0;
    bool closed_ = false;
    Mutex joining_;
    std::vector<Thread> workers_;
};

}  // namespace ourgan
