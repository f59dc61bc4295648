// The library through its header: errors, memory, threads, cancelling. The bytes are compared with Python's in
// tests/capi.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "check.h"
#include "files.h"
#include "ourgan.h"
#include "vips/vips.h"

namespace {

struct SourceFree {
    void operator()(ourgan_source* source) const { ourgan_source_free(source); }
};
struct CanvasFree {
    void operator()(ourgan_canvas* canvas) const { ourgan_canvas_free(canvas); }
};
struct CancelFree {
    void operator()(ourgan_cancel* token) const { ourgan_cancel_free(token); }
};
using Source = std::unique_ptr<ourgan_source, SourceFree>;
using Canvas = std::unique_ptr<ourgan_canvas, CanvasFree>;
using Cancel = std::unique_ptr<ourgan_cancel, CancelFree>;

constexpr int kHeight = 64, kWidth = 66;  // of the photograph
constexpr int kRows = 24, kColumns = 36, kRow = 3 * kColumns;  // of canvases: searching takes long under sanitizers
constexpr ourgan_box kBox{0, 0, kRows, kColumns};

const Bytes& photograph() {
    static const Bytes file = photograph_file(kHeight, kWidth, 1, ".jpg[Q=90]");
    return file;
}

// Whether a call returned this status, and left an error whose text holds these words.
bool is_error(ourgan_status returned, ourgan_status expected, const std::string& words) {
    const bool fits = returned == expected && ourgan_last_status() == expected &&
                      std::string(ourgan_last_error()).find(words) != std::string::npos;
    if (!fits) fail(__FILE__, __LINE__, std::string(ourgan_status_name(returned)) + ": " + ourgan_last_error());
    return fits;
}

void check_ok(ourgan_status returned) {
    if (returned != OURGAN_OK) fail(__FILE__, __LINE__, std::string(ourgan_status_name(returned)) + ": " + ourgan_last_error());
}

Source open(const Bytes& file, std::uint64_t memory_limit = 0) {
    ourgan_source_options options;
    ourgan_source_options_init(&options);
    options.memory_limit = memory_limit;
    options.threads = 2;
    ourgan_source* source = nullptr;
    check_ok(ourgan_open_memory(file.data(), file.size(), "picture", &options, &source));
    return Source(source);
}

Canvas canvas(const Source& source, std::int64_t width, std::int64_t height, std::uint64_t seed = 0) {
    ourgan_canvas_options options;
    ourgan_canvas_options_init(&options);
    options.width = width;
    options.height = height;
    options.seed = seed;
    ourgan_canvas* made = nullptr;
    check_ok(ourgan_canvas_new(source.get(), &options, &made));
    return Canvas(made);
}

Bytes read(const Canvas& canvas, const ourgan_box& box) {
    Bytes pixels(static_cast<std::size_t>((box.y1 - box.y0) * (box.x1 - box.x0) * 3));
    check_ok(ourgan_canvas_read(canvas.get(), 0, box, OURGAN_RGB8, pixels.data(), static_cast<ptrdiff_t>(3 * (box.x1 - box.x0)),
                                nullptr, nullptr, nullptr));
    return pixels;
}

// Cancels once so much is done.
struct Watch {
    double limit = 2;
    double told = -1;
    int calls = 0;
    ourgan_cancel* token = nullptr;
    bool is_ordered = true;
};

std::int32_t watch(double share, void* user) {
    auto& seen = *static_cast<Watch*>(user);
    seen.is_ordered = seen.is_ordered && share >= seen.told && share <= 1;
    seen.told = share;
    ++seen.calls;
    if (share < seen.limit) return 0;
    if (seen.token == nullptr) return 1;
    ourgan_cancel_set(seen.token);
    return 0;
}



}  // namespace

