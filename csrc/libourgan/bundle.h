// What a picture needs of a bundle: the photograph's file and size, checked as ourgan_sdk/bundle/archive.py does.
#pragma once

#include <cstdint>
#include <string>

#include "grid.h"
#include "input.h"

namespace ourgan::c {

struct BundledPhotograph {
    std::string member;
    Size size;
    Bytes file;
};

inline constexpr int kSchemaVersion = 7;  // the latest that is known

// Reads the photograph of the bundle in `input`, which errors call `name`.
// Throws Error (bundle) if it is no sound bundle, of a later version, or holds none.
BundledPhotograph read_bundle(const Input& input, const std::string& name);

}  // namespace ourgan::c
