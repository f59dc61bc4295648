#include "composition.h"

#include <algorithm>
#include <numeric>
#include <stdexcept>
#include <string>

#include "parallel.h"
#include "philox.h"
#include "resample.h"

namespace ourgan {
namespace {

constexpr std::int32_t kLargestStart = 4;  // times the coarsest level's sides; a larger one is reduced first
constexpr std::uint32_t kStream = 1u << 17;  // of random numbers, behind those of fields; two for every level

using Extent = std::pair<std::int32_t, std::int32_t>;

// Interleaved values that resample() takes.
template <class T>
struct Pixels {
    Pixels(std::int32_t height_, std::int32_t width_)
        : height(height_), width(width_), values(static_cast<std::size_t>(height) * static_cast<std::size_t>(width) * kColours) {}

    static constexpr PixelType type = sizeof(T) == 1 ? PixelType::uint8 : PixelType::uint16;
    std::int64_t row_stride() const { return static_cast<std::int64_t>(width) * kColours * static_cast<std::int64_t>(sizeof(T)); }
    Picture writable() {
        return {reinterpret_cast<std::byte*>(values.data()), type, height, width, kColours, row_stride()};
    }
    ConstPicture readable() const {
        return {reinterpret_cast<const std::byte*>(values.data()), type, height, width, kColours, row_stride()};
    }