TEST(versions_and_names) {
    CHECK(ourgan_abi_version() == OURGAN_ABI_VERSION);
    CHECK(std::strlen(ourgan_version()) >= 5);
    CHECK(std::string(ourgan_status_name(OURGAN_BUNDLE_ERROR)) == "BundleError");
    CHECK(std::string(ourgan_status_name(OURGAN_CANCELLED)) == "RenderCancelledError");
    CHECK(std::string(ourgan_status_name(-1)) == "unknown");
    CHECK(std::string(ourgan_status_name(99)) == "unknown");
}

TEST(null_is_told_or_nothing) {
    ourgan_source_free(nullptr);
    ourgan_canvas_free(nullptr);
    ourgan_cancel_free(nullptr);
    ourgan_cancel_set(nullptr);
    ourgan_cancel_reset(nullptr);
    ourgan_source_options_init(nullptr);
    ourgan_canvas_options_init(nullptr);
    const Source source = open(photograph());
    const Canvas whole = canvas(source, kColumns, kRows);
    ourgan_canvas_options options;
    ourgan_canvas_options_init(&options);
    ourgan_source* other = nullptr;
    ourgan_canvas* made = nullptr;
    std::uint8_t pixel[3];
    std::int64_t size = 0;
    const auto told = [](ourgan_status status) { return is_error(status, OURGAN_VALUE_ERROR, "got null"); };
    CHECK(told(ourgan_cancel_new(nullptr)));
    CHECK(told(ourgan_open(nullptr, nullptr, &other)));
    CHECK(told(ourgan_open("x.jpg", nullptr, nullptr)));
    CHECK(told(ourgan_open_memory(nullptr, 5, "x", nullptr, &other)));
    CHECK(told(ourgan_open_memory(pixel, 3, nullptr, nullptr, &other)));
    CHECK(told(ourgan_open_memory(pixel, 3, "x", nullptr, nullptr)));
    CHECK(told(ourgan_source_size(nullptr, &size, &size)));
    CHECK(told(ourgan_canvas_new(nullptr, &options, &made)));
    CHECK(told(ourgan_canvas_new(source.get(), nullptr, &made)));
    CHECK(told(ourgan_canvas_new(source.get(), &options, nullptr)));
    CHECK(told(ourgan_canvas_extent(nullptr, nullptr)));
    CHECK(told(ourgan_canvas_memory(whole.get(), nullptr)));
    CHECK(told(ourgan_canvas_copied_share(whole.get(), nullptr)));
    CHECK(told(ourgan_canvas_levels(nullptr, nullptr)));
    CHECK(told(ourgan_canvas_level_size(nullptr, 0, &size, &size)));
    CHECK(told(ourgan_canvas_prepare(nullptr, nullptr, nullptr, nullptr)));
    CHECK(told(ourgan_canvas_read(nullptr, 0, {0, 0, 1, 1}, OURGAN_RGB8, pixel, 3, nullptr, nullptr, nullptr)));
    CHECK(told(ourgan_canvas_read(whole.get(), 0, {0, 0, 1, 1}, OURGAN_RGB8, nullptr, 3, nullptr, nullptr, nullptr)));
    CHECK(other == nullptr && made == nullptr);
}

TEST(options_are_those_of_the_callers_header) {
    constexpr std::size_t size = sizeof(ourgan_canvas_options), shorter = offsetof(ourgan_canvas_options, vertical);
    alignas(8) std::uint8_t memory[2 * size];
    const auto initialized = [&](std::size_t given) {
        std::memset(memory, 0xA5, sizeof memory);
        ourgan_canvas_options_init_sized(reinterpret_cast<ourgan_canvas_options*>(memory), given);
        std::size_t noted = 0;
        std::memcpy(&noted, memory, sizeof noted);
        return noted == given && std::count(memory + given, memory + sizeof memory, 0xA5) ==
                                     static_cast<std::ptrdiff_t>(sizeof memory - given);
    };
    CHECK(initialized(shorter));   // a library of more fields than the caller knows writes none of them
    CHECK(initialized(size));
    CHECK(initialized(size + 8));  // one of fewer has nothing to say of the others
    CHECK(memory[size] == 0);
    const Source source = open(photograph());
    ourgan_canvas* made = nullptr;
    const auto* options = reinterpret_cast<const ourgan_canvas_options*>(memory);
    CHECK(is_error(ourgan_canvas_new(source.get(), options, &made), OURGAN_VALUE_ERROR, "struct_size 80"));
}

