// Compiled once per instruction set, as kernels.cpp is: internal linkage, no standard library template.
#include "levels.h"

#define OURGAN_NAME_(isa) levels_##isa
#define OURGAN_NAME(isa) OURGAN_NAME_(isa)
#define OURGAN_STRING_(x) #x
#define OURGAN_STRING(x) OURGAN_STRING_(x)

namespace ourgan {
namespace {

std::int32_t least(std::int32_t a, std::int32_t b) { return a < b ? a : b; }
std::int32_t most(std::int32_t a, std::int32_t b) { return a > b ? a : b; }
std::int32_t within(std::int32_t value, std::int32_t low, std::int32_t high) { return most(low, least(value, high)); }
std::int32_t floor_half(std::int32_t value) { return value >> 1; }

// Catmull-Rom's cubic at a quarter of a pixel, in 128ths: exact.
constexpr std::int32_t kTaps[4] = {-9, 111, 29, -3};

// out[i] = the four rows' weighted sum, where the second weighs most.
void mix_rows(const std::int16_t* __restrict a, const std::int16_t* __restrict b, const std::int16_t* __restrict c,
              const std::int16_t* __restrict d, std::int32_t count, std::int16_t* __restrict out) {
    for (std::int32_t i = 0; i < count; ++i) {
        const std::int32_t sum = kTaps[0] * a[i] + kTaps[1] * b[i] + kTaps[2] * c[i] + kTaps[3] * d[i] + 64;
        out[i] = static_cast<std::int16_t>(within(sum >> 7, 0, kWhite));
    }
}

// out[2 i], out[2 i + 1] = the enlarged pixels of in[i], of which in[-2] to in[count + 1] may be read.
void enlarge_row(const std::int16_t* __restrict in, std::int32_t count, std::int16_t* __restrict out) {
    for (std::int32_t i = 0; i < count; ++i) {
        const std::int32_t far_left = in[i - 2], left = in[i - 1], own = in[i], right = in[i + 1], far_right = in[i + 2];
        const std::int32_t even = kTaps[3] * far_left + kTaps[2] * left + kTaps[1] * own + kTaps[0] * right + 64;
        const std::int32_t odd = kTaps[0] * left + kTaps[1] * own + kTaps[2] * right + kTaps[3] * far_right + 64;
        out[2 * i] = static_cast<std::int16_t>(within(even >> 7, 0, kWhite));
        out[2 * i + 1] = static_cast<std::int16_t>(within(odd >> 7, 0, kWhite));
    }
}

// `buffer` holds 3 * small.width + 8 values and as many again as two more than twice the width of `large`.
void enlarge(const Window<const std::int16_t>& small, std::int32_t height, std::int32_t width,
             const Window<std::int16_t>& large, std::int16_t* buffer, std::int32_t first, std::int32_t last) {
    const std::int32_t x0 = floor_half(large.x0), x1 = floor_half(large.x0 + large.width - 1) + 1;
    std::int16_t* mixed = buffer + 2;               // columns x0 - 2 .. x1 + 2 of the small picture begin at mixed[-2]
    std::int16_t* doubled = buffer + (x1 - x0) + 8;
    const std::int32_t inner0 = most(x0 - 2, 0), inner1 = least(x1 + 2, width);
    for (std::int32_t y = first; y < last; ++y) {
        const std::int32_t own = floor_half(y), side = (y & 1) != 0 ? 1 : -1;
        std::int32_t rows[4] = {own - side, own, own + side, own + 2 * side};
        for (std::int32_t& row : rows) row = within(row, 0, height - 1);
        for (int colour = 0; colour < kColours; ++colour) {
            if (inner0 < inner1) {
                mix_rows(small.at(colour, rows[0], inner0), small.at(colour, rows[1], inner0),
                         small.at(colour, rows[2], inner0), small.at(colour, rows[3], inner0), inner1 - inner0,
                         mixed + (inner0 - x0));
            }
            const std::int32_t begin = most(inner0, 0) - x0, end = inner1 - x0;
            for (std::int32_t i = -2; i < begin; ++i) mixed[i] = mixed[begin];
            for (std::int32_t i = end; i < x1 - x0 + 2; ++i) mixed[i] = mixed[end - 1];
            std::int16_t* out = large.at(colour, y, large.x0);
            if (large.x0 % 2 == 0 && large.width % 2 == 0) {
                enlarge_row(mixed, x1 - x0, out);
                continue;
            }
            enlarge_row(mixed, x1 - x0, doubled);
            const std::int16_t* in = doubled + (large.x0 - 2 * x0);
            for (std::int32_t i = 0; i < large.width; ++i) out[i] = in[i];
        }
    }
}

// Sum of squared differences of a patch at (y, x) of the enlarged picture to the keys at `o` from there, in quarters
// of a level.
std::uint32_t difference(const Exemplar& e, const Window<const std::int16_t>& q, std::int32_t y, std::int32_t x,
                         Offset o) {
    std::int32_t sum = 0;
    for (int colour = 0; colour < kColours; ++colour) {
        const std::int16_t* a = q.at(colour, y, x);
        const std::int16_t* b = e.keys.at(colour, y + o.y, x + o.x);
        for (int row = 0; row < kPatch; ++row) {
            for (int i = 0; i < kPatch; ++i) {
                const auto d = static_cast<std::int16_t>((a[i] >> 5) - (b[i] >> 5));
                sum += d * d;
            }
            a += q.stride;
            b += e.keys.stride;
        }
    }
    return static_cast<std::uint32_t>(sum);
}

// The first of the two cells below, by rows or by columns, that lie nearest to a cell.
std::int32_t first_below(std::int32_t cell, std::int32_t stride, std::int32_t below_stride) {
    // In halves of a pixel the centre of a cell's patch is 2 * stride * cell + 1, and that of one below lies at
    // 4 * below_stride * cell + 3.
    const std::int32_t apart = 2 * stride * cell - 2, step = 4 * below_stride;
    return apart >= 0 ? apart / step : -((-apart + step - 1) / step);
}

void inherit(const Exemplar& e, const Window<const std::int16_t>& enlarged, const Cells<const Offset>& below,
             std::int32_t below_stride, const Cells<Offset>& cells, std::int32_t stride, std::int32_t first,
             std::int32_t last) {
    const std::int32_t lowest_y = e.keys.height - kPatch, lowest_x = e.keys.width - kPatch;
    for (std::int32_t i = first; i < last; ++i) {
        const std::int32_t y = stride * i - kLead, a = first_below(i, stride, below_stride);
        const std::int32_t upper = within(a, below.row0, below.row0 + below.rows - 1);
        const std::int32_t lower = within(a + 1, below.row0, below.row0 + below.rows - 1);
        for (std::int32_t j = cells.column0; j < cells.column0 + cells.columns; ++j) {
            const std::int32_t x = stride * j - kLead, b = first_below(j, stride, below_stride);
            const std::int32_t left = within(b, below.column0, below.column0 + below.columns - 1);
            const std::int32_t right = within(b + 1, below.column0, below.column0 + below.columns - 1);
            const Offset near[4] = {*below.at(upper, left), *below.at(upper, right), *below.at(lower, left),
                                    *below.at(lower, right)};
            Offset best{};
            std::uint32_t best_difference = 0;
            const bool agree = near[0] == near[1] && near[0] == near[2] && near[0] == near[3];
            for (int n = 0; n < (agree ? 1 : 4); ++n) {
                if ((n > 0 && near[n] == near[0]) || (n > 1 && near[n] == near[1]) || (n > 2 && near[n] == near[2])) {
                    continue;
                }
                const Offset o{within(y + 2 * near[n].y, 0, lowest_y) - y, within(x + 2 * near[n].x, 0, lowest_x) - x};
                const std::uint32_t d = agree ? 0 : difference(e, enlarged, y, x, o);
                if (n > 0 && d >= best_difference) continue;
                best = o;
                best_difference = d;
            }
            *cells.at(i, j) = best;
        }
    }
}

// How much the cells around a pixel weigh, by how far their patches' centres are. Cells of one pixel: those from three
// before to two behind, by a Gaussian of 0.7 pixels, as mixing at the coarse levels makes mist of edges; of two pixels:
// from the one before to the one behind, at its even and at its odd pixel, by one of 1.2.
constexpr std::int32_t kWeights1[6] = {0, 4, 28, 28, 4, 0};
constexpr std::int32_t kWeights2[2][3] = {{39, 79, 10}, {10, 79, 39}};

std::int32_t limited(std::int32_t value, std::int32_t limit) { return within(value, -limit, limit); }

// How many cells before and behind its own a pixel is made of, and how much each weighs.
struct Reach {
    std::int32_t before;
    std::int32_t behind;
    const std::int32_t* weights[2];  // of even and of odd pixels
    int shift;                       // the sum of all weights is 2^shift
};

constexpr Reach kReach1 = {3, 2, {kWeights1, kWeights1}, 12};
constexpr Reach kReach2 = {1, 1, {kWeights2[0], kWeights2[1]}, 14};

// The offsets of the cells around one, each once.
struct Mixture {
    Offset offsets[36];
    std::uint8_t which[36];  // of them, by cell
    int count = 0;

