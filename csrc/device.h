// Where an engine keeps its tensors, seen by the pipeline as buffers, streams and events.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>

namespace ourgan {

// A device, or the driver that leads to it, failed.
class DeviceError : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

// There is not enough memory on the device, or no more of the host's that it can read.
class DeviceMemoryError : public DeviceError {
public:
    using DeviceError::DeviceError;
};

// A tensor on the device and its staging memory on the host; one and the same where the device is the host.
class Buffer {
public:
    virtual ~Buffer() = default;
    virtual void* host() const = 0;
    virtual std::uintptr_t device() const = 0;
};

// An ordered queue of work.
class Stream {
public:
    virtual ~Stream() = default;
    // What the device's own interface knows it by, for engines.
    virtual std::uintptr_t native() const { return 0; }
};

// A point in a stream that other streams and the host can wait for.
class Event {
public:
    virtual ~Event() = default;
};

// Functions may be called from several threads at once and throw DeviceError when the device fails. Buffers, streams
// and events are used with the device that made them.
class Device {
public:
    virtual ~Device() = default;
    virtual std::unique_ptr<Buffer> create_buffer(std::size_t bytes) = 0;
    virtual std::unique_ptr<Stream> create_stream() = 0;
    virtual std::unique_ptr<Event> create_event() = 0;
    // Where engines queue their work: one stream for all of a device's, since some engines keep to one.
    virtual Stream& compute_stream() = 0;

    virtual void copy_in(Buffer& buffer, Stream& stream) = 0;   // queues host -> device
    virtual void copy_out(Buffer& buffer, Stream& stream) = 0;  // queues device -> host
    virtual void record(Event& event, Stream& stream) = 0;      // the event follows all that is queued by now
    virtual void wait(Stream& stream, Event& event) = 0;        // what is queued from now on follows the event
    virtual void synchronize(Event& event) = 0;                 // the host waits until the event has been reached
    virtual void synchronize(Stream& stream) = 0;               // the host waits until all that is queued is done
    // Between two events that have been reached.
    virtual double seconds_between(Event& start, Event& end) = 0;
};

// The processor itself: staging and device memory coincide, so every copy is done before it is asked for.
class HostDevice : public Device {
public:
    std::unique_ptr<Buffer> create_buffer(std::size_t bytes) override;
    std::unique_ptr<Stream> create_stream() override;
    std::unique_ptr<Event> create_event() override;
    Stream& compute_stream() override { return compute_stream_; }
    void copy_in(Buffer&, Stream&) override {}
    void copy_out(Buffer&, Stream&) override {}
    void record(Event& event, Stream&) override;
    void wait(Stream&, Event&) override {}
    void synchronize(Event&) override {}
    void synchronize(Stream&) override {}
    double seconds_between(Event& start, Event& end) override;

private:
    Stream compute_stream_;
};

}  // namespace ourgan
