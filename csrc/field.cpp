#include "field.h"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "parallel.h"
#include "philox.h"
#include "tone.h"

namespace ourgan {
namespace {

constexpr std::uint32_t kStream = 1u << 16;  // of random tries, behind those of noise
constexpr std::int64_t kRowsPerThread = 8;

// What lying too high or too low costs at a level at which the photograph has this height.
Prices row_prices(const DetailSettings& settings, int level, std::int32_t height) {
    Prices prices;
    prices.row_slack = height * settings.row_slack / 256;
    if (level < settings.row_levels) prices.row = (settings.row * kValues) >> (2 * level);
    return prices;
}

// What candidates pay at a level, once the coarsest one has settled.
Prices prices_of(const DetailSettings& settings, int level, std::int32_t height) {
    Prices prices = row_prices(settings, level, height);
    prices.incoherence = settings.incoherence * kValues;
    prices.seam = settings.seam;
    if (level < settings.echo_levels) prices.echo = settings.echo * kValues;
    prices.echo_radius = settings.echo_radius << level;
    if (level < settings.overuse_levels) {
        prices.overuse = settings.overuse * kValues;
        prices.most_overuse = settings.most_overuse;
    }
    return prices;
}

Field inherit_field(const PhotographLevels& photograph, int level, const Field& below, const Planes16& enlarged,
                    std::int32_t stride, int threads) {
    Field field = make_field(enlarged.height(), enlarged.width(), stride);
    // Patches at the border reach beyond it: over pixels repeated.
    Planes16 padded(enlarged.height() + 2 * kMargin, enlarged.width() + 2 * kMargin, -kMargin, -kMargin);
    const Window<std::int16_t> out = padded.writable();
    const Window<const std::int16_t> in = enlarged.window();
    for (int c = 0; c < kColours; ++c) {
        for (std::int32_t y = -kMargin; y < in.height + kMargin; ++y) {
            const std::int16_t* row = in.at(c, std::clamp(y, 0, in.height - 1), 0);
            std::int16_t* to = out.at(c, y, -kMargin);
            for (std::int32_t x = -kMargin; x < in.width + kMargin; ++x) to[x + kMargin] = row[std::clamp(x, 0, in.width - 1)];
        }
    }
    const Cells<Offset> cells{field.offsets.data(), 0, 0, field.rows, field.columns};
    parallel_rows(field.rows, kRowsPerThread, threads, [&](std::int64_t first, std::int64_t last) {
        level_kernels().inherit(photograph.exemplar(level), padded.window(), below.cells(),
                                below.stride, cells, stride, static_cast<std::int32_t>(first),
                                static_cast<std::int32_t>(last));
    });
    return field;
}

// Tone may be negative, which enlarging clamps: for that it is shifted to the middle of the range.
Planes16 enlarge_tone(const Planes16& tone, std::int32_t height, std::int32_t width, int threads) {
    const auto shifted = [](const Planes16& planes, std::int32_t by, std::int32_t low, std::int32_t high) {
        Planes16 result = planes;
        const Window<std::int16_t> window = result.writable();
        for (int c = 0; c < kColours; ++c) {
            for (std::int64_t i = 0; i < window.stride * window.height; ++i) {
                window.plane[c][i] = static_cast<std::int16_t>(std::clamp(window.plane[c][i] + by, low, high));
            }
        }
        return result;
    };
    constexpr std::int32_t middle = kWhite / 2;
    return shifted(enlarge_whole(shifted(tone, middle, 0, kWhite).window(), height, width, threads), -middle, -middle,
                   middle + 1);
}

Planes16 cut_rows(const Planes16& planes, std::int32_t first, std::int32_t last) {
    Planes16 result(last - first, planes.width());
    const Window<std::int16_t> out = result.writable();
    for (int c = 0; c < kColours; ++c) {
        for (std::int32_t y = first; y < last; ++y) std::copy_n(planes.window().at(c, y, 0), planes.width(), out.at(c, y - first, 0));
    }
    return result;
}

// Rows first..last of what was found at a level of stride 1, as a picture of their own.
Found cut_rows(const Found& found, std::int32_t first, std::int32_t last) {
    const Field& field = found.field;
    Field part{1, last - first, field.columns, {}};
    const auto begin = field.offsets.begin() + static_cast<std::ptrdiff_t>(first) * field.columns;
    part.offsets.assign(begin, begin + static_cast<std::ptrdiff_t>(last - first) * field.columns);
    for (Offset& offset : part.offsets) offset.y += first;
    return {cut_rows(found.picture, first, last), std::move(part), cut_rows(found.tone, first, last)};
}

// Copies rows top..bottom of the whole from a part that begins at row `first` of it.
void paste_rows(const Found& part, std::int32_t first, std::int32_t top, std::int32_t bottom, Found& whole) {
    for (int c = 0; c < kColours; ++c) {
        for (std::int32_t y = top; y < bottom; ++y) {
            std::copy_n(part.picture.window().at(c, y - first, 0), part.picture.width(), whole.picture.writable().at(c, y, 0));
            std::copy_n(part.tone.window().at(c, y - first, 0), part.tone.width(), whole.tone.writable().at(c, y, 0));
        }
    }
    const std::int32_t stride = whole.field.stride;
    for (std::int32_t i = top / stride; i < (bottom + stride - 1) / stride; ++i) {
        for (std::int32_t j = 0; j < whole.field.columns; ++j) {
            const Offset offset = *part.field.cells().at(i - first / stride, j);
            whole.field.offsets[static_cast<std::size_t>(i) * static_cast<std::size_t>(whole.field.columns) +
                                static_cast<std::size_t>(j)] = {offset.y - first, offset.x};
        }
    }
}

// The field with room for a margin.
Field pad(const Field& field, const Margin& margin) {
    Field result = make_field(field.rows + 2 * margin.y, field.columns + 2 * margin.x, 1);
    for (std::int32_t i = 0; i < field.rows; ++i) {
        for (std::int32_t j = 0; j < field.columns; ++j) {
            const Offset o = *field.cells().at(i, j);
            *result.cells().at(i + margin.y, j + margin.x) = {o.y - margin.y, o.x - margin.x};
        }
    }
    return result;
}

// A picture with a margin, as it wraps.
Planes16 pad(const Planes16& picture, const Margin& margin) {
    Planes16 result(picture.height() + 2 * margin.y, picture.width() + 2 * margin.x);
    const Window<std::int16_t> out = result.writable();
    for (int c = 0; c < kColours; ++c) {
        for (std::int32_t y = 0; y < picture.height(); ++y) {
            std::copy_n(picture.window().at(c, y, 0), picture.width(), out.at(c, y + margin.y, margin.x));
        }
    }
    wrap(result, margin);
    return result;
}

// Offsets may be any numbers: sums are wider.
void check_places(const Field& field, const PhotographLevels& photograph, int level) {
    const std::int64_t lowest = photograph.height(level) - kPatch, rightmost = photograph.width(level) - kPatch;
    for (std::int32_t i = 0; i < field.rows; ++i) {
        for (std::int32_t j = 0; j < field.columns; ++j) {
            const Offset o = *field.cells().at(i, j);
            const std::int64_t y = std::int64_t{field.stride} * i - kLead + o.y, x = std::int64_t{field.stride} * j - kLead + o.x;
            if (y < 0 || x < 0 || y > lowest || x > rightmost) {
                throw std::invalid_argument("expected the field's patches to lie within the photograph");
            }
        }
    }
}

void check_values(const Planes16& planes, std::int32_t height, std::int32_t width, std::int32_t least, std::int32_t most,
                  const std::string& name) {
    if (planes.height() != height || planes.width() != width) {
        throw std::invalid_argument("expected the " + name + " of " + std::to_string(height) + " x " +
                                    std::to_string(width) + ", got " + std::to_string(planes.height()) + " x " +
                                    std::to_string(planes.width()));
    }
    const Window<const std::int16_t> window = planes.window();
    for (const std::int16_t* plane : window.plane) {
        const auto [low, high] = std::minmax_element(plane, plane + window.stride * window.height);
        if (*low < least || *high > most) {
            throw std::invalid_argument("expected values of the " + name + " from " + std::to_string(least) + " to " +
                                        std::to_string(most));
        }
    }
}

void check_start(const PhotographLevels& photograph, const Start& start, const LevelSizes& sizes) {
    if (start.level < 0 || start.level >= photograph.searched() || (start.field == nullptr) == (start.structure == nullptr)) {
        throw std::invalid_argument("expected a start at a level that is searched");
    }
    const auto& [height, width] = sizes[static_cast<std::size_t>(start.level)];
    if (start.structure != nullptr &&
        (start.level != 0 || height != start.structure->height() || width != start.structure->width())) {
        throw std::invalid_argument("expected the first size to be the structure's");
    }
    if (start.field == nullptr) return;
    if (start.field->stride != 1 || height != start.field->rows || width != start.field->columns) {
        throw std::invalid_argument("expected the size of its level to be the field's");
    }
    check_places(*start.field, photograph, start.level);
}

// Cells to the neighbours that are tried at a finer level: when it is first matched, and once it is put together.
constexpr std::initializer_list<std::int32_t> kFirstJumps = {4, 2, 1, 1};
constexpr std::initializer_list<std::int32_t> kThenJumps = {2, 1, 1};

// The search, from the coarsest level on.
class FieldSearch {
public:
    FieldSearch(const PhotographLevels& photograph, const Wrap& wrap, std::uint64_t seed, const DetailSettings& settings,
                int threads, const Report& report)
        : photograph_(photograph), wrap_(wrap), seed_(seed), settings_(settings), threads_(threads), report_(report) {}

