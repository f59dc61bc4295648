#include "pipeline.h"

#include <chrono>
#include <cmath>
#include <limits>
#include <stdexcept>
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

TileFormat checked(const TileFormat& format) {
    if (format.input == PixelType::uint16 || format.output == PixelType::uint16) {
        throw std::invalid_argument("tiles must be of uint8, float16 or float32, got uint16");
    }
    if (!format.interleaved && (format.input != PixelType::float32 || format.output != PixelType::float32)) {
        throw std::invalid_argument("planar tiles must be of float32: other types are for interleaved ones");
    }
    return format;
}

}  // namespace

Pipeline::Pipeline(std::shared_ptr<Device> device, const TileShape& shape, const TileFormat& format, int slots,
                   int threads, std::function<void()> check_interrupt)
    : device_(std::move(device)),
      shape_(checked(shape)),
      format_(checked(format)),
      check_interrupt_(std::move(check_interrupt)),
      copy_in_(device_->create_stream()),
      copy_out_(device_->create_stream()),
      compute_(device_->compute_stream()) {
    check_positive("slots", slots, 1024);
    check_positive("threads", threads, 1024);
    for (int slot = 0; slot < slots; ++slot) {
        slots_.push_back(create_slot());
        free_.push_back(slot);
    }
    try {
        for (int thread = 0; thread < threads; ++thread) workers_.emplace_back(&Pipeline::work, this);
    } catch (...) {
        close();  // the destructor does not run, and a running thread must not be destroyed
        throw;
    }
}

Pipeline::~Pipeline() { close(); }

Pipeline::Slot Pipeline::create_slot() {
    const auto values = static_cast<std::size_t>(shape_.channels * shape_.height * shape_.width);
    const auto area = static_cast<std::size_t>(shape_.scale * shape_.scale);
    Slot slot;
    slot.input = device_->create_buffer(values * static_cast<std::size_t>(bytes_of(format_.input)));
    slot.output = device_->create_buffer(values * area * static_cast<std::size_t>(bytes_of(format_.output)));
    slot.check = device_->create_buffer(sizeof(float));
    for (auto event : {&Slot::copied_in, &Slot::started, &Slot::computed, &Slot::copied_out}) {
        slot.*event = device_->create_event();
    }
    return slot;
}

int Pipeline::pack(const Part& part, const Box& window, const Noise& noise) {
    Lock lock(mutex_);
    check_open();
    std::visit([&](const auto& tile) { check_gather(part, window, noise, tile); }, input_tile(slots_.front()));
    wait_until(lock, [this] { return closed_ || !free_.empty(); });
    check_open();
    const int slot = free_.front();
    enqueue([=] { run_pack(slot, part, window, noise); });
    free_.pop_front();
    slot_at(slot).stage = Stage::packing;
    return slot;
}

void Pipeline::packed(int slot) {
    Lock lock(mutex_);
    check_open();
    Slot& taken = slot_at(slot);
    wait_until(lock, [&] { return closed_ || taken.stage != Stage::packing; });
    check_open();
    if (taken.stage != Stage::packed) {
        throw std::invalid_argument("slot " + std::to_string(slot) + " holds no tile that was packed");
    }
    if (taken.error) {
        const std::exception_ptr error = std::exchange(taken.error, nullptr);
        release(slot);
        std::rethrow_exception(error);
    }
    device_->wait(compute_, *taken.copied_in);
    device_->record(*taken.started, compute_);
    taken.stage = Stage::running;
}

