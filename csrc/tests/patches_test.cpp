#include "patches.h"

#include "check.h"
#include "detail_pictures.h"

using namespace ourgan;

namespace {

struct Case {
    Case(std::int32_t height, std::int32_t width, std::int32_t stride, unsigned seed)
        : photograph(make_photograph(48, 64, 2, 2)),
          query(random_planes(height, width, seed).window()),
          field(random_field((height + stride - 1) / stride, (width + stride - 1) / stride, stride, 48, 64, seed)),
          overuse(48 * 64),
          cost(field.offsets.size()) {
        std::mt19937 random(seed);
        for (auto& price : overuse) price = draw(random, 0, 60 * 192);
    }

    Search search() const {
        Search s{};
        s.query = query.view();
        s.whole_height = s.query.height;
        s.keys = photograph->keys(1);
        s.values = photograph->values(1);
        s.stride = field.stride;
        s.rows = field.rows;
        s.columns = field.columns;
        s.field = field.offsets.data();
        s.cost = cost.data();
        s.seed = 0x123456789ABCDEFu;
        s.stream = 65537;
        return s;
    }

    std::shared_ptr<const PhotographLevels> photograph;
    RgbxPicture query;
    Field field;
    std::vector<std::int32_t> overuse;
    std::vector<std::uint32_t> cost;
};

// Sum of squared differences of a cell's patch, from the bytes.
std::uint32_t reference_cost(const Case& one, std::int32_t i, std::int32_t j) {
    const Search s = one.search();
    const Offset o = s.field[i * s.columns + j];
    std::uint32_t sum = 0;
    for (std::int32_t y = s.stride * i - kLead; y < s.stride * i - kLead + kPatch; ++y) {
        for (std::int32_t x = s.stride * j - kLead; x < s.stride * j - kLead + kPatch; ++x) {
            for (int c = 0; c < kColours; ++c) {
                const std::int32_t d = s.query.data[y * s.query.stride + 4 * x + c] -
                                       s.keys.data[(y + o.y) * s.keys.stride + 4 * (x + o.x) + c];
                sum += static_cast<std::uint32_t>(d * d);
            }
        }
    }
    return sum;
}

constexpr std::pair<std::int32_t, std::int32_t> kSizes[] = {{1, 1}, {1, 33}, {41, 1}, {2, 3}, {27, 31}};

}  // namespace

TEST(every_instruction_set_measures_the_same_costs_and_they_are_those_of_the_patches) {
    for (const std::int32_t stride : {1, 2}) {
        for (const auto& [height, width] : kSizes) {
            const Case one(height, width, stride, 5);
            for (const PatchKernels* kernels : available_patch_kernels()) {
                std::vector<std::uint32_t> cost(one.cost.size());
                Search s = one.search();
                s.new_cost = cost.data();
                kernels->measure(s, 0, s.rows);
                for (std::int32_t i = 0; i < s.rows; ++i) {
                    for (std::int32_t j = 0; j < s.columns; ++j) {
                        CHECK(cost[static_cast<std::size_t>(i * s.columns + j)] == reference_cost(one, i, j));
                    }
                }
            }
        }
    }
}

