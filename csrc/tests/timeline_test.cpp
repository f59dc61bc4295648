// How long a pass takes, in a simulated time in which nothing else takes any: the pipeline as it is, with
// simulated/concurrency.h in the place of csrc/concurrency.h, on the stand-in for a CUDA device.
#include <cmath>

#include "check.h"
#include "cuda_device.h"
#include "passes.h"

using namespace ourgan;

namespace {

constexpr Nanoseconds kMillisecond = 1'000'000;
constexpr int kTiles = 100;

// Milliseconds for a pass with copies of 2 ms, an engine of 10 ms, and 3 ms each for packing and unpacking.
double pass_time(int slots) {
    const FakeClock clock{
        [] { return Simulation::instance().now(); },
        [](std::int64_t time) {
            while (Simulation::instance().now() < time) Simulation::instance().wait(time);
        },
        3 * kMillisecond,
    };
    const Grid grid(40, 50, 2, 10, 10);
    const std::vector<std::uint8_t> source = test_picture(grid);
    std::vector<std::uint8_t> target(source.size() * kPassScale * kPassScale);
    fake_reset();
    fake_simulate(&clock);
    fake_set_durations(2 * kMillisecond, 2 * kMillisecond, 10 * kMillisecond);
    const Nanoseconds start = clock.now();
    double engine_seconds = 0.0;
    Nanoseconds end = 0;
    {
        Pipeline pipeline(std::make_shared<CudaDevice>(0, FAKE_CUDA), tile_shape(grid), kPassFormat, slots, slots,
                          [] {});
        CHECK(run_pass(pipeline, slots, grid, source, target));
        end = clock.now();
        engine_seconds = pipeline.engine_seconds();
    }
    fake_reset();
    CHECK(target == enlarged(grid, source));
    CHECK(std::fabs(engine_seconds - 0.010 * kTiles) < 1e-9);
    return static_cast<double>(end - start) / kMillisecond;
}

}  // namespace

TEST(one_slot_takes_what_serial_work_takes) { CHECK(pass_time(1) == kTiles * (3 + 2 + 10 + 2 + 3)); }

// A tile is packed while the one before it runs, but the one after it only when that one is back.
TEST(with_two_slots_the_engine_waits_every_other_time) { CHECK(pass_time(2) == kTiles / 2 * (10 + 20)); }

TEST(with_three_slots_the_engine_never_waits) {
    // Before the first tile and after the last one it has nothing to do.
    CHECK(pass_time(3) == (3 + 2) + kTiles * 10 + (2 + 3));
    CHECK(pass_time(3) <= 1.05 * kTiles * 10);
}
