// A pass on the stand-in for a CUDA device under random delays. The argument is a sum of FakeWait, the waits that the
// driver leaves out: none of them may be missing, which the picture or ThreadSanitizer shows.
#include <cstdio>
#include <cstdlib>

#include "cuda_device.h"
#include "passes.h"

using namespace ourgan;

int main(int argc, char** argv) {
    const Grid grid(61, 83, 5, 4, 6);
    const std::vector<std::uint8_t> source = test_picture(grid);
    bool whole = true;
    for (int slots = 1; slots <= 4; ++slots) {
        fake_reset();
        fake_set_jitter(500'000, static_cast<std::uint64_t>(slots));
        fake_ignore(argc > 1 ? std::atoi(argv[1]) : 0);
        std::vector<std::uint8_t> target(source.size() * kPassScale * kPassScale);
        {
            Pipeline pipeline(std::make_shared<CudaDevice>(0, FAKE_CUDA), tile_shape(grid), kPassFormat, slots, slots,
                              [] {});
            whole = run_pass(pipeline, slots, grid, source, target) && whole;
        }
        whole = whole && target == enlarged(grid, source);
        for (int kind = 0; kind < FAKE_KINDS; ++kind) whole = whole && fake_live(kind) == 0;
    }
    std::puts(whole ? "passed" : "FAILED");
    return whole ? 0 : 1;
}