TEST(errors_are_utf8_in_one_line) {
    ourgan_source* none = nullptr;
    CHECK(is_error(ourgan_open("/no\xff\n\xc3\xa4\xe2\x82.jpg", nullptr, &none), OURGAN_PHOTOGRAPH_ERROR,
                   "/no\\xff\\x0a\xc3\xa4\\xe2\\x82.jpg"));
    const std::string longest = "/" + std::string(2000, 'x') + "\xc3\xa4" + std::string(2000, 'y');
    CHECK(is_error(ourgan_open(longest.c_str(), nullptr, &none), OURGAN_PHOTOGRAPH_ERROR, "xxx"));
    CHECK(std::strlen(ourgan_last_error()) < 2048);
}

TEST(errors_say_what_is_wrong) {
    const Source source = open(photograph());
    const Canvas whole = canvas(source, kColumns, kRows);
    ourgan_canvas_options options;
    ourgan_canvas* made = nullptr;
    const auto refused = [&](const auto& change, ourgan_status status, const char* words) {
        ourgan_canvas_options_init(&options);
        options.width = kColumns;
        options.height = kRows;
        change(options);
        return is_error(ourgan_canvas_new(source.get(), &options, &made), status, words) && made == nullptr;
    };
    using Options = ourgan_canvas_options;
    CHECK(refused([](Options& o) { o.struct_size = 4; }, OURGAN_VALUE_ERROR, "struct_size"));
    CHECK(refused([](Options& o) { o.struct_size = 4096; }, OURGAN_VALUE_ERROR, "struct_size"));
    CHECK(refused([](Options& o) { o.width = 0; }, OURGAN_SIZE_ERROR, "width"));
    CHECK(refused([](Options& o) { o.height = std::int64_t{1} << 40; }, OURGAN_SIZE_ERROR, "height"));
    CHECK(refused([](Options& o) { o.extent = -1; }, OURGAN_VALUE_ERROR, "extent"));
    CHECK(refused([](Options& o) { o.variety = 1.5; }, OURGAN_VALUE_ERROR, "variety"));
    CHECK(refused([](Options& o) { o.vertical = 5; }, OURGAN_VALUE_ERROR, "vertical"));
    CHECK(refused([](Options& o) { o.tileable = 7; }, OURGAN_VALUE_ERROR, "tileable"));
    CHECK(refused([](Options& o) { o.tileable = OURGAN_X, o.retarget = 1; }, OURGAN_VALUE_ERROR, "no tileable with it"));
    CHECK(refused([](Options& o) { o.tileable = OURGAN_X, o.width = 121, o.extent = 1.3; }, OURGAN_SIZE_ERROR, "in place of 121"));
    CHECK(refused([](Options& o) { o.width = 4000; }, OURGAN_ENGINE_ERROR, "an extent of at least"));
    CHECK(refused([](Options& o) { o.width = o.height = 2000000000, o.extent = 1024; }, OURGAN_ENGINE_ERROR, "give a smaller size"));
    CHECK(refused([](Options& o) { o.width = 4096, o.tileable = OURGAN_X; }, OURGAN_SIZE_ERROR, "cannot wrap"));
    CHECK(refused([](Options& o) { o.reserved = 1; }, OURGAN_VALUE_ERROR, "reserved"));
    std::uint8_t pixel[8] = {};
    const auto unread = [&](std::int32_t level, ourgan_box box, std::int32_t format, void* at, ptrdiff_t stride) {
        return ourgan_canvas_read(whole.get(), level, box, format, at, stride, nullptr, nullptr, nullptr);
    };
    CHECK(is_error(unread(-1, {0, 0, 1, 1}, OURGAN_RGB8, pixel, 3), OURGAN_INDEX_ERROR, "level"));
    CHECK(is_error(unread(9, {0, 0, 1, 1}, OURGAN_RGB8, pixel, 3), OURGAN_INDEX_ERROR, "level"));
    CHECK(is_error(unread(0, {0, 0, 0, 1}, OURGAN_RGB8, pixel, 3), OURGAN_INDEX_ERROR, "region"));
    CHECK(is_error(unread(0, {0, 0, 1, kColumns + 1}, OURGAN_RGB8, pixel, 3 * (kColumns + 1)), OURGAN_INDEX_ERROR, "region"));
    CHECK(is_error(unread(0, {INT64_MIN, 0, INT64_MAX, 1}, OURGAN_RGB8, pixel, 3), OURGAN_INDEX_ERROR, "region"));
    CHECK(is_error(unread(0, {0, 0, 2, 2}, OURGAN_RGB8, pixel, 5), OURGAN_VALUE_ERROR, "row stride of at least 6"));
    CHECK(is_error(unread(0, {0, 0, 1, 1}, OURGAN_RGB16, pixel + 1, 6), OURGAN_VALUE_ERROR, "even"));
    CHECK(is_error(unread(0, {0, 0, 1, 1}, 4, pixel, 6), OURGAN_VALUE_ERROR, "format"));
    double share = 0;
    CHECK(is_error(ourgan_canvas_copied_share(whole.get(), &share), OURGAN_VALUE_ERROR, "ourgan_canvas_prepare"));
    ourgan_source* none = nullptr;
    CHECK(is_error(ourgan_open("/nowhere/at/all.jpg", nullptr, &none), OURGAN_PHOTOGRAPH_ERROR, "/nowhere/at/all.jpg"));
    CHECK(is_error(ourgan_open("/nowhere/at/all.ourgan", nullptr, &none), OURGAN_BUNDLE_ERROR, "cannot be read"));
    CHECK(is_error(ourgan_open("/", nullptr, &none), OURGAN_PHOTOGRAPH_ERROR, "directory"));
    CHECK(is_error(ourgan_open_memory(pixel, 0, "nothing", nullptr, &none), OURGAN_PHOTOGRAPH_ERROR, "nothing is not"));
}

