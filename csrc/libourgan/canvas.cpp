#include "canvas.h"

#include <glib.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "error.h"
#include "numbers.h"

namespace ourgan::c {
namespace {

constexpr double kMostCopied = 0.38;  // these four are explained in ourgan_sdk/structure/patches.py
constexpr int kDraws = 4;
constexpr double kNoiseRange = 1.6;
constexpr double kStructureWork = 300;  // per pixel, in pixels gathered
constexpr double kFieldWork = 20;

// Bytes per pixel of what they are named for: of the photograph's finest level, of the last searched level, of that
// while it is searched, of the structure. Those of the levels' pictures, before they are made ready, are not kept.
constexpr std::int64_t kLevelBytes = 12, kPictureBytes = 4, kBaseBytes = 14, kSearchBytes = 100, kStructureBytes = 512;
constexpr std::int64_t kSearchPart = 4 << 20;

constexpr std::int64_t kBandRows = 256, kBandColumns = 16384;  // read at a time: what a cancelled call waits for
constexpr auto kLook = std::chrono::milliseconds(50);          // how often a waiting call looks around

std::int64_t area(const std::pair<std::int32_t, std::int32_t>& size) { return std::int64_t{size.first} * size.second; }

Size half_of(const Picturing& asked) {
    const auto half = [](std::int64_t side, bool mirrored) { return mirrored ? (side + 1) / 2 : side; };
    return {half(asked.size.height, asked.layout.mirror_y), half(asked.size.width, asked.layout.mirror_x)};
}

std::int64_t longest(const Size& size) { return std::max(size.height, size.width); }

bool is_same(const Size& one, const Size& other) { return one.height == other.height && one.width == other.width; }

// How many photographs wide the whole is, of which `part` is made.
double whole_extent(const DetailPlan& plan, const Size& part, const Size& whole) {
    return plan.extent * static_cast<double>(longest(whole)) / static_cast<double>(longest(part));
}

// The plan of what is made of a picture that is `extent` photographs wide, which becomes that of the part.
DetailPlan plan_part(const Size& photograph, const Size& whole, const Size& part, std::optional<double>& extent) {
    DetailPlan plan = plan_detail(photograph, whole, extent);
    if (is_same(part, whole)) return plan;
    extent = plan.extent * static_cast<double>(longest(part)) / static_cast<double>(longest(whole));
    return plan_detail(photograph, part, extent);
}

// The least extent, in hundredths, at which that takes no passes; nothing if none does.
std::optional<double> sufficient_extent(const Size& photograph, const Size& whole, const Size& part) {
    const double scale = kMostEnlarged * static_cast<double>(longest(photograph));
    const double least = std::ceil(static_cast<double>(longest(whole)) / scale * 100);
    for (double hundredths = std::max(least, 100 * kLeastExtent); hundredths <= 100 * kMostExtent; ++hundredths) {
        std::optional<double> extent = hundredths / 100;
        if (plan_part(photograph, whole, part, extent).passes == 0) return hundredths / 100;
    }
    return std::nullopt;
}

// As for plan_part. Throws Error (size, engine).
DetailPlan plan_of(const Size& photograph, const Picturing& asked, const Size& half) {
    std::optional<double> extent = asked.extent;
    if (!extent && asked.layout.retarget) extent = fitting_extent(photograph, asked.size);
    DetailPlan plan = plan_part(photograph, asked.size, half, extent);
    check_wrap(photograph, half, extent, asked.layout.wrap);
    if (plan.passes > 0) {
        const std::optional<double> enough = sufficient_extent(photograph, asked.size, half);
        throw Error(OURGAN_ENGINE_ERROR,
                    "a picture of " + std::to_string(asked.size.width) + " x " + std::to_string(asked.size.height) +
                        " that is " + general(whole_extent(plan, half, asked.size)) +
                        " photographs wide shows more than 1.5 times the photograph's resolution, which takes networks: " +
                        (enough ? "give an extent of at least " + hundredths(*enough) + " or a smaller size" :
                                  std::string("give a smaller size")) +
                        ", or render it by Python's ourgan_sdk");
    }
    return plan;
}

std::uint64_t memory_of(const DetailPlan& plan, const Size& structure) {
    const std::int64_t photograph = area(plan.photograph.back());
    const std::int64_t base = area(plan.picture[static_cast<std::size_t>(plan.searched - 1)]);
    const std::int64_t search =
        structure.height * structure.width * kStructureBytes + std::min(base, kSearchPart) * kSearchBytes;
    const std::int64_t width = std::min<std::int64_t>(plan.size().width, kBandColumns);
    const std::int64_t band = kBandRows * width * 6;
    return static_cast<std::uint64_t>(photograph * kLevelBytes + base * kBaseBytes +
                                      std::max(photograph * kPictureBytes, search) + band);
}

// The seed of draw `number`; the first one is the seed itself.
std::uint64_t sub_seed(std::uint64_t seed, int number) {
    if (number == 0) return seed;
    const std::string named = std::to_string(seed) + " " + std::to_string(number);
    const std::unique_ptr<GChecksum, decltype(&g_checksum_free)> hash(g_checksum_new(G_CHECKSUM_SHA256), g_checksum_free);
    g_checksum_update(hash.get(), reinterpret_cast<const guchar*>(named.data()), static_cast<gssize>(named.size()));
    std::uint8_t digest[32];
    gsize length = sizeof digest;
    g_checksum_get_digest(hash.get(), digest, &length);
    return little_endian({digest, sizeof digest}, 0, 8);
}

std::int32_t rounded(double value) { return static_cast<std::int32_t>(std::nearbyint(value)); }

// Of the half that is made: where the pixel of the whole comes from.
std::int64_t place(std::int64_t at, std::int64_t length, bool mirrored) {
    return mirrored ? std::min(at, length - 1 - at) : at;
}

// The part of the half that places first..last of the whole come from.
std::pair<std::int64_t, std::int64_t> places(std::int64_t first, std::int64_t last, std::int64_t length, bool mirrored) {
    const std::int64_t a = place(first, length, mirrored), b = place(last - 1, length, mirrored);
    const bool crosses = mirrored && first <= (length - 1) / 2 && last - 1 >= (length - 1) / 2;
    return {std::min(a, b), (crosses ? (length - 1) / 2 : std::max(a, b)) + 1};
}

template <class Value>
void spread(const std::byte* from, const std::vector<std::int64_t>& columns, int channels, std::byte* to) {
    const auto* in = reinterpret_cast<const Value*>(from);
    auto* out = reinterpret_cast<Value*>(to);
    for (const std::int64_t column : columns) {
        for (int c = 0; c < 3; ++c) *out++ = in[3 * column + c];
        if (channels == 4) *out++ = static_cast<Value>(-1);
    }
}

}  // namespace

Canvas::Canvas(std::shared_ptr<const Source> source, const Picturing& asked)
    : source_(std::move(source)),
      asked_(asked),
      half_(half_of(asked)),
      plan_(plan_of(source_->size(), asked_, half_)),
      structure_(structure_size(plan_, longest(patches_size(source_->size())))) {
    check_structure(structure_, plan_.extent);
    share_ = std::make_unique<Share>(source_->ledger(), memory_of(plan_, structure_),
                                     "a canvas of " + std::to_string(asked_.size.width) + " x " +
                                         std::to_string(asked_.size.height));
}

double Canvas::extent() const {
    return is_same(half_, asked_.size) ? plan_.extent : whole_extent(plan_, half_, asked_.size);
}

Size Canvas::level_size(int level) const {
    if (level < 0 || level >= levels()) {
        throw Error(OURGAN_INDEX_ERROR, "expected a level from 0 to " + std::to_string(levels() - 1) + ", got " +
                                            std::to_string(level));
    }
    const auto side = [level](std::int64_t length) { return ((length - 1) >> level) + 1; };
    return {side(asked_.size.height), side(asked_.size.width)};
}

double Canvas::copied_share() const {
    const std::shared_ptr<const Known> found = known();
    if (!found) throw Error(OURGAN_VALUE_ERROR, "the picture has not been searched: call ourgan_canvas_prepare() first");
    return found->copied;
}

double Canvas::search_work() const {
    const double structure = static_cast<double>(structure_.height * structure_.width);
    const double base = static_cast<double>(area(plan_.picture[static_cast<std::size_t>(plan_.searched - 1)]));
    return kStructureWork * structure + kFieldWork * base;
}

std::shared_ptr<const Canvas::Known> Canvas::known() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return known_;
}

