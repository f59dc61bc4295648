// Compiled once per instruction set, as kernels.cpp is: internal linkage, no standard library template.
#include "patches.h"

#include "philox.h"

#define OURGAN_NAME_(isa) patches_##isa
#define OURGAN_NAME(isa) OURGAN_NAME_(isa)
#define OURGAN_STRING_(x) #x
#define OURGAN_STRING(x) OURGAN_STRING_(x)

namespace ourgan {
namespace {

constexpr int kRowBytes = 4 * kPatch;
constexpr std::int32_t kNowhere = -(1 << 30);  // no offset

template <class T>
T least(T a, T b) {
    return a < b ? a : b;
}
template <class T>
T most(T a, T b) {
    return a > b ? a : b;
}
std::int32_t within(std::int32_t value, std::int32_t low, std::int32_t high) { return most(low, least(value, high)); }
std::int32_t distance(std::int32_t a, std::int32_t b) { return a < b ? b - a : a - b; }

// ThreadSanitizer would look at every byte of every patch, hundreds of times each, and take hundreds of times as long:
// there the first byte of a patch stands for all of it.
#ifdef __SANITIZE_THREAD__
#define OURGAN_UNWATCHED __attribute__((no_sanitize("thread"), noinline))
void watch(const volatile std::uint8_t* a, const volatile std::uint8_t* b) {
    static_cast<void>(*a);
    static_cast<void>(*b);
}
#else
#define OURGAN_UNWATCHED
void watch(const std::uint8_t*, const std::uint8_t*) {}
#endif

OURGAN_UNWATCHED std::int32_t half_difference(const std::uint8_t* a, std::int64_t a_stride, const std::uint8_t* b,
                                              std::int64_t b_stride) {
    std::int32_t sum = 0;
    for (int row = 0; row < kPatch / 2; ++row) {
        for (int i = 0; i < kRowBytes; ++i) {
            const auto d = static_cast<std::int16_t>(a[i] - b[i]);
            sum += d * d;
        }
        a += a_stride;
        b += b_stride;
    }
    return sum;
}

// The sum of squared differences of two patches; at least `enough` where that is reached half-way.
std::uint32_t difference(const std::uint8_t* a, std::int64_t a_stride, const std::uint8_t* b, std::int64_t b_stride,
                         std::uint32_t enough) {
    watch(a, b);
    const auto upper = static_cast<std::uint32_t>(half_difference(a, a_stride, b, b_stride));
    if (upper >= enough) return upper;
    return upper + static_cast<std::uint32_t>(half_difference(a + kPatch / 2 * a_stride, a_stride,
                                                              b + kPatch / 2 * b_stride, b_stride));
}

const std::uint8_t* pixel(const Rgbx& picture, std::int32_t y, std::int32_t x) {
    return picture.data + y * picture.stride + 4 * static_cast<std::int64_t>(x);
}

constexpr std::int32_t kDown[8] = {-1, 1, 0, 0, -1, -1, 1, 1};
constexpr std::int32_t kRight[8] = {0, 0, -1, 1, -1, 1, -1, 1};

// One cell while its offset is improved.
struct Cell {
    const Search& s;
    std::int32_t i, j;   // of the field
    std::int32_t y, x;   // its patch's first pixel
    std::int32_t lowest_y, lowest_x;  // of what may be tried: the patch ends within the photograph
    Offset beside[4];    // offsets of the cells next to it
    int besides = 0;
    Offset around[24];   // and of those farther away
    int arounds = 0;
    Offset best;
    std::uint32_t best_cost;    // difference to the keys
    std::uint32_t best_energy;  // and all prices, weighted

    Cell(const Search& search, std::int32_t row, std::int32_t column) : s(search), i(row), j(column) {
        y = s.stride * i - kLead;
        x = s.stride * j - kLead;
        lowest_y = s.keys.height - kPatch;
        lowest_x = s.keys.width - kPatch;
        const std::int64_t own = static_cast<std::int64_t>(i) * s.columns + j;
        best = s.field[own];
        best_cost = s.cost[own];
        for (int n = 0; n < 4; ++n) {
            if (const Offset* offset = at(kDown[n], kRight[n])) beside[besides++] = *offset;
        }
        if (s.echo > 0) {
            for (const std::int32_t pixels : {1, kPatch / 2, kPatch}) {
                const std::int32_t cells = most(1, pixels / s.stride);
                for (int n = 0; n < 8; ++n) {
                    if (const Offset* offset = at(kDown[n] * cells, kRight[n] * cells)) around[arounds++] = *offset;
                }
            }
        }
    }

