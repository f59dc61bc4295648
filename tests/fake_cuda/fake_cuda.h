// The controls of the stand-in for libcuda.so.1, to be used while none of its streams exists.
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// A clock other than the system's. Work is then done as soon as it is queued, at the time that it would have taken.
struct FakeClock {
    int64_t (*now)(void);  // in nanoseconds
    void (*sleep_until)(int64_t time);
    // What a thread works before each copy to the device that it queues, and after each event that it has waited for.
    int64_t host_work;
};

enum FakeWait { FAKE_WAITS_OF_FIRST_STREAM = 1, FAKE_WAITS_OF_THIRD_STREAM = 2, FAKE_WAITS_FOR_EVENTS = 4 };
enum FakeKind { FAKE_CONTEXTS, FAKE_DEVICE_MEMORY, FAKE_PINNED_MEMORY, FAKE_STREAMS, FAKE_EVENTS, FAKE_KINDS };

// One GPU of 8 GiB that never fails, and no delays.
void fake_reset(void);
void fake_set_devices(int count);
void fake_set_memory(int64_t bytes);
// How long each kind of work takes, in nanoseconds; copies of a few bytes take no time.
void fake_set_durations(int64_t copy_in, int64_t copy_out, int64_t kernel);
// Work takes up to so much longer, at random.
void fake_set_jitter(int64_t nanoseconds, uint64_t seed);
// Runs in the time of `clock` until the next reset.
void fake_simulate(const struct FakeClock* clock);
// After `successes` more calls one fails with `result`, and with a lost device all others from then on. Calls are the
// driver's functions without a suffix, "launch", and what streams do: "copy in", "copy out" and "kernel".
void fake_fail(const char* call, int successes, int result, int loses_device);
// Leaves out waits: a sum of FakeWait.
void fake_ignore(int waits);
// How many things of a FakeKind have been made and not yet freed.
int fake_live(int kind);

// The kernel of an engine: enlarges an interleaved tile (height, width, channels) by repetition, and sets the float
// `check` to the sum of all absolute values. Types are told by their size: 1 for uint8, 2 for float16, 4 for float32.
// Returns the driver's result.
int fake_launch_upscale(uint64_t stream, uint64_t input, uint64_t output, uint64_t check, int64_t height,
                        int64_t width, int64_t channels, int64_t scale, int input_bytes, int output_bytes);

#ifdef __cplusplus
}
#endif
