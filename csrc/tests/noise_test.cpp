#include "noise.h"

#include <vector>

#include "check.h"
#include "grid.h"

using namespace ourgan;

TEST(philox_gives_the_published_words) {
    using Counter = std::array<std::uint32_t, 4>;
    using Key = std::array<std::uint32_t, 2>;
    const std::uint32_t ones = 0xFFFFFFFFu;
    CHECK((philox4x32(Counter{}, Key{}) == Counter{0x6627E8D5u, 0xE169C58Du, 0xBC57AC4Cu, 0x9B00DBD8u}));
    CHECK((philox4x32(Counter{ones, ones, ones, ones}, Key{ones, ones}) ==
           Counter{0x408F276Du, 0x41C83B0Eu, 0xA20BC7C6u, 0x6D5451FDu}));
    CHECK((philox4x32(Counter{0x243F6A88u, 0x85A308D3u, 0x13198A2Eu, 0x03707344u}, Key{0xA4093822u, 0x299F31D0u}) ==
           Counter{0xD16CFE09u, 0x94FDCCEBu, 0x5001E420u, 0x24126EA1u}));
}

TEST(noise_is_addressed_by_position) {
    const Noise noise{99, 3, 0.5f};
    for (const std::int64_t origin : {1000, -25}) {  // the second part begins at (-4, 2) and the whole left of 0
        std::vector<float> whole(5 * 40 * 600), part(5 * 7 * 300);
        fill_normal(noise, 5, 40, 600, origin, origin - 250, whole.data());
        fill_normal(noise, 5, 7, 300, origin + 21, origin + 27, part.data());
        for (std::size_t c = 0; c < 5; ++c) {
            for (std::size_t y = 0; y < 7; ++y) {
                for (std::size_t x = 0; x < 300; ++x) {
                    CHECK(part[(c * 7 + y) * 300 + x] == whole[(c * 40 + y + 21) * 600 + x + 277]);
                }
            }
        }
    }
}

TEST(noise_outside_the_plane_is_refused) {
    float value = 0.0f;
    CHECK_THROWS(fill_normal({}, 1, 1, 1, -kMaxSide - 1, 0, &value), std::invalid_argument, "noise rows");
    CHECK_THROWS(fill_normal({}, 1, 1, 1, 0, kMaxSide, &value), std::invalid_argument, "noise columns");
    fill_normal({0, 0, 1.0f}, 1, 1, 1, kMaxSide - 1, kMaxSide - 1, &value);
    CHECK(value != 0.0f);
    fill_normal({0, 0, 1.0f}, 1, 1, 1, -kMaxSide, -kMaxSide, &value);
    CHECK(value != 0.0f);
}
