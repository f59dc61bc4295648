// The field: for each patch of a picture, where in the photograph it comes from; found whole at the coarse levels.
#pragma once

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "exemplar.h"
#include "level_search.h"
#include "settings.h"

namespace ourgan {

struct Found {
    Planes16 picture;  // of the photograph's pieces, at its last searched level
    Field field;
    Planes16 tone;  // what is to be added, there and enlarged at every finer level
};

// (height, width) of a picture at every level, coarsest first; each is half the next one, rounded up.
using LevelSizes = std::vector<std::pair<std::int32_t, std::int32_t>>;

inline constexpr std::int32_t kLongestSide = 1 << 29;

// Throws std::invalid_argument unless `sizes` are those of a picture that this photograph can make: of all levels that
// are searched and no more than it has, each half the next one, rounded up, with sides from 1 to kLongestSide.
void check_sizes(const PhotographLevels& photograph, const LevelSizes& sizes);

// Called between the steps of the search with the share of the work that is done; what it throws ends the search.
using Report = std::function<void(double)>;

// Matches `structure`, the picture at its coarsest level, to the photograph, level by level. Of `sizes` those of the
// searched levels count. Random tries depend on seed, level and cell alone.
// Throws std::invalid_argument where sizes, structure and photograph do not belong together, before anything is searched.
Found find_field(const PhotographLevels& photograph, const Planes16& structure, const LevelSizes& sizes,
                 std::uint64_t seed, const DetailSettings& settings, int threads, const Report& report);

}  // namespace ourgan
