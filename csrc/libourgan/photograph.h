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

// What decoding a picture takes beside its file: the most bytes that lie there at a time, of any step.
struct Needed {
    Size size;
    std::uint64_t bytes;
};

// Told before a picture is decoded or encoded; what it throws ends that.
using Sized = std::function<void(const Needed&)>;

// How photographs are read: whom to tell, and by how many threads of libvips at most, 0 for all processors.
struct Reading {
    Sized sized;
    int threads = 0;
};

// Throws Error (photograph) if a file that begins so is of no kind that is read: `head` is its first kHead bytes.
void check_kind(const View& head, const std::string& name);

// The photograph that a bundle holds. Throws Error (photograph): messages call it `name`.
Photograph decode_photograph(const View& file, const std::string& name, const Reading& how);

// The photograph that a bundle made of this file would hold: an upright JPEG in sRGB keeps its pixels, any other is
// encoded as JPEG at quality 95, and decoded again. Throws Error (photograph).
Photograph learn_photograph(const View& file, const std::string& name, const Reading& how);

}  // namespace ourgan::c
