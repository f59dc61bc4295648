// One level of a picture while its field is searched: steps of the search, and what they pay.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "exemplar.h"
#include "patches.h"

namespace ourgan {

// For each patch of a picture, where in the photograph it comes from.
struct Field {
    std::int32_t stride;
    std::int32_t rows;
    std::int32_t columns;
    std::vector<Offset> offsets;

    Cells<const Offset> cells() const { return {offsets.data(), 0, 0, rows, columns}; }
    Cells<Offset> cells() { return {offsets.data(), 0, 0, rows, columns}; }
};

// A field of a picture of height x width, from nowhere.
Field make_field(std::int32_t height, std::int32_t width, std::int32_t stride);

// One whose every cell comes from a random position: sizes are (height, width) of the picture and the photograph.
Field random_field(const std::pair<std::int32_t, std::int32_t>& picture,
                   const std::pair<std::int32_t, std::int32_t>& photograph, std::uint64_t seed, std::uint32_t stream);

// Which candidates a step tries: offsets of neighbours so many cells away, and as many random ones, the first of them
// within so many pixels of the best.
struct Step {
    std::int32_t jump;
    std::int32_t tries;
    std::int32_t radius;
};

// What candidates pay beside what their patches differ by, in sums of squared differences: see Search.
struct Prices {
    std::int32_t incoherence = 0;
    std::int32_t seam = 0;
    std::int32_t echo = 0;
    std::int32_t echo_radius = 0;
    std::int32_t row = 0;
    std::int32_t row_slack = 0;
    std::int32_t overuse = 0;       // of each time that a place is used more often than the mean one
    std::int32_t most_overuse = 0;  // times, at most
};

// Pixels that a picture that wraps has more above and below, left and right: copies of what lies at its other side.
struct Margin {
    std::int32_t y = 0;
    std::int32_t x = 0;
};

// Makes the margin of a picture, or of a field, anew from what lies within.
void wrap(Planes16& picture, const Margin& margin);
void wrap(Field& field, const Margin& margin);

// Where in a whole picture, of which height, the one that is searched lies: its first row; and what of it is margin.
struct Placement {
    std::int32_t top;
    std::int32_t whole_height;
    Margin margin = {};
};

class LevelSearch {
public:
    // stream: of random numbers, of which every step draws others.
    LevelSearch(const PhotographLevel& photograph, Field field, const Placement& placement, std::uint64_t seed,
                std::uint32_t stream, int threads);

    // Matches what follows to `picture` by `keys`: measures the field as it is.
    void match(const RgbxPicture& picture, const Rgbx& keys);
    void match(const Planes16& picture, const Rgbx& keys) { match(RgbxPicture(picture.window()), keys); }

    // From now on, what a candidate costs is multiplied by its position's weight, in 65536ths: (keys' height, width),
    // by a patch's first pixel.
    void weigh(std::vector<std::uint32_t> weights) { weights_ = std::move(weights); }

    void improve(const Step& step, const Prices& prices);

    // The best of all positions for every cell.
    void exhaust(const Prices& prices);

    // The photograph's pixels in the picture's place; where pieces meet, as far as `limit`, what `enlarged` shows.
    Planes16 blend(const Planes16& enlarged, std::int32_t limit) const;

    const Field& field() const { return field_; }
    Field& field() { return field_; }

    // What the patch of each cell differs by.
    const std::vector<std::uint32_t>& cost() const { return cost_; }

private:
    Search search(const Prices& prices) const;
    template <class Kernel>
    void run(Kernel kernel, Search search);
    void wrap_cells();
    std::vector<std::int32_t> measure_overuse(std::int32_t price, std::int32_t most) const;

    const PhotographLevel& photograph_;
    Field field_;
    Placement placement_;
    std::uint64_t seed_;
    std::uint32_t stream_;
    int threads_;
    std::vector<std::uint32_t> cost_;
    std::vector<std::uint32_t> weights_;
    std::vector<RgbxPicture> query_;
    Rgbx keys_{};
    std::uint32_t iteration_ = 0;
};

}  // namespace ourgan