    // The coarsest level, matched to the structure, within its margin.
    Found coarsest(const Planes16& structure) {
        LevelSearch search = level_search(
            0,
            random_field({structure.height(), structure.width()}, {photograph_.height(0), photograph_.width(0)}, seed_,
                         kStream),
            0, structure.height());
        const Prices free = row_prices(settings_, 0, photograph_.height(0));
        const Prices priced = prices_of(settings_, 0, photograph_.height(0));
        search.match(structure, photograph_.keys(0));
        constexpr std::int32_t kJumps[4] = {8, 4, 2, 1};
        for (std::int32_t i = 0; i < settings_.iterations; ++i) {
            const std::int32_t radius = std::max(photograph_.height(0), photograph_.width(0)) >> std::min(i / 4, 31);
            search.improve({kJumps[i % 4], settings_.coarse_tries, std::max(radius, 1)},
                           2 * i >= settings_.iterations ? priced : free);
            report_(0);
        }
        return settled(search, 0, settings_.rounds, 1, structure);
    }

    // A level of which the field is known, within its margin, but for seams.
    Found known(int level, Field field) {
        const std::int32_t height = field.rows, width = field.columns;
        LevelSearch search = level_search(level, std::move(field), 0, height);
        return settled(search, level, settings_.known_rounds, settings_.known_seams, Planes16(height, width));
    }

