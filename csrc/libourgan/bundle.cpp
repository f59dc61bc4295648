#include "bundle.h"

#include <glib.h>
#include <zlib.h>

#include <algorithm>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "error.h"

namespace ourgan::c {
namespace {

using Json = nlohmann::json;

constexpr const char* kManifest = "manifest.json";
constexpr std::uint64_t kLargestManifest = 1 << 20;
constexpr std::uint64_t kLargestMember = 2'000'000'000;
constexpr std::size_t kMostMembers = 256;
constexpr std::uint64_t kLongestSide = 2147483647;
constexpr std::size_t kEndRecord = 22, kEntry = 46, kHeader = 30;
constexpr std::uint64_t kStored = 0;
constexpr std::uint64_t kPhotographVersion = 3;  // the first that has photo.file
constexpr int kDeepest = 100;                    // of the manifest's records; those that are written have less than 10

struct Member {
    std::uint64_t position = 0;  // of its header
    std::uint64_t flags = 0;
    std::uint64_t method = 0;
    std::uint64_t crc = 0;
    std::uint64_t stored = 0;
    std::uint64_t size = 0;
    std::uint64_t data = 0;  // where its content begins
};
using Members = std::map<std::string, Member>;

// The directory's entries, in the terms of its errors.
class Archive {
public:
    Archive(const Input& input, const std::string& name) : input_(input), name_(name) {
        read_directory();
        check_layout();
    }

    const Members& members() const { return members_; }

    // Its first bytes, unchecked.
    Bytes head(const std::string& member, std::uint64_t count) const {
        const Member& entry = members_.at(member);
        return input_.read(entry.data, std::min(count, entry.size));
    }

    // Throws Error (bundle) if it is cut short or damaged.
    Bytes content(const std::string& member) const {
        const Member& entry = members_.at(member);
        Bytes bytes = input_.read(entry.data, entry.size);
        if (bytes.size() != entry.size) {
            fail("member '" + member + "' ends after " + std::to_string(bytes.size()) + " of " +
                 std::to_string(entry.size) + " bytes");
        }
        if (crc32_z(0, bytes.data(), bytes.size()) != entry.crc) {
            fail("is damaged: bad CRC-32 for member '" + member + "'");
        }
        return bytes;
    }

    [[noreturn]] void fail(const std::string& what) const { throw Error(OURGAN_BUNDLE_ERROR, name_ + ": " + what); }

private:
    void read_directory() {
        const View start(head_ = input_.read(0, 4));
        if (!start.starts_with("PK\3\4", 4)) fail("is not a bundle: it does not begin as a ZIP file does");
        const std::uint64_t size = input_.size();
        const Bytes end = input_.read(size < kEndRecord ? 0 : size - kEndRecord, kEndRecord);
        if (end.size() != kEndRecord || !View(end).starts_with("PK\5\6", 4)) {
            fail("is cut short or damaged: no sound ZIP directory at its end, byte " + std::to_string(size));
        }
        const std::uint64_t count = little_endian(end, 10, 2), length = little_endian(end, 12, 4);
        directory_ = little_endian(end, 16, 4);
        if (directory_ + length + kEndRecord != size || little_endian(end, 4, 4) != 0 || little_endian(end, 20, 2) != 0 ||
            little_endian(end, 8, 2) != count) {
            fail("is cut short or damaged: its ZIP directory does not end where the file does");
        }
        if (count > kMostMembers + 1) {
            fail("is not a bundle: it has " + std::to_string(count) + " members, more than " +
                 std::to_string(kMostMembers + 1));
        }
        if (length > (kMostMembers + 1) * (kEntry + 3 * 65535)) fail("is damaged: its ZIP directory is too long");
        read_entries(input_.read(directory_, length), count);
    }

    void read_entries(const Bytes& bytes, std::uint64_t count) {
        std::size_t at = 0;
        std::uint64_t total = 0;
        for (std::uint64_t n = 0; n < count; ++n) {
            const View entry = View(bytes).from(at);
            if (entry.size < kEntry || !entry.starts_with("PK\1\2", 4)) fail("is damaged: its ZIP directory is broken");
            const std::size_t name_length = little_endian(entry, 28, 2);
            const std::size_t length = kEntry + name_length + little_endian(entry, 30, 2) + little_endian(entry, 32, 2);
            if (entry.size < length) fail("is damaged: its ZIP directory is broken");
            const std::string member(reinterpret_cast<const char*>(entry.data) + kEntry, name_length);
            const Member found{little_endian(entry, 42, 4), little_endian(entry, 8, 2),  little_endian(entry, 10, 2),
                               little_endian(entry, 16, 4), little_endian(entry, 20, 4), little_endian(entry, 24, 4)};
            check_entry(member, found);
            if (!members_.emplace(member, found).second) fail("member '" + member + "': appears twice");
            total += found.size;
            at += length;
        }
        if (at != bytes.size()) fail("is damaged: its ZIP directory is broken");
        if (total > input_.size()) {
            fail("is damaged: its members declare " + std::to_string(total) + " bytes, the file has " +
                 std::to_string(input_.size()));
        }
        if (members_.count(kManifest) == 0) fail(std::string("is not a bundle: it has no member '") + kManifest + "'");
    }