std::shared_ptr<const Canvas::Known> Canvas::found(Task& task) {
    std::unique_lock<std::mutex> lock(mutex_);
    while (!known_ && is_searching_) {
        if (searcher_ == std::this_thread::get_id()) {
            throw Error(OURGAN_VALUE_ERROR, "a progress function may not read or prepare the canvas that calls it while "
                                            "that is searched: do so when the call has returned");
        }
        changed_.wait_for(lock, kLook);
        lock.unlock();
        task.check();
        lock.lock();
    }
    if (known_) return known_;
    is_searching_ = true;
    searcher_ = std::this_thread::get_id();
    lock.unlock();
    std::shared_ptr<const Known> result;
    std::exception_ptr failure;
    try {
        result = find(task);
    } catch (...) {
        failure = std::current_exception();
    }
    lock.lock();
    is_searching_ = false;
    known_ = result;
    lock.unlock();
    changed_.notify_all();
    if (failure) std::rethrow_exception(failure);
    return result;
}

std::shared_ptr<const Canvas::Known> Canvas::find(Task& task) const {
    task.check();
    const auto levels = source_->levels(plan_, task);
    const Composition composition = compose(task);
    const double before = kStructureWork * static_cast<double>(structure_.height * structure_.width);
    const double after = search_work() - before;
    DetailSettings settings;
    settings.row = rounded(settings.row * std::pow(asked_.layout.rows, 2));
    try {
        task.check(before);
        const KnownField known = known_field(composition, *levels, plan_.picture);
        const Start start{nullptr, &known.field, known.level};
        Found found = find_field(*levels, start, plan_.picture, asked_.layout.wrap, asked_.seed, settings,
                                 source_->threads(), [&](double share) { task.check(before + after * share); });
        return std::make_shared<const Known>(
            Known{std::make_unique<const Detail>(levels, std::move(found), plan_.picture, asked_.layout.wrap,
                                                 settings.limit),
                  ourgan::copied_share(composition.field, composition.wrap)});
    } catch (const std::invalid_argument& error) {
        throw Error(OURGAN_SIZE_ERROR, "no detail for a picture of " + std::to_string(asked_.size.width) + " x " +
                                           std::to_string(asked_.size.height) + ": " + error.what());
    }
}