TEST(bundles_are_checked) {
    const Bytes sound = bundle_of(photograph(), kHeight, kWidth);
    std::int64_t width = 0, height = 0;
    check_ok(ourgan_source_size(open(sound).get(), &width, &height));
    CHECK(width == kWidth && height == kHeight);
    const auto refused = [](const Bytes& file, const char* words) {
        ourgan_source* source = nullptr;
        return is_error(ourgan_open_memory(file.data(), file.size(), "b.ourgan", nullptr, &source), OURGAN_BUNDLE_ERROR,
                        words);
    };
    Bytes damaged = sound;
    damaged[sound.size() / 2] ^= 1;
    CHECK(refused(damaged, "CRC-32"));
    damaged = sound;
    damaged.push_back(0);
    CHECK(refused(damaged, "no sound ZIP directory"));
    CHECK(refused(Bytes(sound.begin(), sound.end() - 30), "no sound ZIP directory"));
    damaged = sound;
    damaged[26] ^= 1;  // of the length of the first member's name, in its header
    CHECK(refused(damaged, "says another thing"));
    CHECK(refused(bundle_of(photograph(), kHeight, kWidth + 1), "the manifest declares"));
    CHECK(refused(bundle_with("[" + std::string(100000, '['), photograph()), "nested more than"));
    CHECK(refused(bundle_with(R"({"schema_version": 8})", photograph()), "use a later one"));
    CHECK(refused(bundle_with(R"({"schema_version": 4, "photo": {"file": null}, "files": {"photograph.jpg":
                                {"size": @SIZE@, "sha256": "@SHA@"}}})", photograph()), "holds no photograph"));
    const std::string photo = R"({"schema_version": 4, "photo": {"width": 66, "height": 64.5, "file": "photograph.jpg"},)";
    CHECK(refused(bundle_with(photo + R"("files": {"photograph.jpg": {"size": @SIZE@, "sha256": "@SHA@"}}})", photograph()),
                  "photo.height: expected an integer"));
    CHECK(refused(bundle_with(R"({"schema_version": 4, "photo": {"width": 66, "height": 64, "file": "photograph.jpg"},
                                "files": {"photograph.jpg": {"size": @SIZE@, "sha256": "00"}}})", photograph()), "SHA-256"));
    CHECK(refused(zip({{"manifest.json", {}}, {"../photograph.jpg", photograph()}}), "plain relative path"));
    CHECK(refused(zip({{"photograph.jpg", photograph()}}), "no member 'manifest.json'"));
}

TEST(manifests_are_json_of_their_version) {
    const auto refused = [](const std::string& manifest, const char* words) {
        const Bytes file = bundle_with(manifest, photograph());
        ourgan_source* source = nullptr;
        return is_error(ourgan_open_memory(file.data(), file.size(), "b.ourgan", nullptr, &source), OURGAN_BUNDLE_ERROR,
                        words);
    };
    const std::string sound = manifest_of(kHeight, kWidth);
    CHECK(refused("\xEF\xBB\xBF" + sound, "byte order mark"));
    CHECK(refused(sound + '\0', "zero byte"));
    CHECK(refused(R"({"schema_version": 4, "x": )" + std::string(50000, '[') + std::string(50000, ']') + "}", "nested"));
    CHECK(refused(R"({"schema_version": 4, "photo": {"file": ["photograph.jpg"]}, "files": {"photograph.jpg":
                    {"size": @SIZE@, "sha256": "@SHA@"}}})", "photo.file: expected a member's name"));
    std::string early = sound;
    early.replace(early.find("4,"), 1, "2");
    CHECK(refused(early, "expected none in schema version 2"));
}

