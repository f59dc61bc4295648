#include "file_kinds.h"

#include <cstdlib>
#include <cstring>
#include <map>

namespace ourgan::c {
namespace {

constexpr const char* kConvert = ": make a bundle of it by `ourgan learn`, or convert it to a JPEG or PNG in sRGB";

struct Named {
    std::size_t at;
    const char* bytes;
    std::size_t count;
    const char* name;
};

// Kinds that people have, and that only ourgan_sdk reads, or nobody.
constexpr Named kNamed[] = {
    {8, "WEBP", 4, "a WebP"},      {0, "GIF8", 4, "a GIF"},       {0, "II*\0", 4, "a TIFF"},   {0, "MM\0*", 4, "a TIFF"},
    {0, "II+\0", 4, "a BigTIFF"},  {0, "MM\0+", 4, "a BigTIFF"},  {4, "ftyp", 4, "an AVIF, HEIC or video"},
    {0, "\xff\x0a", 2, "a JPEG XL"}, {0, "BM", 2, "a BMP"},       {0, "%PDF", 4, "a PDF"},
};

// --- JPEG

constexpr int kApplication = 0xE0, kIcc = 0xE2, kAdobe = 0xEE, kComment = 0xFE, kScan = 0xDA, kEnd = 0xD9;

bool is_frame(int marker) {
    return marker >= 0xC0 && marker < 0xD0 && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
}

// A marker, and everything up to the next one.
struct Segment {
    int marker;
    View payload;  // without marker and length
    View scan;     // entropy-coded data behind it
};

// A marker that ends a scan: ff 00 and restarts belong to it.
bool ends_scan(int second) { return (second >= 0x01 && second <= 0xCF) || (second >= 0xD8 && second <= 0xFE); }

// Calls use(segment), until it returns false, for those between the start and the end of the first picture.
template <class Use>
void for_segments(const View& data, const Use& use) {
    std::size_t position = 2;
    while (position + 4 <= data.size && data.data[position] == 0xFF) {
        const int marker = data.data[position + 1];
        if (marker == 0xFF) {  // a fill byte
            ++position;
            continue;
        }
        if (marker == kEnd) return;
        const std::size_t length = big_endian(data, position + 2, 2), end = position + 2 + length;
        std::size_t behind = end;
        if (marker == kScan) {
            std::size_t at = end;
            while (at + 1 < data.size && !(data.data[at] == 0xFF && ends_scan(data.data[at + 1]))) ++at;
            if (at + 1 < data.size) behind = at;
        }
        const View payload = length < 2 ? View() : data.from(position + 4, length - 2);
        if (!use(Segment{marker, payload, data.from(end, behind - end)})) return;
        position = behind;
    }
}

bool is_needed(const Segment& segment) {
    return (segment.marker == kIcc && segment.payload.starts_with("ICC_PROFILE\0", 12)) ||
           (segment.marker == kAdobe && segment.payload.starts_with("Adobe", 5));
}

void append(Bytes& bytes, const View& more) { bytes.insert(bytes.end(), more.data, more.data + more.size); }

// --- PNG

constexpr std::size_t kSignature = 8, kInterlace = 28;  // where its header says whether it is
constexpr std::int64_t kSrgbGamma = 45455, kTolerance = 1000;  // of 100000
constexpr std::int64_t kSrgbChromaticities[] = {31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000};

bool is_near(std::uint64_t value, std::int64_t wanted) {
    return std::abs(static_cast<std::int64_t>(value) - wanted) <= kTolerance;
}

void check_colors(const std::map<std::string, View>& found) {
    const auto chunk = [&found](const char* name) {
        const auto at = found.find(name);
        return at == found.end() ? std::optional<View>() : at->second;
    };
    const std::optional<View> cicp = chunk("cICP");
    if (cicp && !(cicp->size == 4 && cicp->starts_with("\1\15\0\1", 4))) {
        throw Refusal{"has unusual colours (cICP), as of HDR: convert it to sRGB"};
    }
    if (cicp || chunk("iCCP") || chunk("sRGB")) return;
    const View gamma = chunk("gAMA").value_or(View()), primaries = chunk("cHRM").value_or(View());
    if (gamma.size == 4 && !is_near(big_endian(gamma, 0, 4), kSrgbGamma)) {
        throw Refusal{"has an unusual gamma (gAMA), which some programs heed and some do not: convert it to sRGB"};
    }
    if (primaries.size != 32) return;
    for (std::size_t i = 0; i < 8; ++i) {
        if (!is_near(big_endian(primaries, 4 * i, 4), kSrgbChromaticities[i])) {
            throw Refusal{"has unusual primaries (cHRM), which some programs heed and some do not: convert it to sRGB"};
        }
    }
}

// --- EXIF

constexpr std::uint64_t kOrientation = 274;
constexpr std::size_t kMostTags = 4096, kTagBytes = 12;

// The first of an entry's integers; nothing if it holds others, or lies beyond the data.
template <class Read>
std::optional<std::uint64_t> first_value(const View& exif, std::size_t entry, const Read& read) {
    const std::uint64_t type = read(entry + 2, 2), count = read(entry + 4, 4);
    const int size = type == 1 || type == 6 || type == 7 || type == 2 ? 1 : type == 3 || type == 8 ? 2 : 4;
    if (type == 5 || type == 0 || type > 9 || count == 0 || count > 65536) return std::nullopt;
    const std::uint64_t bytes = count * static_cast<std::uint64_t>(size);
    const std::uint64_t at = bytes > 4 ? read(entry + 8, 4) : entry + 8;
    if (at > exif.size || bytes > exif.size - at) return std::nullopt;
    return read(static_cast<std::size_t>(at), size);
}

}  // namespace

Kind kind_of(const View& data) {
    if (data.starts_with("\xff\xd8\xff", 3)) return Kind::jpeg;
    if (data.starts_with("\x89PNG\r\n\x1a\n", 8)) return Kind::png;
    for (const Named& named : kNamed) {
        if (data.from(named.at).starts_with(named.bytes, named.count)) {
            throw Refusal{"is " + std::string(named.name) + " picture, which libourgan does not read" + kConvert};
        }
    }
    throw Refusal{"is not a picture that can be read (expected JPEG or PNG)"};
}

bool is_interlaced(Kind kind, const View& file) {
    if (kind == Kind::png) return file.size > kInterlace && file.data[kInterlace] != 0;
    std::size_t bands = 0;
    bool is_interlaced = false;
    for_segments(file, [&](const Segment& segment) {
        const View payload = segment.payload;
        if (is_frame(segment.marker)) {
            bands = payload.size > 5 ? payload.data[5] : 0;
            is_interlaced = segment.marker == 0xC2 || segment.marker == 0xCA;
        }
        if (segment.marker != kScan) return !is_interlaced;
        is_interlaced = is_interlaced || (payload.size > 0 && payload.data[0] < bands);
        return false;
    });
    return is_interlaced;
}

void check_jpeg(const View& jpeg) {
    for_segments(jpeg, [](const Segment& segment) {
        if (!is_frame(segment.marker) || segment.payload.size == 0) return true;
        const bool is_read = segment.marker <= 0xC2 || segment.marker == 0xC9 || segment.marker == 0xCA;
        if (!is_read) {
            throw Refusal{"is a lossless or hierarchical JPEG, which few programs read: convert it to PNG"};
        }
        if (segment.payload.data[0] != 8) {
            throw Refusal{"is a JPEG of " + std::to_string(segment.payload.data[0]) +
                          " bits, which few programs read: convert it to PNG"};
        }
        return false;
    });
}

std::optional<Bytes> without_private_data(const View& jpeg) {
    Bytes kept{0xFF, 0xD8};
    bool is_plain = true;
    for_segments(jpeg, [&](const Segment& segment) {
        const View payload = segment.payload;
        if (is_frame(segment.marker)) {
            is_plain = segment.marker <= 0xC2 && payload.size > 5 && payload.data[0] == 8 && payload.data[5] == 3;
            if (!is_plain) return false;
        }
        const bool is_jfif = segment.marker == kApplication && payload.starts_with("JFIF", 5);
        const bool is_application = segment.marker >= kApplication && segment.marker < kApplication + 16;
        if (segment.marker == kComment || (is_application && !is_jfif && !is_needed(segment))) return true;
        Bytes content(payload.data, payload.data + payload.size);
        if (is_jfif) {  // without its thumbnail
            content.resize(std::min<std::size_t>(content.size(), 12));
            content.insert(content.end(), {0, 0});
        }
        const std::size_t length = content.size() + 2;
        kept.insert(kept.end(), {0xFF, static_cast<std::uint8_t>(segment.marker), static_cast<std::uint8_t>(length >> 8),
                                 static_cast<std::uint8_t>(length & 0xFF)});
        append(kept, content);
        append(kept, segment.scan);
        return true;
    });
    if (!is_plain) return std::nullopt;
    kept.insert(kept.end(), {0xFF, kEnd});
    return kept;
}

Bytes checked_png(const View& png) {
    std::map<std::string, View> found;
    Bytes kept;
    append(kept, png.from(0, kSignature));
    std::size_t position = kSignature;
    while (position + 12 <= png.size) {
        const std::uint64_t length = big_endian(png, position, 4);
        if (length > png.size - position - 12) break;
        const std::size_t whole = static_cast<std::size_t>(length) + 12;
        const std::string name(reinterpret_cast<const char*>(png.data) + position + 4, 4);
        if (name != "tEXt" && name != "zTXt" && name != "iTXt") append(kept, png.from(position, whole));
        if (name != "IDAT") found.emplace(name, png.from(position + 8, whole - 12));
        position += whole;
    }
    check_colors(found);
    append(kept, png.from(position));
    return kept;
}

int orientation_of(View exif) {
    if (exif.starts_with("Exif\0", 6)) exif = exif.from(6);
    const bool is_little = exif.starts_with("II", 2);
    if ((!is_little && !exif.starts_with("MM", 2)) || exif.size < 8) return 1;
    const auto read = [&](std::size_t at, int count) {
        return is_little ? little_endian(exif, at, count) : big_endian(exif, at, count);
    };
    const std::uint64_t directory = read(4, 4);
    if (directory + 2 > exif.size) return 1;
    const std::uint64_t count = read(static_cast<std::size_t>(directory), 2);
    const std::uint64_t first = directory + 2;
    if (count > kMostTags || count > exif.size / kTagBytes || first + kTagBytes * count + 4 > exif.size) return 1;
    for (std::uint64_t n = 0; n < count; ++n) {
        const std::size_t entry = static_cast<std::size_t>(first + kTagBytes * n);
        if (read(entry, 2) != kOrientation) continue;
        const std::uint64_t value = first_value(exif, entry, read).value_or(1);
        return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
    }
    return 1;
}

}  // namespace ourgan::c
