#include "level_search.h"

#include <algorithm>

#include "parallel.h"
#include "philox.h"

namespace ourgan {
namespace {

constexpr std::int64_t kRowsPerThread = 8;

// The sums over 9 x 9 values; beyond the border there is nothing.
void sum_around(const std::int32_t* in, std::int32_t* out, std::int64_t height, std::int64_t width) {
    std::vector<std::int32_t> rows(static_cast<std::size_t>(height * width));
    const auto sum_line = [](const std::int32_t* from, std::int32_t* to, std::int64_t length, std::int64_t step) {
        std::int32_t sum = 0;
        for (std::int64_t i = 0; i < std::min<std::int64_t>(4, length); ++i) sum += from[i * step];
        for (std::int64_t i = 0; i < length; ++i) {
            if (i + 4 < length) sum += from[(i + 4) * step];
            to[i * step] = sum;
            if (i >= 4) sum -= from[(i - 4) * step];
        }
    };
    for (std::int64_t y = 0; y < height; ++y) sum_line(in + y * width, rows.data() + y * width, width, 1);
    for (std::int64_t x = 0; x < width; ++x) sum_line(rows.data() + x, out + x, height, width);
}

}  // namespace

Field make_field(std::int32_t height, std::int32_t width, std::int32_t stride) {
    const std::int32_t rows = (height + stride - 1) / stride, columns = (width + stride - 1) / stride;
    return {stride, rows, columns, std::vector<Offset>(static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns))};
}

Field random_field(const std::pair<std::int32_t, std::int32_t>& picture,
                   const std::pair<std::int32_t, std::int32_t>& photograph, std::uint64_t seed, std::uint32_t stream) {
    Field field = make_field(picture.first, picture.second, 1);
    const auto down = static_cast<std::uint64_t>(photograph.first - kPatch + 1);
    const auto right = static_cast<std::uint64_t>(photograph.second - kPatch + 1);
    for (std::int32_t i = 0; i < field.rows; ++i) {
        for (std::int32_t j = 0; j < field.columns; ++j) {
            const Words4 words = philox_4x32_10(
                {{static_cast<std::uint32_t>(j), static_cast<std::uint32_t>(i), 0xFFFFFFFFu, stream}},
                static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32));
            *field.cells().at(i, j) = {static_cast<std::int32_t>((words.word[0] * down) >> 32) - (i - kLead),
                                       static_cast<std::int32_t>((words.word[1] * right) >> 32) - (j - kLead)};
        }
    }
    return field;
}

void wrap(Planes16& picture, const Margin& margin) {
    if (margin.y == 0 && margin.x == 0) return;
    const Window<std::int16_t> w = picture.writable();
    for (int c = 0; c < kColours; ++c) {
        for (std::int32_t y = 0; y < w.height; ++y) {
            const std::int16_t* row = w.at(c, margin.y + beyond(y - margin.y, w.height - 2 * margin.y, true), 0);
            std::int16_t* out = w.at(c, y, 0);
            for (std::int32_t x = 0; x < w.width; ++x) {
                out[x] = row[margin.x + beyond(x - margin.x, w.width - 2 * margin.x, true)];
            }
        }
    }
}

void wrap(Field& field, const Margin& margin) {
    if (margin.y == 0 && margin.x == 0) return;
    const std::int32_t down = margin.y / field.stride, across = margin.x / field.stride;
    for (std::int32_t i = 0; i < field.rows; ++i) {
        const std::int32_t a = down + beyond(i - down, field.rows - 2 * down, true);
        for (std::int32_t j = 0; j < field.columns; ++j) {
            const std::int32_t b = across + beyond(j - across, field.columns - 2 * across, true);
            const Offset o = *field.cells().at(a, b);
            *field.cells().at(i, j) = {o.y + field.stride * (a - i), o.x + field.stride * (b - j)};
        }
    }
}

LevelSearch::LevelSearch(const PhotographLevel& photograph, Field field, const Placement& placement, std::uint64_t seed,
                         std::uint32_t stream, int threads)
    : photograph_(photograph),
      field_(std::move(field)),
      placement_(placement),
      seed_(seed),
      stream_(stream),
      threads_(threads),
      cost_(field_.offsets.size()) {
    wrap(field_, placement_.margin);
}

void LevelSearch::match(const RgbxPicture& picture, const Rgbx& keys) {
    query_.assign(1, picture);
    keys_ = keys;
    Search s = search({});
    s.new_cost = cost_.data();
    parallel_rows(field_.rows, kRowsPerThread, threads_, [&](std::int64_t first, std::int64_t last) {
        patch_kernels().measure(s, static_cast<std::int32_t>(first), static_cast<std::int32_t>(last));
    });
}

