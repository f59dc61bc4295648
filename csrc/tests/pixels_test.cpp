#include "pixels.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "check.h"

using namespace ourgan;

namespace {

Picture picture_of(std::vector<std::uint8_t>& bytes, std::int64_t height, std::int64_t width) {
    return {reinterpret_cast<std::byte*>(bytes.data()), PixelType::uint8, height, width, 3, width * 3};
}

ConstPicture readonly(const Picture& p) { return {p.data, p.type, p.height, p.width, p.channels, p.row_stride}; }

}  // namespace

TEST(gather_and_scatter_are_inverse_on_8_bits) {
    const std::int64_t height = 1103, width = 1009;  // large enough to be shared by threads
    std::vector<std::uint8_t> bytes(static_cast<std::size_t>(height * width * 3)), copy(bytes.size());
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(i * 7 + i / 256);
    std::vector<float> values(bytes.size());
    const Planes tile{values.data(), 3, height, width};
    for (const int threads : {1, 2, 5}) {
        gather(readonly(picture_of(bytes, height, width)), {0, 0, height, width}, {}, tile, threads);
        const ConstPlanes result{values.data(), 3, height, width};
        CHECK(scatter(result, {0, 0, height, width}, picture_of(copy, height, width), 0, 0, threads) == 0);
        CHECK(copy == bytes);
    }
}

TEST(scatter_stays_inside_the_picture) {
    std::vector<std::uint8_t> bytes(4 * 5 * 3, 7);
    const std::vector<float> values(3 * 10 * 10, 1.0f);
    const ConstPlanes tile{values.data(), 3, 10, 10};
    const Picture picture = picture_of(bytes, 4, 5);
    CHECK(scatter(tile, {0, 0, 10, 10}, picture, 4, 0, 2) == 0);
    CHECK(scatter(tile, {0, 0, 10, 10}, picture, 0, kMaxSide, 2) == 0);
    CHECK(bytes == std::vector<std::uint8_t>(bytes.size(), 7));
    scatter(tile, {2, 3, 10, 10}, picture, 3, 4, 2);
    CHECK(bytes[bytes.size() - 3] == 255 && bytes[bytes.size() - 4] == 7);
}

TEST(non_finite_values_are_counted_and_clamped) {
    std::vector<std::uint8_t> bytes(3, 7);
    const float infinity = std::numeric_limits<float>::infinity();
    const std::vector<float> values{std::numeric_limits<float>::quiet_NaN(), infinity, -infinity};
    CHECK(scatter({values.data(), 3, 1, 1}, {0, 0, 1, 1}, picture_of(bytes, 1, 1), 0, 0, 1) == 3);
    CHECK((bytes == std::vector<std::uint8_t>{0, 255, 0}));
}

TEST(windows_beyond_the_picture_repeat_its_border) {
    const std::int64_t height = 4, width = 5, rows = 9, columns = 12;
    std::vector<std::uint8_t> bytes(static_cast<std::size_t>(height * width * 3));
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(i);
    const Picture picture = picture_of(bytes, height, width);
    std::vector<float> values(static_cast<std::size_t>(3 * rows * columns));
    for (const Position& at : {Position{-3, -4}, Position{2, 1}, Position{-30, 1}, Position{1, -40}, Position{7, 9}}) {
        gather(readonly(picture), {at.y, at.x, at.y + rows, at.x + columns}, {}, {values.data(), 3, rows, columns}, 2);
        for (std::int64_t i = 0; i < 3 * rows * columns; ++i) {
            const std::int64_t c = i / (rows * columns), y = at.y + i / columns % rows, x = at.x + i % columns;
            const std::int64_t from = std::min(std::max<std::int64_t>(y, 0), height - 1) * width +
                                      std::min(std::max<std::int64_t>(x, 0), width - 1);
            CHECK(values[static_cast<std::size_t>(i)] ==
                  static_cast<float>(bytes[static_cast<std::size_t>(3 * from + c)]) / 255.0f);
        }
    }
}

TEST(windows_and_crops_outside_are_refused) {
    std::vector<std::uint8_t> bytes(4 * 5 * 3);
    std::vector<float> values(3 * 2 * 2);
    const ConstPicture picture = readonly(picture_of(bytes, 4, 5));
    const Planes tile{values.data(), 3, 2, 2};
    for (const Box& window :
         {Box{1, 1, 1, 3}, Box{2, 2, 0, 0}, Box{0, -kMaxSide - 1, 2, 2}, Box{0, 0, 2, kMaxSide + 1}}) {
        CHECK_THROWS(gather(picture, window, {}, tile, 1), std::invalid_argument, "must not be empty and lie in");
    }
    const Part part(picture, {1, 2}, Size{6, 8});  // holds [1:5, 2:7]
    gather(part, {1, 2, 3, 4}, {}, tile, 1);
    for (const Box& window : {Box{0, 3, 2, 5}, Box{-5, 3, -3, 5}, Box{4, 3, 6, 5}, Box{2, 1, 4, 3}, Box{2, 6, 4, 8}}) {
        CHECK_THROWS(gather(part, window, {}, tile, 1), std::invalid_argument, "but the array holds [1:5, 2:7]");
    }
    CHECK_THROWS(gather(picture, {0, 0, 2, 3}, {}, tile, 1), std::invalid_argument, "cannot hold a window");
    CHECK_THROWS(Part(picture, {0, -1}), std::invalid_argument, "origin must be in");
    CHECK_THROWS(Part(picture, {1, 2}, Size{4, 8}), std::invalid_argument, "extent must hold the picture's [1:5, 2:7]");
    CHECK_THROWS(Part(picture, {1, 2}, Size{6, kMaxSide + 1}), std::invalid_argument, "extent must hold");
    const ConstPlanes result{values.data(), 3, 2, 2};
    CHECK_THROWS(scatter(result, {0, 0, 3, 2}, picture_of(bytes, 4, 5), 0, 0, 1), std::invalid_argument, "crop");
    CHECK_THROWS(scatter(result, {0, 0, 1, 1}, picture_of(bytes, 4, 5), -1, 0, 1), std::invalid_argument, "negative");
}
