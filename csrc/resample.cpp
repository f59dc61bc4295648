#include "resample.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <vector>

#include "parallel.h"

namespace ourgan {
namespace {

constexpr int kWeightBits = 14;
constexpr std::int64_t kRowsPerThread = 16;

double cubic(double t) {
    t = std::abs(t);
    if (t <= 1) return (1.5 * t - 2.5) * t * t + 1;
    if (t < 2) return ((-0.5 * t + 2.5) * t - 4) * t + 2;
    return 0;
}

// Of one axis: out[i] is the sum of `taps` values from `first[i]` on, weighted by weights[i * taps ...], in 2^-14.
struct Axis {
    Axis(std::int64_t in, std::int64_t out) {
        const double ratio = static_cast<double>(in) / static_cast<double>(out), wide = std::max(1.0, ratio);
        taps = static_cast<std::int64_t>(std::ceil(4 * wide)) + 1;
        std::vector<double> exact(static_cast<std::size_t>(taps));
        for (std::int64_t i = 0; i < out; ++i) {
            const double centre = (static_cast<double>(i) + 0.5) * ratio - 0.5;
            const auto from = static_cast<std::int64_t>(std::floor(centre - 2 * wide)) + 1;
            double sum = 0;
            for (std::int64_t t = 0; t < taps; ++t) {
                sum += exact[static_cast<std::size_t>(t)] = cubic((static_cast<double>(from + t) - centre) / wide);
            }
            first.push_back(from);
            std::int32_t left = 1 << kWeightBits;
            std::size_t heaviest = weights.size();
            for (std::int64_t t = 0; t < taps; ++t) {
                const double share = exact[static_cast<std::size_t>(t)] / sum;
                weights.push_back(static_cast<std::int32_t>(std::floor(share * (1 << kWeightBits) + 0.5)));
                left -= weights.back();
                if (weights.back() > weights[heaviest]) heaviest = weights.size() - 1;
            }
            weights[heaviest] += left;  // together they are 1, so that what is flat stays so
        }
    }

    std::int64_t taps;
    std::vector<std::int64_t> first;
    std::vector<std::int32_t> weights;
};

template <class T>
struct Range;
template <>
struct Range<std::uint8_t> {
    static constexpr int extra = 4;  // bits that rows keep between the two axes
    static constexpr std::int32_t largest = 255;
};
template <>
struct Range<std::uint16_t> {
    static constexpr int extra = 0;
    static constexpr std::int32_t largest = 65535;
};

template <class T>
class Resampler {
public:
    Resampler(const ConstPicture& in, const Picture& out)
        : in_(in), out_(out), down_(in.height, out.height), across_(in.width, out.width) {}

    void rows(std::int64_t first, std::int64_t last) const {
        // What the columns are made of: a row, with its border repeated as far as any column reaches.
        const std::int64_t lead = std::max<std::int64_t>(0, -across_.first.front());
        const std::int64_t length = lead + std::max(in_.width, across_.first.back() + across_.taps);
        std::vector<std::int32_t> row(static_cast<std::size_t>(length * in_.channels));
        for (std::int64_t y = first; y < last; ++y) {
            mix_rows(y, row.data() + lead * in_.channels);
            repeat_border(row.data(), lead, length);
            mix_columns(row.data() + lead * in_.channels, reinterpret_cast<T*>(out_.pixel(y, 0)));
        }
    }

private:
    using Sum = std::int64_t;

    void mix_rows(std::int64_t y, std::int32_t* out) const {
        const std::int64_t count = in_.width * in_.channels;
        std::vector<Sum> sums(static_cast<std::size_t>(count), Sum{1} << (kWeightBits - Range<T>::extra - 1));
        for (std::int64_t t = 0; t < down_.taps; ++t) {
            const std::int32_t weight = down_.weights[static_cast<std::size_t>(y * down_.taps + t)];
            if (weight == 0) continue;
            const std::int64_t from = std::clamp<std::int64_t>(down_.first[static_cast<std::size_t>(y)] + t, 0, in_.height - 1);
            const T* values = reinterpret_cast<const T*>(in_.pixel(from, 0));
            for (std::int64_t i = 0; i < count; ++i) sums[static_cast<std::size_t>(i)] += weight * values[i];
        }
        for (std::int64_t i = 0; i < count; ++i) {
            out[i] = static_cast<std::int32_t>(sums[static_cast<std::size_t>(i)] >> (kWeightBits - Range<T>::extra));
        }
    }