TEST(nothing_is_left_in_the_cache_of_libvips) {
    const Bytes png = photograph_file(kHeight, kWidth, 1, ".png");
    for (const Bytes* file : {&png, &photograph()}) open(*file);
    CHECK(vips_cache_get_size() == 0);
    CHECK(vips_cache_get_max() > 0);  // applications keep theirs
}

TEST(regions_are_parts_of_the_whole) {
    const Source source = open(photograph());
    const Canvas whole = canvas(source, kColumns, kRows, 3);
    const Bytes pixels = read(whole, kBox);
    const Canvas again = canvas(source, kColumns, kRows, 3);  // which begins with a region
    constexpr ourgan_box part{5, 7, 21, 31};
    constexpr std::size_t rows = part.y1 - part.y0, columns = part.x1 - part.x0, row = 7 * columns, margin = 64;
    std::vector<std::uint8_t> memory(2 * margin + rows * row, 0xA5);
    // From the bottom upwards, as bitmaps of some systems are.
    check_ok(ourgan_canvas_read(again.get(), 0, part, OURGAN_RGBA8, memory.data() + margin + (rows - 1) * row,
                                -static_cast<ptrdiff_t>(row), nullptr, nullptr, nullptr));
    for (std::size_t i = 0; i < memory.size(); ++i) {
        const std::size_t y = (i - margin) / row, x = (i - margin) % row / 4, c = (i - margin) % row % 4;
        std::uint8_t expected = 0xA5;  // nothing is written anywhere else
        if (i >= margin && y < rows && x < columns) {
            const std::size_t from = ((rows - 1 - y + part.y0) * kColumns + x + part.x0) * 3 + c;
            expected = c == 3 ? 0xFF : pixels[from];
        }
        CHECK(memory[i] == expected);
    }
}

