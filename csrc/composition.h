// A small picture composed of a photograph's patches, from coarse to fine: a structure without any training.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "field.h"
#include "level_search.h"
#include "settings.h"

namespace ourgan {

struct Composition {
    Planes16 picture;
    Field field;  // into the photograph as it was given
    std::int32_t photograph_height;
    std::int32_t photograph_width;
    Wrap wrap;
};

// (height, width) of the photograph and of the picture at a level.
struct CompositionLevel {
    std::pair<std::int32_t, std::int32_t> photograph;
    std::pair<std::int32_t, std::int32_t> picture;
};

// Composes a picture of `photograph`, uint8 of three channels, at `levels`, coarsest first; at the last one the
// photograph has its own size. GPNN's scheme (Granot et al., "Drop the GAN", CVPR 2022), with the row that a patch lies
// at as one more coordinate of it, as OUR-GAN has it for networks. `wrap`: which borders continue on the other side.
// `start`: what the coarsest level begins with, uint8 of three channels, resized to it whatever its size and aspect;
// null for noise, another layout for every seed. With the photograph itself, its own layout, stretched: retargeting.
// Throws std::invalid_argument where the levels do not fit, a side is shorter than a patch, or the start is something
// else.
Composition compose(const ConstPicture& photograph, const std::vector<CompositionLevel>& levels,
                    const ConstPicture* start, const Wrap& wrap, std::uint64_t seed,
                    const CompositionSettings& settings, int threads, const Report& report);

// A composition's field at that of a photograph's searched levels which is nearest to its own size, for a picture of
// such `sizes` at all levels: where a search may start.
struct KnownField {
    int level;
    Field field;
};
KnownField known_field(const Composition& composition, const PhotographLevels& photograph, const LevelSizes& sizes);

// The largest piece of the photograph in the picture, as a share of it: of places that hang together and come from
// there with (nearly, by a pixel) the same offset, across borders that wrap too.
double copied_share(const Field& field, const Wrap& wrap = {});

}  // namespace ourgan
