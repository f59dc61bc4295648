#include "kernels.h"

#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "check.h"

using namespace ourgan;

namespace {

constexpr std::size_t kSizes[] = {1, 2, 2, 4};

// Values around everything that matters to clamping and rounding, then random ones.
std::vector<float> difficult_values(std::size_t count) {
    const float infinity = std::numeric_limits<float>::infinity();
    std::vector<float> values{0.0f,      -0.0f,     1.0f,    -1.0f,      2.0f,      infinity, -infinity, 0x1p-14f,
                              0x1p-24f,  0x1p-25f, 65519.0f, 65520.0f, -1e9f,  3e-8f,   0x1.002p-1f, 0.5f,     1e-40f,   0.99999994f,
                              std::numeric_limits<float>::quiet_NaN(), 0.5f / 255.0f, 1.5f / 65535.0f};
    std::mt19937 random(1);
    std::uniform_real_distribution<float> uniform(-0.2f, 1.2f);
    while (values.size() < count) values.push_back(uniform(random));
    return values;
}

}  // namespace

TEST(every_instruction_set_encodes_the_same_bits) {
    for (const std::int64_t channels : {1, 2, 3, 4, 5}) {
        for (const std::int64_t count : {1, 15, 64, 257, 1003}) {
            const std::vector<float> planes = difficult_values(static_cast<std::size_t>(channels * count));
            for (int type = 0; type < kPixelTypes; ++type) {
                const std::size_t bytes = planes.size() * kSizes[type];
                std::vector<unsigned char> expected(bytes + 1, 0xA5), actual(bytes + 1, 0xA5);
                for (const auto table : {&Kernels::encode, &Kernels::store}) {
                    const Kernels::Encode reference = (available_kernels().front()->*table)[type];
                    const auto broken = reference(planes.data(), count, count, channels, expected.data());
                    for (const Kernels* kernel : available_kernels()) {
                        const Kernels::Encode encode = (kernel->*table)[type];
                        CHECK(encode(planes.data(), count, count, channels, actual.data()) == broken);
                        CHECK(actual == expected);  // the last byte shows that nothing is written behind the end
                    }
                }
            }
        }
    }
}

TEST(every_instruction_set_decodes_the_same_bits) {
    std::vector<std::uint16_t> pixels(3 * 65536);
    for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::uint16_t>(i);
    for (const std::int64_t channels : {1, 3, 4}) {
        const std::int64_t count = 65536 / 4 + 7;
        for (int type = 0; type < kPixelTypes; ++type) {
            std::vector<float> expected(static_cast<std::size_t>(channels * count)), actual(expected.size());
            available_kernels().front()->decode[type](pixels.data(), count, channels, expected.data(), count);
            for (const Kernels* kernel : available_kernels()) {
                kernel->decode[type](pixels.data(), count, channels, actual.data(), count);
                CHECK(std::memcmp(actual.data(), expected.data(), expected.size() * sizeof(float)) == 0);
            }
        }
    }
}

TEST(every_instruction_set_makes_the_same_noise) {
    const std::int64_t count = 20011, channels = 5;
    const NoiseRow row{0x123456789ABCDEF0u, 257, 12345, 0x7FFF0000u};
    std::vector<float> expected(static_cast<std::size_t>(channels * count), 0.25f);
    const std::vector<float> start = expected;
    available_kernels().front()->add_normal(row, 0.1f, count, channels, expected.data(), count);
    for (const Kernels* kernel : available_kernels()) {
        std::vector<float> actual = start;
        kernel->add_normal(row, 0.1f, count, channels, actual.data(), count);
        CHECK(std::memcmp(actual.data(), expected.data(), expected.size() * sizeof(float)) == 0);
    }
}

TEST(the_bits_of_the_noise_are_pinned) {
    // Changing these values changes every picture of every seed: only with a new schema version.
    std::vector<float> planes(4 * 3);
    kernels().add_normal({7, 256, 11, 13}, 1.0f, 3, 4, planes.data(), 3);
    std::uint32_t hash = 2166136261u;
    for (const float value : planes) {
        std::uint32_t bits;
        std::memcpy(&bits, &value, sizeof bits);
        hash = (hash ^ bits) * 16777619u;
    }
    CHECK(hash == 0x3F8E372Eu);
}
