// Photographs and bundles for tests, as bytes.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

using Bytes = std::vector<std::uint8_t>;

// A picture of hills and noise: the same for the same numbers.
Bytes photograph_pixels(int height, int width, std::uint32_t seed);
// Encoded by libvips: suffix is ".jpg" or ".png".
Bytes photograph_file(int height, int width, std::uint32_t seed, const char* suffix);

// A ZIP of stored members, in their order.
Bytes zip(const std::vector<std::pair<std::string, Bytes>>& members);
// A bundle of a photograph: its manifest says what is true of it.
Bytes bundle_of(const Bytes& photograph, int height, int width);
// The same with this manifest, in which @SIZE@ and @SHA@ are those of the photograph.
Bytes bundle_with(std::string manifest, const Bytes& photograph);
std::string manifest_of(int height, int width);  // such a one
