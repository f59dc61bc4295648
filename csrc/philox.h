// Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011).
// Internal linkage on purpose: the kernels are compiled once per instruction set, and the linker must not
// replace one build's copy with another's.
#pragma once

#include <cstdint>

namespace ourgan {

struct Words4 {
    std::uint32_t word[4];
};

static inline Words4 philox_4x32_10(Words4 counter, std::uint32_t key0, std::uint32_t key1) {
    std::uint32_t a = counter.word[0], b = counter.word[1], c = counter.word[2], d = counter.word[3];
    for (int round = 0; round < 10; ++round) {
        const std::uint64_t first = std::uint64_t{0xD2511F53u} * a;
        const std::uint64_t second = std::uint64_t{0xCD9E8D57u} * c;
        a = static_cast<std::uint32_t>(second >> 32) ^ b ^ key0;
        b = static_cast<std::uint32_t>(second);
        c = static_cast<std::uint32_t>(first >> 32) ^ d ^ key1;
        d = static_cast<std::uint32_t>(first);
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    return {{a, b, c, d}};
}

}  // namespace ourgan
