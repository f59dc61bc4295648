// Resizing pictures in fixed point: the same bytes on every machine.
#pragma once

#include "pixels.h"

namespace ourgan {

// Resizes `in` into `out`, both uint8 or both uint16 of the same channels, by Catmull-Rom's cubic, widened where the
// picture is reduced, so that no pixel goes unseen. Beyond the border the border is repeated.
// Throws std::invalid_argument where types or channels differ. threads: 0 for as many as the hardware has.
void resample(const ConstPicture& in, const Picture& out, int threads);

// Writes the rounded means of 2 x 2 pixels of `in` to `out`, both uint8 or both uint16 of the same channels; rows and
// columns at odd ends count twice.
// Throws std::invalid_argument where types or channels differ, or out has not half the sides, rounded up.
void halve(const ConstPicture& in, const Picture& out, int threads);

}  // namespace ourgan
