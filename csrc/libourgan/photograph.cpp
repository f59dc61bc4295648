#include "photograph.h"

#include <vips/vips.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <optional>

#include "error.h"
#include "file_kinds.h"

namespace ourgan::c {
namespace {

constexpr std::int64_t kMostRead = 1 << 29;     // pixels
constexpr std::int64_t kMostLearned = 1 << 26;  // of a photograph that becomes a bundle without being reduced
constexpr std::int64_t kSmallestSide = 64, kMostElongated = 12;
constexpr std::size_t kKeptBytes = 16 << 20;
constexpr int kSmallestRange = 3;
// As measured, per pixel: of what is kept; of a channel of a progressive JPEG, all of whose coefficients libjpeg has; of
// a picture that is encoded: itself, coefficients, and the file, which is copied once, of what is hard to compress. Per
// column: of libvips' strips in floating point.
constexpr std::uint64_t kPixelBytes = 3, kProgressiveBytes = 3, kEncodingBytes = 13, kStripBytes = 3072;
constexpr int kQuality = 95;
constexpr int kProbeLevels = 9;

// Parts of libjpeg's warnings after which the pixels are whole; cameras are to blame for them.
constexpr const char* kHarmless[] = {"extraneous bytes before marker 0xd9", "Invalid SOS parameters",
                                     "Unknown Adobe color transform", "unknown JFIF revision"};

// What libvips, libjpeg and GLib say where there is no more memory, or no thread to be had.
constexpr const char* kOutOfMemory[] = {"out of memory", "Insufficient memory", "Error creating thread",
                                        "unable to create thread"};

// What libvips says of an operation that has failed.
struct VipsFailure {
    std::string text;
};

// As this ends, libvips' cache of operations is emptied: it would keep the pictures that they have worked on.
class Forgetting {
public:
    Forgetting() = default;
    ~Forgetting() {
        const int size = vips_cache_get_max();
        vips_cache_set_max(0);
        vips_cache_set_max(size);
    }
    Forgetting(const Forgetting&) = delete;
    Forgetting& operator=(const Forgetting&) = delete;
};

struct Unref {
    void operator()(gpointer object) const { g_object_unref(object); }
};
using Image = std::unique_ptr<VipsImage, Unref>;

void check(int failed) {
    if (failed == 0) return;
    const std::unique_ptr<char, decltype(&g_free)> text(vips_error_buffer_copy(), g_free);  // and it is emptied
    const auto says = [&](const char* words) { return std::strstr(text.get(), words) != nullptr; };
    if (std::any_of(std::begin(kOutOfMemory), std::end(kOutOfMemory), says)) throw std::bad_alloc();
    throw VipsFailure{text.get()};
}

// The picture that call(&out) makes.
template <class Call>
Image made(const Call& call) {
    VipsImage* out = nullptr;
    check(call(&out));
    return Image(out);
}

Image linear(const Image& in, double factor, double constant, bool to_bytes = false) {
    return made([&](VipsImage** out) {
        return vips_linear1(in.get(), out, factor, constant, "uchar", to_bytes ? TRUE : FALSE, nullptr);
    });
}

Bytes blob(const Image& image, const char* name) {
    if (vips_image_get_typeof(image.get(), name) == 0) return {};
    const void* data = nullptr;
    std::size_t size = 0;
    check(vips_image_get_blob(image.get(), name, &data, &size));
    const auto* bytes = static_cast<const std::uint8_t*>(data);
    return Bytes(bytes, bytes + size);
}

// The pixels of a picture of 8 bits.
std::unique_ptr<std::uint8_t, Free> pixels_of(const Image& image) {
    std::size_t size = 0;
    std::unique_ptr<std::uint8_t, Free> memory(static_cast<std::uint8_t*>(vips_image_write_to_memory(image.get(), &size)));
    if (!memory) check(-1);
    return memory;
}

Image same(const Image& image) {
    g_object_ref(image.get());
    return Image(image.get());
}

// --- Colours

bool is_grey(const Image& image) {
    const VipsInterpretation kind = vips_image_get_interpretation(image.get());
    return kind == VIPS_INTERPRETATION_B_W || kind == VIPS_INTERPRETATION_GREY16;
}

bool is_rgb(const Image& image) {
    const VipsInterpretation kind = vips_image_get_interpretation(image.get());
    return kind == VIPS_INTERPRETATION_sRGB || kind == VIPS_INTERPRETATION_RGB16;
}

// All greys, or colours all over the space.
Bytes probe_colors(bool grey) {
    Bytes colors;
    if (grey) {
        for (int level = 0; level < 256; ++level) colors.push_back(static_cast<std::uint8_t>(level));
        return colors;
    }
    const auto level = [](int index) { return static_cast<std::uint8_t>(VIPS_RINT(255.0 * index / (kProbeLevels - 1))); };
    for (int r = 0; r < kProbeLevels; ++r) {
        for (int g = 0; g < kProbeLevels; ++g) {
            for (int b = 0; b < kProbeLevels; ++b) colors.insert(colors.end(), {level(r), level(g), level(b)});
        }
    }
    return colors;
}

// By how many levels at most a conversion by the profile changes a colour; nothing if it is not usable.
std::optional<int> change_by(const Bytes& profile, bool grey) {
    const char* space = grey ? "GRAY" : "RGB ";
    if (profile.size() < 128 || std::memcmp(profile.data() + 16, space, 4) != 0) return std::nullopt;
    const Bytes colors = probe_colors(grey);
    const int bands = grey ? 1 : 3, count = static_cast<int>(colors.size()) / bands;
    const Image plain = made([&](VipsImage** out) {
        *out = vips_image_new_from_memory_copy(colors.data(), colors.size(), count, 1, bands, VIPS_FORMAT_UCHAR);
        return *out == nullptr;
    });
    const Image probe = made([&](VipsImage** out) {
        return vips_copy(plain.get(), out, "interpretation",
                         grey ? VIPS_INTERPRETATION_B_W : VIPS_INTERPRETATION_sRGB, nullptr);
    });
    vips_image_set_blob_copy(probe.get(), VIPS_META_ICC_NAME, profile.data(), profile.size());
    try {
        const auto converted = pixels_of(made([&](VipsImage** out) {
            return vips_icc_transform(probe.get(), out, "srgb", "embedded", TRUE, "intent", VIPS_INTENT_PERCEPTUAL,
                                      "depth", 8, nullptr);
        }));
        int most = 0;
        for (int i = 0; i < 3 * count; ++i) {
            const int color = colors[static_cast<std::size_t>(grey ? i / 3 : i)];
            most = std::max(most, std::abs(converted.get()[i] - color));
        }
        return most;
    } catch (const VipsFailure&) {
        return std::nullopt;
    }
}

// 8-bit colours in sRGB's encoding; `change` is that by their profile. Throws Refusal where that says other colours.
Image to_srgb(const Image& colors, const std::optional<int>& change) {
    if (change.value_or(0) > 1) {
        throw Refusal{"has colours in another space than sRGB, which libourgan does not convert: make a bundle of it "
                      "by `ourgan learn`, or convert it to sRGB"};
    }
    if (vips_image_get_format(colors.get()) == VIPS_FORMAT_USHORT) return linear(colors, 1.0 / 257, 0.5, true);
    return same(colors);
}

Image over_white(const Image& colors, const Image& alpha) {
    double least = 0;
    check(vips_min(alpha.get(), &least, nullptr));
    const bool is_byte = vips_image_get_format(alpha.get()) == VIPS_FORMAT_UCHAR;
    const double full = is_byte ? 255 : 65535;
    if (least == full) return same(colors);
    const Image share = linear(alpha, 1 / full, 0);
    const Image below = linear(colors, 1, -255);
    const Image shown = made([&](VipsImage** out) { return vips_multiply(below.get(), share.get(), out, nullptr); });
    const Image laid = linear(shown, 1, 255);
    const Image whole = made([&](VipsImage** out) { return vips_rint(laid.get(), out, nullptr); });
    return made([&](VipsImage** out) { return vips_cast_uchar(whole.get(), out, nullptr); });
}

Image bands(const Image& image, int first, int count) {
    return made([&](VipsImage** out) { return vips_extract_band(image.get(), out, first, "n", count, nullptr); });
}

// --- Decoding

Image load(Kind kind, const View& file, VipsFailOn fail_on, int threads) {
    // A source, whose operations libvips does not keep: buffers are those of its caller.
    const std::unique_ptr<VipsSource, Unref> source(vips_source_new_from_memory(file.data, file.size));
    if (!source) check(-1);
    Image image = made([&](VipsImage** out) {
        const auto loader = kind == Kind::jpeg ? vips_jpegload_source : vips_pngload_source;
        return loader(source.get(), out, "access", VIPS_ACCESS_SEQUENTIAL, "fail_on", fail_on, nullptr);
    });
    if (threads > 0) vips_image_set_int(image.get(), VIPS_META_CONCURRENCY, threads);  // and what is made of it
    return image;
}

// What decoding takes.
std::uint64_t needed(Kind kind, const View& file, const Image& image) {
    const auto pixels = static_cast<std::uint64_t>(vips_image_get_height(image.get())) *
                        static_cast<std::uint64_t>(vips_image_get_width(image.get()));
    const auto bands = static_cast<std::uint64_t>(vips_image_get_bands(image.get()));
    const std::uint64_t raw = bands * (vips_image_get_format(image.get()) == VIPS_FORMAT_USHORT ? 2 : 1);
    std::uint64_t bytes = 2 * kPixelBytes, strips = 0;  // twice, for one that is turned, or was read before
    if (is_interlaced(kind, file)) bytes += kind == Kind::png ? raw : kProgressiveBytes * bands;
    if (bands == 2 || bands == 4) {  // it is read twice, and lies there whole
        bytes += raw;
        strips = kStripBytes * static_cast<std::uint64_t>(vips_image_get_width(image.get()));
    }
    return pixels * bytes + strips;
}

void check_read(const Size& size, std::int64_t most, const char* advice) {
    if (size.height * size.width > most) {
        throw Refusal{"has " + std::to_string(size.width) + " x " + std::to_string(size.height) + " pixels; at most " +
                      std::to_string(most) + " are accepted: " + advice};
    }
}

// (H, W, 3), as it lies in the file; `change`: that by its profile.
Photograph pixels(Image image, const std::optional<int>& change) {
    const int colors = is_grey(image) ? 1 : 3;
    const VipsBandFormat format = vips_image_get_format(image.get());
    if ((!is_grey(image) && !is_rgb(image)) || (format != VIPS_FORMAT_UCHAR && format != VIPS_FORMAT_USHORT)) {
        throw Refusal{"has colours that libourgan does not convert, of CMYK, say: make a bundle of it by `ourgan learn`, "
                      "or convert it to 8- or 16-bit RGB"};
    }
    const int count = vips_image_get_bands(image.get());
    if (count != colors && count != colors + 1) {
        throw Refusal{"has " + std::to_string(count) + " channels, which is unusual: remove all but the colours"};
    }
    Image result;
    if (count > colors) {
        image.reset(vips_image_copy_memory(image.get()));  // it is read once, from front to back, and this takes two
        if (!image) check(-1);
        result = over_white(to_srgb(bands(image, 0, colors), change), bands(image, colors, 1));
    } else {
        result = to_srgb(image, change);
    }
    if (colors == 1) {
        VipsImage* same[] = {result.get(), result.get(), result.get()};
        result = made([&](VipsImage** out) { return vips_bandjoin(same, out, 3, nullptr); });
    }
    const Size size{vips_image_get_height(result.get()), vips_image_get_width(result.get())};
    return {pixels_of(result), size};
}

// Turned as EXIF's orientation says.
Photograph upright(Photograph lying, int orientation) {
    if (orientation < 2 || orientation > 8) return lying;
    const auto [height, width] = lying.size;
    const bool swaps = orientation >= 5;
    const bool flips_rows = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    const bool flips_columns = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
    Photograph turned{{}, swaps ? Size{width, height} : lying.size};
    turned.pixels.reset(static_cast<std::uint8_t*>(g_try_malloc(static_cast<gsize>(lying.bytes()))));
    if (!turned.pixels) throw std::bad_alloc();
    std::uint8_t* out = turned.pixels.get();
    for (std::int64_t y = 0; y < turned.size.height; ++y) {
        for (std::int64_t x = 0; x < turned.size.width; ++x, out += 3) {
            std::int64_t row = swaps ? x : y, column = swaps ? y : x;
            if (flips_rows) row = height - 1 - row;
            if (flips_columns) column = width - 1 - column;
            std::memcpy(out, lying.pixels.get() + 3 * (row * width + column), 3);
        }
    }
    return turned;
}

// Whether no channel spans as many levels as there have to be.
bool is_flat(const Photograph& photograph) {
    std::array<int, 3> least{255, 255, 255}, most{0, 0, 0};
    for (std::int64_t i = 0; i < photograph.bytes(); ++i) {
        const auto channel = static_cast<std::size_t>(i % 3);
        const int value = photograph.pixels.get()[i];
        least[channel] = std::min(least[channel], value);
        most[channel] = std::max(most[channel], value);
        if (most[channel] - least[channel] >= kSmallestRange) return false;
    }
    return true;
}

struct Decoded {
    Photograph photograph;
    Kind kind;
    bool has_srgb;  // no profile, or one that changes no colour
};

Decoded decode(const View& file, std::int64_t most, const char* advice, const Reading& how) {
    const Kind kind = kind_of(file);
    if (kind == Kind::jpeg) check_jpeg(file);
    const Bytes png = kind == Kind::png ? checked_png(file) : Bytes();
    const View data = kind == Kind::png ? View(png) : file;
    const auto read = [&](VipsFailOn fail_on) {
        Image image = load(kind, data, fail_on, how.threads);
        const Size size{vips_image_get_height(image.get()), vips_image_get_width(image.get())};
        check_read(size, kMostRead, "reduce it first");
        check_read(size, most, advice);
        how.sized({size, needed(kind, data, image) + png.size()});
        const int orientation = orientation_of(blob(image, VIPS_META_EXIF_NAME));
        const Bytes profile = blob(image, VIPS_META_ICC_NAME);
        const std::optional<int> change = profile.empty() ? 0 : change_by(profile, is_grey(image));
        return Decoded{upright(pixels(std::move(image), change), orientation), kind, change.value_or(2) <= 1};
    };
    // libjpeg only warns of damaged data; where nothing but warnings are harmless, they are errors.
    Decoded decoded{};
    try {
        decoded = read(kind == Kind::jpeg ? VIPS_FAIL_ON_WARNING : VIPS_FAIL_ON_ERROR);
    } catch (const VipsFailure& failure) {
        const bool is_harmless =
            kind == Kind::jpeg && std::any_of(std::begin(kHarmless), std::end(kHarmless), [&](const char* words) {
                return failure.text.find(words) != std::string::npos;
            });
        if (!is_harmless) throw;
        decoded = read(VIPS_FAIL_ON_ERROR);
    }
    if (is_flat(decoded.photograph)) throw Refusal{"is flat: it shows one colour, from which nothing can be learned"};
    return decoded;
}

Decoded decode(const View& file, const Reading& how) { return decode(file, kMostRead, "reduce it first", how); }

// Whether a bundle keeps the file's own pixels: if they are shown without its metadata, too.
bool keeps_pixels(const View& file, const Decoded& decoded, const Reading& how) {
    if (decoded.kind != Kind::jpeg || !decoded.has_srgb || file.size > kKeptBytes) return false;
    const std::optional<Bytes> stripped = without_private_data(file);
    if (!stripped || stripped->size() > kKeptBytes) return false;
    const Reading beside{[&](const Needed& all) { how.sized({all.size, all.bytes + stripped->size()}); }, how.threads};
    try {
        const Photograph& whole = decoded.photograph;
        const Photograph other = decode(*stripped, beside).photograph;
        return other.size.height == whole.size.height && other.size.width == whole.size.width &&
               std::memcmp(other.pixels.get(), whole.pixels.get(), static_cast<std::size_t>(whole.bytes())) == 0;
    } catch (const Refusal&) {
        return false;
    } catch (const VipsFailure&) {
        return false;
    }
}

Bytes encoded(const Photograph& photograph, int threads) {
    const Forgetting forgetting;  // of operations on memory that is not libvips' own
    const Image plain = made([&](VipsImage** out) {
        *out = vips_image_new_from_memory(photograph.pixels.get(), static_cast<std::size_t>(photograph.bytes()),
                                          static_cast<int>(photograph.size.width),
                                          static_cast<int>(photograph.size.height), 3, VIPS_FORMAT_UCHAR);
        return *out == nullptr;
    });
    const Image image = made([&](VipsImage** out) {
        return vips_copy(plain.get(), out, "interpretation", VIPS_INTERPRETATION_sRGB, nullptr);
    });
    if (threads > 0) vips_image_set_int(image.get(), VIPS_META_CONCURRENCY, threads);
    void* data = nullptr;
    std::size_t size = 0;
    check(vips_jpegsave_buffer(image.get(), &data, &size, "Q", kQuality, "subsample_mode",
                               VIPS_FOREIGN_SUBSAMPLE_OFF, "strip", TRUE, "optimize_coding", TRUE, nullptr));
    const std::unique_ptr<void, decltype(&g_free)> memory(data, g_free);
    const auto* bytes = static_cast<const std::uint8_t*>(data);
    return Bytes(bytes, bytes + size);
}

void check_learnable(const Size& size) {
    const auto [height, width] = size;
    const std::string told = "has " + std::to_string(width) + " x " + std::to_string(height) + " pixels";
    if (std::min(height, width) < kSmallestSide) {
        throw Refusal{told + "; at least " + std::to_string(kSmallestSide) + " are needed on each side, and some "
                      "thousands are better: use a larger photograph"};
    }
    if (std::max(height, width) > kMostElongated * std::min(height, width)) {
        throw Refusal{told + ": too elongated to learn from; crop it to at most " + std::to_string(kMostElongated) +
                      " : 1"};
    }
}

// As long as this lives, warnings of libvips are printed nowhere: those that matter are errors here. They are told by
// whichever thread works for it, so for that moment no others of this process are printed either.
class Quiet {
public:
    Quiet() : handler_(g_log_set_handler("VIPS", static_cast<GLogLevelFlags>(G_LOG_LEVEL_MASK), nothing, nullptr)) {}
    ~Quiet() { g_log_remove_handler("VIPS", handler_); }
    Quiet(const Quiet&) = delete;
    Quiet& operator=(const Quiet&) = delete;

private:
    static void nothing(const gchar*, GLogLevelFlags, const gchar*, gpointer) {}

