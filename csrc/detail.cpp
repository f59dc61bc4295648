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

std::uint8_t to_uint8(std::int32_t value) { return static_cast<std::uint8_t>((value + kSteps / 2) / kSteps); }
std::uint16_t to_uint16(std::int32_t value) { return static_cast<std::uint16_t>((value * 257 + kSteps / 2) / kSteps); }

// Adds the tone of the base level, 2^shift times smaller, to a part of a level: linear in between.
void add_tone(const Window<const std::int16_t>& tone, int shift, const Window<std::int16_t>& picture) {
    const std::int32_t size = 1 << shift;
    std::vector<std::int32_t> mixed(static_cast<std::size_t>((picture.width >> shift) + 3));
    const std::int32_t first = ((2 * picture.x0 + 1 - size) >> (shift + 1));
    for (std::int32_t y = picture.y0; y < picture.y0 + picture.height; ++y) {
        // Pixel centres: (y + 1/2) / size - 1/2, in units of 1 / (2 size).
        const std::int32_t at = 2 * y + 1 - size, upper = at >> (shift + 1), share = at - upper * 2 * size;
        const std::int32_t y0 = std::clamp(upper, 0, tone.height - 1), y1 = std::clamp(upper + 1, 0, tone.height - 1);
        for (int c = 0; c < kColours; ++c) {
            const std::int16_t *above = tone.at(c, y0, 0), *below = tone.at(c, y1, 0);
            for (std::size_t i = 0; i < mixed.size(); ++i) {
                const std::int32_t x = std::clamp(first + static_cast<std::int32_t>(i), 0, tone.width - 1);
                mixed[i] = above[x] * (2 * size - share) + below[x] * share;
            }
            std::int16_t* out = picture.at(c, y, picture.x0);
            for (std::int32_t x = 0; x < picture.width; ++x) {
                const std::int32_t from = 2 * (picture.x0 + x) + 1 - size, left = from >> (shift + 1);
                const std::int32_t part = from - left * 2 * size;
                const std::int32_t* m = mixed.data() + (left - first);
                // Of 2^(2 * shift + 2) times a tone of 16 bits, which 32 bits do not hold at eight levels above.
                const std::int64_t sum = static_cast<std::int64_t>(m[0]) * (2 * size - part) +
                                         static_cast<std::int64_t>(m[1]) * part;
                const auto added = static_cast<std::int32_t>(sum >> (2 * shift + 2));
                out[x] = static_cast<std::int16_t>(std::clamp(out[x] + added, 0, kWhite));
            }
        }
    }
}

