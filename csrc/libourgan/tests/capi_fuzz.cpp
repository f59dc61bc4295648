// Damaged bundles and photographs, and odd arguments, by a seed: capi_fuzz SEED CASES. Run under sanitizers. Every call
// has to return a status, none of them an internal error, and write nothing beyond the region's memory.
#include <algorithm>
#include <cinttypes>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "files.h"
#include "ourgan.h"

namespace {

class Random {
public:
    explicit Random(std::uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15u + 1) {}

    std::uint64_t next() {
        state_ ^= state_ << 13;
        state_ ^= state_ >> 7;
        state_ ^= state_ << 17;
        return state_;
    }
    std::size_t below(std::size_t limit) { return limit == 0 ? 0 : static_cast<std::size_t>(next() % limit); }
    bool once_in(std::size_t times) { return below(times) == 0; }
    template <class T>
    T of(std::initializer_list<T> choices) {
        return *(choices.begin() + below(choices.size()));
    }

private:
    std::uint64_t state_;
};

void damage(Bytes& bytes, Random& random) {
    for (std::size_t n = 1 + random.below(4); n-- > 0 && !bytes.empty();) {
        const std::size_t at = random.once_in(2) ? random.below(std::min<std::size_t>(bytes.size(), 700)) : random.below(bytes.size());
        const std::size_t count = std::min<std::size_t>(1 + random.below(16), bytes.size() - at);
        const auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(at);
        switch (random.below(6)) {
            case 0: bytes[at] ^= static_cast<std::uint8_t>(1u << random.below(8)); break;
            case 1: std::fill_n(begin, count, random.of<std::uint8_t>({0, 0x7F, 0x80, 0xFF})); break;
            case 2: bytes.erase(begin, begin + static_cast<std::ptrdiff_t>(count)); break;
            case 3: bytes.insert(begin, count, static_cast<std::uint8_t>(random.next())); break;
            case 4: bytes.resize(at); break;
            default: {
                const std::size_t from = random.below(bytes.size() - count + 1);
                std::memmove(bytes.data() + at, bytes.data() + from, count);
            }
        }
    }
}

void damage(std::string& text, Random& random) {
    Bytes bytes(text.begin(), text.end());
    damage(bytes, random);
    text.assign(bytes.begin(), bytes.end());
}

struct Files {
    std::vector<Bytes> photographs;  // with 48 x 64 pixels
    std::vector<Bytes> bundles;
};

Files sound_files() {
    Files files;
    for (const char* suffix : {".jpg", ".jpg[Q=80,interlace]", ".png", ".png[interlace]", ".png[palette]"}) {
        files.photographs.push_back(photograph_file(64, 72, 2, suffix));
        files.bundles.push_back(bundle_of(files.photographs.back(), 64, 72));
    }
    return files;
}

// A file of any of these kinds, most of them damaged: as a whole, or inside of a bundle whose sums are right.
Bytes some_file(const Files& files, Random& random) {
    Bytes photograph = files.photographs[random.below(files.photographs.size())];
    switch (random.below(5)) {
        case 0: damage(photograph, random); return photograph;
        case 1: {
            Bytes bundle = files.bundles[random.below(files.bundles.size())];
            damage(bundle, random);
            return bundle;
        }
        case 2: damage(photograph, random); return bundle_of(photograph, 64, 72);
        case 3: {
            std::string manifest = manifest_of(64, 72);
            damage(manifest, random);
            return bundle_with(manifest, photograph);
        }
        default: return random.once_in(2) ? photograph : bundle_of(photograph, 64, 72);
    }
}

std::int64_t some_side(Random& random) {
    if (random.once_in(8)) {
        return random.of<std::int64_t>({0, -1, 1, 2, 2147483647, 2147483648, std::numeric_limits<std::int64_t>::max(),
                                        std::numeric_limits<std::int64_t>::min()});
    }
    return 1 + static_cast<std::int64_t>(random.below(40));
}

double some_number(Random& random, double scale) {
    if (random.once_in(8)) return random.of({-1.0, 0.0, 1e-300, 1e300, HUGE_VAL, -HUGE_VAL, static_cast<double>(NAN)});
    return scale * static_cast<double>(random.below(1000)) / 1000;
}

struct Tally {
    std::map<std::string, std::int64_t> calls;