    const Offset* at(std::int32_t down, std::int32_t right) const {
        const std::int32_t a = i + down, b = j + right;
        if (a < 0 || b < 0 || a >= s.rows || b >= s.columns) return nullptr;
        return s.field + static_cast<std::int64_t>(a) * s.columns + b;
    }

    bool is_settled() const {
        for (int n = 0; n < besides; ++n) {
            if (beside[n].y != best.y || beside[n].x != best.x) return false;
        }
        return true;
    }

    // What an offset costs beside its patch's difference and its seams.
    std::uint32_t price(Offset o) const {
        std::int64_t sum = 0;
        std::int32_t strange = 0;
        for (int n = 0; n < besides; ++n) strange += beside[n].y != o.y || beside[n].x != o.x;
        if (besides > 0) sum += static_cast<std::int64_t>(s.incoherence) * strange / besides;
        std::int32_t echoes = 0;
        for (int n = 0; n < arounds; ++n) {
            const std::int32_t apart = most(distance(around[n].y, o.y), distance(around[n].x, o.x));
            echoes += apart > 0 && apart < s.echo_radius;
        }
        if (arounds > 0) sum += static_cast<std::int64_t>(s.echo) * echoes / arounds;
        if (s.overuse != nullptr) sum += s.overuse[static_cast<std::int64_t>(y + o.y) * s.keys.width + x + o.x];
        if (s.row > 0) {
            const std::int64_t here = 2 * (y + s.top + kPatch / 2) + 1, there = 2 * (y + o.y + kPatch / 2) + 1;
            const std::int64_t apart = there - here * s.keys.height / s.whole_height;
            const std::int64_t off = most<std::int64_t>((apart < 0 ? -apart : apart) - 2 * s.row_slack, 0);
            sum += least<std::int64_t>(s.row * off * off / 4, 1 << 24);
        }
        return static_cast<std::uint32_t>(least<std::int64_t>(sum, 1 << 28));
    }

    // What the photograph differs by, here and where the neighbours' patches would go on, if by less than `room`.
    std::uint32_t seams(Offset o, std::uint32_t room) const {
        std::int64_t sum = 0;
        const std::int64_t enough = static_cast<std::int64_t>(room) * 256 * besides / most(1, s.seam);
        for (int n = 0; n < besides && sum < enough; ++n) {
            if (beside[n].y == o.y && beside[n].x == o.x) continue;
            const std::int32_t other_y = within(y + beside[n].y, 0, lowest_y);
            const std::int32_t other_x = within(x + beside[n].x, 0, lowest_x);
            sum += difference(pixel(s.values, y + o.y, x + o.x), s.values.stride, pixel(s.values, other_y, other_x),
                              s.values.stride, kDearest);
        }
        return besides == 0 ? 0 : static_cast<std::uint32_t>(sum * s.seam / (256 * besides));
    }

    std::uint32_t weight(Offset o) const {
        return s.weights[static_cast<std::int64_t>(y + o.y) * s.keys.width + x + o.x];
    }

    std::uint32_t weighted(std::uint32_t energy, Offset o) const {
        return s.weights == nullptr ? energy
                                    : static_cast<std::uint32_t>((static_cast<std::uint64_t>(energy) * weight(o)) >> 16);
    }

    // The least energy before weighting by which an offset would not be better than the best.
    std::uint32_t room(Offset o) const {
        if (s.weights == nullptr) return best_energy;
        const std::uint32_t own = most(weight(o), std::uint32_t{1});
        const std::uint64_t limit = ((static_cast<std::uint64_t>(best_energy) << 16) + own - 1) / own;
        return static_cast<std::uint32_t>(least(limit, std::uint64_t{kDearest}));
    }

    void settle_energy() {
        std::uint32_t energy = best_cost + price(best);
        if (s.seam > 0) energy += seams(best, kDearest / 2);
        best_energy = weighted(energy, best);
    }