    void check_entry(const std::string& member, const Member& entry) const {
        if (!is_plain(member)) fail("member '" + printable(member) + "': its name is not a plain relative path");
        if (entry.flags & 0x1) fail("member '" + member + "': is encrypted");
        if (entry.flags & 0x8) fail("member '" + member + "': has a data descriptor; its sizes belong before it");
        if (entry.method != kStored || entry.stored != entry.size) {
            fail("member '" + member + "': is compressed; a bundle's members are stored as they are");
        }
        const std::uint64_t limit = member == kManifest ? kLargestManifest : kLargestMember;
        if (entry.size > limit) {
            fail("member '" + member + "': declares " + std::to_string(entry.size) + " bytes, more than the " +
                 std::to_string(limit) + " allowed");
        }
    }

    // From the first byte on one member follows the other, then the directory: no other reader finds anything else.
    void check_layout() {
        std::vector<std::pair<std::uint64_t, std::string>> order;
        for (const auto& [member, entry] : members_) order.emplace_back(entry.position, member);
        std::sort(order.begin(), order.end());
        std::uint64_t position = 0;
        for (const auto& [start, member] : order) {
            if (start != position) break;
            Member& entry = members_.at(member);
            const Bytes header = input_.read(position, kHeader + member.size());
            if (header.size() < kHeader || !View(header).starts_with("PK\3\4", 4)) break;
            check_header(member, entry, header);
            entry.data = position + kHeader + little_endian(header, 26, 2) + little_endian(header, 28, 2);
            position = entry.data + entry.stored;
        }
        if (position != directory_) {
            fail("is not a bundle: it holds bytes that belong to no member, from " + std::to_string(position) + " on");
        }
    }

    void check_header(const std::string& member, const Member& entry, const View& header) const {
        const View named = header.from(kHeader, little_endian(header, 26, 2));
        const bool agrees = little_endian(header, 6, 2) == entry.flags && little_endian(header, 8, 2) == entry.method &&
                            little_endian(header, 14, 4) == entry.crc && little_endian(header, 18, 4) == entry.stored &&
                            little_endian(header, 22, 4) == entry.size && named.size == member.size() &&
                            named.starts_with(member.data(), member.size());
        if (!agrees) fail("member '" + member + "': is damaged: its header says another thing than the ZIP directory");
    }

    // Names between slashes, of letters, digits, _ and -, and of dots that do not come first.
    static bool is_plain(const std::string& member) {
        bool is_first = true;
        for (const char character : member) {
            const bool is_name = g_ascii_isalnum(character) || character == '_' || character == '-';
            if (is_first ? !is_name : !is_name && character != '.' && character != '/') return false;
            is_first = character == '/';
        }
        return !is_first;
    }

    static std::string printable(std::string text) {
        for (char& character : text) {
            if (!g_ascii_isprint(character)) character = '?';
        }
        return text;
    }