    std::int32_t height, width;
    std::vector<T> values;
};

Pixels<std::uint8_t> reduce(const ConstPicture& picture, const Extent& size) {
    Pixels<std::uint8_t> result(size.first, size.second);
    resample(picture, result.writable(), 1);
    return result;
}

// The photograph at a level, whose keys lack what the picture, enlarged from the level below, lacks as well.
PhotographLevel make_level(const ConstPicture& photograph, const Extent& size, const Extent& below) {
    const Pixels<std::uint8_t> values = reduce(photograph, size);
    const Pixels<std::uint8_t> keys = reduce(reduce(photograph, below).readable(), size);
    return PhotographLevel(values.readable(), to_planes(keys.readable()), true);
}

// `picture` at another size; where it wraps, it is resized among copies of itself.
Planes16 resize(const Planes16& picture, const Extent& size, const Wrap& wrap) {
    const std::int32_t down = wrap.y ? 3 : 1, across = wrap.x ? 3 : 1;
    Pixels<std::uint16_t> in(down * picture.height(), across * picture.width()), out(down * size.first, across * size.second);
    const Window<const std::int16_t> from = picture.window();
    std::size_t n = 0;
    for (std::int32_t y = 0; y < in.height; ++y) {
        for (std::int32_t x = 0; x < in.width; ++x) {
            for (int c = 0; c < kColours; ++c) {
                in.values[n++] = static_cast<std::uint16_t>(*from.at(c, y % picture.height(), x % picture.width()));
            }
        }
    }
    resample(in.readable(), out.writable(), 1);
    Planes16 result(size.first, size.second);
    const Window<std::int16_t> to = result.writable();
    for (std::int32_t y = 0; y < size.first; ++y) {
        for (std::int32_t x = 0; x < size.second; ++x) {
            const std::int64_t row = y + (down / 2) * size.first, column = x + (across / 2) * size.second;
            for (int c = 0; c < kColours; ++c) {
                const std::uint16_t value = out.values[static_cast<std::size_t>((row * out.width + column) * kColours + c)];
                *to.at(c, y, x) = static_cast<std::int16_t>(std::min<std::int32_t>(value, kWhite));
            }
        }
    }
    return result;
}

Planes16 make_grey(const Extent& size) {
    Planes16 result(size.first, size.second);
    const Window<std::int16_t> out = result.writable();
    for (int c = 0; c < kColours; ++c) {
        for (std::int32_t y = 0; y < size.first; ++y) std::fill_n(out.at(c, y, 0), size.second, std::int16_t{kWhite / 2});
    }
    return result;
}

// `start` at another size; a much larger one by way of a smaller, as `resize` makes nine copies of what wraps.
Planes16 make_start(const ConstPicture& start, const Extent& size, const Wrap& wrap) {
    const auto most = [](std::int64_t side, std::int32_t wanted) {
        return static_cast<std::int32_t>(std::min<std::int64_t>(side, std::int64_t{kLargestStart} * wanted));
    };
    const Extent reduced(most(start.height, size.first), most(start.width, size.second));
    return resize(to_planes(reduce(start, reduced).readable()), size, wrap);
}

// Adds noise of about a normal distribution: sums of four even ones.
void add_noise(Planes16& picture, std::int32_t deviation, std::uint64_t seed) {
    constexpr std::int64_t kMean = 2 * 65535, kDeviation = 37837;
    const Window<std::int16_t> out = picture.writable();
    for (std::int32_t y = 0; y < picture.height(); ++y) {
        for (std::int32_t x = 0; x < picture.width(); ++x) {
            const auto row = static_cast<std::uint32_t>(y), column = static_cast<std::uint32_t>(x);
            const auto low = static_cast<std::uint32_t>(seed), high = static_cast<std::uint32_t>(seed >> 32);
            const Words4 one = philox_4x32_10({{column, row, 0, kStream}}, low, high);
            const Words4 other = philox_4x32_10({{column, row, 1, kStream}}, low, high);
            const std::uint32_t words[6] = {one.word[0],   one.word[1],   one.word[2],
                                            one.word[3], other.word[0], other.word[1]};
            for (int c = 0; c < kColours; ++c) {
                const std::int64_t sum = static_cast<std::int64_t>(words[2 * c] >> 16) + (words[2 * c] & 0xFFFFu) +
                                         (words[2 * c + 1] >> 16) + (words[2 * c + 1] & 0xFFFFu);
                std::int16_t& value = *out.at(c, y, x);
                const std::int64_t noisy = value + (sum - kMean) * deviation * kSteps / kDeviation;
                value = static_cast<std::int16_t>(std::clamp<std::int64_t>(noisy, 0, kWhite));
            }
        }
    }
}

// Every pixel the mean of what the patches over it show there.
Planes16 vote(const Exemplar& exemplar, const Field& field, const Extent& size, const Wrap& wrap, int threads) {
    Planes16 result(size.first, size.second);
    const Window<std::int16_t> out = result.writable();
    parallel_rows(size.first, 8, threads, [&](std::int64_t first, std::int64_t last) {
        for (auto y = static_cast<std::int32_t>(first); y < last; ++y) {
            for (std::int32_t x = 0; x < size.second; ++x) {
                std::int32_t sums[kColours] = {}, count = 0;
                for (std::int32_t i = y + kLead - kPatch + 1; i <= y + kLead; ++i) {
                    if (!wrap.y && (i < 0 || i >= size.first)) continue;
                    const std::int32_t row = beyond(i, size.first, wrap.y);
                    for (std::int32_t j = x + kLead - kPatch + 1; j <= x + kLead; ++j) {
                        if (!wrap.x && (j < 0 || j >= size.second)) continue;
                        const std::int32_t column = beyond(j, size.second, wrap.x);
                        const Offset o = *field.cells().at(row, column);
                        const std::int32_t from_y = row + o.y + (y - i), from_x = column + o.x + (x - j);
                        for (int c = 0; c < kColours; ++c) sums[c] += *exemplar.values.at(c, from_y, from_x);
                        ++count;
                    }
                }
                for (int c = 0; c < kColours; ++c) {
                    *out.at(c, y, x) = static_cast<std::int16_t>((sums[c] * kSteps + count / 2) / count);
                }
            }
        }
    });
    return result;
}

// The place, at another size, that a pixel's centre lies in.
std::int32_t scaled(std::int32_t place, std::int32_t from, std::int32_t to) {
    return static_cast<std::int32_t>((2 * static_cast<std::int64_t>(place) + 1) * to / (2 * static_cast<std::int64_t>(from)));
}

// The field and the picture as they were composed, for a picture and a photograph of other sizes.
Field scale_field(const Field& field, const CompositionLevel& from, const CompositionLevel& to) {
    Field result = make_field(to.picture.first, to.picture.second, 1);
    // A source lies at the scaled source of the nearest cell, plus how far that cell is from here.
    const auto source = [](std::int64_t place, std::int64_t cell, std::int64_t offset, std::int64_t picture_from,
                           std::int64_t picture_to, std::int64_t photo_from, std::int64_t photo_to) {
        const std::int64_t whole = 2 * photo_from * picture_from;
        const std::int64_t centre = (2 * (cell + offset) + 1) * photo_to * picture_from +
                                    (2 * place + 1) * photo_from * picture_from - (2 * cell + 1) * picture_to * photo_from;
        return static_cast<std::int32_t>(centre >= 0 ? centre / whole : -((-centre + whole - 1) / whole));
    };
    for (std::int32_t i = 0; i < result.rows; ++i) {
        const std::int32_t a = std::min(scaled(i, to.picture.first, from.picture.first), field.rows - 1);
        for (std::int32_t j = 0; j < result.columns; ++j) {
            const std::int32_t b = std::min(scaled(j, to.picture.second, from.picture.second), field.columns - 1);
            const Offset o = *field.cells().at(a, b);
            const std::int32_t y = source(i, a, o.y, from.picture.first, to.picture.first, from.photograph.first, to.photograph.first);
            const std::int32_t x = source(j, b, o.x, from.picture.second, to.picture.second, from.photograph.second, to.photograph.second);
            *result.cells().at(i, j) = {std::clamp(y - kLead, 0, to.photograph.first - kPatch) - (i - kLead),
                                        std::clamp(x - kLead, 0, to.photograph.second - kPatch) - (j - kLead)};
        }
    }
    return result;
}

// One level's search, both ways: the picture's patches among the photograph's, and, for completeness, the reverse.
class Level {
public:
    Level(const PhotographLevel& photograph, Field field, bool is_exhaustive, const Wrap& wrap, std::uint64_t seed,
          std::uint32_t stream, const CompositionSettings& settings, int threads)
        : photograph_(photograph),
          wrap_(wrap),
          settings_(settings),
          is_complete_(std::min(field.rows, field.columns) >= kPatch),
          is_exhaustive_(is_exhaustive),
          size_(field.rows, field.columns),
          there_(photograph, std::move(field), {0, size_.first}, seed, stream, threads),
          back_(photograph, random_field({photograph.height(), photograph.width()}, size_, seed, stream + 1),
                {0, photograph.height()}, seed, stream + 1, threads),
          threads_(threads) {}