    // The next level: whole, or where that would take much memory part by part, from top to bottom. Parts overlap by
    // as much as anything reaches, so that the result is the same.
    Found finer(int level, const Found& below, std::int32_t height, std::int32_t width) {
        const bool is_last = level + 1 == photograph_.searched();
        const std::int32_t stride = is_last ? 2 : 1;
        const std::int32_t margin = reach(level, stride);
        const std::int32_t rows = std::max(settings_.part / width / 4 * 4, 2 * margin);
        // Overuse is counted over the whole, and what lies at the other side has to be there.
        if (level < settings_.overuse_levels || wrap_.y || rows >= height) return finer_part(level, below, 0, height, height, width);
        Found found{Planes16(height, width), make_field(height, width, stride), Planes16(height, width)};
        for (std::int32_t top = 0; top < height; top += rows) {
            const std::int32_t bottom = std::min(top + rows, height);
            const std::int32_t first = std::max(top - margin, 0), last = std::min(bottom + margin, height);
            const Found part = finer_part(level, cut_rows(below, first / 2, (last + 1) / 2), first, last, height, width);
            paste_rows(part, first, top, bottom, found);
        }
        return found;
    }

private:
    // Rows from `first` on of a picture of which height, both with its margin.
    LevelSearch level_search(int level, Field field, std::int32_t first, std::int32_t height) const {
        const Margin margin = margin_at(level, wrap_);
        return {photograph_.at(level), std::move(field), {first - margin.y, height - 2 * margin.y, margin}, seed_,
                kStream + static_cast<std::uint32_t>(level), threads_};
    }