    const Input& input_;
    const std::string& name_;
    Bytes head_;
    std::uint64_t directory_ = 0;
    Members members_;
};

// A field of the manifest, or null where there is none.
const Json& field(const Json& record, const char* name) {
    static const Json none;
    if (!record.is_object()) return none;
    const auto found = record.find(name);
    return found == record.end() ? none : *found;
}

std::uint64_t integer(const Archive& archive, const Json& record, const char* where, const char* name,
                      std::uint64_t least, std::uint64_t most) {
    const Json& value = field(record, name);
    if (value.is_number_unsigned() && value.get<std::uint64_t>() >= least && value.get<std::uint64_t>() <= most) {
        return value.get<std::uint64_t>();
    }
    archive.fail(std::string(kManifest) + ": " + where + "." + name + ": expected an integer from " +
                 std::to_string(least) + " to " + std::to_string(most));
}

void check_version(const Archive& archive, const Json& manifest) {
    const Json& version = field(manifest, "schema_version");
    const std::string range = "1 to " + std::to_string(kSchemaVersion);
    if (!version.is_number_unsigned() || version.get<std::uint64_t>() < 1) {
        archive.fail(std::string(kManifest) + ": expected schema_version " + range);
    }
    if (version.get<std::uint64_t>() > kSchemaVersion) {
        archive.fail(std::string(kManifest) + ": has schema version " + std::to_string(version.get<std::uint64_t>()) +
                     "; libourgan reads " + range + ": use a later one");
    }
}

// The members and their sizes are those that the manifest declares.
void check_members(const Archive& archive, const Json& files) {
    std::size_t known = 0;
    for (const auto& [member, entry] : archive.members()) {
        if (member == kManifest) continue;
        const Json& declared = field(files, member.c_str());
        const std::uint64_t size =
            declared.is_object() ? integer(archive, declared, member.c_str(), "size", 0, kLargestMember) : 0;
        if (!declared.is_object() || size != entry.size) {
            archive.fail("member '" + member + "': the manifest declares " +
                         (declared.is_object() ? std::to_string(size) + " bytes" : "none") + ", the archive holds " +
                         std::to_string(entry.size) + " bytes");
        }
        ++known;
    }
    if (files.is_object() && files.size() != known) archive.fail("the manifest declares members that it does not hold");
}

std::string sha256(const Bytes& bytes) {
    const std::unique_ptr<char, decltype(&g_free)> hash(
        g_compute_checksum_for_data(G_CHECKSUM_SHA256, bytes.data(), bytes.size()), g_free);
    return hash ? hash.get() : "";
}

Json parse(const Archive& archive) {
    const Bytes text = archive.content(kManifest);
    // Which the parser would skip, and where it would stop.
    if (View(text).starts_with("\xEF\xBB\xBF", 3)) {
        archive.fail(std::string(kManifest) + ": is not JSON: it begins with a byte order mark");
    }
    if (std::find(text.begin(), text.end(), 0) != text.end()) {
        archive.fail(std::string(kManifest) + ": is not JSON: it holds a zero byte");
    }
    const auto is_shallow = [&](int depth, Json::parse_event_t, Json&) {
        if (depth > kDeepest) {
            archive.fail(std::string(kManifest) + ": its records are nested more than " + std::to_string(kDeepest) +
                         " deep");
        }
        return true;
    };
    Json manifest = Json::parse(text.begin(), text.end(), is_shallow, false);
    if (manifest.is_discarded()) archive.fail(std::string(kManifest) + ": is not JSON");
    return manifest;
}

}  // namespace

BundledPhotograph read_bundle(const Input& input, const std::string& name, const Found& about_to_read) {
    const Archive archive(input, name);
    const Json manifest = parse(archive);
    check_version(archive, manifest);
    const Json& files = field(manifest, "files");
    check_members(archive, files);
    const Json& photo = field(manifest, "photo");
    const Json& file = field(photo, "file");
    if (!file.is_null() && !file.is_string()) {
        archive.fail(std::string(kManifest) + ": photo.file: expected a member's name");
    }
    if (file.is_null()) {
        archive.fail("holds no photograph to take detail from, and networks are not for libourgan: render it by "
                     "Python's ourgan_sdk, or open a bundle with its photograph");
    }
    const std::uint64_t version = field(manifest, "schema_version").get<std::uint64_t>();
    if (version < kPhotographVersion) {
        archive.fail(std::string(kManifest) + ": photo.file: expected none in schema version " + std::to_string(version));
    }
    BundledPhotograph found{file.get<std::string>(), {}, {}};
    found.size = {static_cast<std::int64_t>(integer(archive, photo, "photo", "height", 1, kLongestSide)),
                  static_cast<std::int64_t>(integer(archive, photo, "photo", "width", 1, kLongestSide))};
    if (found.member == kManifest || archive.members().count(found.member) == 0) {
        archive.fail("the manifest names photograph '" + found.member + "', which is not among the members");
    }
    about_to_read(found.member, archive.members().at(found.member).size, archive.head(found.member, kHead));
    found.file = archive.content(found.member);
    const Json& hash = field(field(files, found.member.c_str()), "sha256");
    if (!hash.is_string() || hash.get<std::string>() != sha256(found.file)) {
        archive.fail("member '" + found.member + "' is damaged: its SHA-256 is not the manifest's");
    }
    return found;
}

}  // namespace ourgan::c