    Planes16 round(const Planes16& picture, bool is_first) {
        const RgbxPicture query(picture.window(), wrap_);
        if (is_complete_) there_.weigh(weights(query.view(), is_first));
        there_.match(query, photograph_.keys());
        search(there_, photograph_.height(), is_first);
        return vote(photograph_.exemplar(), there_.field(), size_, wrap_, threads_);
    }

    Field& field() { return there_.field(); }

private:
    // How much a candidate counts: less, the worse the picture shows it as yet.
    std::vector<std::uint32_t> weights(const Rgbx& picture, bool is_first) {
        back_.match(RgbxPicture(photograph_.exemplar().keys), picture);
        search(back_, size_.first, is_first);
        std::vector<std::uint32_t> result(back_.cost().size(), 0);
        const std::int64_t width = photograph_.width();
        const std::int64_t alpha = std::max<std::int64_t>(1, static_cast<std::int64_t>(settings_.completeness) * kValues);
        for (std::int64_t y = 0; y + kPatch <= photograph_.height(); ++y) {
            for (std::int64_t x = 0; x + kPatch <= width; ++x) {
                const std::int64_t least = back_.cost()[static_cast<std::size_t>((y + kLead) * width + x + kLead)];
                result[static_cast<std::size_t>(y * width + x)] =
                    static_cast<std::uint32_t>(std::max<std::int64_t>(1, (alpha << 16) / (alpha + least)));
            }
        }
        return result;
    }

