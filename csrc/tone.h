// Evening out the tone of pieces that come from different places of the photograph.
#pragma once

#include "exemplar.h"
#include "field.h"
#include "settings.h"

namespace ourgan {

// What is to be added to `picture`, planes of values within half the range, so that it changes from pixel to pixel as
// the photograph does where its pixels come from: the least squares of what is left of the steps between pieces, as
// far as these are of tone. `below`: the tone of the level below, enlarged, or nothing at the coarsest level.
// `margin`: what of the picture is margin, as it wraps.
// In the manner of Perez et al., "Poisson image editing" (2003), with steps of content left out.
Planes16 balance_tone(const Exemplar& exemplar, const Window<const std::int16_t>& picture, const Field& field,
                      const Planes16* below, const Margin& margin, const ToneSettings& settings, int threads);

}  // namespace ourgan