TEST(every_instruction_set_improves_a_field_alike_and_costs_stay_those_of_its_patches) {
    for (const std::int32_t stride : {1, 2}) {
        for (const auto& [height, width] : kSizes) {
            for (const bool is_priced : {false, true}) {
                Case one(height, width, stride, 11);
                Search first = one.search();
                std::vector<std::uint32_t> measured(one.cost.size());
                first.new_cost = measured.data();
                available_patch_kernels().front()->measure(first, 0, first.rows);
                one.cost = measured;
                for (std::uint32_t iteration = 0; iteration < 6; ++iteration) {
                    Search s = one.search();
                    s.iteration = iteration;
                    s.jump = iteration % 2 == 0 ? 4 : 1;
                    s.tries = iteration == 5 ? 0 : 6;
                    s.radius = 16;
                    s.row = 576;
                    s.row_slack = 6;
                    if (is_priced) {
                        s.incoherence = 160 * 192;
                        s.seam = 256;
                        s.echo = 600 * 192;
                        s.echo_radius = 12;
                        s.overuse = one.overuse.data();
                    }
                    std::vector<Offset> expected, offsets(one.field.offsets.size());
                    std::vector<std::uint32_t> expected_cost, cost(one.cost.size());
                    for (const PatchKernels* kernels : available_patch_kernels()) {
                        s.new_field = offsets.data();
                        s.new_cost = cost.data();
                        std::fill(offsets.begin(), offsets.end(), Offset{});
                        kernels->improve(s, 0, s.rows);
                        if (expected.empty()) {
                            expected = offsets;
                            expected_cost = cost;
                        }
                        CHECK(offsets == expected && cost == expected_cost);
                    }
                    one.field.offsets = expected;
                    one.cost = expected_cost;
                    for (std::int32_t i = 0; i < s.rows; ++i) {
                        for (std::int32_t j = 0; j < s.columns; ++j) {
                            const std::size_t own = static_cast<std::size_t>(i * s.columns + j);
                            CHECK(one.cost[own] == reference_cost(one, i, j));
                            const std::int32_t y = stride * i - kLead + expected[own].y;
                            const std::int32_t x = stride * j - kLead + expected[own].x;
                            CHECK(y >= 0 && x >= 0 && y <= 48 - kPatch && x <= 64 - kPatch);
                        }
                    }
                }
            }
        }
    }
}

TEST(an_iteration_may_be_shared_among_threads_row_by_row) {
    const Case one(27, 31, 1, 3);
    Search s = one.search();
    s.jump = 2;
    s.tries = 4;
    s.radius = 8;
    s.iteration = 3;
    std::vector<Offset> whole(one.field.offsets.size()), parts(whole.size());
    std::vector<std::uint32_t> cost(one.cost.size());
    s.new_field = whole.data();
    s.new_cost = cost.data();
    patch_kernels().improve(s, 0, s.rows);
    s.new_field = parts.data();
    for (std::int32_t row = s.rows; row-- > 0;) patch_kernels().improve(s, row, row + 1);
    CHECK(parts == whole);
}

TEST(without_prices_no_iteration_makes_a_patch_worse_and_many_make_them_good) {
    // The query is the photograph as it is shown below: there is a patch without any difference for every cell.
    const auto photograph = make_photograph(48, 64, 2, 2);
    Case one(48, 64, 1, 2);
    one.query = RgbxPicture(photograph->exemplar(1).keys);
    Search s = one.search();
    std::vector<std::uint32_t> cost(one.cost.size());
    s.new_cost = cost.data();
    patch_kernels().measure(s, 0, s.rows);
    one.cost = cost;
    const auto total = [&] {
        std::uint64_t sum = 0;
        for (const std::uint32_t value : one.cost) sum += value;
        return sum;
    };
    const std::uint64_t before = total();
    std::vector<Offset> offsets(one.field.offsets.size());
    for (std::uint32_t iteration = 0; iteration < 24; ++iteration) {
        s = one.search();
        s.new_field = offsets.data();
        s.new_cost = cost.data();
        s.iteration = iteration;
        s.jump = 1 + static_cast<std::int32_t>(iteration % 3);
        s.tries = 8;
        s.radius = 32;
        patch_kernels().improve(s, 0, s.rows);
        for (std::size_t n = 0; n < cost.size(); ++n) CHECK(cost[n] <= one.cost[n]);
        one.cost = cost;
        one.field.offsets = offsets;
    }
    CHECK(total() * 10 < before);
}

