#include "device.h"

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
    void* device() const override { return memory_; }

private:
    void* memory_;
};

}  // namespace

std::unique_ptr<Buffer> HostDevice::allocate(std::size_t bytes) { return std::make_unique<HostBuffer>(bytes); }
std::unique_ptr<Stream> HostDevice::create_stream() { return std::make_unique<Stream>(); }
std::unique_ptr<Event> HostDevice::create_event() { return std::make_unique<Event>(); }

}  // namespace ourgan
