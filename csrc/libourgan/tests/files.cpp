#include "files.h"

#include <vips/vips.h>
#include <zlib.h>

#include <cmath>
#include <stdexcept>

namespace {

void replace(std::string& text, const std::string& what, const std::string& by) {
    const std::size_t at = text.find(what);
    if (at != std::string::npos) text.replace(at, what.size(), by);
}

void put(Bytes& bytes, std::uint64_t value, int count) {
    for (int i = 0; i < count; ++i) bytes.push_back(static_cast<std::uint8_t>(value >> 8 * i));
}

// What a member's header and its entry in the directory both say, from flags to sizes.
void put_facts(Bytes& bytes, const Bytes& content) {
    put(bytes, 0, 2);                                           // flags
    put(bytes, 0, 2);                                           // stored
    put(bytes, 0, 4);                                           // time
    put(bytes, crc32_z(0, content.data(), content.size()), 4);  //
    put(bytes, content.size(), 4);
    put(bytes, content.size(), 4);
}

}  // namespace

Bytes photograph_pixels(int height, int width, std::uint32_t seed) {
    Bytes pixels;
    std::uint32_t random = seed * 2654435761u + 1;
    for (int y = 0; y < height; ++y) {
        for (int x = 0; x < width; ++x) {
            random = random * 1664525u + 1013904223u;
            const bool is_ground = y > height * (0.55 + 0.1 * std::sin(x / 9.0 + seed));
            const int grain = static_cast<int>(random >> 26);
            for (int c = 0; c < 3; ++c) {
                pixels.push_back(static_cast<std::uint8_t>(is_ground ? 40 + grain * (3 - c) / 2 : 120 + 30 * c + 60 * y / height));
            }
        }
    }
    return pixels;
}

Bytes photograph_file(int height, int width, std::uint32_t seed, const char* suffix) {
    if (vips_init("test") != 0) throw std::runtime_error("libvips cannot be used");
    const Bytes pixels = photograph_pixels(height, width, seed);
    VipsImage* image = vips_image_new_from_memory(pixels.data(), pixels.size(), width, height, 3, VIPS_FORMAT_UCHAR);
    void* memory = nullptr;
    std::size_t size = 0;
    if (image == nullptr || vips_image_write_to_buffer(image, suffix, &memory, &size, nullptr) != 0) {
        throw std::runtime_error(vips_error_buffer());
    }
    const auto* bytes = static_cast<const std::uint8_t*>(memory);
    Bytes file(bytes, bytes + size);
    g_free(memory);
    g_object_unref(image);
    return file;
}

Bytes zip(const std::vector<std::pair<std::string, Bytes>>& members) {
    Bytes archive, directory;
    for (const auto& [name, content] : members) {
        put(directory, 0x02014b50, 4);
        put(directory, 20, 2);  // versions
        put(directory, 20, 2);
        put_facts(directory, content);
        put(directory, name.size(), 2);
        put(directory, 0, 8);  // lengths of extra field and comment, disk, attributes
        put(directory, 0, 4);
        put(directory, archive.size(), 4);
        directory.insert(directory.end(), name.begin(), name.end());
        put(archive, 0x04034b50, 4);
        put(archive, 20, 2);
        put_facts(archive, content);
        put(archive, name.size(), 2);
        put(archive, 0, 2);
        archive.insert(archive.end(), name.begin(), name.end());
        archive.insert(archive.end(), content.begin(), content.end());
    }
    const std::size_t start = archive.size();
    archive.insert(archive.end(), directory.begin(), directory.end());
    put(archive, 0x06054b50, 4);
    put(archive, 0, 4);
    put(archive, members.size(), 2);
    put(archive, members.size(), 2);
    put(archive, directory.size(), 4);
    put(archive, start, 4);
    put(archive, 0, 2);
    return archive;
}

Bytes bundle_with(std::string manifest, const Bytes& photograph) {
    char* sha = g_compute_checksum_for_data(G_CHECKSUM_SHA256, photograph.data(), photograph.size());
    replace(manifest, "@SIZE@", std::to_string(photograph.size()));
    replace(manifest, "@SHA@", sha);
    g_free(sha);
    return zip({{"manifest.json", Bytes(manifest.begin(), manifest.end())}, {"photograph.jpg", photograph}});
}

std::string manifest_of(int height, int width) {
    return R"({"schema_version": 4, "created_by": "a test", "photo": {"width": )" + std::to_string(width) +
           R"(, "height": )" + std::to_string(height) + R"(, "sha256": "00", "file": "photograph.jpg"}, )"
           R"("upscalers": [], "files": {"photograph.jpg": {"size": @SIZE@, "sha256": "@SHA@"}}})";
}

Bytes bundle_of(const Bytes& photograph, int height, int width) {
    return bundle_with(manifest_of(height, width), photograph);
}
