#include "cuda_device.h"

#include <stdexcept>

namespace ourgan {
namespace {

using Context = std::shared_ptr<const PrimaryContext>;

// Makes a context the calling thread's current one for as long as this lives.
class Current {
public:
    explicit Current(const PrimaryContext& context) : driver_(context.driver) {
        driver_.call(driver_.ctx_push_current, context.handle);
    }
    ~Current() {
        CUcontext popped;
        driver_.ctx_pop_current.pointer(&popped);
    }
    Current(const Current&) = delete;
    Current& operator=(const Current&) = delete;

private:
    const CudaDriver& driver_;
};

template <class... Parameters, class... Arguments>
void call(const Context& context, const DriverFunction<Parameters...>& function, Arguments... arguments) {
    const Current current(*context);
    context->driver.call(function, arguments...);
}

// For destructors: an error has nowhere to go from there. It belongs to earlier work, whose waits report it.
template <class... Parameters, class... Arguments>
void release(const Context& context, const DriverFunction<Parameters...>& function, Arguments... arguments) noexcept {
    const bool pushed = context->driver.ctx_push_current.pointer(context->handle) == CUDA_SUCCESS;
    function.pointer(arguments...);
    CUcontext popped;
    if (pushed) context->driver.ctx_pop_current.pointer(&popped);
}

// Host memory that the device copies from and to while the host goes on.
class PinnedMemory {
public:
    PinnedMemory(Context context, std::size_t bytes) : context_(std::move(context)) {
        call(context_, context_->driver.mem_host_alloc, &memory_, bytes, 0u);
    }
    ~PinnedMemory() { release(context_, context_->driver.mem_free_host, memory_); }
    PinnedMemory(const PinnedMemory&) = delete;
    PinnedMemory& operator=(const PinnedMemory&) = delete;

    void* get() const { return memory_; }

private:
    const Context context_;
    void* memory_ = nullptr;
};

class CudaBuffer : public Buffer {
public:
    CudaBuffer(const Context& context, std::size_t bytes) : host_(context, bytes), device_(context, bytes) {}

    void* host() const override { return host_.get(); }
    std::uintptr_t device() const override { return device_.address(); }
    std::size_t bytes() const { return device_.bytes(); }

private:
    const PinnedMemory host_;
    const DeviceMemory device_;
};

class CudaStream : public Stream {
public:
    explicit CudaStream(Context context) : context_(std::move(context)) {
        call(context_, context_->driver.stream_create, &handle_, CU_STREAM_NON_BLOCKING);
    }
    ~CudaStream() override { release(context_, context_->driver.stream_destroy, handle_); }
    CudaStream(const CudaStream&) = delete;
    CudaStream& operator=(const CudaStream&) = delete;

    std::uintptr_t native() const override { return reinterpret_cast<std::uintptr_t>(handle_); }
    CUstream handle() const { return handle_; }

private:
    const Context context_;
    CUstream handle_ = nullptr;
};

// Threads that wait for it sleep, and leave the processor to those that pack.
class CudaEvent : public Event {
public:
    explicit CudaEvent(Context context) : context_(std::move(context)) {
        call(context_, context_->driver.event_create, &handle_, CU_EVENT_BLOCKING_SYNC);
    }
    ~CudaEvent() override { release(context_, context_->driver.event_destroy, handle_); }
    CudaEvent(const CudaEvent&) = delete;
    CudaEvent& operator=(const CudaEvent&) = delete;

