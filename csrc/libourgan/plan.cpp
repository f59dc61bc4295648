#include "plan.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "error.h"
#include "numbers.h"

namespace ourgan::c {
namespace {

// Every number is explained where Python has it.
constexpr std::int64_t kCoarsest = 64;
constexpr double kSearched = 512;
constexpr double kWidest = 2.0;
constexpr std::int64_t kShortest = 8;
constexpr std::int64_t kLargestCoarsest = 4 * kCoarsest;
constexpr std::int64_t kLeastScale = 8;
constexpr std::int64_t kLargestStructure = 1 << 22;
constexpr std::int64_t kLongestStructure = 1 << 16;
constexpr int kPassShift = 2;
constexpr int kMostLengths = 1024;

constexpr double kPatchesSide = 104;
constexpr double kCompositionCoarsest = 26.7;
constexpr double kCoarsestRange = 1.5;
constexpr double kRatio = 0.75;
constexpr std::int64_t kCompositionShortest = 9;

// As Python's round(): halves to even, which is how the processor rounds unless it is told otherwise.
std::int64_t rounded(double value) { return static_cast<std::int64_t>(std::nearbyint(value)); }

// value / 2^shift, rounded up.
std::int64_t shrunk(std::int64_t value, int shift) { return -(-value >> shift); }

std::int64_t longest(const Size& size) { return std::max(size.height, size.width); }

std::pair<std::int32_t, std::int32_t> sides(std::int64_t height, std::int64_t width) {
    return {static_cast<std::int32_t>(height), static_cast<std::int32_t>(width)};
}

// How often sides are halved on the way to the coarsest level.
int halvings_of(std::int64_t long_side, double short_side) {
    int wanted = 0;
    while (long_side * long_side > 2 * (kCoarsest << wanted) * (kCoarsest << wanted)) ++wanted;
    while (wanted > 0 && short_side < static_cast<double>(kShortest << wanted)) --wanted;
    return wanted;
}

LevelSizes photograph_sizes(const Size& photograph, std::int64_t scale, int halvings) {
    const double coarsest = static_cast<double>(scale) / static_cast<double>(std::int64_t{1} << halvings);
    const auto side = [&](std::int64_t length) {
        return std::max(kShortest, rounded(static_cast<double>(length) * coarsest / static_cast<double>(longest(photograph))));
    };
    LevelSizes sizes;
    for (int doubling = 0; doubling <= halvings; ++doubling) {
        sizes.push_back(sides(side(photograph.height) << doubling, side(photograph.width) << doubling));
    }
    return sizes;
}

void check_passes(const DetailPlan& plan, const Wrap& wrap) {
    if ((wrap.y || wrap.x) && plan.passes > 0) {
        throw Error(OURGAN_SIZE_ERROR, "a picture that is " + general(plan.extent) +
                                           " photographs wide cannot wrap where networks enlarge it: give a larger "
                                           "extent or a smaller size");
    }
}

std::int64_t& side_of(Size& size, int axis) { return axis == 0 ? size.height : size.width; }

bool wraps(const DetailPlan& plan, int axis) {
    Size size = plan.size();
    return plan.passes == 0 && side_of(size, axis) % (std::int64_t{1} << (plan.picture.size() - 1)) == 0;
}

// The nearest shorter or longer length that wraps; the number of halvings depends on it as well.
std::optional<std::int64_t> nearest(const Size& photograph, Size size, const std::optional<double>& extent, int axis,
                                    int direction) {
    std::int64_t& length = side_of(size, axis);
    for (int n = 0; n < kMostLengths; ++n) {
        length += direction;
        if (length < 1) return std::nullopt;
        if (wraps(plan_detail(photograph, size, extent), axis)) return length;
    }
    return std::nullopt;
}

}  // namespace

DetailPlan plan_detail(const Size& photograph, const Size& size, const std::optional<double>& extent) {
    const std::int64_t native = longest(photograph);
    DetailPlan plan;
    std::int64_t height = size.height, width = size.width;
    const double most = kMostEnlarged * static_cast<double>(native) * extent.value_or(kWidest);
    while (static_cast<double>(std::max(height, width)) > most) {
        ++plan.passes;
        height = shrunk(size.height, kPassShift * plan.passes);
        width = shrunk(size.width, kPassShift * plan.passes);
    }
    const std::int64_t long_side = std::max(height, width);
    const double asked = extent.value_or(
        std::min(std::max(static_cast<double>(long_side) / static_cast<double>(native), 1.0), kWidest));
    const std::int64_t scale = std::max(kLeastScale, rounded(static_cast<double>(long_side) / asked));
    const std::int64_t shorter = std::min(photograph.height, photograph.width);
    const int halvings = halvings_of(scale, static_cast<double>(scale * shorter) / static_cast<double>(native));
    for (int halving = halvings; halving >= 0; --halving) {
        plan.picture.push_back(sides(shrunk(height, halving), shrunk(width, halving)));
    }
    plan.photograph = photograph_sizes(photograph, scale, halvings);
    const auto& [coarsest_height, coarsest_width] = plan.photograph.front();
    if (std::max(coarsest_height, coarsest_width) > kLargestCoarsest) {
        throw Error(OURGAN_SIZE_ERROR, "a photograph of " + std::to_string(photograph.width) + " x " +
                                           std::to_string(photograph.height) +
                                           " is too elongated to take detail from: learn a part of it");
    }
    for (const auto& [rows, columns] : plan.photograph) {
        if (std::max(rows, columns) <= kSearched * std::sqrt(2.0)) ++plan.searched;
    }
    plan.searched = std::max(1, plan.searched);
    plan.extent = static_cast<double>(long_side) / static_cast<double>(scale);
    return plan;
}

void check_wrap(const Size& photograph, const Size& size, const std::optional<double>& extent, const Wrap& wrap) {
    const DetailPlan plan = plan_detail(photograph, size, extent);
    check_passes(plan, wrap);
    const bool asked[] = {wrap.y, wrap.x};
    const char* names[] = {"height", "width"};
    for (int axis = 0; axis < 2; ++axis) {
        if (!asked[axis] || wraps(plan, axis)) continue;
        std::string lengths;
        for (const int direction : {-1, 1}) {
            const std::optional<std::int64_t> length = nearest(photograph, size, extent, axis, direction);
            if (length) lengths += (lengths.empty() ? "" : " or ") + std::to_string(*length);
        }
        Size given = size;
        throw Error(OURGAN_SIZE_ERROR, "a side that wraps has to halve " + std::to_string(plan.picture.size() - 1) +
                                           " times here: give a " + names[axis] + " of " + lengths + " in place of " +
                                           std::to_string(side_of(given, axis)));
    }
}

double fitting_extent(const Size& photograph, const Size& size) {
    const double factor = std::min(static_cast<double>(size.height) / static_cast<double>(photograph.height),
                                   static_cast<double>(size.width) / static_cast<double>(photograph.width));
    const double extent = static_cast<double>(longest(size)) / (factor * static_cast<double>(longest(photograph)));
    return std::min(std::max(extent, kLeastExtent), kMostExtent);
}

Size patches_size(const Size& photograph) {
    const auto [height, width] = photograph;
    const double factor = std::min(1.0, kPatchesSide / std::sqrt(static_cast<double>(height * width)));
    const auto side = [factor](std::int64_t length) {
        return std::max<std::int64_t>(1, rounded(static_cast<double>(length) * factor));
    };
    return {side(height), side(width)};
}

Size structure_size(const DetailPlan& plan, std::int64_t long_side) {
    const auto [height, width] = plan.picture.front();
    const auto [rows, columns] = plan.photograph.front();
    const auto side = [&, longer = std::max(rows, columns)](std::int64_t length) {
        return std::max<std::int64_t>(1, rounded(static_cast<double>(length * long_side) / longer));
    };
    return {side(height), side(width)};
}

void check_structure(const Size& structure, double extent) {
    const auto [height, width] = structure;
    if (longest(structure) <= kLongestStructure && height * width <= kLargestStructure) return;
    throw Error(OURGAN_SIZE_ERROR,
                "a picture " + general(extent) + " photographs wide needs a structure of " + std::to_string(width) + " x " +
                    std::to_string(height) + " pixels, more than can be made whole, which are " +
                    std::to_string(kLargestStructure) + ", and " + std::to_string(kLongestStructure) +
                    " a side: give a smaller extent");
}

std::vector<CompositionLevel> composition_levels(const Size& photograph, const Size& picture, double variety) {
    const double side = kCompositionCoarsest * std::pow(kCoarsestRange, 2 * variety - 1);
    const double area = static_cast<double>(photograph.height * photograph.width);
    const double shorter = static_cast<double>(std::min(photograph.height, photograph.width));
    const double factor = std::min(1.0, std::max(side / std::sqrt(area), static_cast<double>(kCompositionShortest) / shorter));
    const std::int64_t count = std::max<std::int64_t>(1, rounded(std::log(factor) / std::log(kRatio)));
    std::vector<CompositionLevel> levels;
    for (std::int64_t step = count; step > 0; --step) {
        const double share = std::pow(factor, static_cast<double>(step) / static_cast<double>(count));
        const auto scaled = [share](const Size& size, std::int64_t least) {
            return sides(std::max(least, rounded(static_cast<double>(size.height) * share)),
                         std::max(least, rounded(static_cast<double>(size.width) * share)));
        };
        levels.push_back({scaled(photograph, kCompositionShortest), scaled(picture, 1)});
    }
    levels.push_back({sides(photograph.height, photograph.width), sides(picture.height, picture.width)});
    return levels;
}

}  // namespace ourgan::c