    void search(LevelSearch& search, std::int32_t height, bool is_first) const {
        Prices prices;
        prices.row = static_cast<std::int32_t>(static_cast<std::int64_t>(settings_.row) * kValues / height / height);
        if (is_exhaustive_) {
            search.exhaust(prices);
            return;
        }
        const std::int32_t far = std::max(photograph_.height(), photograph_.width());
        if (is_first) {
            for (const std::int32_t jump : {8, 8, 4, 4}) search.improve({jump, 2 * settings_.tries, far}, prices);
        }
        for (const std::int32_t jump : {2, 2, 1, 1}) search.improve({jump, settings_.tries, settings_.radius}, prices);
    }

    const PhotographLevel& photograph_;
    const Wrap wrap_;
    const CompositionSettings settings_;
    const bool is_complete_;  // whether the picture has patches to look for the photograph's among
    const bool is_exhaustive_;
    const Extent size_;
    LevelSearch there_;
    LevelSearch back_;
    int threads_;
};

void check(const ConstPicture& photograph, const std::vector<CompositionLevel>& levels, const ConstPicture* start) {
    if (photograph.type != PixelType::uint8 || photograph.channels != kColours) {
        throw std::invalid_argument("the photograph must be uint8 of three channels");
    }
    if (start != nullptr && (start->type != PixelType::uint8 || start->channels != kColours ||
                             std::min(start->height, start->width) < 1)) {
        throw std::invalid_argument("the start must be uint8 of three channels, of at least 1 pixel a side");
    }
    if (levels.empty() || levels.back().photograph != Extent(static_cast<std::int32_t>(photograph.height),
                                                           static_cast<std::int32_t>(photograph.width))) {
        throw std::invalid_argument("expected levels, the last one of the photograph's size");
    }
    for (const CompositionLevel& level : levels) {
        if (std::min(level.photograph.first, level.photograph.second) < kPatch ||
            std::max(level.photograph.first, level.photograph.second) > (1 << 20) ||
            std::min(level.picture.first, level.picture.second) < 1 ||
            std::max(level.picture.first, level.picture.second) > (1 << 16)) {
            throw std::invalid_argument("expected a photograph of " + std::to_string(kPatch) +
                                        " to 1048576 pixels a side and a picture of 1 to 65536 at every level");
        }
    }
}

}  // namespace

KnownField known_field(const Composition& composition, const PhotographLevels& photograph, const LevelSizes& sizes) {
    check_sizes(photograph, sizes);
    const std::int64_t own = static_cast<std::int64_t>(composition.photograph_height) * composition.photograph_width;
    int level = 0;
    while (level + 1 < photograph.searched() &&
           2 * static_cast<std::int64_t>(photograph.height(level)) * photograph.width(level) < own) {
        ++level;
    }
    const CompositionLevel from{{composition.photograph_height, composition.photograph_width},
                                {composition.picture.height(), composition.picture.width()}};
    const CompositionLevel to{{photograph.height(level), photograph.width(level)}, sizes[static_cast<std::size_t>(level)]};
    return {level, scale_field(composition.field, from, to)};
}

double copied_share(const Field& field, const Wrap& wrap) {
    std::vector<std::int32_t> parent(field.offsets.size());
    std::iota(parent.begin(), parent.end(), 0);
    const auto root = [&](std::int32_t at) {
        while (parent[static_cast<std::size_t>(at)] != at) {
            std::int32_t& above = parent[static_cast<std::size_t>(at)];
            above = parent[static_cast<std::size_t>(above)];
            at = above;
        }
        return at;
    };
    // Joins a cell and the next one, down or right, which lies `across` from where it would be if that wraps.
    const auto join = [&](std::int32_t i, std::int32_t j, std::int32_t next_i, std::int32_t next_j, Offset across) {
        const Offset one = *field.cells().at(i, j), next = *field.cells().at(next_i, next_j);
        if (std::max(std::abs(next.y - across.y - one.y), std::abs(next.x - across.x - one.x)) > 1) return;
        const std::int32_t first = root(i * field.columns + j), second = root(next_i * field.columns + next_j);
        parent[static_cast<std::size_t>(std::max(first, second))] = std::min(first, second);
    };
    for (std::int32_t i = 0; i < field.rows; ++i) {
        for (std::int32_t j = 0; j < field.columns; ++j) {
            if (j + 1 < field.columns) join(i, j, i, j + 1, {0, 0});
            if (i + 1 < field.rows) join(i, j, i + 1, j, {0, 0});
        }
    }
    for (std::int32_t i = 0; wrap.x && i < field.rows; ++i) join(i, field.columns - 1, i, 0, {0, field.columns});
    for (std::int32_t j = 0; wrap.y && j < field.columns; ++j) join(field.rows - 1, j, 0, j, {field.rows, 0});
    std::vector<std::int32_t> count(parent.size());
    std::int32_t most = 0;
    for (std::size_t at = 0; at < parent.size(); ++at) {
        most = std::max(most, ++count[static_cast<std::size_t>(root(static_cast<std::int32_t>(at)))]);
    }
    return static_cast<double>(most) / static_cast<double>(parent.size());
}

Composition compose(const ConstPicture& photograph, const std::vector<CompositionLevel>& levels,
                    const ConstPicture* start, const Wrap& wrap, std::uint64_t seed,
                    const CompositionSettings& settings, int threads, const Report& report) {
    check(photograph, levels, start);
    const auto work_of = [&](const CompositionLevel& level, std::int32_t rounds) {
        return static_cast<double>(rounds) * level.picture.first * level.picture.second;
    };
    double whole = 0, done = 0;
    for (const CompositionLevel& level : levels) whole += work_of(level, settings.rounds);
    Planes16 picture(1, 1);
    Field field{1, 0, 0, {}};
    for (std::size_t i = 0; i < levels.size(); ++i) {
        const CompositionLevel& level = levels[i];
        const bool is_coarsest = i == 0;
        const auto stream = kStream + 1 + 2 * static_cast<std::uint32_t>(i);
        const auto& [height, width] = level.photograph;
        const Extent below = is_coarsest ? Extent{height * 3 / 4, width * 3 / 4} : levels[i - 1].photograph;
        const PhotographLevel exemplar = make_level(photograph, level.photograph, below);
        if (!is_coarsest) {
            picture = resize(picture, level.picture, wrap);
            field = scale_field(field, levels[i - 1], level);
        } else {
            picture = start == nullptr ? make_grey(level.picture) : make_start(*start, level.picture, wrap);
            add_noise(picture, start == nullptr ? settings.noise : settings.start_noise, seed);
            field = random_field(level.picture, level.photograph, seed, stream);
        }
        const std::int64_t pairs = static_cast<std::int64_t>(level.picture.first) * level.picture.second * height * width;
        Level search(exemplar, std::move(field), is_coarsest && pairs <= settings.exhaustive, wrap, seed, stream, settings,
                     threads);
        const std::int32_t rounds = is_coarsest ? settings.first_rounds : settings.rounds;
        for (std::int32_t n = 0; n < rounds; ++n) {
            picture = search.round(picture, n == 0);
            report(std::min(1.0, (done + work_of(level, n + 1)) / whole));
        }
        done += work_of(level, settings.rounds);
        field = std::move(search.field());
    }
    const CompositionLevel& last = levels.back();
    return {std::move(picture), std::move(field), last.photograph.first, last.photograph.second, wrap};
}

}  // namespace ourgan