// The layout, drawn again where too large a piece of it is copied; the one with the smallest in the end.
Composition Canvas::compose(Task& task) const {
    const Layout& layout = asked_.layout;
    CompositionSettings settings;
    settings.noise = rounded(settings.noise * std::pow(kNoiseRange, 2 * layout.variety - 1));
    settings.row = rounded(settings.row * std::pow(layout.rows, 2));
    const ConstPicture photograph = source_->reduced().picture();
    const auto levels = composition_levels(source_->reduced().size, structure_, layout.variety);
    const double work = kStructureWork * static_cast<double>(structure_.height * structure_.width);
    const auto draw = [&](int number) {
        return ourgan::compose(photograph, levels, layout.retarget ? &photograph : nullptr, layout.wrap,
                               sub_seed(asked_.seed, number), settings, source_->threads(),
                               [&](double share) { task.check(work * (number + share) / (number + 1)); });
    };
    try {
        Composition best = draw(0);
        double copied = ourgan::copied_share(best.field, best.wrap);
        for (int number = 1; number < (layout.retarget ? 1 : kDraws) && copied > kMostCopied; ++number) {
            Composition other = draw(number);
            const double share = ourgan::copied_share(other.field, other.wrap);
            if (share < copied) {
                best = std::move(other);
                copied = share;
            }
        }
        return best;
    } catch (const std::invalid_argument& error) {
        throw Error(OURGAN_SIZE_ERROR, "no layout for a picture of " + std::to_string(asked_.size.width) + " x " +
                                           std::to_string(asked_.size.height) + ": " + error.what());
    }
}