// Writes planes as interleaved pixels, at (y, x) of `out`.
template <class T, class Convert>
void interleave(const Window<const std::int16_t>& planes, const Picture& out, std::int64_t y, std::int64_t x,
                const Convert& convert) {
    for (std::int32_t row = 0; row < planes.height; ++row) {
        const std::int16_t* red = planes.at(0, planes.y0 + row, planes.x0);
        const std::int16_t* green = planes.at(1, planes.y0 + row, planes.x0);
        const std::int16_t* blue = planes.at(2, planes.y0 + row, planes.x0);
        T* pixels = reinterpret_cast<T*>(out.pixel(y + row, x));
        for (std::int32_t i = 0; i < planes.width; ++i) {
            pixels[3 * i] = convert(red[i]);
            pixels[3 * i + 1] = convert(green[i]);
            pixels[3 * i + 2] = convert(blue[i]);
        }
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
               LevelSizes sizes, std::int32_t limit)
    : photograph_(std::move(photograph)), found_(std::move(found)), sizes_(std::move(sizes)), limit_(limit * kSteps) {
    check_sizes(*photograph_, sizes_);
}

std::int64_t Detail::bytes() const {
    const auto& [height, width] = sizes_[static_cast<std::size_t>(base())];
    return static_cast<std::int64_t>(height) * width * kColours * 4 +
           static_cast<std::int64_t>(found_.field.offsets.size() * sizeof(Offset));
}

void Detail::check(int level, const Box& box) const {
    if (level < base() || level >= levels()) {
        throw std::invalid_argument("expected a level from " + std::to_string(base()) + " to " +
                                    std::to_string(levels() - 1) + ", got " + std::to_string(level));
    }
    const auto& [height, width] = sizes_[static_cast<std::size_t>(level)];
    if (box.y0 < 0 || box.x0 < 0 || box.y0 >= box.y1 || box.x0 >= box.x1 || box.y1 > height || box.x1 > width) {
        throw std::invalid_argument("the box is empty or leaves the level");
    }
}

Detail::Tile Detail::render(int level, const Box& box, bool wants_picture) const {
    Tile tile;
    if (level == base()) {
        tile.picture = found_.picture.window();
        tile.cells = found_.field.cells();
        return tile;
    }
    const auto [height, width] = sizes_[static_cast<std::size_t>(level)];
    const auto [small_height, small_width] = sizes_[static_cast<std::size_t>(level - 1)];
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

// The pixels of a part of a level, with their tone.
Planes16 Detail::picture(int level, const Box& box) const {
    Tile tile = render(level, box, true);
    if (tile.owned.empty()) {  // the base, which is whole
        tile.owned.emplace_back(static_cast<std::int32_t>(box.y1 - box.y0), static_cast<std::int32_t>(box.x1 - box.x0),
                                static_cast<std::int32_t>(box.y0), static_cast<std::int32_t>(box.x0));
        const Window<std::int16_t> copy = tile.owned.front().writable();
        for (int c = 0; c < kColours; ++c) {
            for (std::int32_t y = copy.y0; y < copy.y0 + copy.height; ++y) {
                std::copy_n(tile.picture.at(c, y, copy.x0), copy.width, copy.at(c, y, copy.x0));
            }
        }
    }
    add_tone(found_.tone.window(), level - base(), tile.owned.front().writable());
    return std::move(tile.owned.front());
}

void Detail::gather(int level, const Box& box, const Picture& out, int threads) const {
    check(level, box);
    if (out.height != box.y1 - box.y0 || out.width != box.x1 - box.x0 || out.channels != kColours ||
        (out.type != PixelType::uint8 && out.type != PixelType::uint16)) {
        throw std::invalid_argument("out must be a uint8 or uint16 picture of the box's size with three channels");
    }
    const std::int64_t rows = (out.height + kTile - 1) / kTile, columns = (out.width + kTile - 1) / kTile;
    std::atomic<std::int64_t> next{0};
    const auto work = [&](std::int64_t, std::int64_t) {
        for (std::int64_t n = next++; n < rows * columns; n = next++) {
            const std::int64_t y = box.y0 + n / columns * kTile, x = box.x0 + n % columns * kTile;
            const Planes16 part = picture(level, {y, x, std::min(y + kTile, box.y1), std::min(x + kTile, box.x1)});
            if (out.type == PixelType::uint8) {
                interleave<std::uint8_t>(part.window(), out, y - box.y0, x - box.x0, to_uint8);
            } else {
                interleave<std::uint16_t>(part.window(), out, y - box.y0, x - box.x0, to_uint16);
            }
        }
    };
    parallel_rows(rows * columns, 1, threads, work);
}

void Detail::sources(int level, const Box& box, std::int32_t* out) const {
    check(level, box);
    const Tile tile = render(level, box, false);
    const std::int32_t stride = level == base() ? found_.field.stride : kStride;
    for (auto y = static_cast<std::int32_t>(box.y0); y < box.y1; ++y) {
        for (auto x = static_cast<std::int32_t>(box.x0); x < box.x1; ++x) {
            const Offset o = *tile.cells.at(y / stride, x / stride);
            *out++ = y + o.y;
            *out++ = x + o.x;
        }
    }
}

}  // namespace ourgan