    // The first level, put together and searched for what it then is, in turns; seams cost so many times as much as at
    // others. Nothing of a structure is in it.
    Found settled(LevelSearch& search, int level, std::int32_t rounds, std::int32_t seams, const Planes16& structure) {
        Prices priced = prices_of(settings_, level, photograph_.height(level));
        priced.incoherence *= seams;
        priced.seam *= seams;
        Planes16 picture = search.blend(structure, 0);
        for (std::int32_t i = 0; i < rounds; ++i) {
            search.match(picture, photograph_.values(level));
            for (const std::int32_t jump : {2, 1, 1}) search.improve({jump, settings_.tries, settings_.radius}, priced);
            picture = search.blend(structure, 0);
            report_(0);
        }
        Planes16 tone = balance_tone(photograph_.exemplar(level), picture.window(), search.field(), nullptr,
                                     margin_at(level, wrap_), settings_.tone, threads_);
        return {std::move(picture), std::move(search.field()), std::move(tone)};
    }

    // Rows first..last of a level, from the rows below them: as if they were the whole.
    Found finer_part(int level, const Found& below, std::int32_t first, std::int32_t last, std::int32_t height,
                     std::int32_t width) {
        const bool is_last = level + 1 == photograph_.searched();
        const Planes16 enlarged = enlarge_whole(below.picture.window(), last - first, width, threads_);
        LevelSearch search = level_search(
            level, inherit_field(photograph_, level, below.field, enlarged, is_last ? 2 : 1, threads_), first, height);
        const std::int32_t limit = settings_.limit * kSteps;
        // Each level has four times the pixels of the one before.
        const double whole = 1.0 / static_cast<double>(std::int64_t{1} << (2 * (photograph_.searched() - 1 - level)));
        const double before = whole * first / height, share = whole * (last - first) / height;
        search.match(enlarged, photograph_.keys(level));
        improve(search, level, kFirstJumps, before + share * 0.25);
        Planes16 picture = search.blend(enlarged, limit);
        search.match(picture, photograph_.values(level));
        improve(search, level, kThenJumps, before + share * 0.7);
        picture = search.blend(enlarged, limit);
        const Planes16 tone_below = enlarge_tone(below.tone, last - first, width, threads_);
        Planes16 tone = balance_tone(photograph_.exemplar(level), picture.window(), search.field(), &tone_below,
                                     margin_at(level, wrap_), settings_.tone, threads_);
        report_(before + share);
        return {std::move(picture), std::move(search.field()), std::move(tone)};
    }

    // How many rows away something can still matter, a multiple of 4.
    std::int32_t reach(int level, std::int32_t stride) const {
        const std::int32_t echo = level < settings_.echo_levels ? kPatch : stride;
        std::int32_t rows = 0;
        for (const auto& jumps : {kFirstJumps, kThenJumps}) {
            for (const std::int32_t jump : jumps) rows += std::max(jump * stride, echo);
            rows += 2 * kPatch;  // blending and matching
        }
        return (rows + settings_.tone.fine_iterations + 2 * kPatch + 3) / 4 * 4;
    }

    void improve(LevelSearch& search, int level, std::initializer_list<std::int32_t> jumps, double done) {
        const Prices prices = prices_of(settings_, level, photograph_.height(level));
        const std::int32_t tries = level + 1 == photograph_.searched() ? settings_.last_tries : settings_.tries;
        for (const std::int32_t jump : jumps) {
            search.improve({jump, tries, settings_.radius}, prices);
            report_(done);
        }
    }