TEST(memory_limits_say_what_is_needed) {
    ourgan_source_options options;
    ourgan_source_options_init(&options);
    options.memory_limit = 20000;
    ourgan_source* none = nullptr;
    CHECK(is_error(ourgan_open_memory(photograph().data(), photograph().size(), "p", &options, &none),
                   OURGAN_BUDGET_ERROR, "give a memory limit of at least"));
    std::uint64_t need = 0;
    {
        const Source source = open(photograph());
        check_ok(ourgan_canvas_memory(canvas(source, kColumns, kRows).get(), &need));
    }
    const std::uint64_t own = 3 * kHeight * kWidth;
    const Source source = open(photograph(), own + need);
    {
        const Canvas fits = canvas(source, kColumns, kRows);
        ourgan_canvas_options asked;
        ourgan_canvas_options_init(&asked);
        asked.width = kColumns;
        asked.height = kRows;
        ourgan_canvas* second = nullptr;
        CHECK(is_error(ourgan_canvas_new(source.get(), &asked, &second), OURGAN_BUDGET_ERROR,
                       std::to_string(own + 2 * need)));
    }
    read(canvas(source, kColumns, kRows), kBox);  // the first one's share was given back
}

TEST(progress_goes_up_and_cancels) {
    const Source source = open(photograph());
    const Canvas whole = canvas(source, kColumns, kRows);
    Bytes pixels(kRows * kRow);
    const auto read_watched = [&](Watch& seen) {
        return ourgan_canvas_read(whole.get(), 0, kBox, OURGAN_RGB8, pixels.data(), kRow, seen.token, watch, &seen);
    };
    Watch stop{0.3};
    CHECK(is_error(read_watched(stop), OURGAN_CANCELLED, "progress"));
    CHECK(stop.told >= 0.3 && stop.told < 0.9);
    ourgan_cancel* token = nullptr;
    check_ok(ourgan_cancel_new(&token));
    const Cancel holder(token);
    Watch set{0.3};
    set.token = token;
    CHECK(is_error(read_watched(set), OURGAN_CANCELLED, "token"));
    CHECK(set.told < 0.9);
    CHECK(is_error(ourgan_canvas_prepare(whole.get(), token, nullptr, nullptr), OURGAN_CANCELLED, "token"));
    ourgan_cancel_reset(token);
    Watch all{};
    all.token = token;
    check_ok(read_watched(all));
    CHECK(all.told == 1 && all.is_ordered && all.calls > 5);
    CHECK(pixels == read(canvas(source, kColumns, kRows), kBox));  // what was cancelled has left nothing behind
}

TEST(progress_may_not_read_what_is_searched) {
    const Source source = open(photograph());
    struct Nested {
        Canvas own, other;
        ourgan_status status = OURGAN_OK;
        int calls = 0;
    } nested{canvas(source, kColumns, kRows), canvas(source, 20, 16)};
    const auto use = [](double, void* user) -> std::int32_t {
        auto& seen = *static_cast<Nested*>(user);
        if (seen.calls++ > 0) return 0;
        std::uint8_t pixel[3];
        check_ok(ourgan_canvas_read(seen.other.get(), 0, {0, 0, 1, 1}, OURGAN_RGB8, pixel, 3, nullptr, nullptr, nullptr));
        seen.status = ourgan_canvas_prepare(seen.own.get(), nullptr, nullptr, nullptr);
        return 0;
    };
    check_ok(ourgan_canvas_prepare(nested.own.get(), nullptr, use, &nested));
    CHECK(is_error(nested.status, OURGAN_VALUE_ERROR, "when the call has returned"));
}

TEST(cancelling_does_not_wait_for_the_levels) {
    const Bytes file = photograph_file(700, 900, 1, ".jpg[Q=90]");
    const Source source = open(file);
    struct Counted {
        int calls = 0;
    } counted;
    const auto third = [](double share, void* user) -> std::int32_t {
        auto& seen = *static_cast<Counted*>(user);
        return share == 0 && ++seen.calls == 4 ? 1 : 0;  // before anything has been searched
    };
    const Canvas whole = canvas(source, 900, 700);
    CHECK(is_error(ourgan_canvas_prepare(whole.get(), nullptr, third, &counted), OURGAN_CANCELLED, "progress"));
    CHECK(counted.calls == 4);
}