    void repeat_border(std::int32_t* row, std::int64_t lead, std::int64_t length) const {
        for (std::int64_t c = 0; c < in_.channels; ++c) {
            const std::int32_t left = row[lead * in_.channels + c];
            const std::int32_t right = row[(lead + in_.width - 1) * in_.channels + c];
            for (std::int64_t x = 0; x < lead; ++x) row[x * in_.channels + c] = left;
            for (std::int64_t x = lead + in_.width; x < length; ++x) row[x * in_.channels + c] = right;
        }
    }

    void mix_columns(const std::int32_t* row, T* out) const {
        constexpr int shift = kWeightBits + Range<T>::extra;
        for (std::int64_t x = 0; x < out_.width; ++x) {
            const std::int32_t* values = row + across_.first[static_cast<std::size_t>(x)] * in_.channels;
            const std::int32_t* weights = across_.weights.data() + x * across_.taps;
            for (std::int64_t c = 0; c < in_.channels; ++c) {
                Sum sum = Sum{1} << (shift - 1);
                for (std::int64_t t = 0; t < across_.taps; ++t) {
                    sum += static_cast<Sum>(weights[t]) * values[t * in_.channels + c];
                }
                out[x * in_.channels + c] = static_cast<T>(std::clamp<Sum>(sum >> shift, 0, Range<T>::largest));
            }
        }
    }

    const ConstPicture in_;
    const Picture out_;
    const Axis down_, across_;
};

template <class T>
void resample_as(const ConstPicture& in, const Picture& out, int threads) {
    const Resampler<T> resampler(in, out);
    parallel_rows(out.height, kRowsPerThread, threads,
                  [&](std::int64_t first, std::int64_t last) { resampler.rows(first, last); });
}

template <class T>
void halve_rows(const ConstPicture& in, const Picture& out, std::int64_t first, std::int64_t last) {
    const std::int64_t channels = in.channels, whole = in.width / 2;
    for (std::int64_t y = first; y < last; ++y) {
        const T* upper = reinterpret_cast<const T*>(in.pixel(2 * y, 0));
        const T* lower = reinterpret_cast<const T*>(in.pixel(std::min(2 * y + 1, in.height - 1), 0));
        T* half = reinterpret_cast<T*>(out.pixel(y, 0));
        const auto mean = [&](std::int64_t left, std::int64_t right) {
            const std::uint32_t sum = std::uint32_t{2} + upper[left] + upper[right] + lower[left] + lower[right];
            return static_cast<T>(sum >> 2);
        };
        for (std::int64_t x = 0; x < whole; ++x) {
            for (std::int64_t c = 0; c < channels; ++c) *half++ = mean(2 * x * channels + c, (2 * x + 1) * channels + c);
        }
        for (std::int64_t c = 0; whole < out.width && c < channels; ++c) {
            *half++ = mean(2 * whole * channels + c, 2 * whole * channels + c);
        }
    }
}

void check_alike(const ConstPicture& in, const Picture& out) {
    if (in.type != out.type || in.channels != out.channels) {
        throw std::invalid_argument("pictures must have the same type and channels");
    }
    if (in.type != PixelType::uint8 && in.type != PixelType::uint16) {
        throw std::invalid_argument("pictures must be uint8 or uint16");
    }
}

}  // namespace

void resample(const ConstPicture& in, const Picture& out, int threads) {
    check_alike(in, out);
    (in.type == PixelType::uint8 ? resample_as<std::uint8_t> : resample_as<std::uint16_t>)(in, out, threads);
}

void halve(const ConstPicture& in, const Picture& out, int threads) {
    check_alike(in, out);
    if (out.height != (in.height + 1) / 2 || out.width != (in.width + 1) / 2) {
        throw std::invalid_argument("expected a picture of half the sides, rounded up");
    }
    const auto rows = in.type == PixelType::uint8 ? halve_rows<std::uint8_t> : halve_rows<std::uint16_t>;
    parallel_rows(out.height, kRowsPerThread, threads,
                  [&](std::int64_t first, std::int64_t last) { rows(in, out, first, last); });
}

}  // namespace ourgan
