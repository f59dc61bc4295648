#include "pipeline.h"

#include <atomic>
#include <chrono>
#include <cmath>
#include <limits>
#include <thread>

#include "check.h"

using namespace ourgan;

namespace {

constexpr std::int64_t kScale = 2;
constexpr std::int64_t kChannels = 3;

void ignore_interrupts() {}

// A host device on which a chosen copy or wait fails.
class FailingDevice : public HostDevice {
public:
    FailingDevice(int failing_copy_in, int failing_synchronize)
        : copies_(failing_copy_in), synchronizations_(failing_synchronize) {}
    void copy_in(Buffer&, Stream&) override {
        if (copies_-- == 0) throw DeviceError("copy to the device failed");
    }
    void synchronize(Event&) override {
        if (synchronizations_-- == 0) throw DeviceError("the device failed");
    }
    using HostDevice::synchronize;

private:
    std::atomic<int> copies_;
    std::atomic<int> synchronizations_;
};

struct Image {
    std::int64_t height;
    std::int64_t width;
    std::vector<std::uint16_t> pixels;

    Image(std::int64_t h, std::int64_t w) : height(h), width(w), pixels(static_cast<std::size_t>(h * w * kChannels)) {}
    Picture picture() {
        return {reinterpret_cast<std::byte*>(pixels.data()), PixelType::uint16, height, width, kChannels,
                width * kChannels * 2};
    }
    ConstPicture readonly() const {
        return {reinterpret_cast<const std::byte*>(pixels.data()), PixelType::uint16, height, width, kChannels,
                width * kChannels * 2};
    }
};

Image test_image(std::int64_t height, std::int64_t width) {
    Image image(height, width);
    for (std::size_t i = 0; i < image.pixels.size(); ++i) {
        image.pixels[i] = static_cast<std::uint16_t>(i * 2654435761u >> 7);
    }
    return image;
}

// The engine of these tests: every pixel twice in both directions.
void upscale(const float* input, float* output, const TileShape& shape) {
    for (std::int64_t row = 0; row < shape.channels * shape.height * kScale; ++row) {
        for (std::int64_t x = 0; x < shape.width * kScale; ++x) {
            output[row * shape.width * kScale + x] = input[row / kScale * shape.width + x / kScale];
        }
    }
}

Box crop_of(const Tile& tile) {
    return {kScale * (tile.core.y0 - tile.window.y0), kScale * (tile.core.x0 - tile.window.x0),
            kScale * (tile.core.y1 - tile.window.y0), kScale * (tile.core.x1 - tile.window.x0)};
}

std::vector<Tile> tiles_of(const Grid& grid) {
    std::vector<Tile> tiles;
    for (std::int64_t i = 0; i < grid.rows() * grid.columns(); ++i) {
        tiles.push_back(grid.tile(i / grid.columns(), i % grid.columns()));
    }
    return tiles;
}

Pipeline pipeline_for(const Grid& grid, int slots, int threads) {
    return Pipeline(std::make_shared<HostDevice>(), {kChannels, grid.window_height(), grid.window_width(), kScale},
                    {}, slots, threads, ignore_interrupts);
}

float* values(const std::shared_ptr<const Buffer>& buffer) { return static_cast<float*>(buffer->host()); }

// One pass as a renderer drives it: the next tile is packed before this one runs.
void render(Pipeline& pipeline, int slots, const Grid& grid, const Image& source, Image& target) {
    const std::vector<Tile> tiles = tiles_of(grid);
    const Noise noise{5, 256, 0.1f};
    int next = pipeline.pack(source.readonly(), tiles[0].window, noise);
    std::int64_t ticket = 0;
    for (std::size_t i = 0; i < tiles.size(); ++i) {
        const int slot = next;
        pipeline.packed(slot);
        if (i + 1 < tiles.size() && slots > 1) {
            next = pipeline.pack(source.readonly(), tiles[i + 1].window, noise);
        }
        upscale(values(pipeline.input(slot)), values(pipeline.output(slot)), pipeline.shape());
        ticket = pipeline.unpack(slot, crop_of(tiles[i]), target.picture(), kScale * tiles[i].core.y0,
                                 kScale * tiles[i].core.x0);
        if (i + 1 < tiles.size() && slots == 1) {
            next = pipeline.pack(source.readonly(), tiles[i + 1].window, noise);
        }
    }
    pipeline.wait(ticket);
}

}  // namespace

