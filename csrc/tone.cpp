#include "tone.h"

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "parallel.h"

namespace ourgan {
namespace {

constexpr std::int64_t kRowsPerThread = 16;
constexpr std::int32_t kFirm = 256;  // weight of a step that is surely of tone
constexpr std::int32_t kLoose = 1;   // and of one that is surely of content

// What the tone has to rise by from each pixel to the next one, to the right or below.
struct Rises {
    explicit Rises(std::size_t pixels) : weight(pixels) {
        for (auto& plane : rise) plane.resize(pixels);
    }
    std::vector<std::int16_t> rise[kColours];
    std::vector<std::int16_t> weight;
};

class Balance {
public:
    Balance(const Exemplar& exemplar, const Window<const std::int16_t>& picture, const Field& field,
            const ToneSettings& settings, int threads)
        : exemplar_(exemplar),
          picture_(picture),
          field_(field),
          settings_(settings),
          threads_(threads),
          right_(pixels()),
          down_(pixels()) {
        parallel_rows(picture_.height, kRowsPerThread, threads_, [&](std::int64_t first, std::int64_t last) {
            for (auto y = static_cast<std::int32_t>(first); y < last; ++y) {
                for (std::int32_t x = 0; x < picture_.width; ++x) {
                    if (x + 1 < picture_.width) measure(y, x, 0, 1, right_);
                    if (y + 1 < picture_.height) measure(y, x, 1, 0, down_);
                }
            }
        });
    }

    Planes16 solve(const Planes16& anchor, std::int32_t firmness, std::int32_t iterations, const Margin& margin) const {
        Planes16 tone = anchor, next(picture_.height, picture_.width);
        for (std::int32_t n = 0; n < iterations; ++n) {
            const Window<const std::int16_t> from = static_cast<const Planes16&>(tone).window();
            const Window<std::int16_t> to = next.writable();
            parallel_rows(picture_.height, kRowsPerThread, threads_, [&](std::int64_t first, std::int64_t last) {
                for (auto y = static_cast<std::int32_t>(first); y < last; ++y) relax(from, anchor.window(), firmness, to, y);
            });
            wrap(next, margin);
            std::swap(tone, next);
        }
        return tone;
    }

private:
    std::size_t pixels() const { return static_cast<std::size_t>(picture_.height) * static_cast<std::size_t>(picture_.width); }
    std::size_t index(std::int32_t y, std::int32_t x) const {
        return static_cast<std::size_t>(y) * static_cast<std::size_t>(picture_.width) + static_cast<std::size_t>(x);
    }
    Offset offset(std::int32_t y, std::int32_t x) const { return *field_.cells().at(y / field_.stride, x / field_.stride); }

    std::int32_t value(int colour, std::int32_t y, std::int32_t x) const {
        return *exemplar_.values.at(colour, std::clamp(y, 0, exemplar_.values.height - 1),
                                    std::clamp(x, 0, exemplar_.values.width - 1)) *
               kSteps;
    }

    void measure(std::int32_t y, std::int32_t x, std::int32_t down, std::int32_t right, Rises& rises) const {
        const Offset own = offset(y, x), other = offset(y + down, x + right);
        const std::size_t at = index(y, x);
        std::int32_t most = 0;
        for (int c = 0; c < kColours; ++c) {
            // As the photograph changes at either side's place, on average.
            const std::int32_t natural = (value(c, y + down + own.y, x + right + own.x) - value(c, y + own.y, x + own.x) +
                                          value(c, y + down + other.y, x + right + other.x) -
                                          value(c, y + other.y, x + other.x)) /
                                         2;
            const std::int32_t rise = natural - (*picture_.at(c, y + down, x + right) - *picture_.at(c, y, x));
            most = std::max(most, std::abs(rise));
            rises.rise[c][at] = static_cast<std::int16_t>(std::clamp(rise, -32767, 32767));
        }
        const std::int32_t like = settings_.like * kSteps, unlike = settings_.unlike * kSteps;
        const std::int32_t weight =
            most <= like ? kFirm : most >= unlike ? kLoose : kFirm - (kFirm - kLoose) * (most - like) / (unlike - like);
        if (weight == kLoose) {
            for (auto& plane : rises.rise) plane[at] = 0;
        }
        rises.weight[at] = static_cast<std::int16_t>(weight);
    }

    void relax(const Window<const std::int16_t>& tone, const Window<const std::int16_t>& anchor, std::int32_t firmness,
               const Window<std::int16_t>& out, std::int32_t y) const {
        for (int c = 0; c < kColours; ++c) {
            const std::int16_t* row = tone.at(c, y, 0);
            for (std::int32_t x = 0; x < picture_.width; ++x) {
                const std::size_t at = index(y, x);
                std::int32_t weights = firmness;
                std::int64_t sum = static_cast<std::int64_t>(firmness) * *anchor.at(c, y, x);
                const auto add = [&](std::int32_t weight, std::int32_t wanted) {
                    weights += weight;
                    sum += static_cast<std::int64_t>(weight) * wanted;
                };
                if (x > 0) add(right_.weight[at - 1], row[x - 1] + right_.rise[c][at - 1]);
                if (x + 1 < picture_.width) add(right_.weight[at], row[x + 1] - right_.rise[c][at]);
                if (y > 0) {
                    const std::size_t above = index(y - 1, x);
                    add(down_.weight[above], row[x - tone.stride] + down_.rise[c][above]);
                }
                if (y + 1 < picture_.height) add(down_.weight[at], row[x + tone.stride] - down_.rise[c][at]);
                *out.at(c, y, x) = static_cast<std::int16_t>(std::clamp<std::int64_t>(sum / weights, -kWhite / 2, kWhite / 2));
            }
        }
    }

    const Exemplar exemplar_;
    const Window<const std::int16_t> picture_;
    const Field& field_;
    const ToneSettings settings_;
    const int threads_;
    Rises right_, down_;
};

}  // namespace

Planes16 balance_tone(const Exemplar& exemplar, const Window<const std::int16_t>& picture, const Field& field,
                      const Planes16* below, const Margin& margin, const ToneSettings& settings, int threads) {
    const Balance balance(exemplar, picture, field, settings, threads);
    if (below == nullptr) {
        return balance.solve(Planes16(picture.height, picture.width), settings.anchor, settings.iterations, margin);
    }
    return balance.solve(*below, settings.fine_anchor, settings.fine_iterations, margin);
}

}  // namespace ourgan
