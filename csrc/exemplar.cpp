#include "exemplar.h"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "parallel.h"

namespace ourgan {
namespace {

constexpr std::int64_t kSlack = 32;  // values behind the last row that vector loads may touch

template <class T>
Window<T> window_of(T* data, std::int64_t plane, std::int64_t stride, std::int32_t height, std::int32_t width) {
    return {{data, data + plane, data + 2 * plane}, stride, 0, 0, height, width};
}

void check(const std::vector<ConstPicture>& levels, int searched) {
    if (levels.empty() || searched < 1 || searched > static_cast<int>(levels.size())) {
        throw std::invalid_argument("expected levels, at least one of them to be searched");
    }
    for (std::size_t i = 0; i < levels.size(); ++i) {
        const ConstPicture& level = levels[i];
        if (level.type != PixelType::uint8 || level.channels != kColours) {
            throw std::invalid_argument("levels must be uint8 pictures of three channels");
        }
        if (std::min(level.height, level.width) < kPatch || std::max(level.height, level.width) > (1 << 20)) {
            throw std::invalid_argument("levels must have sides from " + std::to_string(kPatch) + " to 1048576 pixels, got " +
                                        std::to_string(level.height) + " x " + std::to_string(level.width));
        }
        if (i > 0 && (level.height != 2 * levels[i - 1].height || level.width != 2 * levels[i - 1].width)) {
            throw std::invalid_argument("each level must be twice as high and wide as the one before");
        }
    }
}

}  // namespace

Planes16::Planes16(std::int32_t height, std::int32_t width, std::int32_t y0, std::int32_t x0)
    : height_(height),
      width_(width),
      y0_(y0),
      x0_(x0),
      stride_(width),
      values_(static_cast<std::size_t>(kColours * static_cast<std::int64_t>(height) * width + kSlack)) {}

Window<std::int16_t> Planes16::writable() {
    std::int16_t* data = values_.data();
    const std::int64_t plane = stride_ * height_;
    return {{data, data + plane, data + 2 * plane}, stride_, y0_, x0_, height_, width_};
}

Window<const std::int16_t> Planes16::window() const {
    const std::int16_t* data = values_.data();
    const std::int64_t plane = stride_ * height_;
    return {{data, data + plane, data + 2 * plane}, stride_, y0_, x0_, height_, width_};
}

RgbxPicture::RgbxPicture(const Window<const std::int16_t>& planes, const Wrap& wrap)
    : height_(planes.height),
      width_(planes.width),
      stride_(4 * (static_cast<std::int64_t>(planes.width) + 2 * kMargin)),
      bytes_(static_cast<std::size_t>(stride_ * (height_ + 2 * kMargin) + kSlack)) {
    for (std::int32_t y = -kMargin; y < height_ + kMargin; ++y) {
        std::uint8_t* row = bytes_.data() + (y + kMargin) * stride_;
        const std::int32_t from_y = beyond(y, height_, wrap.y);
        for (int c = 0; c < kColours; ++c) {
            const std::int16_t* in = planes.at(c, from_y + planes.y0, planes.x0);
            for (std::int32_t x = -kMargin; x < width_ + kMargin; ++x) {
                row[4 * (x + kMargin) + c] =
                    static_cast<std::uint8_t>((in[beyond(x, width_, wrap.x)] + kSteps / 2) / kSteps);
            }
        }
    }
}

Rgbx RgbxPicture::view() const { return {bytes_.data() + kMargin * stride_ + 4 * kMargin, stride_, height_, width_}; }

Planes16 to_planes(const ConstPicture& picture) {
    Planes16 planes(static_cast<std::int32_t>(picture.height), static_cast<std::int32_t>(picture.width));
    const Window<std::int16_t> out = planes.writable();
    for (std::int32_t y = 0; y < out.height; ++y) {
        const auto* row = reinterpret_cast<const std::uint8_t*>(picture.pixel(y, 0));
        for (int c = 0; c < kColours; ++c) {
            std::int16_t* plane = out.at(c, y, 0);
            for (std::int32_t x = 0; x < out.width; ++x) plane[x] = static_cast<std::int16_t>(row[3 * x + c] * kSteps);
        }
    }
    return planes;
}

PhotographLevel::PhotographLevel(const ConstPicture& picture, Planes16 keys, bool is_searched)
    : height_(static_cast<std::int32_t>(picture.height)),
      width_(static_cast<std::int32_t>(picture.width)),
      values_(static_cast<std::size_t>(kColours * picture.height * picture.width + kSlack)),
      keys_(std::move(keys)) {
    const std::int64_t plane = picture.height * picture.width;
    for (std::int32_t y = 0; y < height_; ++y) {
        const auto* row = reinterpret_cast<const std::uint8_t*>(picture.pixel(y, 0));
        for (int c = 0; c < kColours; ++c) {
            std::uint8_t* out = values_.data() + c * plane + static_cast<std::int64_t>(y) * width_;
            for (std::int32_t x = 0; x < width_; ++x) out[x] = row[3 * x + c];
        }
    }
    if (is_searched) {
        patches_.emplace_back(to_planes(picture).window());
        patches_.emplace_back(static_cast<const Planes16&>(keys_).window());
    }
}

Exemplar PhotographLevel::exemplar() const {
    const std::int64_t plane = static_cast<std::int64_t>(height_) * width_;
    return {window_of<const std::uint8_t>(values_.data(), plane, width_, height_, width_), keys_.window()};
}

PhotographLevels::PhotographLevels(const std::vector<ConstPicture>& levels, int searched, int threads)
    : searched_(searched) {
    check(levels, searched);
    for (std::size_t i = 0; i < levels.size(); ++i) {
        const auto height = static_cast<std::int32_t>(levels[i].height), width = static_cast<std::int32_t>(levels[i].width);
        levels_.emplace_back(levels[i],
                             i > 0 ? enlarge_whole(to_planes(levels[i - 1]).window(), height, width, threads)
                                   : to_planes(levels[i]),
                             static_cast<int>(i) < searched);
    }
}

std::int64_t PhotographLevels::bytes() const {
    std::int64_t sum = 0;
    for (const PhotographLevel& level : levels_) sum += static_cast<std::int64_t>(level.height()) * level.width() * 9;
    return sum;
}

Planes16 enlarge_whole(const Window<const std::int16_t>& picture, std::int32_t height, std::int32_t width, int threads) {
    Planes16 result(height, width);
    const Window<std::int16_t> large = result.writable();
    parallel_rows(height, 64, threads, [&](std::int64_t first, std::int64_t last) {
        std::vector<std::int16_t> buffer(static_cast<std::size_t>(3 * (width + 16)));
        level_kernels().enlarge(picture, picture.height, picture.width, large, buffer.data(),
                                static_cast<std::int32_t>(first), static_cast<std::int32_t>(last));
    });
    return result;
}

}  // namespace ourgan
