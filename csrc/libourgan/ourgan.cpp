// The entry points: what is checked of their arguments, and what becomes of errors.
#include "ourgan.h"

#include <glib.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <system_error>

#include "canvas.h"
#include "error.h"
#include "numbers.h"
#include "source.h"
#include "task.h"

struct ourgan_source {
    std::shared_ptr<const ourgan::c::Source> source;
};

struct ourgan_canvas {
    ourgan_canvas(std::shared_ptr<const ourgan::c::Source> source, const ourgan::c::Picturing& asked)
        : canvas(std::move(source), asked) {}

    ourgan::c::Canvas canvas;
};

namespace {

using ourgan::PixelType;
using ourgan::c::Canvas;
using ourgan::c::Error;
using ourgan::c::Input;
using ourgan::c::NoRegularFile;
using ourgan::c::Task;
using ourgan::c::View;

constexpr std::int32_t kMostThreads = 1024;
constexpr std::int64_t kLongestSide = 2147483647;

// What every caller's structures have: all up to the last field of this interface's first header.
constexpr std::size_t kFirstSourceOptions = offsetof(ourgan_source_options, reserved) + sizeof(std::int32_t);
constexpr std::size_t kFirstCanvasOptions = offsetof(ourgan_canvas_options, reserved) + sizeof(std::int32_t);

// The thread's last failure. Of fixed size, so that it is there when memory is not.
struct Failure {
    ourgan_status status = OURGAN_OK;
    char text[2048] = "";
};
thread_local Failure last;

ourgan_status failed(ourgan_status status, const char* text) {
    last.status = status;
    std::size_t length = 0;
    while (*text != '\0') {
        const gunichar character = g_utf8_get_char_validated(text, -1);
        const bool is_valid = character < 0x110000;
        const bool is_shown = is_valid && !g_unichar_iscntrl(character);
        const auto bytes = static_cast<std::size_t>(is_valid ? g_utf8_next_char(text) - text : 1);
        if (length + (is_shown ? 1 : 4) * bytes >= sizeof last.text) break;
        for (std::size_t n = 0; n < bytes; ++n, ++text) {
            if (is_shown) {
                last.text[length++] = *text;
            } else {
                std::snprintf(last.text + length, 5, "\\x%02x", static_cast<unsigned>(static_cast<unsigned char>(*text)));
                length += 4;
            }
        }
    }
    last.text[length] = '\0';
    return status;
}

// What a call returns whose work is this.
template <class Work>
ourgan_status call(const Work& work) noexcept {
    try {
        work();
        return OURGAN_OK;
    } catch (const Error& error) {
        return failed(error.status(), error.what());
    } catch (const std::bad_alloc&) {
        return failed(OURGAN_MEMORY_ERROR, "out of memory: give a smaller size or extent, or free memory");
    } catch (const std::exception& error) {
        return failed(OURGAN_INTERNAL_ERROR, error.what());
    } catch (...) {
        return failed(OURGAN_INTERNAL_ERROR, "something else was thrown");
    }
}

[[noreturn]] void refuse(const std::string& what) { throw Error(OURGAN_VALUE_ERROR, what); }

template <class T>
T& given(T* pointer, const char* name) {
    if (pointer == nullptr) refuse(std::string("expected ") + name + ", got null");
    return *pointer;
}

// The caller's options, whose structure may be an earlier version's: what it does not have is at its default.
template <class Options>
Options known_options(const Options& options, const Options& defaults, std::size_t first_size) {
    if (options.struct_size < first_size || options.struct_size > sizeof(Options)) {
        refuse("expected options that their init function has filled in, of " + std::to_string(first_size) + " to " +
               std::to_string(sizeof(Options)) + " bytes, got struct_size " + std::to_string(options.struct_size));
    }
    Options known = defaults;
    std::memcpy(&known, &options, options.struct_size);
    if (known.reserved != 0) refuse("expected the reserved field of options to be 0, got " + std::to_string(known.reserved));
    return known;
}

// Writes what the caller's structure of `size` bytes has of these defaults; its size tells afterwards what that is.
template <class Options>
void fill(Options* options, Options defaults, std::size_t size) {
    if (options == nullptr || size < sizeof defaults.struct_size) return;
    defaults.struct_size = size;
    if (size > sizeof defaults) std::memset(options, 0, size);
    std::memcpy(options, &defaults, std::min(size, sizeof defaults));
}

ourgan_source_options source_defaults() { return {sizeof(ourgan_source_options), 0, 0, 0}; }

ourgan_canvas_options canvas_defaults() {
    const double unset = std::nan("");
    return {sizeof(ourgan_canvas_options), 0, 0, 0, 0.0, unset, unset, OURGAN_NO_AXIS, OURGAN_NO_AXIS, 0, 0};
}

void open(const Input& input, const std::string& name, bool is_bundle, const ourgan_source_options* options,
          ourgan_source** out) {
    ourgan_source_options known = source_defaults();
    if (options != nullptr) known = known_options(*options, known, kFirstSourceOptions);
    if (known.threads < 0 || known.threads > kMostThreads) {
        refuse("expected threads from 0 to " + std::to_string(kMostThreads) + ", got " + std::to_string(known.threads));
    }
    const auto source =
        std::make_shared<const ourgan::c::Source>(input, name, is_bundle, known.memory_limit, known.threads);
    *out = new ourgan_source{source};
}

bool is_called_bundle(std::string path) {
    std::transform(path.begin(), path.end(), path.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
    const std::string suffix = ".ourgan";
    return path.size() > suffix.size() && path.compare(path.size() - suffix.size(), suffix.size(), suffix) == 0;
}

bool has_axis(std::int32_t axes, std::int32_t axis) { return (axes & axis) != 0; }

void check_axes(const char* name, std::int32_t axes) {
    if (axes < OURGAN_NO_AXIS || axes > OURGAN_BOTH) {
        refuse(std::string("expected ") + name + " to be OURGAN_NO_AXIS, OURGAN_Y, OURGAN_X or OURGAN_BOTH, got " +
               std::to_string(axes));
    }
}

void check_number(const char* name, double value, double least, double most) {
    if (!(value >= least && value <= most)) {
        refuse(std::string("expected ") + name + " to be from " + ourgan::c::general(least) + " to " +
               ourgan::c::general(most) + ", got " + ourgan::c::general(value));
    }
}

void check_side(const char* name, std::int64_t side) {
    if (side >= 1 && side <= kLongestSide) return;
    throw Error(OURGAN_SIZE_ERROR, std::string("expected ") + name + " to be from 1 to " + std::to_string(kLongestSide) +
                                       ", got " + std::to_string(side));
}

ourgan::c::Picturing asked(const ourgan_canvas_options& options) {
    check_side("width", options.width);
    check_side("height", options.height);
    check_axes("tileable", options.tileable);
    check_axes("symmetric", options.symmetric);
    if (!std::isnan(options.variety)) check_number("variety", options.variety, 0, 1);
    if (!std::isnan(options.vertical)) check_number("vertical", options.vertical, 0, 4);
    if (options.extent != 0) check_number("the extent", options.extent, ourgan::c::kLeastExtent, ourgan::c::kMostExtent);
    if (options.retarget != 0 && options.tileable != OURGAN_NO_AXIS) {
        refuse("a picture that has the photograph's own layout has borders of its own: give no tileable with it");
    }
    ourgan::c::Picturing picturing;
    picturing.size = {options.height, options.width};
    picturing.seed = options.seed;
    if (options.extent != 0) picturing.extent = options.extent;
    ourgan::c::Layout& layout = picturing.layout;
    layout.retarget = options.retarget != 0;
    layout.mirror_y = has_axis(options.symmetric, OURGAN_Y);
    layout.mirror_x = has_axis(options.symmetric, OURGAN_X);
    // A side that is mirrored continues itself.
    layout.wrap.y = has_axis(options.tileable, OURGAN_Y) && !layout.mirror_y;
    layout.wrap.x = has_axis(options.tileable, OURGAN_X) && !layout.mirror_x;
    layout.variety = !std::isnan(options.variety) ? options.variety : layout.retarget ? 0.0 : 0.5;
    const double rows = has_axis(options.tileable, OURGAN_Y) ? 0.0 : 1.0;
    layout.rows = !std::isnan(options.vertical) ? options.vertical : rows;
    return picturing;
}

// Where pixels of that format go; a region of that size fits there.
ourgan::c::Target target_of(std::int32_t format, std::byte* pixels, std::ptrdiff_t row_stride, const ourgan_box& region) {
    if (format < OURGAN_RGB8 || format > OURGAN_RGBA16) {
        refuse("expected a format from OURGAN_RGB8 to OURGAN_RGBA16, got " + std::to_string(format));
    }
    given(pixels, "memory for the pixels");
    const bool is_wide = format == OURGAN_RGB16 || format == OURGAN_RGBA16;
    const int channels = format == OURGAN_RGBA8 || format == OURGAN_RGBA16 ? 4 : 3;
    const std::int64_t value = is_wide ? 2 : 1;
    if (is_wide && (reinterpret_cast<std::uintptr_t>(pixels) % 2 != 0 || row_stride % 2 != 0)) {
        refuse("expected even memory and an even row stride for 16 bits");
    }
    // Sides are at most 2^31 where the region is one: what does not fit is for the canvas to say.
    const bool is_plausible = region.x0 >= 0 && region.x1 > region.x0 && region.x1 <= kLongestSide && region.y0 >= 0 &&
                              region.y1 > region.y0 && region.y1 <= kLongestSide;
    if (is_plausible && region.y1 - region.y0 > 1) {
        const std::int64_t row = (region.x1 - region.x0) * channels * value;
        if (row_stride > -row && row_stride < row) {
            refuse("expected a row stride of at least " + std::to_string(row) + " bytes, or at most " +
                   std::to_string(-row) + ", got " + std::to_string(row_stride));
        }
    }
    return {pixels, row_stride, is_wide ? PixelType::uint16 : PixelType::uint8, channels};
}

}  // namespace

const char* ourgan_version(void) { return OURGAN_VERSION; }

int32_t ourgan_abi_version(void) { return OURGAN_ABI_VERSION; }

const char* ourgan_status_name(ourgan_status status) {
    static const char* const names[] = {"OK",          "ValueError",           "IndexError",
                                        "SizeError",   "BundleError",          "PhotographError",
                                        "EngineError", "BudgetError",          "RenderMemoryError",
                                        "RenderCancelledError", "InternalError"};
    return status >= OURGAN_OK && status <= OURGAN_INTERNAL_ERROR ? names[status] : "unknown";
}

ourgan_status ourgan_last_status(void) { return last.status; }

const char* ourgan_last_error(void) { return last.text; }

ourgan_status ourgan_cancel_new(ourgan_cancel** token) {
    return call([&] {
        ourgan_cancel*& out = given(token, "a place for the token");
        out = new ourgan_cancel;
    });
}

void ourgan_cancel_set(ourgan_cancel* token) {
    if (token != nullptr) token->is_set = true;
}

void ourgan_cancel_reset(ourgan_cancel* token) {
    if (token != nullptr) token->is_set = false;
}

void ourgan_cancel_free(ourgan_cancel* token) { delete token; }

void ourgan_source_options_init_sized(ourgan_source_options* options, size_t size) {
    fill(options, source_defaults(), size);
}

ourgan_status ourgan_open(const char* path, const ourgan_source_options* options, ourgan_source** source) {
    return call([&] {
        const std::string name = &given(path, "a path");
        ourgan_source** const out = &given(source, "a place for the source");
        const bool is_bundle = is_called_bundle(name);
        const auto refuse = [&](const std::string& reason) {
            if (is_bundle) throw Error(OURGAN_BUNDLE_ERROR, name + ": cannot be read: " + reason);
            throw Error(OURGAN_PHOTOGRAPH_ERROR, "cannot read the photograph " + name + ": " + reason);
        };
        try {
            open(Input(name), name, is_bundle, options, out);
        } catch (const std::system_error& error) {
            refuse(error.code().message());
        } catch (const NoRegularFile& error) {
            refuse(error.what());
        }
    });
}

ourgan_status ourgan_open_memory(const void* bytes, size_t size, const char* name, const ourgan_source_options* options,
                                 ourgan_source** source) {
    return call([&] {
        const std::uint8_t* data = &given(static_cast<const std::uint8_t*>(bytes), "a file's bytes");
        const std::string named = &given(name, "a name");
        open(Input(View(data, size)), named, false, options, &given(source, "a place for the source"));
    });
}

ourgan_status ourgan_source_size(const ourgan_source* source, int64_t* width, int64_t* height) {
    return call([&] {
        const ourgan::Size size = given(source, "a source").source->size();
        if (width != nullptr) *width = size.width;
        if (height != nullptr) *height = size.height;
    });
}

void ourgan_source_free(ourgan_source* source) { delete source; }

void ourgan_canvas_options_init_sized(ourgan_canvas_options* options, size_t size) {
    fill(options, canvas_defaults(), size);
}

ourgan_status ourgan_canvas_new(ourgan_source* source, const ourgan_canvas_options* options, ourgan_canvas** canvas) {
    return call([&] {
        const auto& from = given(source, "a source").source;
        const auto known = known_options(given(options, "options"), canvas_defaults(), kFirstCanvasOptions);
        ourgan_canvas*& out = given(canvas, "a place for the canvas");
        out = new ourgan_canvas(from, asked(known));
    });
}

void ourgan_canvas_free(ourgan_canvas* canvas) { delete canvas; }

ourgan_status ourgan_canvas_extent(const ourgan_canvas* canvas, double* extent) {
    return call([&] { given(extent, "a place for the extent") = given(canvas, "a canvas").canvas.extent(); });
}

ourgan_status ourgan_canvas_memory(const ourgan_canvas* canvas, uint64_t* bytes) {
    return call([&] { given(bytes, "a place for the bytes") = given(canvas, "a canvas").canvas.memory(); });
}

ourgan_status ourgan_canvas_copied_share(const ourgan_canvas* canvas, double* share) {
    return call([&] {
        double& out = given(share, "a place for the share");
        out = given(canvas, "a canvas").canvas.copied_share();
    });
}

ourgan_status ourgan_canvas_levels(const ourgan_canvas* canvas, int32_t* count) {
    return call([&] { given(count, "a place for the count") = given(canvas, "a canvas").canvas.levels(); });
}

ourgan_status ourgan_canvas_level_size(const ourgan_canvas* canvas, int32_t level, int64_t* width, int64_t* height) {
    return call([&] {
        const ourgan::Size size = given(canvas, "a canvas").canvas.level_size(level);
        if (width != nullptr) *width = size.width;
        if (height != nullptr) *height = size.height;
    });
}

ourgan_status ourgan_canvas_prepare(ourgan_canvas* canvas, const ourgan_cancel* token, ourgan_progress progress,
                                    void* user) {
    return call([&] {
        Task task(token, progress, user);
        given(canvas, "a canvas").canvas.prepare(task);
    });
}

ourgan_status ourgan_canvas_read(ourgan_canvas* canvas, int32_t level, ourgan_box region, int32_t format, void* pixels,
                                 ptrdiff_t row_stride, const ourgan_cancel* token, ourgan_progress progress,
                                 void* user) {
    return call([&] {
        Canvas& from = given(canvas, "a canvas").canvas;
        const auto target = target_of(format, static_cast<std::byte*>(pixels), row_stride, region);
        Task task(token, progress, user);
        from.read(level, {region.y0, region.x0, region.y1, region.x1}, target, task);
    });
}