namespace {

// Weights of a photograph's positions, some of them as small as can be.
std::vector<std::uint32_t> random_weights(const Search& s, unsigned seed) {
    std::mt19937 random(seed);
    std::vector<std::uint32_t> weights(static_cast<std::size_t>(s.keys.height) * static_cast<std::size_t>(s.keys.width));
    for (auto& weight : weights) {
        weight = draw(random, 0, 9) == 0 ? 1 : static_cast<std::uint32_t>(draw(random, 64, 1 << 16));
    }
    return weights;
}

// The sum of squared differences of the patch at (y, x) of the query to that at (from_y, from_x) of the keys.
std::uint64_t reference_difference(const Search& s, std::int32_t y, std::int32_t x, std::int32_t from_y,
                                   std::int32_t from_x) {
    std::uint64_t sum = 0;
    for (std::int32_t a = 0; a < kPatch; ++a) {
        for (std::int32_t b = 0; b < kPatch; ++b) {
            for (int c = 0; c < kColours; ++c) {
                const std::int32_t d = s.query.data[(y + a) * s.query.stride + 4 * (x + b) + c] -
                                       s.keys.data[(from_y + a) * s.keys.stride + 4 * (from_x + b) + c];
                sum += static_cast<std::uint64_t>(d * d);
            }
        }
    }
    return sum;
}

// What a cell pays for an offset: its patch's difference and its row, both weighted.
std::uint64_t reference_energy(const Search& s, std::int32_t i, std::int32_t j, Offset o) {
    const std::int32_t y = s.stride * i - kLead, x = s.stride * j - kLead;
    std::uint64_t sum = reference_difference(s, y, x, y + o.y, x + o.x);
    // Middles of patches, in halves of a pixel.
    const std::int64_t here = 2 * (y + s.top) + kPatch + 1, there = 2 * (y + o.y) + kPatch + 1;
    const std::int64_t apart = there - here * s.keys.height / s.whole_height;
    const std::int64_t off = std::max<std::int64_t>(std::abs(apart) - 2 * s.row_slack, 0);
    sum += static_cast<std::uint64_t>(std::min<std::int64_t>(s.row * off * off / 4, 1 << 24));
    if (s.weights == nullptr) return sum;
    return (sum * s.weights[static_cast<std::int64_t>(y + o.y) * s.keys.width + x + o.x]) >> 16;
}

}  // namespace

TEST(exhausting_finds_the_first_of_the_best_of_all_offsets_on_every_instruction_set) {
    for (const std::int32_t stride : {1, 2}) {
        for (const auto& [height, width] : {std::pair{1, 1}, {1, 9}, {7, 1}, {5, 4}}) {
            for (const int kind : {0, 1, 2, 3, 4}) {
                Case one(height, width, stride, 17);
                // Flat keys: all differences are equal, and the first offset wins.
                if (kind == 4) one.photograph = flat_photograph(48, 64, 100);
                Search s = one.search();
                const std::vector<std::uint32_t> weights = random_weights(s, 3);
                if (kind == 1 || kind == 3) s.weights = weights.data();
                if (kind == 2 || kind == 3) {
                    s.row = 576;
                    s.row_slack = 2;
                    s.top = 4;
                    s.whole_height = s.query.height + 10;
                }
                std::vector<Offset> expected(one.field.offsets.size());
                std::vector<std::uint32_t> expected_cost(expected.size());
                for (std::int32_t i = 0; i < s.rows; ++i) {
                    for (std::int32_t j = 0; j < s.columns; ++j) {
                        const std::int32_t y = stride * i - kLead, x = stride * j - kLead;
                        const auto own = static_cast<std::size_t>(i * s.columns + j);
                        std::uint64_t least = ~std::uint64_t{0};
                        for (std::int32_t a = 0; a <= 48 - kPatch; ++a) {
                            for (std::int32_t b = 0; b <= 64 - kPatch; ++b) {
                                const std::uint64_t energy = reference_energy(s, i, j, {a - y, b - x});
                                if (energy >= least) continue;
                                least = energy;
                                expected[own] = {a - y, b - x};
                                expected_cost[own] = static_cast<std::uint32_t>(reference_difference(s, y, x, a, b));
                            }
                        }
                        if (kind == 4) CHECK((expected[own] == Offset{-y, -x}));
                    }
                }
                for (const PatchKernels* kernels : available_patch_kernels()) {
                    std::vector<Offset> offsets(expected.size());
                    std::vector<std::uint32_t> cost(offsets.size());
                    s.new_field = offsets.data();
                    s.new_cost = cost.data();
                    kernels->exhaust(s, 0, s.rows);
                    CHECK(offsets == expected && cost == expected_cost);
                }
            }
        }
    }
}

