// An NVIDIA GPU behind the interface of devices, by way of the driver's functions alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "cuda_driver.h"
#include "device.h"

namespace ourgan {

// The primary context of a device, retained: the one that the CUDA runtime, and with it PyTorch, works in too.
struct PrimaryContext {
    // Throws DeviceError if there is no driver or no such device.
    PrimaryContext(const std::string& library, int ordinal);
    ~PrimaryContext();
    PrimaryContext(const PrimaryContext&) = delete;
    PrimaryContext& operator=(const PrimaryContext&) = delete;

    const CudaDriver& driver;
    const CUdevice device;
    CUcontext handle = nullptr;
};

// Memory on the device alone.
class DeviceMemory {
public:
    DeviceMemory(std::shared_ptr<const PrimaryContext> context, std::size_t bytes);
    ~DeviceMemory() { release(); }
    DeviceMemory(const DeviceMemory&) = delete;
    DeviceMemory& operator=(const DeviceMemory&) = delete;

    std::uintptr_t address() const { return static_cast<std::uintptr_t>(address_); }  // 0 once it is released
    std::size_t bytes() const { return bytes_; }
    // Waits for all work of the device and frees the memory, unless that has been done.
    void release();

private:
    const std::shared_ptr<const PrimaryContext> context_;
    const std::size_t bytes_;
    CUdeviceptr address_ = 0;
};

// Every function but make_current() and restore_current() leaves the calling thread's current context as it was.
class CudaDevice : public Device {
public:
    // library: the driver's file, "" for the system's. Throws DeviceError if there is no such device.
    explicit CudaDevice(int ordinal, const std::string& library);
    // 0 as well where there is no driver.
    static int count(const std::string& library);

    int ordinal() const { return ordinal_; }
    std::string name() const;
    std::pair<int, int> compute_capability() const;
    std::size_t total_memory() const;
    std::size_t free_memory() const;
    // The newest CUDA that the driver knows, as 1000 * major + 10 * minor.
    int driver_version() const;
    // Makes the primary context the calling thread's current one, for libraries that work in whatever that is.
    void make_current() const;
    // Undoes the thread's last make_current().
    void restore_current() const noexcept;
    // Throws DeviceMemoryError if there is not that much, std::invalid_argument for no bytes.
    std::unique_ptr<DeviceMemory> allocate(std::size_t bytes) const;

    std::unique_ptr<Buffer> create_buffer(std::size_t bytes) override;
    std::unique_ptr<Stream> create_stream() override;
    std::unique_ptr<Event> create_event() override;
    Stream& compute_stream() override { return *compute_stream_; }
    void copy_in(Buffer& buffer, Stream& stream) override;
    void copy_out(Buffer& buffer, Stream& stream) override;
    void record(Event& event, Stream& stream) override;
    void wait(Stream& stream, Event& event) override;
    void synchronize(Event& event) override;
    void synchronize(Stream& stream) override;
    double seconds_between(Event& start, Event& end) override;

private:
    int attribute(int which) const;

    const int ordinal_;
    const std::shared_ptr<const PrimaryContext> context_;
    const std::unique_ptr<Stream> compute_stream_;
};

}  // namespace ourgan