TEST(any_number_of_slots_and_threads_gives_the_same_picture) {
    const Image source = test_image(61, 83);
    const Grid grid(61, 83, 5, 4, 6);
    Image expected(122, 166);
    for (const Tile& tile : tiles_of(grid)) {
        const TileShape shape{kChannels, grid.window_height(), grid.window_width(), kScale};
        std::vector<float> input(static_cast<std::size_t>(shape.channels * shape.height * shape.width));
        std::vector<float> output(input.size() * kScale * kScale);
        gather(source.readonly(), tile.window, {5, 256, 0.1f},
               {input.data(), shape.channels, shape.height, shape.width}, 1);
        upscale(input.data(), output.data(), shape);
        scatter({output.data(), shape.channels, kScale * shape.height, kScale * shape.width}, crop_of(tile),
                expected.picture(), kScale * tile.core.y0, kScale * tile.core.x0, 1);
    }
    for (const int slots : {1, 2, 3, 7}) {
        for (const int threads : {1, 2, 4}) {
            Image target(122, 166);
            Pipeline pipeline = pipeline_for(grid, slots, threads);
            render(pipeline, slots, grid, source, target);
            CHECK(target.pixels == expected.pixels);
        }
    }
}

// With a view that goes on reading, and threads that wait for a slot or come late.
TEST(close_lets_go_of_the_tensors_and_refuses_those_who_come_later) {
    const Image source = test_image(40, 50);
    const Grid grid(40, 50, 3, 3, 3);
    Pipeline pipeline = pipeline_for(grid, 1, 1);
    std::shared_ptr<const Buffer> input = pipeline.input(0);
    const std::weak_ptr<const Buffer> output = pipeline.output(0);
    pipeline.packed(pipeline.pack(source.readonly(), tiles_of(grid)[0].window, {}));
    const float expected = values(input)[7];
    std::atomic<int> refused{0};
    std::vector<std::thread> others;
    for (int i = 0; i < 3; ++i) {
        others.emplace_back([&] {
            try {
                pipeline.pack(source.readonly(), tiles_of(grid)[1].window, {});
            } catch (const std::runtime_error&) {
                ++refused;
            }
        });
        others.emplace_back([&] {
            try {
                while (pipeline.output(0)) std::this_thread::sleep_for(std::chrono::milliseconds(1));
            } catch (const std::runtime_error&) {
                ++refused;
            }
        });
    }
    pipeline.close();
    for (std::thread& other : others) other.join();
    CHECK(refused == 6);
    CHECK(output.expired());
    CHECK(values(input)[7] == expected);
    CHECK_THROWS(pipeline.packed(0), std::runtime_error, "the pipeline is closed");
    CHECK_THROWS(pipeline.unpack(0, {0, 0, 1, 1}, {}, 0, 0), std::runtime_error, "the pipeline is closed");
}

TEST(many_pipelines_at_once) {
    const Image source = test_image(40, 50);
    const Grid grid(40, 50, 3, 3, 3);
    std::vector<Image> targets(6, Image(80, 100));
    std::vector<std::thread> renderers;
    for (Image& target : targets) {
        renderers.emplace_back([&] {
            Pipeline pipeline = pipeline_for(grid, 3, 2);
            render(pipeline, 3, grid, source, target);
        });
    }
    for (std::thread& renderer : renderers) renderer.join();
    for (const Image& target : targets) CHECK(target.pixels == targets[0].pixels);
}

TEST(one_pipeline_may_be_driven_by_several_threads) {
    const Image source = test_image(40, 50);
    const Grid grid(40, 50, 3, 3, 3);
    const std::vector<Tile> tiles = tiles_of(grid);
    Image target(80, 100);
    Pipeline pipeline = pipeline_for(grid, 2, 2);
    std::atomic<std::size_t> next{0};
    const auto drive = [&] {
        for (std::size_t i = next++; i < tiles.size(); i = next++) {
            const int slot = pipeline.pack(source.readonly(), tiles[i].window, {});
            pipeline.packed(slot);
            upscale(values(pipeline.input(slot)), values(pipeline.output(slot)), pipeline.shape());
            pipeline.wait(pipeline.unpack(slot, crop_of(tiles[i]), target.picture(), kScale * tiles[i].core.y0,
                                          kScale * tiles[i].core.x0));
        }
    };
    std::thread other(drive);
    drive();
    other.join();
    for (std::int64_t y = 0; y < 80; ++y) {
        for (std::int64_t x = 0; x < 300; ++x) {
            const auto from = static_cast<std::size_t>(y / 2 * 150 + x / 6 * 3 + x % 3);
            CHECK(target.pixels[static_cast<std::size_t>(y * 300 + x)] == source.pixels[from]);
        }
    }
}

TEST(a_failed_copy_in_is_rethrown_and_frees_the_slot) {
    const Image source = test_image(8, 8);
    Pipeline pipeline(std::make_shared<FailingDevice>(0, -1), {kChannels, 8, 8, kScale}, {}, 1, 1, ignore_interrupts);
    const int slot = pipeline.pack(source.readonly(), {0, 0, 8, 8}, {});
    CHECK_THROWS(pipeline.packed(slot), std::runtime_error, "copy to the device failed");
    CHECK_THROWS(pipeline.packed(slot), std::invalid_argument, "holds no tile");
    pipeline.packed(pipeline.pack(source.readonly(), {0, 0, 8, 8}, {}));
}