    const guint handler_;
};

// The last line; where there is but one, it says which function has failed.
std::string reason(std::string text) {
    while (!text.empty() && text.back() == '\n') text.pop_back();
    const std::size_t end = text.find_last_of('\n');
    return text.empty() ? "no reason is given" : text.substr(end == std::string::npos ? 0 : end + 1);
}

// Calls work(), with libvips ready, and names what it throws. libvips keeps its messages in one place for all threads.
template <class Work>
Photograph reading(const std::string& name, const Work& work) {
    static std::mutex mutex;
    const std::lock_guard<std::mutex> lock(mutex);
    if (vips_init("ourgan") != 0) throw Error(OURGAN_INTERNAL_ERROR, "libvips cannot be used");
    const Quiet quiet;
    const Forgetting forgetting;
    try {
        return work();
    } catch (const Refusal& refusal) {
        throw Error(OURGAN_PHOTOGRAPH_ERROR, name + " " + refusal.reason);
    } catch (const VipsFailure& failure) {
        throw Error(OURGAN_PHOTOGRAPH_ERROR, name + " is broken or cut short: " + reason(failure.text));
    }
}

}  // namespace

void Free::operator()(std::uint8_t* memory) const { g_free(memory); }

ConstPicture Photograph::picture() const {
    return {reinterpret_cast<const std::byte*>(pixels.get()), PixelType::uint8, size.height, size.width, 3,
            3 * size.width};
}

void check_kind(const View& head, const std::string& name) {
    try {
        kind_of(head);
    } catch (const Refusal& refusal) {
        throw Error(OURGAN_PHOTOGRAPH_ERROR, name + " " + refusal.reason);
    }
}

Photograph decode_photograph(const View& file, const std::string& name, const Reading& how) {
    return reading(name, [&] { return decode(file, how).photograph; });
}

Photograph learn_photograph(const View& file, const std::string& name, const Reading& how) {
    return reading(name, [&] {
        Decoded decoded = decode(file, kMostLearned, "make a bundle of it by `ourgan learn`, which reduces it", how);
        check_learnable(decoded.photograph.size);
        if (keeps_pixels(file, decoded, how)) return std::move(decoded.photograph);
        const Size size = decoded.photograph.size;
        how.sized({size, kEncodingBytes * static_cast<std::uint64_t>(size.height * size.width)});
        const Bytes member = encoded(decoded.photograph, how.threads);
        decoded.photograph = {};
        return decode(member, how).photograph;
    });
}

}  // namespace ourgan::c
