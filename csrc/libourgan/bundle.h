// What a picture needs of a bundle: the photograph's file and size. The archive is checked as ourgan_sdk/bundle/archive.py
// does it; of the manifest nothing but the version, the members' sizes and what is said of the photograph is, where
// Python refuses unknown and wrong fields of all its records.
#pragma once

#include <cstdint>
#include <functional>
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

// Told the photograph's member, its size and its first bytes before it is read; what it throws ends that.
using Found = std::function<void(const std::string& member, std::uint64_t bytes, const View& head)>;

// Reads the photograph of the bundle in `input`, which errors call `name`.
// Throws Error (bundle) if it is no sound bundle, of a later version, or holds none.
BundledPhotograph read_bundle(const Input& input, const std::string& name, const Found& about_to_read);

}  // namespace ourgan::c
