#include "device.h"

#include <chrono>
#include <cstring>
#include <new>

namespace ourgan {
namespace {

constexpr std::align_val_t kAlignment{64};  // a cache line, and the widest vector register

class HostBuffer : public Buffer {
public:
    explicit HostBuffer(std::size_t bytes) : memory_(::operator new(bytes, kAlignment)) {
        std::memset(memory_, 0, bytes);
    }
    ~HostBuffer() override { ::operator delete(memory_, kAlignment); }
    HostBuffer(const HostBuffer&) = delete;
    HostBuffer& operator=(const HostBuffer&) = delete;

    void* host() const override { return memory_; }
    std::uintptr_t device() const override { return reinterpret_cast<std::uintptr_t>(memory_); }

private:
    void* memory_;
};

struct HostEvent : Event {
    std::chrono::steady_clock::time_point time;
};

}  // namespace

std::unique_ptr<Buffer> HostDevice::create_buffer(std::size_t bytes) { return std::make_unique<HostBuffer>(bytes); }
std::unique_ptr<Stream> HostDevice::create_stream() { return std::make_unique<Stream>(); }
std::unique_ptr<Event> HostDevice::create_event() { return std::make_unique<HostEvent>(); }

void HostDevice::record(Event& event, Stream&) {
    static_cast<HostEvent&>(event).time = std::chrono::steady_clock::now();
}

double HostDevice::seconds_between(Event& start, Event& end) {
    const auto passed = static_cast<HostEvent&>(end).time - static_cast<HostEvent&>(start).time;
    return std::chrono::duration<double>(passed).count();
}

}  // namespace ourgan