TEST(improving_never_makes_a_weighted_energy_worse_on_any_instruction_set) {
    for (const std::int32_t stride : {1, 2}) {
        for (const auto& [height, width] : kSizes) {
            Case one(height, width, stride, 23);
            const std::vector<std::uint32_t> weights = random_weights(one.search(), 4);
            std::vector<std::uint32_t> cost(one.cost.size()), expected_cost;
            Search first = one.search();
            first.new_cost = cost.data();
            patch_kernels().measure(first, 0, first.rows);
            one.cost = cost;
            bool is_better = false;
            for (std::uint32_t iteration = 0; iteration < 6; ++iteration) {
                Search s = one.search();
                s.weights = weights.data();
                s.iteration = iteration;
                s.jump = iteration % 2 == 0 ? 4 : 1;
                s.tries = 6;
                s.radius = 32;
                s.row = 576;
                s.row_slack = 6;
                std::vector<Offset> offsets(one.field.offsets.size()), expected;
                s.new_field = offsets.data();
                s.new_cost = cost.data();
                for (const PatchKernels* kernels : available_patch_kernels()) {
                    std::fill(offsets.begin(), offsets.end(), Offset{});
                    kernels->improve(s, 0, s.rows);
                    if (expected.empty()) {
                        expected = offsets;
                        expected_cost = cost;
                    }
                    CHECK(offsets == expected && cost == expected_cost);
                }
                for (std::int32_t i = 0; i < s.rows; ++i) {
                    for (std::int32_t j = 0; j < s.columns; ++j) {
                        const auto own = static_cast<std::size_t>(i * s.columns + j);
                        const std::uint64_t before = reference_energy(s, i, j, one.field.offsets[own]);
                        const std::uint64_t after = reference_energy(s, i, j, offsets[own]);
                        CHECK(after <= before);
                        is_better = is_better || after < before;
                    }
                }
                one.field.offsets = offsets;
                one.cost = cost;
            }
            CHECK(is_better);
        }
    }
}

TEST(the_dearest_rows_and_differences_do_not_overflow) {
    // Black is sought in white, all rows are as far off as can be, and the price of rows is sixteen times the default.
    Case one(27, 31, 1, 9);
    one.photograph = flat_photograph(48, 64, 255);
    const Planes16 black(27, 31);
    one.query = RgbxPicture(black.window());
    constexpr std::uint32_t dearest = 255u * 255u * 192u;
    const auto is_dearest = [](std::uint32_t cost) { return cost == dearest; };
    for (const std::uint32_t weight : {1u, 1u << 16}) {
        std::vector<std::uint32_t> weights(48 * 64);
        std::fill(weights.begin(), weights.end(), weight);
        std::vector<Offset> offsets(one.field.offsets.size());
        std::fill(one.cost.begin(), one.cost.end(), dearest);
        std::vector<std::uint32_t> cost(one.cost.size());
        Search s = one.search();
        s.weights = weights.data();
        s.row = 16 * 48768 * 192 / 64;
        s.top = 1 << 16;
        s.whole_height = 27;
        s.jump = 2;
        s.tries = 4;
        s.radius = 64;
        s.new_field = offsets.data();
        s.new_cost = cost.data();
        Search joined = s;
        joined.seam = 16 * 256;
        joined.incoherence = 16 * 160 * 192;
        for (const PatchKernels* kernels : available_patch_kernels()) {
            kernels->measure(s, 0, s.rows);
            CHECK(std::all_of(cost.begin(), cost.end(), is_dearest));
            kernels->improve(joined, 0, s.rows);
            CHECK(std::all_of(cost.begin(), cost.end(), is_dearest));
            kernels->exhaust(s, 0, s.rows);
            CHECK(std::all_of(cost.begin(), cost.end(), is_dearest));
            // All are as bad as each other, so the first wins.
            CHECK((offsets[0] == Offset{kLead, kLead}));
        }
    }
}