std::int64_t Pipeline::unpack(int slot, const Box& crop, const Picture& picture, std::int64_t y, std::int64_t x) {
    const Lock lock(mutex_);
    check_open();
    Slot& taken = slot_at(slot);
    std::visit([&](const auto& tile) { check_scatter(tile, crop, picture, y, x); }, output_tile(taken));
    if (taken.stage != Stage::running) {
        throw std::invalid_argument("slot " + std::to_string(slot) + " holds no packed tile");
    }
    // Should one of these fail, the slot stays the caller's.
    device_->record(*taken.computed, compute_);
    device_->wait(*copy_out_, *taken.computed);
    device_->copy_out(*taken.output, *copy_out_);
    device_->copy_out(*taken.check, *copy_out_);
    device_->record(*taken.copied_out, *copy_out_);
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

std::vector<std::int64_t> Pipeline::wait(std::int64_t ticket) {
    Lock lock(mutex_);
    if (ticket < 0 || ticket >= next_ticket_) {
        throw std::invalid_argument("ticket must be in [0, " + std::to_string(next_ticket_) + "), got " +
                                    std::to_string(ticket));
    }
    wait_until(lock, [&] { return unpacking_.empty() || *unpacking_.begin() > ticket; });
    const auto first = failed_.begin();
    if (first != failed_.end() && first->first <= ticket) {
        const std::exception_ptr error = first->second;
        failed_.erase(first);
        std::rethrow_exception(error);
    }
    const auto end = non_finite_.upper_bound(ticket);
    const std::vector<std::int64_t> told(non_finite_.begin(), end);
    non_finite_.erase(non_finite_.begin(), end);
    return told;
}

std::int64_t Pipeline::unfinished_ticket() const {
    const Lock lock(mutex_);
    return unpacking_.empty() ? next_ticket_ : *unpacking_.begin();
}

double Pipeline::engine_seconds() const {
    const Lock lock(mutex_);
    return engine_seconds_;
}

void Pipeline::close() {
    {
        const Lock lock(mutex_);
        closed_ = true;
    }
    changed_.notify_all();
    queued_.notify_all();
    const std::lock_guard<Mutex> joining(joining_);
    for (Thread& worker : workers_) worker.join();
    workers_.clear();
    drain();
    std::vector<Slot> freed;  // without the mutex: freeing a device's memory takes its time
    const Lock lock(mutex_);
    freed.swap(slots_);
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

std::shared_ptr<const Buffer> Pipeline::tensor(int slot, std::shared_ptr<Buffer> Slot::* which) const {
    const Lock lock(mutex_);
    check_open();
    return slot_at(slot).*which;
}

std::variant<Planes, Picture> Pipeline::input_tile(const Slot& slot) const {
    void* const data = slot.input->host();
    const std::int64_t channels = shape_.channels, height = shape_.height, width = shape_.width;
    if (!format_.interleaved) return Planes{static_cast<float*>(data), channels, height, width};
    return Picture{static_cast<std::byte*>(data), format_.input, height, width, channels,
                   width * channels * bytes_of(format_.input)};
}

std::variant<ConstPlanes, ConstPicture> Pipeline::output_tile(const Slot& slot) const {
    const void* const data = slot.output->host();
    const std::int64_t channels = shape_.channels, height = shape_.scale * shape_.height;
    const std::int64_t width = shape_.scale * shape_.width;
    if (!format_.interleaved) return ConstPlanes{static_cast<const float*>(data), channels, height, width};
    return ConstPicture{static_cast<const std::byte*>(data), format_.output, height, width, channels,
                        width * channels * bytes_of(format_.output)};
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
        std::visit([&](const auto& tile) { gather(part, window, noise, tile, 1); }, input_tile(taken));
        device_->copy_in(*taken.input, *copy_in_);
        device_->record(*taken.copied_in, *copy_in_);
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
    bool finite = true;
    double seconds = 0.0;
    try {
        device_->synchronize(*taken.copied_out);
        seconds = device_->seconds_between(*taken.started, *taken.computed);
        const auto write = [&](const auto& tile) { return scatter(tile, crop, picture, y, x, 1); };
        const std::int64_t broken = std::visit(write, output_tile(taken));
        finite = broken == 0 && std::isfinite(*static_cast<const float*>(taken.check->host()));
    } catch (...) {
        error = std::current_exception();
    }
    const Lock lock(mutex_);
    if (error) failed_.emplace(ticket, std::move(error));
    if (!finite) non_finite_.insert(ticket);
    engine_seconds_ += seconds;
    unpacking_.erase(ticket);
    release(slot);
}

// The caller holds the mutex.
void Pipeline::release(int slot) {
    slot_at(slot).stage = Stage::free;
    free_.push_back(slot);
    changed_.notify_all();
}

// Waits for all work of the device, so that nothing that it uses is freed too early, even if a tile was given up.
void Pipeline::drain() {
    for (Stream* stream : {copy_in_.get(), &compute_, copy_out_.get()}) {
        try {
            device_->synchronize(*stream);
        } catch (const DeviceError&) {
            // A device that fails does no more work. The error has been or will be told by whoever waits for a tile.
        }
    }
}

}  // namespace ourgan
