#include "tone.h"

#include <cmath>

#include "check.h"
#include "detail_pictures.h"

using namespace ourgan;

namespace {

constexpr std::int32_t kSide = 40;

// A picture of two halves that come from two flat places of the photograph, `step` levels apart; the places lie far
// from each other, each in surroundings of its own level.
struct Halves {
    explicit Halves(std::int32_t step) : picture(kSide, kSide), field{1, kSide, kSide, {}} {
        std::vector<OwnedPicture> owned;
        owned.emplace_back(64, 256);
        for (std::int64_t y = 0; y < 64; ++y) {
            for (std::int64_t x = 0; x < 256; ++x) {
                for (int c = 0; c < 3; ++c) {
                    owned[0].bytes[static_cast<std::size_t>(3 * (256 * y + x) + c)] =
                        static_cast<std::uint8_t>(x < 128 ? 100 : 100 + step);
                }
            }
        }
        photograph = std::make_unique<PhotographLevels>(std::vector<ConstPicture>{owned[0].readable()}, 1);
        for (std::int32_t y = 0; y < kSide; ++y) {
            for (std::int32_t x = 0; x < kSide; ++x) {
                field.offsets.push_back(x < kSide / 2 ? Offset{10, 20} : Offset{10, 160});
                for (int c = 0; c < 3; ++c) {
                    *picture.writable().at(c, y, x) =
                        static_cast<std::int16_t>((x < kSide / 2 ? 100 : 100 + step) * kSteps);
                }
            }
        }
    }

    // The step between the halves that is left, in levels, with the tone added.
    double left(const ToneSettings& settings, int threads = 1) const {
        const Planes16 tone = balance_tone(photograph->exemplar(0), picture.window(), field, nullptr, {}, settings, threads);
        double most = 0;
        for (int c = 0; c < kColours; ++c) {
            for (std::int32_t y = 0; y < kSide; ++y) {
                const auto at = [&](std::int32_t x) {
                    return (*picture.window().at(c, y, x) + *tone.window().at(c, y, x)) / static_cast<double>(kSteps);
                };
                most = std::max(most, std::abs(at(kSide / 2) - at(kSide / 2 - 1)));
            }
        }
        return most;
    }

    Planes16 picture;
    Field field;
    std::unique_ptr<PhotographLevels> photograph;
};

}  // namespace

TEST(a_step_of_tone_becomes_level_and_one_of_content_stays) {
    CHECK(Halves(4).left({}) < 1);
    CHECK(Halves(-4).left({}) < 1);
    CHECK(Halves(60).left({}) > 59.5);
    CHECK(Halves(-60).left({}) > 59.5);
}

TEST(what_is_level_gets_no_tone) {
    const Halves level(0);
    const Planes16 tone = balance_tone(level.photograph->exemplar(0), level.picture.window(), level.field, nullptr, {}, {}, 1);
    CHECK(same(tone, Planes16(kSide, kSide)));
}

TEST(tone_does_not_depend_on_threads_and_stays_near_that_of_the_level_below) {
    const auto photograph = make_photograph(64, 96, 2, 2);
    for (const std::int32_t stride : {1, 2}) {
        for (const auto& [height, width] : {std::pair{1, 1}, {1, 50}, {43, 1}, {61, 75}}) {
            const Planes16 picture = random_planes(height, width, 3);
            const Field field =
                random_field((height + stride - 1) / stride, (width + stride - 1) / stride, stride, 64, 96, 5);
            const Planes16 below(height, width);
            const Planes16* const belows[] = {nullptr, &below};
            for (const Planes16* one : belows) {
                const Planes16 expected = balance_tone(photograph->exemplar(1), picture.window(), field, one, {}, {}, 1);
                for (const int threads : {2, 4}) {
                    CHECK(same(balance_tone(photograph->exemplar(1), picture.window(), field, one, {}, {}, threads), expected));
                }
            }
        }
    }
    const Halves halves(4);
    Planes16 below(kSide, kSide);
    for (int c = 0; c < kColours; ++c) std::fill_n(below.writable().plane[c], kSide * kSide, std::int16_t{512});
    ToneSettings still;
    still.fine_iterations = 0;
    CHECK(same(balance_tone(halves.photograph->exemplar(0), halves.picture.window(), halves.field, &below, {}, still, 1), below));
}