    const PhotographLevels& photograph_;
    const Wrap wrap_;
    const std::uint64_t seed_;
    const DetailSettings settings_;
    const int threads_;
    const Report& report_;
};

}  // namespace

Margin margin_at(int level, const Wrap& wrap) {
    return {wrap.y ? kWrapMargin << level : 0, wrap.x ? kWrapMargin << level : 0};
}

void check_sizes(const PhotographLevels& photograph, const LevelSizes& sizes) {
    const auto count = static_cast<std::int64_t>(sizes.size());
    if (count < photograph.searched() || count > photograph.count()) {
        throw std::invalid_argument("expected as many sizes as the photograph has levels, got " + std::to_string(count));
    }
    if (count - photograph.searched() > kMostShift) {
        throw std::invalid_argument("expected at most " + std::to_string(kMostShift) + " levels above those searched");
    }
    for (const auto& [height, width] : sizes) {
        if (std::min(height, width) < 1 || std::max(height, width) > kLongestSide) {
            throw std::invalid_argument("levels must have sides from 1 to " + std::to_string(kLongestSide) + " pixels");
        }
    }
    for (std::size_t i = 1; i < sizes.size(); ++i) {
        const auto half = [](std::int32_t side) { return (side + 1) / 2; };
        if (half(sizes[i].first) != sizes[i - 1].first || half(sizes[i].second) != sizes[i - 1].second) {
            throw std::invalid_argument("each level must have half the next one's sides, rounded up");
        }
    }
}

void check_wrap(const LevelSizes& sizes, const Wrap& wrap) {
    for (std::size_t i = 1; i < sizes.size(); ++i) {
        if ((wrap.y && sizes[i].first != 2 * sizes[i - 1].first) || (wrap.x && sizes[i].second != 2 * sizes[i - 1].second)) {
            throw std::invalid_argument("a side that wraps must be twice as long at each level as at the one before");
        }
    }
}

std::pair<std::int32_t, std::int32_t> found_size(const PhotographLevels& photograph, const LevelSizes& sizes,
                                                 const Wrap& wrap) {
    const int level = photograph.searched() - 1;
    const auto& [height, width] = sizes[static_cast<std::size_t>(level)];
    const Margin margin = margin_at(level, wrap);
    return {height + 2 * margin.y, width + 2 * margin.x};
}

void check_found(const PhotographLevels& photograph, const Found& found, const LevelSizes& sizes, const Wrap& wrap) {
    check_sizes(photograph, sizes);
    check_wrap(sizes, wrap);
    const auto [height, width] = found_size(photograph, sizes, wrap);
    check_values(found.picture, height, width, 0, kWhite, "picture");
    check_values(found.tone, height, width, -kWhite / 2, kWhite / 2, "tone");
    const Field& field = found.field;
    const auto count = [&field](std::int32_t side) { return (side + field.stride - 1) / field.stride; };
    if ((field.stride != 1 && field.stride != 2) || field.rows != count(height) || field.columns != count(width) ||
        field.offsets.size() != static_cast<std::size_t>(field.rows) * static_cast<std::size_t>(field.columns)) {
        throw std::invalid_argument("expected a field of the picture's size, or half of it, rounded up");
    }
    check_places(field, photograph, photograph.searched() - 1);
}

Found find_field(const PhotographLevels& photograph, const Start& start, const LevelSizes& sizes, const Wrap& wrap,
                 std::uint64_t seed, const DetailSettings& settings, int threads, const Report& report) {
    check_sizes(photograph, sizes);
    check_start(photograph, start, sizes);
    check_wrap(sizes, wrap);
    FieldSearch search(photograph, wrap, seed, settings, threads, report);
    Found found = start.field != nullptr ? search.known(start.level, pad(*start.field, margin_at(start.level, wrap)))
                                         : search.coarsest(pad(*start.structure, margin_at(0, wrap)));
    for (int level = start.level + 1; level < photograph.searched(); ++level) {
        const auto& [height, width] = sizes[static_cast<std::size_t>(level)];
        const Margin margin = margin_at(level, wrap);
        found = search.finer(level, found, height + 2 * margin.y, width + 2 * margin.x);
    }
    return found;
}

}  // namespace ourgan