    bool count(ourgan_status status) {
        ++calls[ourgan_status_name(status)];
        if (status < OURGAN_OK || status >= OURGAN_INTERNAL_ERROR) {
            std::fprintf(stderr, "status %d: %s\n", static_cast<int>(status), ourgan_last_error());
            std::exit(1);
        }
        if (status != OURGAN_OK && (ourgan_last_status() != status || ourgan_last_error()[0] == '\0')) {
            std::fprintf(stderr, "status %d is not explained\n", static_cast<int>(status));
            std::exit(1);
        }
        return status == OURGAN_OK;
    }
};

struct Stop {
    std::size_t calls;
};

std::int32_t stop(double, void* user) { return static_cast<Stop*>(user)->calls-- == 0 ? 1 : 0; }

void read(ourgan_canvas* canvas, Random& random, Tally& tally) {
    std::int32_t levels = 0;
    tally.count(ourgan_canvas_levels(canvas, &levels));
    const auto level = static_cast<std::int32_t>(random.once_in(9) ? random.next() : random.below(static_cast<std::size_t>(levels)));
    std::int64_t width = 0, height = 0;
    if (!tally.count(ourgan_canvas_level_size(canvas, level, &width, &height))) return;
    ourgan_box box{};
    box.y0 = static_cast<std::int64_t>(random.below(static_cast<std::size_t>(std::min<std::int64_t>(height, 1000))));
    box.x0 = static_cast<std::int64_t>(random.below(static_cast<std::size_t>(std::min<std::int64_t>(width, 1000))));
    box.y1 = std::min(height, box.y0 + 1 + static_cast<std::int64_t>(random.below(64)));
    box.x1 = std::min(width, box.x0 + 1 + static_cast<std::int64_t>(random.below(64)));
    const auto format = static_cast<std::int32_t>(random.below(4));
    const std::int64_t bytes = (format % 2 == 0 ? 1 : 2) * (format < 2 ? 3 : 4);
    const std::int64_t row = bytes * (box.x1 - box.x0) + 2 * static_cast<std::int64_t>(random.below(5));
    std::vector<std::uint16_t> memory(static_cast<std::size_t>((box.y1 - box.y0) * row / 2 + 1));  // ASan guards it
    ptrdiff_t stride = static_cast<ptrdiff_t>(row + (row & 1));
    memory.resize(static_cast<std::size_t>((box.y1 - box.y0) * stride / 2 + 1));
    if (random.once_in(9)) box = {some_side(random), some_side(random), some_side(random), some_side(random)};
    const bool is_odd = box.y0 < 0 || box.x0 < 0 || box.y1 > height || box.x1 > width || box.y1 <= box.y0 || box.x1 <= box.x0;
    const bool fits = !is_odd && (box.y1 - box.y0 - 1) * stride + bytes * (box.x1 - box.x0) <=
                                     static_cast<std::int64_t>(2 * memory.size());
    if (!is_odd && !fits) return;  // a region within the picture that our memory has no room for
    Stop limit{random.once_in(4) ? random.below(40) : std::numeric_limits<std::size_t>::max()};
    tally.count(ourgan_canvas_read(canvas, level, box, format, memory.data(), stride, nullptr, stop, &limit));
}

void use(ourgan_source* source, Random& random, Tally& tally) {
    ourgan_canvas_options options;
    ourgan_canvas_options_init(&options);
    options.width = some_side(random);
    options.height = some_side(random);
    options.seed = random.next();
    options.extent = random.once_in(2) ? 0 : some_number(random, 8);
    if (random.once_in(3)) options.variety = some_number(random, 1.1);
    if (random.once_in(3)) options.vertical = some_number(random, 4.4);
    if (random.once_in(3)) options.tileable = static_cast<std::int32_t>(random.below(5));
    if (random.once_in(3)) options.symmetric = static_cast<std::int32_t>(random.below(5));
    options.retarget = random.once_in(4);
    if (random.once_in(40)) options.struct_size = random.below(500);
    ourgan_canvas* canvas = nullptr;
    if (!tally.count(ourgan_canvas_new(source, &options, &canvas))) return;
    double extent = 0;
    std::uint64_t bytes = 0;
    tally.count(ourgan_canvas_extent(canvas, &extent));
    tally.count(ourgan_canvas_memory(canvas, &bytes));
    if (bytes < 1 << 28 && random.once_in(3)) {  // searching takes most of the time
        for (int n = 0; n < 2; ++n) read(canvas, random, tally);
        double share = 0;
        tally.count(ourgan_canvas_copied_share(canvas, &share));
    }
    ourgan_canvas_free(canvas);
}

}  // namespace

int main(int count, char** arguments) {
    const auto seed = count > 1 ? std::strtoull(arguments[1], nullptr, 10) : 0;
    const auto cases = count > 2 ? std::strtoull(arguments[2], nullptr, 10) : 100;
    const Files files = sound_files();
    Tally tally;
    for (std::uint64_t n = 0; n < cases; ++n) {
        Random random(seed * 1000003 + n);  // each case by itself, to be made again
        const Bytes file = some_file(files, random);
        ourgan_source_options options;
        ourgan_source_options_init(&options);
        options.threads = 1;
        if (random.once_in(8)) options.memory_limit = random.below(1 << 26);
        ourgan_source* source = nullptr;
        if (!tally.count(ourgan_open_memory(file.data(), file.size(), "fuzz", &options, &source))) continue;
        use(source, random, tally);
        ourgan_source_free(source);
    }
    for (const auto& [name, calls] : tally.calls) std::printf("%s %" PRId64 "\n", name.c_str(), calls);
    return 0;
}
