#include "detail.h"

#include <algorithm>
#include <atomic>
#include <stdexcept>
#include <string>

#include "parallel.h"

namespace ourgan {
namespace {

constexpr std::int32_t kStride = 2;  // of the field at every level that is gathered
constexpr std::int32_t kTile = 256;  // pixels gathered at a time: what they take stays in the cache

std::int32_t floor_half(std::int32_t value) { return value >> 1; }

// The part `box` of a picture that holds it.
Window<const std::int16_t> cut(const Window<const std::int16_t>& picture, const Box& box) {
    const auto y = static_cast<std::int32_t>(box.y0), x = static_cast<std::int32_t>(box.x0);
    return {{picture.at(0, y, x), picture.at(1, y, x), picture.at(2, y, x)},
            picture.stride,
            y,
            x,
            static_cast<std::int32_t>(box.y1 - box.y0),
            static_cast<std::int32_t>(box.x1 - box.x0)};
}

// Writes a part of a level, with the tone of the base level, 2^shift times smaller, as interleaved pixels at (y, x)
// of `out`.
void write_pixels(const Window<const std::int16_t>& part, const Window<const std::int16_t>& tone, int shift,
                  const Picture& out, std::int64_t y, std::int64_t x) {
    const LevelKernels& kernels = level_kernels();
    std::vector<std::int16_t> tones(static_cast<std::size_t>(kColours * part.width));
    const std::int16_t* tone_rows[kColours];
    const std::int32_t size = 1 << shift;
    for (std::int32_t row = part.y0; row < part.y0 + part.height; ++row) {
        // Pixel centres lie at (row + 1/2) / size - 1/2 of the base.
        const std::int32_t at = 2 * row + 1 - size, upper = at >> (shift + 1);
        const std::int32_t y0 = std::clamp(upper, 0, tone.height - 1), y1 = std::clamp(upper + 1, 0, tone.height - 1);
        const std::int16_t* planes[kColours];
        for (int c = 0; c < kColours; ++c) {
            std::int16_t* tone_row = tones.data() + c * part.width;
            kernels.tone_row(tone.at(c, y0, 0), tone.at(c, y1, 0), at - upper * 2 * size, tone.width, shift, part.x0,
                             part.width, tone_row);
            tone_rows[c] = tone_row;
            planes[c] = part.at(c, row, part.x0);
        }
        const auto write = out.type == PixelType::uint8 ? kernels.to_uint8 : kernels.to_uint16;
        write(planes, tone_rows, part.width, out.pixel(y + row - part.y0, x));
    }
}

}  // namespace

// A part of a level: its pixels, and the cells around them.
struct Detail::Tile {
    std::vector<Planes16> owned;
    Window<const std::int16_t> picture{};
    std::vector<Offset> offsets;
    Cells<const Offset> cells{};
};

Detail::Detail(std::shared_ptr<const PhotographLevels> photograph, Found found,
               LevelSizes sizes, const Wrap& wrap, std::int32_t limit)
    : photograph_(std::move(photograph)),
      found_(std::move(found)),
      sizes_(std::move(sizes)),
      wrap_(wrap),
      limit_(limit * kSteps) {
    check_found(*photograph_, found_, sizes_, wrap_);
}

std::int64_t Detail::bytes() const {
    return static_cast<std::int64_t>(found_.picture.height()) * found_.picture.width() * kColours * 4 +
           static_cast<std::int64_t>(found_.field.offsets.size() * sizeof(Offset));
}

void Detail::check(int level, const Box& box) const {
    if (level < base() || level >= levels()) {
        throw std::invalid_argument("expected a level from " + std::to_string(base()) + " to " +
                                    std::to_string(levels() - 1) + ", got " + std::to_string(level));
    }
    const auto& [height, width] = sizes_[static_cast<std::size_t>(level)];
    const auto fits = [](std::int64_t from, std::int64_t to, std::int64_t size, bool wraps) {
        if (!wraps) return from >= 0 && from < to && to <= size;
        return from >= -kLongestSide && from <= kLongestSide && from < to && to <= from + size;
    };
    if (!fits(box.y0, box.y1, height, wrap_.y) || !fits(box.x0, box.x1, width, wrap_.x)) {
        throw std::invalid_argument("the box is empty or leaves the level");
    }
}

// The longest side of what is gathered at a time: where the picture wraps, half of its margin must hold half of it.
std::int32_t Detail::tile_side(int level) const {
    return wrap_.y || wrap_.x ? std::min(kTile, kWrapMargin << level) : kTile;
}

// Where a tile lies in what was found, with its margin: over the border where it crosses that.
Box Detail::place(int level, const Box& box) const {
    const auto& [height, width] = sizes_[static_cast<std::size_t>(level)];
    const Margin margin = margin_at(level, wrap_);
    const auto start = [](std::int64_t from, std::int64_t to, std::int32_t size, std::int32_t side, bool wraps) {
        if (!wraps) return from;
        std::int64_t at = (from % size + size) % size;
        if (at + (to - from) > size + side / 2) at -= size;
        return at + side;
    };
    const std::int64_t y = start(box.y0, box.y1, height, margin.y, wrap_.y);
    const std::int64_t x = start(box.x0, box.x1, width, margin.x, wrap_.x);
    return {y, x, y + (box.y1 - box.y0), x + (box.x1 - box.x0)};
}

Detail::Tile Detail::render(int level, const Box& box, bool wants_picture) const {
    Tile tile;
    if (level == base()) {
        tile.picture = found_.picture.window();
        tile.cells = found_.field.cells();
        return tile;
    }
    const auto whole = [this](int at) {
        const auto& [rows, columns] = sizes_[static_cast<std::size_t>(at)];
        const Margin margin = margin_at(at, wrap_);
        return std::pair<std::int32_t, std::int32_t>(rows + 2 * margin.y, columns + 2 * margin.x);
    };
    const auto [height, width] = whole(level);
    const auto [small_height, small_width] = whole(level - 1);
    const auto y0 = static_cast<std::int32_t>(box.y0), y1 = static_cast<std::int32_t>(box.y1);
    const auto x0 = static_cast<std::int32_t>(box.x0), x1 = static_cast<std::int32_t>(box.x1);
    const std::int32_t row0 = std::max(y0 / kStride - 1, 0);
    const std::int32_t row1 = std::min((y1 - 1) / kStride + 2, (height + 1) / kStride);
    const std::int32_t column0 = std::max(x0 / kStride - 1, 0);
    const std::int32_t column1 = std::min((x1 - 1) / kStride + 2, (width + 1) / kStride);
    // The enlarged picture as far as the patches of these cells reach, beyond the borders too.
    const std::int32_t top = kStride * row0 - kLead, bottom = kStride * (row1 - 1) - kLead + kPatch;
    const std::int32_t left = kStride * column0 - kLead, right = kStride * (column1 - 1) - kLead + kPatch;
    const Box needed{std::max(floor_half(top) - 2, 0), std::max(floor_half(left) - 2, 0),
                     std::min(floor_half(bottom - 1) + 3, small_height), std::min(floor_half(right - 1) + 3, small_width)};
    const Tile small = render(level - 1, needed, true);
    Planes16 enlarged(bottom - top, right - left, top, left);
    std::vector<std::int16_t> buffer(static_cast<std::size_t>(3 * (right - left + 16)));
    const LevelKernels& kernels = level_kernels();
    kernels.enlarge(small.picture, small_height, small_width, enlarged.writable(), buffer.data(), top, bottom);
    const Exemplar exemplar = photograph_->exemplar(level);
    tile.offsets.resize(static_cast<std::size_t>(row1 - row0) * static_cast<std::size_t>(column1 - column0));
    const Cells<Offset> cells{tile.offsets.data(), row0, column0, row1 - row0, column1 - column0};
    tile.cells = {tile.offsets.data(), row0, column0, row1 - row0, column1 - column0};
    const std::int32_t small_stride = level - 1 == base() ? found_.field.stride : kStride;
    kernels.inherit(exemplar, enlarged.window(), small.cells, small_stride, cells, kStride, row0, row1);
    if (wants_picture) {
        tile.owned.emplace_back(y1 - y0, x1 - x0, y0, x0);
        std::vector<std::uint8_t> calm(static_cast<std::size_t>(x1 - x0) + 1);
        kernels.blend(exemplar, enlarged.window(), tile.cells, kStride, limit_, tile.owned.front().writable(), calm.data(),
                      y0, y1);
        tile.picture = static_cast<const Planes16&>(tile.owned.front()).window();
    }
    return tile;
}

void Detail::gather(int level, const Box& box, const Picture& out, int threads) const {
    check(level, box);
    if (out.height != box.y1 - box.y0 || out.width != box.x1 - box.x0 || out.channels != kColours ||
        (out.type != PixelType::uint8 && out.type != PixelType::uint16)) {
        throw std::invalid_argument("out must be a uint8 or uint16 picture of the box's size with three channels");
    }
    const std::int64_t side = tile_side(level);
    const std::int64_t rows = (out.height + side - 1) / side, columns = (out.width + side - 1) / side;
    std::atomic<std::int64_t> next{0};
    const auto work = [&](std::int64_t, std::int64_t) {
        for (std::int64_t n = next++; n < rows * columns; n = next++) {
            const std::int64_t y = box.y0 + n / columns * side, x = box.x0 + n % columns * side;
            const Box part = place(level, {y, x, std::min(y + side, box.y1), std::min(x + side, box.x1)});
            const Tile tile = render(level, part, true);
            write_pixels(cut(tile.picture, part), found_.tone.window(), level - base(), out, y - box.y0, x - box.x0);
        }
    };
    parallel_rows(rows * columns, 1, threads, work);
}

void Detail::sources(int level, const Box& box, std::int32_t* out) const {
    check(level, box);
    const std::int32_t stride = level == base() ? found_.field.stride : kStride;
    const std::int64_t side = wrap_.y || wrap_.x ? tile_side(level) : kLongestSide;
    for (std::int64_t top = box.y0; top < box.y1; top += side) {
        for (std::int64_t left = box.x0; left < box.x1; left += side) {
            const Box part = place(level, {top, left, std::min(top + side, box.y1), std::min(left + side, box.x1)});
            const Tile tile = render(level, part, false);
            for (std::int64_t y = part.y0; y < part.y1; ++y) {
                std::int32_t* at = out + 2 * ((top - box.y0 + y - part.y0) * box.width() + left - box.x0);
                for (std::int64_t x = part.x0; x < part.x1; ++x) {
                    const Offset o = *tile.cells.at(static_cast<std::int32_t>(y) / stride, static_cast<std::int32_t>(x) / stride);
                    *at++ = static_cast<std::int32_t>(y) + o.y;
                    *at++ = static_cast<std::int32_t>(x) + o.x;
                }
            }
        }
    }
}

}  // namespace ourgan