TEST(threads_read_one_canvas) {
    const Source source = open(photograph());
    const Bytes expected = read(canvas(source, kColumns, kRows, 5), kBox);
    const Canvas shared = canvas(source, kColumns, kRows, 5);
    std::vector<std::thread> threads;
    std::atomic<int> same{0};
    for (int n = 0; n < 4; ++n) {
        threads.emplace_back([&, n] {
            const std::int64_t top = 3 * n;
            Bytes rows(15 * kRow);
            const ourgan_status status = ourgan_canvas_read(shared.get(), 0, {top, 0, top + 15, kColumns}, OURGAN_RGB8,
                                                            rows.data(), kRow, nullptr, nullptr, nullptr);
            same += status == OURGAN_OK && std::memcmp(rows.data(), expected.data() + kRow * top, rows.size()) == 0;
        });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(same == 4);
}

TEST(a_waiting_thread_takes_over_from_a_cancelled_one) {
    const Source source = open(photograph());
    const Bytes expected = read(canvas(source, kColumns, kRows, 6), kBox);
    const Canvas shared = canvas(source, kColumns, kRows, 6);
    ourgan_cancel* token = nullptr;
    check_ok(ourgan_cancel_new(&token));
    const Cancel holder(token);
    struct Held {
        std::atomic<bool> is_searching{false};
        std::atomic<bool> may_go_on{false};
    } held;
    // The first one stays in its search until the second one waits for it, and is cancelled then.
    const auto hold = [](double, void* user) -> std::int32_t {
        auto& state = *static_cast<Held*>(user);
        state.is_searching = true;
        while (!state.may_go_on) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        return 0;
    };
    const auto waiting = [](double, void* user) -> std::int32_t {
        static_cast<Held*>(user)->may_go_on = true;
        return 0;
    };
    ourgan_status first = OURGAN_OK;
    std::thread searching([&] { first = ourgan_canvas_prepare(shared.get(), token, hold, &held); });
    while (!held.is_searching) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    ourgan_cancel_set(token);
    Bytes pixels(kRows * kRow);
    const ourgan_status second =
        ourgan_canvas_read(shared.get(), 0, kBox, OURGAN_RGB8, pixels.data(), kRow, nullptr, waiting, &held);
    searching.join();
    CHECK(first == OURGAN_CANCELLED);
    check_ok(second);
    CHECK(pixels == expected);
}

TEST(threads_have_their_own_last_error) {
    ourgan_source* none = nullptr;
    CHECK(is_error(ourgan_open("/nowhere.jpg", nullptr, &none), OURGAN_PHOTOGRAPH_ERROR, "/nowhere.jpg"));
    ourgan_status status = -1;
    std::string text = "?";
    std::thread([&] {
        status = ourgan_last_status();
        text = ourgan_last_error();
    }).join();
    CHECK(status == OURGAN_OK && text.empty());
    CHECK(ourgan_last_status() == OURGAN_PHOTOGRAPH_ERROR);
}

TEST(threads_open_and_free_sources) {
    const Bytes& file = photograph();
    std::vector<std::thread> threads;
    std::atomic<int> good{0};
    for (int n = 0; n < 4; ++n) {
        threads.emplace_back([&, n] {
            ourgan_source* opened = nullptr;
            if (ourgan_open_memory(file.data(), n == 3 ? file.size() / 2 : file.size(), "p", nullptr, &opened) != OURGAN_OK) {
                good += n == 3 && ourgan_last_status() == OURGAN_PHOTOGRAPH_ERROR;
                return;
            }
            Source source(opened);
            const Canvas kept = canvas(source, 20, 16, static_cast<std::uint64_t>(n));
            source.reset();  // canvases go on without it
            good += read(kept, {0, 0, 16, 20}).size() == 960;
        });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(good == 4);
}