    Mixture(const Cells<const Offset>& cells, const Reach& reach, std::int32_t i, std::int32_t j) {
        std::uint8_t* next = which;
        for (std::int32_t a = i - reach.before; a <= i + reach.behind; ++a) {
            const std::int32_t row = within(a, cells.row0, cells.row0 + cells.rows - 1);
            for (std::int32_t b = j - reach.before; b <= j + reach.behind; ++b) {
                const std::int32_t column = within(b, cells.column0, cells.column0 + cells.columns - 1);
                const Offset o = *cells.at(row, column);
                int n = 0;
                while (n < count && offsets[n] != o) ++n;
                if (n == count) offsets[count++] = o;
                *next++ = static_cast<std::uint8_t>(n);
            }
        }
    }
};

// The weights of a mixture's offsets at the pixels of its cell: up to two by two, by rows.
void weigh(const Mixture& mixture, const Reach& reach, std::int32_t (*weights)[4]) {
    for (int n = 0; n < mixture.count; ++n) {
        for (int i = 0; i < 4; ++i) weights[n][i] = 0;
    }
    const std::int32_t side = reach.before + reach.behind + 1;
    const std::uint8_t* which = mixture.which;
    for (std::int32_t a = 0; a < side; ++a) {
        for (std::int32_t b = 0; b < side; ++b) {
            std::int32_t* sum = weights[*which++];
            for (int n = 0; n < 4; ++n) sum[n] += reach.weights[n >> 1][a] * reach.weights[n & 1][b];
        }
    }
}

// The pixels of a cell, from (y, x) on, as far as they lie in rows first..last of the picture.
void blend_cell(const Exemplar& e, const Window<const std::int16_t>& enlarged, const Mixture& mixture,
                const Reach& reach, std::int32_t limit, const Window<std::int16_t>& picture, std::int32_t y,
                std::int32_t x, std::int32_t side, std::int32_t first, std::int32_t last) {
    std::int32_t weights[36][4];
    weigh(mixture, reach, weights);
    const std::int32_t half = 1 << (reach.shift - 1);
    const std::int32_t last_y = e.values.height - 1, last_x = e.values.width - 1;
    std::int32_t values[kColours][4] = {}, keys[kColours][4] = {};
    for (int n = 0; n < mixture.count; ++n) {
        const std::int32_t upper = within(y + mixture.offsets[n].y, 0, last_y), left = within(x + mixture.offsets[n].x, 0, last_x);
        const std::int64_t down = upper < last_y ? e.values.stride : 0, right = left < last_x ? 1 : 0;
        const std::int64_t at[4] = {upper * e.values.stride + left, upper * e.values.stride + left + right,
                                    upper * e.values.stride + left + down, upper * e.values.stride + left + down + right};
        for (int colour = 0; colour < kColours; ++colour) {
            const std::uint8_t* value = e.values.plane[colour];
            const std::int16_t* key = e.keys.plane[colour];
            for (int i = 0; i < 4; ++i) {
                values[colour][i] += weights[n][i] * value[at[i]];
                keys[colour][i] += weights[n][i] * key[at[i]];
            }
        }
    }
    for (int i = 0; i < 4; ++i) {
        const std::int32_t row = y + (i >> 1), column = x + (i & 1);
        if ((i >> 1) >= side || (i & 1) >= side || row < first || row >= last || column < picture.x0 ||
            column >= picture.x0 + picture.width) {
            continue;
        }
        for (int colour = 0; colour < kColours; ++colour) {
            const std::int32_t value = (values[colour][i] * (kSteps / 64) + (half >> 6)) >> (reach.shift - 6);
            const std::int32_t departure = *enlarged.at(colour, row, column) - ((keys[colour][i] + half) >> reach.shift);
            *picture.at(colour, row, column) =
                static_cast<std::int16_t>(within(value + limited(departure, limit), 0, kWhite));
        }
    }
}

// As blend_cell, for pixels whose cells all agree.
void blend_run(const Exemplar& e, const Window<const std::int16_t>& enlarged, Offset o, std::int32_t limit,
               const Window<std::int16_t>& picture, std::int32_t y, std::int32_t x, std::int32_t count) {
    for (int colour = 0; colour < kColours; ++colour) {
        const std::uint8_t* __restrict values = e.values.at(colour, y + o.y, x + o.x);
        const std::int16_t* __restrict keys = e.keys.at(colour, y + o.y, x + o.x);
        const std::int16_t* __restrict in = enlarged.at(colour, y, x);
        std::int16_t* __restrict out = picture.at(colour, y, x);
        for (std::int32_t i = 0; i < count; ++i) {
            const std::int32_t departure = limited(in[i] - keys[i], limit);
            out[i] = static_cast<std::int16_t>(within(values[i] * kSteps + departure, 0, kWhite));
        }
    }
}

// calm[j - first] = whether all cells that the pixels of cell (i, j) are made of agree, for first <= j < last.
void find_calm(const Cells<const Offset>& cells, const Reach& reach, std::int32_t i, std::int32_t first,
               std::int32_t last, std::uint8_t* calm) {
    const std::int32_t top = most(i - reach.before, cells.row0), bottom = least(i + reach.behind, cells.row0 + cells.rows - 1);
    const std::int32_t begin = most(first - reach.before, cells.column0);
    const std::int32_t end = least(last + reach.behind, cells.column0 + cells.columns);
    std::int32_t run = 0;  // columns up to this one that agree in themselves and with each other
    for (std::int32_t j = begin; j < end; ++j) {
        const Offset own = *cells.at(i, j);
        bool agrees = true;
        for (std::int32_t a = top; a <= bottom; ++a) agrees = agrees && *cells.at(a, j) == own;
        run = !agrees ? 0 : run > 0 && *cells.at(i, j - 1) == own ? run + 1 : 1;
        const std::int32_t done = j - reach.behind;  // all that it is made of has been seen
        const std::int32_t needed = least(reach.before, done - cells.column0) + 1 + reach.behind;
        if (done >= first) calm[done - first] = run >= needed;
        if (j + 1 == end) {  // cells at the picture's end have fewer behind them
            for (std::int32_t late = most(done + 1, first); late < last; ++late) {
                calm[late - first] = run >= least(reach.before, late - cells.column0) + end - late;
            }
        }
    }
}

void blend(const Exemplar& e, const Window<const std::int16_t>& enlarged, const Cells<const Offset>& cells,
           std::int32_t stride, std::int32_t limit, const Window<std::int16_t>& picture, std::uint8_t* calm,
           std::int32_t first, std::int32_t last) {
    const Reach& reach = stride == 1 ? kReach1 : kReach2;
    const std::int32_t x1 = picture.x0 + picture.width;
    const std::int32_t column0 = picture.x0 / stride, column1 = (x1 - 1) / stride + 1;
    for (std::int32_t top = first; top < last;) {
        const std::int32_t i = top / stride, bottom = least((i + 1) * stride, last);
        find_calm(cells, reach, i, column0, column1, calm);
        for (std::int32_t j = column0, end; j < column1; j = end) {
            const Offset offset = *cells.at(i, j);
            const bool is_calm = calm[j - column0] != 0;
            end = j + 1;
            while (is_calm && end < column1 && calm[end - column0] != 0 && *cells.at(i, end) == offset) ++end;
            const std::int32_t left = most(j * stride, picture.x0), right = least(end * stride, x1);
            if (is_calm) {
                for (std::int32_t y = top; y < bottom; ++y) {
                    blend_run(e, enlarged, offset, limit, picture, y, left, right - left);
                }
                continue;
            }
            blend_cell(e, enlarged, Mixture(cells, reach, i, j), reach, limit, picture, i * stride, j * stride, stride, top,
                       bottom);
        }
        top = bottom;
    }
}

// What holds a tone of 16 bits times 2^(2 kShift + 2).
template <bool kWide>
struct SumOf {
    using Type = std::int32_t;
};
template <>
struct SumOf<true> {
    using Type = std::int64_t;
};
template <int kShift>
using Sum = typename SumOf<(kShift > 7)>::Type;

// out[k] = (base + 2 k step) / 2^(2 shift + 2), for a whole span between two centres of the base level, or its part.
template <int kShift>
void tone_span(Sum<kShift> base, Sum<kShift> step, std::int32_t count, std::int16_t* __restrict out) {
    constexpr std::int32_t size = 1 << kShift;
    if (count == size) {
        for (std::int32_t k = 0; k < size; ++k) out[k] = static_cast<std::int16_t>((base + 2 * k * step) >> (2 * kShift + 2));
    } else {
        for (std::int32_t k = 0; k < count; ++k) out[k] = static_cast<std::int16_t>((base + 2 * k * step) >> (2 * kShift + 2));
    }
}

// The tone of a row of pixels, from x on: that of the base level, 2^kShift times smaller, linear in between. `share`
// says how far, in 2^-(kShift + 1), the row lies from `above` to `below`.
template <int kShift>
void tone_row(const std::int16_t* __restrict above, const std::int16_t* __restrict below, std::int32_t share,
              std::int32_t width, std::int32_t x, std::int32_t count, std::int16_t* __restrict out) {
    constexpr std::int32_t size = 1 << kShift, whole = 2 * size;
    const auto tone = [&](std::int32_t column) {
        const std::int32_t from = within(column, 0, width - 1);
        return above[from] * (whole - share) + below[from] * share;
    };
    // Pixel centres lie at (x + 1/2) / size - 1/2 of the base.
    std::int32_t at = 2 * x + 1 - size, left = at >> (kShift + 1), first = at - left * whole;
    std::int32_t here = tone(left);
    for (std::int32_t i = 0; i < count; ++left) {
        const std::int32_t next = tone(left + 1), step = next - here;
        const std::int32_t span = least(count - i, (whole - first + 1) / 2);  // pixels before the next centre
        tone_span<kShift>(static_cast<Sum<kShift>>(here) * whole + static_cast<Sum<kShift>>(first) * step, step, span, out + i);
        i += span;
        first = kShift == 0 ? 0 : 1;
        here = next;
    }
}

using ToneRow = void (*)(const std::int16_t*, const std::int16_t*, std::int32_t, std::int32_t, std::int32_t,
                         std::int32_t, std::int16_t*);
constexpr ToneRow kToneRows[] = {tone_row<0>, tone_row<1>, tone_row<2>, tone_row<3>, tone_row<4>, tone_row<5>, tone_row<6>,
                                   tone_row<7>, tone_row<8>};

void any_tone_row(const std::int16_t* above, const std::int16_t* below, std::int32_t share, std::int32_t width,
                  int shift, std::int32_t x, std::int32_t count, std::int16_t* out) {
    kToneRows[shift](above, below, share, width, x, count, out);
}

template <class T>
T to_pixel(std::int32_t value);
template <>
std::uint8_t to_pixel(std::int32_t value) {
    return static_cast<std::uint8_t>((value + kSteps / 2) >> 7);
}
template <>
std::uint16_t to_pixel(std::int32_t value) {
    return static_cast<std::uint16_t>((value * 257 + kSteps / 2) >> 7);
}

// Interleaved pixels: planes plus tone.
template <class T>
void to_pixels(const std::int16_t* const planes[kColours], const std::int16_t* const tone[kColours], std::int32_t count,
               void* pixels) {
    constexpr std::int32_t block = 256;
    T rows[kColours][block];
    T* out = static_cast<T*>(pixels);
    for (std::int32_t start = 0; start < count; start += block) {
        const std::int32_t n = least(block, count - start);
        for (int c = 0; c < kColours; ++c) {
            const std::int16_t* __restrict plane = planes[c] + start;
            const std::int16_t* __restrict extra = tone[c] + start;
            for (std::int32_t i = 0; i < n; ++i) rows[c][i] = to_pixel<T>(within(plane[i] + extra[i], 0, kWhite));
        }
        T* __restrict to = out + static_cast<std::int64_t>(kColours) * start;
        for (std::int32_t i = 0; i < n; ++i) {
            to[3 * i] = rows[0][i];
            to[3 * i + 1] = rows[1][i];
            to[3 * i + 2] = rows[2][i];
        }
    }
}

}  // namespace

extern const LevelKernels OURGAN_NAME(OURGAN_KERNELS);
const LevelKernels OURGAN_NAME(OURGAN_KERNELS) = {OURGAN_STRING(OURGAN_KERNELS), enlarge, inherit, blend,
                                               any_tone_row, to_pixels<std::uint8_t>, to_pixels<std::uint16_t>};

}  // namespace ourgan
