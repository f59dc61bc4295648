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

// Where a search begins: the picture at the coarsest level, which is matched and not shown; or a field that is known
// there, or at a finer level, instead.
struct Start {
    const Planes16* structure = nullptr;
    const Field* field = nullptr;
    int level = 0;
};

// Pixels of the coarsest level that a picture that wraps gets as a margin on either side, twice as many at the next
// level, and so on: half of them may be gathered, the other half is what those depend on.
inline constexpr std::int32_t kWrapMargin = 24;

Margin margin_at(int level, const Wrap& wrap);

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

// Throws std::invalid_argument unless a side that wraps is exactly twice as long at each level as at the one before.
void check_wrap(const LevelSizes& sizes, const Wrap& wrap);

// (height, width) of what is found of a picture, whose sizes have been checked: those of its last searched level, with
// the margin where it wraps.
std::pair<std::int32_t, std::int32_t> found_size(const PhotographLevels& photograph, const LevelSizes& sizes,
                                                 const Wrap& wrap);

// Throws std::invalid_argument unless `found` can be what was found of such a picture: of its size, with values that a
// search can give, every patch within the photograph. Whatever it holds, nothing is read beyond it.
void check_found(const PhotographLevels& photograph, const Found& found, const LevelSizes& sizes, const Wrap& wrap);

// Called between the steps of the search with the share of the work that is done; what it throws ends the search.
using Report = std::function<void(double)>;

// Matches the picture to the photograph, level by level from where it starts. Of `sizes` those of the searched levels
// count. Random tries depend on seed, level and cell alone. What is found of a picture that wraps has a margin.
// Throws std::invalid_argument where sizes, start and photograph do not belong together, or a side that wraps is not
// exactly twice as long at each level as at the one before, before anything is searched.
Found find_field(const PhotographLevels& photograph, const Start& start, const LevelSizes& sizes, const Wrap& wrap,
                 std::uint64_t seed, const DetailSettings& settings, int threads, const Report& report);

}  // namespace ourgan