TEST(a_failed_tile_is_rethrown_once) {
    const Image source = test_image(8, 8);
    Image target(16, 16);
    Pipeline pipeline(std::make_shared<FailingDevice>(-1, 0), {kChannels, 8, 8, kScale}, {}, 1, 1, ignore_interrupts);
    for (int tile = 0; tile < 2; ++tile) {
        const int slot = pipeline.pack(source.readonly(), {0, 0, 8, 8}, {});
        pipeline.packed(slot);
        pipeline.unpack(slot, {0, 0, 16, 16}, target.picture(), 0, 0);
    }
    CHECK_THROWS(pipeline.wait(1), DeviceError, "the device failed");
    pipeline.wait(1);
}

TEST(non_finite_tiles_are_told_once) {
    const Image source = test_image(8, 8);
    Image target(80, 80);
    Pipeline pipeline(std::make_shared<HostDevice>(), {kChannels, 8, 8, kScale}, {}, 2, 2, ignore_interrupts);
    const int slot = pipeline.pack(source.readonly(), {0, 0, 8, 8}, {});
    pipeline.packed(slot);
    values(pipeline.output(slot))[5] = std::nanf("");
    CHECK(pipeline.unpack(slot, {0, 0, 16, 16}, target.picture(), 32, 48) == 0);
    CHECK(pipeline.wait(0) == std::vector<std::int64_t>{0});
    CHECK(pipeline.wait(0).empty());
}

TEST(closing_finishes_what_is_queued) {
    const Image source = test_image(8, 8);
    Image target(16, 16);
    Pipeline pipeline(std::make_shared<HostDevice>(), {kChannels, 8, 8, kScale}, {}, 3, 1, ignore_interrupts);
    const int slot = pipeline.pack(source.readonly(), {0, 0, 8, 8}, {});
    pipeline.packed(slot);
    upscale(values(pipeline.input(slot)), values(pipeline.output(slot)), pipeline.shape());
    pipeline.pack(source.readonly(), {0, 0, 8, 8}, {});
    pipeline.unpack(slot, {0, 0, 16, 16}, target.picture(), 0, 0);
    pipeline.close();
    pipeline.close();
    CHECK(target.pixels[0] == source.pixels[0] && target.pixels.back() == source.pixels.back());
    CHECK_THROWS(pipeline.pack(source.readonly(), {0, 0, 8, 8}, {}), std::runtime_error, "closed");
    pipeline.wait(0);
}

TEST(closing_wakes_who_waits_for_a_slot) {
    const Image source = test_image(8, 8);
    Pipeline pipeline(std::make_shared<HostDevice>(), {kChannels, 8, 8, kScale}, {}, 1, 1, ignore_interrupts);
    pipeline.pack(source.readonly(), {0, 0, 8, 8}, {});
    std::thread closer([&] { pipeline.close(); });
    CHECK_THROWS(pipeline.pack(source.readonly(), {0, 0, 8, 8}, {}), std::runtime_error, "closed");
    closer.join();
}

TEST(an_interrupt_ends_a_wait) {
    const Image source = test_image(8, 8);
    Pipeline pipeline(std::make_shared<HostDevice>(), {kChannels, 8, 8, kScale}, {}, 1, 1,
                      [] { throw std::logic_error("interrupted"); });
    const int slot = pipeline.pack(source.readonly(), {0, 0, 8, 8}, {});
    CHECK_THROWS(pipeline.pack(source.readonly(), {0, 0, 8, 8}, {}), std::logic_error, "interrupted");
    pipeline.packed(slot);
}

TEST(bad_pipelines_are_refused) {
    const auto make = [](TileShape shape, int slots, int threads) {
        Pipeline(std::make_shared<HostDevice>(), shape, {}, slots, threads, ignore_interrupts);
    };
    const auto make_format = [](TileFormat format) {
        Pipeline(std::make_shared<HostDevice>(), {3, 8, 8, 2}, format, 1, 1, ignore_interrupts);
    };
    CHECK_THROWS(make({0, 8, 8, 2}, 1, 1), std::invalid_argument, "channels must be in");
    CHECK_THROWS(make({3, 8, 8, 0}, 1, 1), std::invalid_argument, "scale must be in [1, 64], got 0");
    CHECK_THROWS(make({3, 8, 8, 2}, 0, 1), std::invalid_argument, "slots must be in");
    CHECK_THROWS(make({3, 8, 8, 2}, 1, 0), std::invalid_argument, "threads must be in");
    CHECK_THROWS(make({kMaxSide, kMaxSide, 8, 2}, 1, 1), std::invalid_argument, "cannot be addressed");
    CHECK_THROWS(make_format({PixelType::float16}), std::invalid_argument, "planar tiles must be of float32");
    CHECK_THROWS(make_format({PixelType::float32, PixelType::uint16, true}), std::invalid_argument, "got uint16");
}