void Canvas::prepare(Task& task) {
    task.begin(search_work());
    found(task);
    task.advance(search_work());
}

void Canvas::read(int level, const Box& region, const Target& target, Task& task) {
    const Size size = level_size(level);
    const bool is_inside = region.y0 >= 0 && region.y0 < region.y1 && region.y1 <= size.height && region.x0 >= 0 &&
                           region.x0 < region.x1 && region.x1 <= size.width;
    if (!is_inside) {
        throw Error(OURGAN_INDEX_ERROR,
                    "expected a region within " + std::to_string(size.height) + " x " + std::to_string(size.width) +
                        " (h x w), got rows " + std::to_string(region.y0) + " to " + std::to_string(region.y1) +
                        ", columns " + std::to_string(region.x0) + " to " + std::to_string(region.x1));
    }
    const double before = known() ? 0 : search_work();
    task.begin(before + static_cast<double>(region.height()) * static_cast<double>(region.width()));
    const std::shared_ptr<const Known> known = found(task);
    task.advance(before);
    for (std::int64_t y = region.y0; y < region.y1; y += kBandRows) {
        for (std::int64_t x = region.x0; x < region.x1; x += kBandColumns) {
            const Box part{y, x, std::min(y + kBandRows, region.y1), std::min(x + kBandColumns, region.x1)};
            read_part(*known->detail, level, part, target, region);
            task.advance(static_cast<double>(part.height() * part.width()));
        }
    }
}

// Writes `part` of a region straight to its memory, or what the core gathers in another order.
void Canvas::read_part(const Detail& detail, int level, const Box& part, const Target& target, const Box& region) const {
    const int index = detail.levels() - 1 - level;
    const std::int64_t value = target.type == PixelType::uint8 ? 1 : 2;
    std::byte* corner = target.pixels + (part.y0 - region.y0) * target.row_stride +
                        (part.x0 - region.x0) * target.channels * value;
    if (target.channels == 3 && is_same(half_, asked_.size)) {
        detail.gather(index, part, {corner, target.type, part.height(), part.width(), 3, target.row_stride},
                      source_->threads());
        return;
    }
    const Size size = level_size(level);
    const bool mirror_y = asked_.layout.mirror_y, mirror_x = asked_.layout.mirror_x;
    const auto [y0, y1] = places(part.y0, part.y1, size.height, mirror_y);
    const auto [x0, x1] = places(part.x0, part.x1, size.width, mirror_x);
    const std::int64_t row = (x1 - x0) * 3 * value;
    std::vector<std::byte> memory(static_cast<std::size_t>((y1 - y0) * row));
    detail.gather(index, {y0, x0, y1, x1}, {memory.data(), target.type, y1 - y0, x1 - x0, 3, row}, source_->threads());
    std::vector<std::int64_t> columns;
    for (std::int64_t x = part.x0; x < part.x1; ++x) columns.push_back(place(x, size.width, mirror_x) - x0);
    for (std::int64_t y = part.y0; y < part.y1; ++y) {
        const std::byte* from = memory.data() + (place(y, size.height, mirror_y) - y0) * row;
        std::byte* to = corner + (y - part.y0) * target.row_stride;
        (value == 1 ? spread<std::uint8_t> : spread<std::uint16_t>)(from, columns, target.channels, to);
    }
}

}  // namespace ourgan::c