    void consider(Offset o) {
        o.y = within(y + o.y, 0, lowest_y) - y;
        o.x = within(x + o.x, 0, lowest_x) - x;
        if (o.y == best.y && o.x == best.x) return;
        const std::uint32_t paid = price(o), enough = room(o);
        if (paid >= enough) return;
        const std::uint32_t cost = difference(pixel(s.query, y, x), s.query.stride, pixel(s.keys, y + o.y, x + o.x),
                                              s.keys.stride, enough - paid);
        if (cost >= enough - paid) return;
        std::uint32_t energy = cost + paid;
        if (s.seam > 0) energy += seams(o, enough - energy);
        if (energy >= enough) return;
        best = o;
        best_cost = cost;
        best_energy = weighted(energy, o);
    }

    void consider_neighbours(std::int32_t cells) {
        for (int n = 0; n < 8; ++n) {
            if (const Offset* offset = at(kDown[n] * cells, kRight[n] * cells)) consider(*offset);
        }
    }

    void consider_random() {
        const auto low = static_cast<std::uint32_t>(s.seed), high = static_cast<std::uint32_t>(s.seed >> 32);
        std::int32_t radius = s.radius;
        Words4 words{};
        for (std::int32_t t = 0; t < s.tries; ++t) {
            if (t % 4 == 0) {
                const std::uint32_t round = s.iteration * 16 + static_cast<std::uint32_t>(t / 4);
                const std::int32_t row = i + s.top / s.stride;  // of the whole
                words = philox_4x32_10(
                    {{static_cast<std::uint32_t>(j), static_cast<std::uint32_t>(row), round, s.stream}}, low, high);
            }
            const std::uint32_t word = words.word[t % 4];
            const auto span = static_cast<std::uint32_t>(2 * radius + 1);
            const auto down = static_cast<std::int32_t>((word & 0xFFFFu) * span >> 16) - radius;
            const auto right = static_cast<std::int32_t>((word >> 16) * span >> 16) - radius;
            consider({best.y + down, best.x + right});
            radius = most(1, radius / 2);
        }
    }
};

void measure(const Search& s, std::int32_t first, std::int32_t last) {
    for (std::int32_t i = first; i < last; ++i) {
        for (std::int32_t j = 0; j < s.columns; ++j) {
            const std::int64_t own = static_cast<std::int64_t>(i) * s.columns + j;
            const std::int32_t y = s.stride * i - kLead, x = s.stride * j - kLead;
            const Offset o = s.field[own];
            s.new_cost[own] = difference(pixel(s.query, y, x), s.query.stride, pixel(s.keys, y + o.y, x + o.x),
                                         s.keys.stride, kDearest);
        }
    }
}

void improve(const Search& s, std::int32_t first, std::int32_t last) {
    for (std::int32_t i = first; i < last; ++i) {
        for (std::int32_t j = 0; j < s.columns; ++j) {
            const std::int64_t own = static_cast<std::int64_t>(i) * s.columns + j;
            s.new_field[own] = s.field[own];
            s.new_cost[own] = s.cost[own];
            // Every other cell rests, as on a chess-board: neighbours that change at once would change for nothing.
            if (((static_cast<std::uint32_t>(i + j) + s.iteration) & 1u) != 0) continue;
            Cell cell(s, i, j);
            if (s.tries == 0 && cell.is_settled()) continue;
            cell.settle_energy();
            if (s.jump > 1) cell.consider_neighbours(s.jump);
            if (s.jump > 0) cell.consider_neighbours(1);
            cell.consider_random();
            s.new_field[own] = cell.best;
            s.new_cost[own] = cell.best_cost;
        }
    }
}

void exhaust(const Search& s, std::int32_t first, std::int32_t last) {
    for (std::int32_t i = first; i < last; ++i) {
        for (std::int32_t j = 0; j < s.columns; ++j) {
            const std::int64_t own = static_cast<std::int64_t>(i) * s.columns + j;
            Cell cell(s, i, j);
            cell.best = {kNowhere, kNowhere};
            cell.best_cost = cell.best_energy = kDearest;
            for (std::int32_t y = 0; y <= cell.lowest_y; ++y) {
                for (std::int32_t x = 0; x <= cell.lowest_x; ++x) cell.consider({y - cell.y, x - cell.x});
            }
            s.new_field[own] = cell.best;
            s.new_cost[own] = cell.best_cost;
        }
    }
}

}  // namespace

extern const PatchKernels OURGAN_NAME(OURGAN_KERNELS);
const PatchKernels OURGAN_NAME(OURGAN_KERNELS) = {OURGAN_STRING(OURGAN_KERNELS), measure, improve, exhaust};

}  // namespace ourgan
