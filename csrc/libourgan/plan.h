// At which scale a picture's detail is made, and at which levels it is searched and gathered: what
// ourgan_sdk/detail/plan.py and ourgan_sdk/structure/patches.py say, in the same arithmetic.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "composition.h"
#include "exemplar.h"
#include "field.h"
#include "grid.h"

namespace ourgan::c {

inline constexpr double kLeastExtent = 0.25, kMostExtent = 1024.0;
inline constexpr double kMostEnlarged = 1.5;

// The way from a structure to a picture of detail, and the number of x4 passes behind it. Levels are coarsest first.
struct DetailPlan {
    LevelSizes picture;
    LevelSizes photograph;
    int searched = 0;
    int passes = 0;
    double extent = 0.0;

    Size size() const { return {picture.back().first, picture.back().second}; }
};

// How a picture of `size` is made of a photograph. Throws Error (size) for a photograph that is too elongated.
DetailPlan plan_detail(const Size& photograph, const Size& size, const std::optional<double>& extent);

// Throws Error (size) if a picture of `size` cannot wrap; arguments as for plan_detail. The error names the nearest
// lengths that will do.
void check_wrap(const Size& photograph, const Size& size, const std::optional<double>& extent, const Wrap& wrap);

// The extent at which the whole photograph just fits into a picture of `size`.
double fitting_extent(const Size& photograph, const Size& size);

// A structure of patches that shows one photograph of that size, or its own.
Size patches_size(const Size& photograph);

// A structure for that plan, whose photograph has a long side of `long_side` pixels.
Size structure_size(const DetailPlan& plan, std::int64_t long_side);

// Throws Error (size) if that is more than can be made whole.
void check_structure(const Size& structure, double extent);

// The levels that a structure of `picture` is composed at, of a photograph, coarsest first.
std::vector<CompositionLevel> composition_levels(const Size& photograph, const Size& picture, double variety);

}  // namespace ourgan::c
