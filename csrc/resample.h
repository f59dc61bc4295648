// Resizing pictures in fixed point: the same bytes on every machine.
#pragma once

#include "pixels.h"

namespace ourgan {

// Resizes `in` into `out`, both uint8 or both uint16 of the same channels, by Catmull-Rom's cubic, widened where the
// picture is reduced, so that no pixel goes unseen. Beyond the border the border is repeated.
// Throws std::invalid_argument where types or channels differ. threads: 0 for as many as the hardware has.
void resample(const ConstPicture& in, const Picture& out, int threads);

}  // namespace ourgan