void LevelSearch::improve(const Step& step, const Prices& prices) {
    Search s = search(prices);
    s.jump = step.jump;
    s.tries = step.tries;
    s.radius = step.radius;
    s.iteration = iteration_++;
    std::vector<std::int32_t> overuse;
    if (prices.overuse > 0) {
        overuse = measure_overuse(prices.overuse, prices.most_overuse);
        s.overuse = overuse.data();
    }
    run(patch_kernels().improve, s);
}

void LevelSearch::exhaust(const Prices& prices) { run(patch_kernels().exhaust, search(prices)); }

Planes16 LevelSearch::blend(const Planes16& enlarged, std::int32_t limit) const {
    Planes16 result(enlarged.height(), enlarged.width());
    const Window<std::int16_t> window = result.writable();
    parallel_rows(result.height(), 4 * kRowsPerThread, threads_, [&](std::int64_t first, std::int64_t last) {
        std::vector<std::uint8_t> buffer(static_cast<std::size_t>(result.width()) + 1);
        level_kernels().blend(photograph_.exemplar(), enlarged.window(), field_.cells(), field_.stride, limit, window,
                              buffer.data(), static_cast<std::int32_t>(first), static_cast<std::int32_t>(last));
    });
    wrap(result, placement_.margin);
    return result;
}

Search LevelSearch::search(const Prices& prices) const {
    Search s{};
    s.query = query_.front().view();
    s.keys = keys_;
    s.values = photograph_.values();
    s.top = placement_.top;
    s.whole_height = placement_.whole_height;
    s.stride = field_.stride;
    s.rows = field_.rows;
    s.columns = field_.columns;
    s.field = field_.offsets.data();
    s.cost = cost_.data();
    s.weights = weights_.empty() ? nullptr : weights_.data();
    s.seed = seed_;
    s.stream = stream_;
    s.incoherence = prices.incoherence;
    s.seam = prices.seam;
    s.echo = prices.echo;
    s.echo_radius = prices.echo_radius;
    s.row = prices.row;
    s.row_slack = prices.row_slack;
    return s;
}

template <class Kernel>
void LevelSearch::run(Kernel kernel, Search search) {
    std::vector<Offset> offsets(field_.offsets.size());
    std::vector<std::uint32_t> cost(cost_.size());
    search.new_field = offsets.data();
    search.new_cost = cost.data();
    parallel_rows(field_.rows, kRowsPerThread, threads_, [&](std::int64_t first, std::int64_t last) {
        kernel(search, static_cast<std::int32_t>(first), static_cast<std::int32_t>(last));
    });
    field_.offsets.swap(offsets);
    cost_.swap(cost);
    wrap_cells();
}

void LevelSearch::wrap_cells() {
    const Margin& margin = placement_.margin;
    if (margin.y == 0 && margin.x == 0) return;
    wrap(field_, margin);
    const std::int32_t down = margin.y / field_.stride, across = margin.x / field_.stride;
    for (std::int32_t i = 0; i < field_.rows; ++i) {
        const std::int32_t a = down + beyond(i - down, field_.rows - 2 * down, true);
        for (std::int32_t j = 0; j < field_.columns; ++j) {
            const std::int32_t b = across + beyond(j - across, field_.columns - 2 * across, true);
            cost_[static_cast<std::size_t>(i) * static_cast<std::size_t>(field_.columns) + static_cast<std::size_t>(j)] =
                cost_[static_cast<std::size_t>(a) * static_cast<std::size_t>(field_.columns) + static_cast<std::size_t>(b)];
        }
    }
}

// What a position of the photograph costs for being used more often than others.
std::vector<std::int32_t> LevelSearch::measure_overuse(std::int32_t price, std::int32_t most) const {
    const std::int64_t height = photograph_.height(), width = photograph_.width();
    std::vector<std::int32_t> uses(static_cast<std::size_t>(height * width)), sums(uses.size());
    for (std::int32_t i = 0; i < field_.rows; ++i) {
        for (std::int32_t j = 0; j < field_.columns; ++j) {
            const Offset o = *field_.cells().at(i, j);
            const std::int64_t y = field_.stride * i - kLead + o.y, x = field_.stride * j - kLead + o.x;
            ++uses[static_cast<std::size_t>(y * width + x)];
        }
    }
    sum_around(uses.data(), sums.data(), height, width);
    const std::int64_t positions = (height - kPatch + 1) * (width - kPatch + 1);
    const std::int64_t cells = static_cast<std::int64_t>(field_.rows) * field_.columns;
    std::vector<std::int32_t> result(uses.size());
    for (std::size_t i = 0; i < result.size(); ++i) {
        // Uses within a patch's reach over the mean of them, less one.
        const std::int64_t extra =
            static_cast<std::int64_t>(price) * sums[i] * positions / (81 * std::max<std::int64_t>(1, cells)) - price;
        result[i] = static_cast<std::int32_t>(std::clamp<std::int64_t>(extra, 0, static_cast<std::int64_t>(price) * most));
    }
    return result;
}

}  // namespace ourgan
