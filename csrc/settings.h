// How detail is searched for and put together: every number, with what it is for.
#pragma once

#include <cstdint>

namespace ourgan {

// Tone: what is added so that pieces of the photograph that lie side by side agree. Firmness is in 256ths.
struct ToneSettings {
    std::int32_t iterations = 64;       // at the coarsest level
    std::int32_t fine_iterations = 12;  // at the others, which begin with the tone of the level below
    std::int32_t anchor = 4;            // how firmly the coarsest level's tone holds to the photograph's own
    std::int32_t fine_anchor = 16;      // and the others' to that of the level below
    std::int32_t like = 8;              // steps of up to so many 8-bit levels are of tone alone, and vanish
    std::int32_t unlike = 20;           // steps of so many are of content, and stay
};

// Prices are in squared 8-bit levels per value of a patch, where nothing else is said.
struct DetailSettings {
    std::int32_t iterations = 32;       // at the coarsest level; the second half of them pays prices
    std::int32_t rounds = 12;           // there: what was put together becomes what is matched (Kwatra et al. 2005)
    std::int32_t known_rounds = 8;      // the same where the field of a structure is known,
    std::int32_t known_seams = 4;       // and how many times as much seams cost there: small pieces between large ones go
    std::int32_t coarse_tries = 8;      // random positions per cell and iteration, there,
    std::int32_t tries = 4;             // in the rounds and at finer levels,
    std::int32_t last_tries = 0;        // and at the last level that is searched
    std::int32_t radius = 16;           // pixels around the best that the first of these tries may lie at
    std::int32_t incoherence = 160;     // of four neighbours that come from elsewhere: few, large pieces
    std::int32_t seam = 256;            // 256ths of what the photograph differs by where neighbours meet
    std::int32_t echo = 600;            // of neighbours that come from nearly the same place: no echoes
    std::int32_t echo_radius = 12;      // pixels of the coarsest level that are nearly the same place
    std::int32_t echo_levels = 3;
    std::int32_t overuse = 60;          // of each time that a place is used more often than the mean one
    std::int32_t most_overuse = 5;      // times, at most
    std::int32_t overuse_levels = 2;
    std::int32_t row = 3;               // of a squared pixel that a patch lies higher or lower than in the photograph,
    std::int32_t row_slack = 32;        // beyond so many 256ths of the height: sky stays above
    std::int32_t row_levels = 3;
    std::int32_t part = 1 << 22;        // pixels of a finer level that are searched at a time, about: bounds memory
    std::int32_t limit = 24;            // 8-bit levels: how far soft transitions of coarse levels reach into finer ones
    ToneSettings tone;
};

// How a structure is composed of patches. Prices as above.
struct CompositionSettings {
    std::int32_t noise = 18;            // 8-bit levels: deviation, from grey, of what a picture begins with
    std::int32_t start_noise = 0;       // and from the picture that is given to begin with: it varies with the seed
    std::int32_t first_rounds = 1;      // of search and vote, at the coarsest level,
    std::int32_t rounds = 5;            // and at each of the others
    std::int32_t tries = 4;             // random positions per cell and step; twice as many, anywhere, in a first round
    std::int32_t radius = 16;           // pixels around the best that the first of these tries may lie at
    std::int32_t row = 48768;           // of a patch that lies a whole height too high or too low, and by the square of it
    std::int32_t completeness = 15;     // of a patch that the picture shows: the less, the more the others are preferred
    std::int64_t exhaustive = 1 << 24;  // pairs of patches that are compared at most, all with all, at the coarsest level
};

}  // namespace ourgan
