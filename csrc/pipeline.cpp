#include "pipeline.h"

#include <chrono>
#include <limits>
#include <string>
#include <utility>

namespace ourgan {
namespace {

constexpr std::chrono::milliseconds kInterruptPeriod{50};

void check_positive(const char* name, std::int64_t value, std::int64_t high) {
    if (value < 1 || value > high) {
        throw std::invalid_argument(std::string(name) + " must be in [1, " + std::to_string(high) + "], got " +
                                    std::to_string(value));
    }
}

// Throws std::invalid_argument unless the output tensor's size in bytes is a number of this machine.
TileShape checked(const TileShape& shape) {
    constexpr std::int64_t kMaxScale = 64;
    check_positive("channels", shape.channels, kMaxSide);
    check_positive("window_height", shape.height, kMaxSide);
    check_positive("window_width", shape.width, kMaxSide);
    check_positive("scale", shape.scale, kMaxScale);
    std::int64_t room = std::numeric_limits<std::int64_t>::max() / static_cast<std::int64_t>(sizeof(float));
    for (const std::int64_t factor : {shape.channels, shape.height, shape.width, shape.scale, shape.scale}) {
        room /= factor;
    }
    if (room == 0) throw std::invalid_argument("a tile this large cannot be addressed");
    return shape;
}

}  // namespace

Pipeline::Pipeline(std::unique_ptr<Device> device, const TileShape& shape, int slots, int threads,
                   std::function<void()> check_interrupt)
    : device_(std::move(device)),
      shape_(checked(shape)),
      check_interrupt_(std::move(check_interrupt)),
      copy_in_(device_->create_stream()),
      copy_out_(device_->create_stream()) {
    check_positive("slots", slots, 1024);
    check_positive("threads", threads, 1024);
    const auto bytes = static_cast<std::size_t>(shape_.channels * shape_.height * shape_.width) * sizeof(float);
    const auto area = static_cast<std::size_t>(shape_.scale * shape_.scale);
    for (int slot = 0; slot < slots; ++slot) {
        slots_.push_back({device_->allocate(bytes), device_->allocate(bytes * area), device_->create_event(),
                          device_->create_event(), Stage::free, nullptr});
        free_.push_back(slot);
    }
    try {
        for (int thread = 0; thread < threads; ++thread) workers_.emplace_back(&Pipeline::work, this);
    } catch (...) {
        close();  // the destructor does not run, and a running std::thread must not be destroyed
        throw;
    }
}

Pipeline::~Pipeline() { close(); }

float* Pipeline::input(int slot) const { return static_cast<float*>(slot_at(slot).input->host()); }

float* Pipeline::output(int slot) const { return static_cast<float*>(slot_at(slot).output->host()); }

int Pipeline::pack(const Part& part, const Box& window, const Noise& noise) {
    check_gather(part, window, input_planes(slots_.front()));
    Lock lock(mutex_);
    wait_until(lock, [this] { return closed_ || !free_.empty(); });
    check_open();
    const int slot = free_.front();
    enqueue([=] { run_pack(slot, part, window, noise); });
    free_.pop_front();
    slot_at(slot).stage = Stage::packing;
    return slot;
}

void Pipeline::packed(int slot) {
    Slot& taken = slot_at(slot);
    Lock lock(mutex_);
    if (taken.stage == Stage::free || taken.stage == Stage::unpacking) {
        throw std::invalid_argument("slot " + std::to_string(slot) + " holds no tile that was packed");
    }
    wait_until(lock, [&] { return taken.stage != Stage::packing; });
    if (taken.error) {
        const std::exception_ptr error = std::exchange(taken.error, nullptr);
        release(slot);
        std::rethrow_exception(error);
    }
}

std::int64_t Pipeline::unpack(int slot, const Box& crop, const Picture& picture, std::int64_t y, std::int64_t x) {
    Slot& taken = slot_at(slot);
    check_scatter(output_planes(taken), crop, picture, y, x);
    const Lock lock(mutex_);
    check_open();
    if (taken.stage != Stage::packed || taken.error) {
        throw std::invalid_argument("slot " + std::to_string(slot) + " holds no packed tile");
    }
    const std::int64_t ticket = next_ticket_;
    const auto position = unpacking_.insert(ticket).first;
    try {
        enqueue([=] { run_unpack(slot, ticket, crop, picture, y, x); });
    } catch (...) {
        unpacking_.erase(position);
        throw;
    }
    taken.stage = Stage::unpacking;
    ++next_ticket_;
    return ticket;
}

void Pipeline::wait(std::int64_t ticket) {
    Lock lock(mutex_);
    if (ticket < 0 || ticket >= next_ticket_) {
        throw std::invalid_argument("ticket must be in [0, " + std::to_string(next_ticket_) + "), got " +
                                    std::to_string(ticket));
    }
    wait_until(lock, [&] { return unpacking_.empty() || *unpacking_.begin() > ticket; });
    const auto first = failed_.begin();
    if (first == failed_.end() || first->first > ticket) return;
    const std::exception_ptr error = first->second;
    failed_.erase(first);
    std::rethrow_exception(error);
}

std::int64_t Pipeline::unfinished_ticket() const {
    const Lock lock(mutex_);
    return unpacking_.empty() ? next_ticket_ : *unpacking_.begin();
}

void Pipeline::close() {
    {
        const Lock lock(mutex_);
        closed_ = true;
    }
    changed_.notify_all();
    queued_.notify_all();
    const std::lock_guard<std::mutex> joining(joining_);
    for (std::thread& worker : workers_) worker.join();
    workers_.clear();
}

Pipeline::Slot& Pipeline::slot_at(int slot) {
    return const_cast<Slot&>(static_cast<const Pipeline*>(this)->slot_at(slot));
}

const Pipeline::Slot& Pipeline::slot_at(int slot) const {
    if (slot < 0 || slot >= static_cast<int>(slots_.size())) {
        throw std::out_of_range("slot must be in [0, " + std::to_string(slots_.size()) + "), got " +
                                std::to_string(slot));
    }
    return slots_[static_cast<std::size_t>(slot)];
}

Planes Pipeline::input_planes(const Slot& slot) const {
    return {static_cast<float*>(slot.input->host()), shape_.channels, shape_.height, shape_.width};
}

ConstPlanes Pipeline::output_planes(const Slot& slot) const {
    return {static_cast<const float*>(slot.output->host()), shape_.channels, shape_.scale * shape_.height,
            shape_.scale * shape_.width};
}

void Pipeline::check_open() const {
    if (closed_) throw std::runtime_error("the pipeline is closed");
}

template <class Ready>
void Pipeline::wait_until(Lock& lock, const Ready& ready) {
    while (!changed_.wait_for(lock, kInterruptPeriod, ready)) {
        lock.unlock();
        check_interrupt_();
        lock.lock();
    }
}

// The caller holds the mutex.
void Pipeline::enqueue(std::function<void()> job) {
    jobs_.push_back(std::move(job));
    queued_.notify_one();
}

void Pipeline::work() {
    Lock lock(mutex_);
    for (;;) {
        queued_.wait(lock, [this] { return closed_ || !jobs_.empty(); });
        if (jobs_.empty()) return;
        const std::function<void()> job = std::move(jobs_.front());
        jobs_.pop_front();
        lock.unlock();
        job();
        lock.lock();
    }
}

void Pipeline::run_pack(int slot, const Part& part, const Box& window, const Noise& noise) {
    Slot& taken = slot_at(slot);
    std::exception_ptr error;
    try {
        gather(part, window, noise, input_planes(taken), 1);
        device_->copy_in(*taken.input, *copy_in_);
        device_->record(*taken.copied_in, *copy_in_);
        device_->synchronize(*taken.copied_in);
    } catch (...) {
        error = std::current_exception();
    }
    {
        const Lock lock(mutex_);
        taken.error = std::move(error);
        taken.stage = Stage::packed;
    }
    changed_.notify_all();
}

void Pipeline::run_unpack(int slot, std::int64_t ticket, const Box& crop, const Picture& picture, std::int64_t y,
                          std::int64_t x) {
    Slot& taken = slot_at(slot);
    std::exception_ptr error;
    try {
        device_->copy_out(*taken.output, *copy_out_);
        device_->record(*taken.copied_out, *copy_out_);
        device_->synchronize(*taken.copied_out);
        const std::int64_t broken = scatter(output_planes(taken), crop, picture, y, x, 1);
        if (broken != 0) {
            throw NonFiniteError("tile " + std::to_string(ticket) + ", written at (" + std::to_string(y) + ", " +
                                 std::to_string(x) + "), has " + std::to_string(broken) + " non-finite values");
        }
    } catch (...) {
        error = std::current_exception();
    }
    const Lock lock(mutex_);
    if (error) failed_.emplace(ticket, std::move(error));
    unpacking_.erase(ticket);
    release(slot);
}

// The caller holds the mutex.
void Pipeline::release(int slot) {
    slot_at(slot).stage = Stage::free;
    free_.push_back(slot);
    changed_.notify_all();
}

}  // namespace ourgan
