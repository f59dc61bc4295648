// Where an engine keeps its tensors, seen by the pipeline as buffers, streams and events.
#pragma once

#include <cstddef>
#include <memory>

namespace ourgan {

// A tensor on the device and its staging memory on the host; one and the same where the device is the host.
class Buffer {
public:
    virtual ~Buffer() = default;
    virtual void* host() const = 0;
    virtual void* device() const = 0;
};

// An ordered queue of copies. Opaque: only its device knows what it is.
class Stream {
public:
    virtual ~Stream() = default;
};

// A point in a stream that the host can wait for.
class Event {
public:
    virtual ~Event() = default;
};

// Functions may be called from several threads at once and throw std::runtime_error when the device fails.
class Device {
public:
    virtual ~Device() = default;
    virtual std::unique_ptr<Buffer> allocate(std::size_t bytes) = 0;
    virtual std::unique_ptr<Stream> create_stream() = 0;
    virtual std::unique_ptr<Event> create_event() = 0;

    virtual void copy_in(Buffer& buffer, Stream& stream) = 0;   // queues host -> device
    virtual void copy_out(Buffer& buffer, Stream& stream) = 0;  // queues device -> host
    virtual void record(Event& event, Stream& stream) = 0;      // the event follows all that is queued by now
    virtual void synchronize(Event& event) = 0;                 // waits until the event has been reached
};

// The processor itself: staging and device memory coincide, so every copy is done before it is asked for.
class HostDevice : public Device {
public:
    std::unique_ptr<Buffer> allocate(std::size_t bytes) override;
    std::unique_ptr<Stream> create_stream() override;
    std::unique_ptr<Event> create_event() override;
    void copy_in(Buffer&, Stream&) override {}
    void copy_out(Buffer&, Stream&) override {}
    void record(Event&, Stream&) override {}
    void synchronize(Event&) override {}
};

}  // namespace ourgan
