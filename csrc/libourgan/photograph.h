// Reading a photograph: from a file's bytes to upright 8-bit sRGB, as ourgan_sdk/photograph does, on the same library.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "grid.h"
#include "input.h"
#include "pixels.h"

namespace ourgan::c {

struct Free {
    void operator()(std::uint8_t* memory) const;
};

struct Photograph {
    std::unique_ptr<std::uint8_t, Free> pixels;  // RGB, as libvips has made them
    Size size;

    std::int64_t bytes() const { return 3 * size.height * size.width; }

    ConstPicture picture() const;
};

// Told the size of a picture before it is decoded; what it throws ends that.
using Sized = std::function<void(const Size&)>;

// The photograph that a bundle holds. Throws Error (photograph): messages call it `name`.
Photograph decode_photograph(const View& file, const std::string& name, const Sized& sized);

// The photograph that a bundle made of this file would hold: an upright JPEG in sRGB keeps its pixels, any other is
// encoded as JPEG at quality 95, and decoded again. Throws Error (photograph).
Photograph learn_photograph(const View& file, const std::string& name, const Sized& sized);

}  // namespace ourgan::c