    CUevent handle() const { return handle_; }

private:
    const Context context_;
    CUevent handle_ = nullptr;
};

CudaBuffer& cuda(Buffer& buffer) { return static_cast<CudaBuffer&>(buffer); }
CUstream cuda(Stream& stream) { return static_cast<CudaStream&>(stream).handle(); }
CUevent cuda(Event& event) { return static_cast<CudaEvent&>(event).handle(); }

int device_count(const CudaDriver& driver) {
    int count = 0;
    driver.call(driver.init, 0u);
    driver.call(driver.device_get_count, &count);
    return count;
}

CUdevice find_device(const CudaDriver& driver, int ordinal) {
    const int count = device_count(driver);
    if (ordinal < 0 || ordinal >= count) {
        throw DeviceError("there is no CUDA device " + std::to_string(ordinal) + ": the driver finds " +
                          std::to_string(count) + ", counted from 0");
    }
    CUdevice device = 0;
    driver.call(driver.device_get, &device, ordinal);
    return device;
}

}  // namespace

PrimaryContext::PrimaryContext(const std::string& library, int ordinal)
    : driver(CudaDriver::load(library)), device(find_device(driver, ordinal)) {
    driver.call(driver.primary_ctx_retain, &handle, device);
}

PrimaryContext::~PrimaryContext() { driver.primary_ctx_release.pointer(device); }

DeviceMemory::DeviceMemory(Context context, std::size_t bytes) : context_(std::move(context)), bytes_(bytes) {
    call(context_, context_->driver.mem_alloc, &address_, bytes);
}

void DeviceMemory::release() {
    if (address_ != 0) ourgan::release(context_, context_->driver.mem_free, std::exchange(address_, 0));
}

CudaDevice::CudaDevice(int ordinal, const std::string& library)
    : ordinal_(ordinal),
      context_(std::make_shared<const PrimaryContext>(library, ordinal)),
      compute_stream_(create_stream()) {}

int CudaDevice::count(const std::string& library) {
    try {
        return device_count(CudaDriver::load(library));
    } catch (const DeviceError&) {
        return 0;
    }
}

std::string CudaDevice::name() const {
    char name[256] = {};
    context_->driver.call(context_->driver.device_get_name, name, static_cast<int>(sizeof name), context_->device);
    return name;
}

std::pair<int, int> CudaDevice::compute_capability() const {
    return {attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR),
            attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)};
}

int CudaDevice::attribute(int which) const {
    int value = 0;
    context_->driver.call(context_->driver.device_get_attribute, &value, which, context_->device);
    return value;
}

std::size_t CudaDevice::total_memory() const {
    std::size_t bytes = 0;
    context_->driver.call(context_->driver.device_total_mem, &bytes, context_->device);
    return bytes;
}

std::size_t CudaDevice::free_memory() const {
    std::size_t free = 0, total = 0;
    call(context_, context_->driver.mem_get_info, &free, &total);
    return free;
}

void CudaDevice::make_current() const { context_->driver.call(context_->driver.ctx_push_current, context_->handle); }

void CudaDevice::restore_current() const noexcept {
    CUcontext popped;
    context_->driver.ctx_pop_current.pointer(&popped);
}

int CudaDevice::driver_version() const {
    int version = 0;
    context_->driver.call(context_->driver.driver_get_version, &version);
    return version;
}

std::unique_ptr<DeviceMemory> CudaDevice::allocate(std::size_t bytes) const {
    if (bytes == 0) throw std::invalid_argument("bytes must be positive, got 0");
    return std::make_unique<DeviceMemory>(context_, bytes);
}

std::unique_ptr<Buffer> CudaDevice::create_buffer(std::size_t bytes) {
    return std::make_unique<CudaBuffer>(context_, bytes);
}
std::unique_ptr<Stream> CudaDevice::create_stream() { return std::make_unique<CudaStream>(context_); }
std::unique_ptr<Event> CudaDevice::create_event() { return std::make_unique<CudaEvent>(context_); }

void CudaDevice::copy_in(Buffer& buffer, Stream& stream) {
    const CudaBuffer& tensor = cuda(buffer);
    call(context_, context_->driver.memcpy_htod_async, tensor.device(), tensor.host(), tensor.bytes(), cuda(stream));
}

void CudaDevice::copy_out(Buffer& buffer, Stream& stream) {
    const CudaBuffer& tensor = cuda(buffer);
    call(context_, context_->driver.memcpy_dtoh_async, tensor.host(), tensor.device(), tensor.bytes(), cuda(stream));
}

void CudaDevice::record(Event& event, Stream& stream) {
    call(context_, context_->driver.event_record, cuda(event), cuda(stream));
}

void CudaDevice::wait(Stream& stream, Event& event) {
    call(context_, context_->driver.stream_wait_event, cuda(stream), cuda(event), 0u);
}

void CudaDevice::synchronize(Event& event) { call(context_, context_->driver.event_synchronize, cuda(event)); }

void CudaDevice::synchronize(Stream& stream) { call(context_, context_->driver.stream_synchronize, cuda(stream)); }

double CudaDevice::seconds_between(Event& start, Event& end) {
    float milliseconds = 0.0f;
    call(context_, context_->driver.event_elapsed_time, &milliseconds, cuda(start), cuda(end));
    return static_cast<double>(milliseconds) / 1000.0;
}

}  // namespace ourgan
