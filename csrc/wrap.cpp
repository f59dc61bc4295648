// Python bindings of the compiled core. Pixel work and waiting happen without the GIL.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <pybind11/typing.h>

#include <cstdint>
#include <cstring>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <variant>
#include <vector>

#ifdef _WIN32
#include <process.h>
#else
#include <unistd.h>
#endif

#include "cuda_device.h"
#include "composition.h"
#include "detail.h"
#include "device.h"
#include "grid.h"
#include "noise.h"
#include "pipeline.h"
#include "pixels.h"
#include "resample.h"

namespace py = pybind11;
using namespace py::literals;

namespace {

using ourgan::Box;
using ourgan::ConstPicture;
using ourgan::ConstPlanes;
using ourgan::CudaDevice;
using ourgan::DeviceMemory;
using ourgan::Grid;
using ourgan::Noise;
using ourgan::Part;
using ourgan::Picture;
using ourgan::PixelType;
using ourgan::Planes;
using ourgan::Size;
using ourgan::Tile;

using FloatArray = py::array_t<float>;

std::string describe(const py::array& array) {
    return py::str("{} of shape {} and strides {}")
        .format(array.dtype(), array.attr("shape"), array.attr("strides"));
}

bool is_native(const py::dtype& type, char kind, py::ssize_t size) {
    return type.kind() == kind && type.itemsize() == size && (type.byteorder() == '=' || type.byteorder() == '|');
}

PixelType pixel_type(const py::array& array) {
    const py::dtype type = array.dtype();
    if (is_native(type, 'u', 1)) return PixelType::uint8;
    if (is_native(type, 'u', 2)) return PixelType::uint16;
    if (is_native(type, 'f', 2)) return PixelType::float16;
    if (is_native(type, 'f', 4)) return PixelType::float32;
    throw py::type_error("picture must be uint8, uint16, float16 or float32 in native byte order, got " +
                         describe(array));
}

// Throws unless `array` is (H, W, C) with contiguous, aligned rows.
void check_layout(const py::array& array) {
    const py::ssize_t size = array.itemsize();
    if (array.ndim() != 3 || array.size() == 0) {
        throw py::value_error("picture must be a non-empty (height, width, channels) array, got " + describe(array));
    }
    const bool pixels_contiguous = array.shape(2) == 1 || array.strides(2) == size;
    const bool row_contiguous = array.shape(1) == 1 || array.strides(1) == size * array.shape(2);
    const bool aligned =
        reinterpret_cast<std::uintptr_t>(array.data()) % static_cast<std::uintptr_t>(size) == 0 &&
        (array.shape(0) == 1 || array.strides(0) % size == 0);
    if (!pixels_contiguous || !row_contiguous || !aligned) {
        throw py::value_error("picture must have aligned rows whose pixels are contiguous, got " + describe(array));
    }
}

ConstPicture readable_picture(const py::array& array) {
    const PixelType type = pixel_type(array);
    check_layout(array);
    return {static_cast<const std::byte*>(array.data()), type, array.shape(0), array.shape(1), array.shape(2),
            array.strides(0)};
}

Picture writable_picture(py::array& array) {
    const PixelType type = pixel_type(array);
    check_layout(array);
    if (!array.writeable()) throw py::value_error("picture must be writeable");
    const py::ssize_t row = array.shape(1) * array.shape(2) * array.itemsize();
    if (array.shape(0) > 1 && std::abs(array.strides(0)) < row) {
        throw py::value_error("picture must have rows that do not overlap, got " + describe(array));
    }
    return {static_cast<std::byte*>(array.mutable_data()), type, array.shape(0), array.shape(1), array.shape(2),
            array.strides(0)};
}

void check_tile(const py::array& array) {
    if (!is_native(array.dtype(), 'f', 4)) throw py::type_error("tile must be float32, got " + describe(array));
    if (array.ndim() != 3 || (array.flags() & py::array::c_style) == 0) {
        throw py::value_error("tile must be a contiguous (channels, height, width) array, got " + describe(array));
    }
}

Planes writable_tile(py::array& array) {
    check_tile(array);
    if (!array.writeable()) throw py::value_error("tile must be writeable");
    return {static_cast<float*>(array.mutable_data()), array.shape(0), array.shape(1), array.shape(2)};
}

ConstPlanes readable_tile(const py::array& array) {
    check_tile(array);
    return {static_cast<const float*>(array.data()), array.shape(0), array.shape(1), array.shape(2)};
}

FloatArray normal(std::int64_t channels, std::int64_t height, std::int64_t width, std::uint64_t seed,
                  std::uint32_t stream, std::int64_t y, std::int64_t x, float deviation) {
    if (channels < 0 || height < 0 || width < 0) throw py::value_error("channels, height and width must not be negative");
    FloatArray out({channels, height, width});
    float* data = out.mutable_data();
    const py::gil_scoped_release release;
    ourgan::fill_normal({seed, stream, deviation}, channels, height, width, y, x, data);
    return out;
}

using Pair = std::pair<std::int64_t, std::int64_t>;  // (y, x) or (height, width)

std::optional<Size> to_size(const std::optional<Pair>& pair) {
    if (!pair) return std::nullopt;
    return Size{pair->first, pair->second};
}

Part readable_part(const py::array& picture, Pair origin, const std::optional<Pair>& extent) {
    return Part(readable_picture(picture), {origin.first, origin.second}, to_size(extent));
}

FloatArray gather(const py::array& picture, const Box& window, Pair origin, const std::optional<Pair>& extent,
                  std::uint64_t seed, std::uint32_t stream, float deviation, std::optional<py::array> out,
                  int threads) {
    const Part source = readable_part(picture, origin, extent);
    if (!out) {
        ourgan::check_window(source, window);
        out = FloatArray({source.picture.channels, window.height(), window.width()});
    }
    const Planes tile = writable_tile(*out);
    {
        const py::gil_scoped_release release;
        ourgan::gather(source, window, {seed, stream, deviation}, tile, threads);
    }
    return py::reinterpret_borrow<FloatArray>(*out);
}

std::int64_t scatter(const py::array& tile, const Box& crop, py::array picture, std::int64_t y, std::int64_t x,
                     int threads) {
    const ConstPlanes source = readable_tile(tile);
    const Picture target = writable_picture(picture);
    const py::gil_scoped_release release;
    return ourgan::scatter(source, crop, target, y, x, threads);
}

void check_signals() {
    const py::gil_scoped_acquire acquire;
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
}

PixelType type_of_tile(const std::string& name) {
    if (name == "uint8") return PixelType::uint8;
    if (name == "float16") return PixelType::float16;
    if (name == "float32") return PixelType::float32;
    throw py::value_error("tiles must be of uint8, float16 or float32, got " + name);
}

py::dtype dtype_of(PixelType type) {
    constexpr const char* kNames[ourgan::kPixelTypes] = {"uint8", "uint16", "float16", "float32"};
    return py::dtype(kNames[static_cast<int>(type)]);
}

int process_id() {
#ifdef _WIN32
    return _getpid();
#else
    return getpid();
#endif
}

// A pipeline that keeps the arrays of its queued jobs alive. Its own members are guarded by the GIL.
//
// A forked child has it without its workers: there it is neither used nor destroyed, and close() does nothing.
class TilePipeline {
public:
    TilePipeline(std::int64_t channels, std::int64_t window_height, std::int64_t window_width, std::int64_t scale,
                 int slots, int threads, const std::optional<std::shared_ptr<CudaDevice>>& device,
                 const std::string& input_type, const std::string& output_type, bool interleaved)
        : pipeline_(std::make_unique<ourgan::Pipeline>(
                    device ? std::shared_ptr<ourgan::Device>(*device) : std::make_shared<ourgan::HostDevice>(),
                    ourgan::TileShape{channels, window_height, window_width, scale},
                    ourgan::TileFormat{type_of_tile(input_type), type_of_tile(output_type), interleaved}, slots,
                    threads == 0 ? slots : threads, check_signals)) {}

    ~TilePipeline() {
        if (is_inherited()) {
            static_cast<void>(pipeline_.release());
            return;
        }
        const py::gil_scoped_release release;  // freeing a device's memory waits for all of its work
        pipeline_.reset();
    }
    TilePipeline(const TilePipeline&) = delete;
    TilePipeline& operator=(const TilePipeline&) = delete;

    py::array input(int slot) const {
        return view(pipeline(), pipeline().input(slot), pipeline_->format().input, 1);
    }

    py::array output(int slot) const {
        return view(pipeline(), pipeline().output(slot), pipeline_->format().output, pipeline_->shape().scale);
    }

    std::uintptr_t device_input(int slot) const { return pipeline().input(slot)->device(); }
    std::uintptr_t device_output(int slot) const { return pipeline().output(slot)->device(); }
    std::uintptr_t device_check(int slot) const { return pipeline().check(slot)->device(); }
    std::uintptr_t stream() const { return pipeline().stream().native(); }
    double engine_seconds() const { return pipeline().engine_seconds(); }

    int pack(const py::array& picture, const Box& window, Pair origin, const std::optional<Pair>& extent,
             std::uint64_t seed, std::uint32_t stream, float deviation) {
        const Part source = readable_part(picture, origin, extent);
        forget_unpacked();
        int slot = 0;
        {
            const py::gil_scoped_release release;
            slot = pipeline().pack(source, window, {seed, stream, deviation});
        }
        const py::object previous = std::exchange(packing_[slot], picture);
        return slot;
    }

    void packed(int slot) {
        {
            const py::gil_scoped_release release;
            pipeline().packed(slot);
        }
        const py::object source = std::exchange(packing_[slot], py::object());
    }

    std::int64_t unpack(int slot, const Box& crop, py::array picture, std::int64_t y, std::int64_t x) {
        const Picture target = writable_picture(picture);
        forget_unpacked();
        std::int64_t ticket = 0;
        {
            const py::gil_scoped_release release;
            ticket = pipeline().unpack(slot, crop, target, y, x);
        }
        unpacking_.emplace(ticket, std::move(picture));
        return ticket;
    }

    std::vector<std::int64_t> wait(std::int64_t ticket) {
        std::vector<std::int64_t> non_finite;
        {
            const py::gil_scoped_release release;
            non_finite = pipeline().wait(ticket);
        }
        forget_unpacked();
        return non_finite;
    }

    void close() {
        if (is_inherited()) return;
        {
            const py::gil_scoped_release release;
            pipeline().close();
        }
        forget_unpacked();
        packing_.clear();
    }

private:
    using SharedBuffer = std::shared_ptr<const ourgan::Buffer>;

    static py::array view(const ourgan::Pipeline& pipeline, const SharedBuffer& buffer, PixelType type,
                          std::int64_t scale) {
        const ourgan::TileShape& shape = pipeline.shape();
        const std::int64_t height = scale * shape.height, width = scale * shape.width;
        using Shape = py::array::ShapeContainer;
        const Shape sizes = pipeline.format().interleaved ? Shape({std::int64_t{1}, height, width, shape.channels})
                                                          : Shape({std::int64_t{1}, shape.channels, height, width});
        const py::capsule owner(new SharedBuffer(buffer), [](void* shared) {
            const py::gil_scoped_release release;  // freeing a device's memory waits for all of its work
            delete static_cast<SharedBuffer*>(shared);
        });
        return py::array(dtype_of(type), sizes, buffer->host(), owner);
    }

    bool is_inherited() const { return process_id() != process_; }

    ourgan::Pipeline& pipeline() const {
        if (is_inherited()) throw std::runtime_error("the pipeline is the parent's: a forked child makes its own");
        return *pipeline_;
    }

    void forget_unpacked() {
        const std::int64_t unfinished = pipeline().unfinished_ticket();
        while (!unpacking_.empty() && unpacking_.begin()->first < unfinished) {
            // Taken out of the map first: dropping the last reference may run Python code.
            const auto done = unpacking_.extract(unpacking_.begin());
        }
    }

    std::map<int, py::object> packing_;
    std::map<std::int64_t, py::object> unpacking_;
    const int process_ = process_id();
    std::unique_ptr<ourgan::Pipeline> pipeline_;
};

// The package's own exceptions are Python classes, imported when one is first needed.
void set_package_error(const char* name, const std::exception& error) {
    py::set_error(py::module_::import("ourgan_sdk.errors").attr(name), error.what());
}

void translate_errors(std::exception_ptr thrown) {
    try {
        std::rethrow_exception(thrown);
    } catch (const ourgan::BudgetError& error) {
        set_package_error("BudgetError", error);
    } catch (const ourgan::DeviceMemoryError& error) {
        set_package_error("EngineMemoryError", error);
    } catch (const ourgan::DeviceError& error) {
        set_package_error("EngineError", error);
    } catch (const std::system_error& error) {  // of a thread that the system does not give
        set_package_error("EngineError", error);
    }
}

Grid plan_grid(std::int64_t height, std::int64_t width, std::int64_t halo, std::int64_t budget,
               std::int64_t pixel_bytes, std::int64_t row_bytes, std::optional<std::int64_t> max_pixels,
               std::optional<std::int64_t> max_side, std::int64_t alignment, std::int64_t least_rows,
               const std::optional<Pair>& window) {
    constexpr std::int64_t kNoLimit = std::numeric_limits<std::int64_t>::max();
    const ourgan::WindowRules rules{budget, pixel_bytes, row_bytes, max_pixels.value_or(kNoLimit),
                                    max_side.value_or(kNoLimit), alignment, least_rows, to_size(window)};
    return ourgan::plan_grid(height, width, halo, rules);
}

py::tuple box_tuple(const Box& box) { return py::make_tuple(box.y0, box.x0, box.y1, box.x1); }

void bind_grid(py::module_& m) {
    py::class_<Box>(m, "Box", "Half-open region [y0, y1) x [x0, x1) in pixels; unpacks as (y0, x0, y1, x1).")
        .def(py::init<std::int64_t, std::int64_t, std::int64_t, std::int64_t>(), "y0"_a, "x0"_a, "y1"_a, "x1"_a)
        .def_readonly("y0", &Box::y0)
        .def_readonly("x0", &Box::x0)
        .def_readonly("y1", &Box::y1)
        .def_readonly("x1", &Box::x1)
        .def_property_readonly("height", &Box::height)
        .def_property_readonly("width", &Box::width)
        .def("__iter__", [](const Box& box) { return py::typing::Iterator<py::int_>(py::iter(box_tuple(box))); })
        .def("__eq__", [](const Box& box, const py::object& other) {
            return py::isinstance<Box>(other) && box == other.cast<const Box&>();
        })
        .def("__hash__", [](const Box& box) { return py::hash(box_tuple(box)); })
        .def("__repr__", [](const Box& box) {
            return py::str("Box(y0={}, x0={}, y1={}, x1={})").format(box.y0, box.x0, box.y1, box.x1);
        });

    py::class_<Tile>(m, "Tile", "One tile of a grid; window and core are in pixels of the pass's input picture.")
        .def_readonly("row", &Tile::row)
        .def_readonly("column", &Tile::column)
        .def_readonly("window", &Tile::window, "What the network sees.")
        .def_readonly("core", &Tile::core, "What the tile owns: the cores of a grid partition its picture.")
        .def("__repr__", [](const Tile& tile) {
            return py::str("Tile(row={}, column={}, window={}, core={})")
                .format(tile.row, tile.column, tile.window, tile.core);
        });

    py::class_<Grid>(m, "Grid",
                     "rows x columns tiles of a picture: cores that partition it evenly, in windows of one size that\n"
                     "hold at least `halo` pixels on every side of their core. Windows reach beyond the picture.\n\n"
                     "window_height, window_width: 0 for the smallest, the longest core and two halos.\n"
                     "ValueError: a side is outside [1, 2**31] or halo outside [0, 2**28], there are more tiles along\n"
                     "a side than pixels, or a window is too small or larger than 2**32.")
        .def(py::init<std::int64_t, std::int64_t, std::int64_t, std::int64_t, std::int64_t, std::int64_t,
                      std::int64_t>(),
             "height"_a, "width"_a, "halo"_a, "rows"_a, "columns"_a, "window_height"_a = 0, "window_width"_a = 0)
        .def_property_readonly("height", &Grid::height)
        .def_property_readonly("width", &Grid::width)
        .def_property_readonly("halo", &Grid::halo)
        .def_property_readonly("rows", &Grid::rows)
        .def_property_readonly("columns", &Grid::columns)
        .def_property_readonly("window_height", &Grid::window_height)
        .def_property_readonly("window_width", &Grid::window_width)
        .def_property_readonly("recomputation", &Grid::recomputation, "Total window area / picture area - 1.")
        .def("tile", &Grid::tile, "row"_a, "column"_a, "IndexError: there is no such row or column.")
        .def("__repr__", [](const Grid& grid) {
            return py::str("Grid(height={}, width={}, halo={}, rows={}, columns={}, window_height={}, window_width={})")
                .format(grid.height(), grid.width(), grid.halo(), grid.rows(), grid.columns(), grid.window_height(),
                        grid.window_width());
        });

    m.def("plan_grid", &plan_grid, "height"_a, "width"_a, "halo"_a, "budget"_a, py::kw_only(), "pixel_bytes"_a = 1,
          "row_bytes"_a = 0, "max_pixels"_a = py::none(), "max_side"_a = py::none(), "alignment"_a = 1,
          "least_rows"_a = 1, "window"_a = py::none(),
          "The grid of least total window area that these rules allow; among equals the one with fewer tiles, then\n"
          "with fewer columns.\n\n"
          "budget: not passed by window_height * (window_width * pixel_bytes + row_bytes). row_bytes is what a row\n"
          "of a band, as wide as the picture, takes in memory: it lets wide low windows win in wide pictures.\n"
          "max_pixels, max_side: the largest area and the longest side of a window, if there is a limit.\n"
          "alignment: the sides of a window are multiples of it.\n"
          "least_rows: of tiles, where the picture has as many rows of pixels.\n"
          "window: (height, width) of the only window of an engine of fixed shape, whatever the alignment.\n"
          "BudgetError: no window is allowed; the message says what budget or max_pixels would do, or how large a\n"
          "fixed window must be. ValueError: a number is out of its range.");
}

void bind_noise(py::module_& m) {
    m.def("philox4x32", &ourgan::philox4x32, "counter"_a, "key"_a,
          "The four 32-bit words of Philox 4x32-10 for a counter of four and a key of two 32-bit words.");
    m.def("normal", &normal, "channels"_a, "height"_a, "width"_a, "seed"_a, "stream"_a, "y"_a = 0, "x"_a = 0,
          "deviation"_a = 1.0f,
          "Normal noise, float32 (channels, height, width), at rows y.. and columns x.. of an endless plane.\n\n"
          "Every value depends on (seed, stream, channel, row, column) alone and is the same on every machine.\n"
          "Positions may be negative. ValueError: a size is negative or the region leaves [-2**31, 2**31).");
}

void bind_pixels(py::module_& m) {
    m.def("gather", &gather, "picture"_a, "window"_a, "origin"_a = Pair(), "extent"_a = py::none(),
          "seed"_a = 0, "stream"_a = 0, "deviation"_a = 0.0f, "out"_a = py::none(), "threads"_a = 0,
          "Reads a window of a picture as a float32 tile (C, h, w) with values in [0, 1], plus normal noise.\n\n"
          "picture: (H, W, C) uint8, uint16, float16 or float32 with contiguous pixels in a row; it holds the part\n"
          "that begins at origin (y, x) of a whole picture of extent (height, width), None for one that ends where\n"
          "the part does.\n"
          "window: in coordinates of the whole picture; what lies beyond its border repeats the border's pixels.\n"
          "Noise is not repeated: it is addressed by each pixel's own position, which may be negative.\n"
          "out: the array to write, made when not given. threads: 0 for all the machine has.\n"
          "TypeError, ValueError: an array has another dtype, shape or layout, the window is empty or leaves\n"
          "[-2**31, 2**31), or it shows pixels of the whole picture that the array does not hold.");
    m.def("scatter", &scatter, "tile"_a, "crop"_a, "picture"_a, "y"_a, "x"_a, "threads"_a = 0,
          "Writes a part of a float32 tile (C, h, w), clipped to [0, 1], into a picture (H, W, C) at (y, x).\n\n"
          "Integers are rounded half to even; what falls beyond the right and bottom edge is left out.\n"
          "Returns how many of the values written were not finite.\n"
          "TypeError, ValueError: an array has another dtype, shape or layout, or the crop is not inside the tile.");
}

void bind_device(py::module_& m) {
    using WithoutGil = py::call_guard<py::gil_scoped_release>;
    py::class_<DeviceMemory>(m, "DeviceMemory", "Memory of a GPU, freed on release() or with the last reference.",
                             py::release_gil_before_calling_cpp_dtor())
        .def_property_readonly("address", &DeviceMemory::address, "For the device's own use; 0 once it is released.")
        .def_property_readonly("bytes", &DeviceMemory::bytes)
        .def("release", &DeviceMemory::release, WithoutGil(),
             "Waits for the device's work and frees the memory. May be called twice.");

    py::class_<CudaDevice, std::shared_ptr<CudaDevice>>(
        m, "CudaDevice",
        "An NVIDIA GPU, used in its primary context as PyTorch and other CUDA code in the process do. In a `with`\n"
        "block that context is the thread's current one, for libraries that work in whatever that is.\n\n"
        "ordinal: as the driver counts them, from 0. library: the driver's file, None for the system's.\n"
        "EngineError: there is no driver or no such device, or it failed; EngineMemoryError: it has no memory left.",
        py::release_gil_before_calling_cpp_dtor())
        .def(py::init([](int ordinal, const std::optional<std::string>& library) {
                 return std::make_shared<CudaDevice>(ordinal, library.value_or(""));
             }),
             "ordinal"_a = 0, "library"_a = py::none(), WithoutGil())
        .def_static(
            "count", [](const std::optional<std::string>& library) { return CudaDevice::count(library.value_or("")); },
            "library"_a = py::none(), WithoutGil(), "How many GPUs there are: 0 without a driver.")
        .def_property_readonly("ordinal", &CudaDevice::ordinal)
        .def_property_readonly("name", &CudaDevice::name)
        .def_property_readonly("compute_capability", &CudaDevice::compute_capability, "(major, minor)")
        .def_property_readonly("total_memory", &CudaDevice::total_memory, "In bytes.")
        .def_property_readonly("stream", [](CudaDevice& device) { return device.compute_stream().native(); },
                               "The CUDA stream in which all engines on this device queue their work.")
        .def_property_readonly("driver_version", &CudaDevice::driver_version,
                               "The newest CUDA that the driver knows, as 1000 * major + 10 * minor.")
        .def("__enter__",
             [](std::shared_ptr<CudaDevice> self) {
                 self->make_current();
                 return self;
             })
        .def(
            "__exit__",
            [](const CudaDevice& self, const py::object&, const py::object&, const py::object&) {
                self.restore_current();
            },
            "exc_type"_a, "exc_value"_a, "traceback"_a)
        .def("free_memory", &CudaDevice::free_memory, WithoutGil(), "In bytes, for all processes.")
        .def("allocate", &CudaDevice::allocate, "bytes"_a, WithoutGil(), "ValueError: no bytes are asked for.")
        .def("__repr__", [](const CudaDevice& device) {
            return py::str("CudaDevice({}, name={!r})").format(device.ordinal(), device.name());
        });
}

void bind_pipeline(py::module_& m) {
    py::class_<TilePipeline>(
        m, "Pipeline",
        "Slots of tiles in flight, packed and unpacked by worker threads of its own:\n"
        "pack(i + 1), packed(i), run the engine on slot i, unpack(i), wait.\n\n"
        "threads: 0 for one per slot. device: where the engine runs, None for the host, in place. On a device the\n"
        "engine queues its work on `stream`, and nothing but the workers waits for it: the copies to the device and\n"
        "back run beside it.\n"
        "input_type, output_type: uint8, float16 or float32. interleaved: whether tiles are (1, h, w, C) instead of\n"
        "(1, C, h, w), which is for float32 alone.\n"
        "ValueError: a size is not positive or a type is not possible. RuntimeError: used after close(), or in a\n"
        "process forked from its own.\n"
        "EngineError: the device failed; EngineMemoryError: it has too little memory.")
        .def(py::init<std::int64_t, std::int64_t, std::int64_t, std::int64_t, int, int,
                      const std::optional<std::shared_ptr<CudaDevice>>&, const std::string&, const std::string&, bool>(),
             "channels"_a, "window_height"_a, "window_width"_a, "scale"_a, "slots"_a = 3, "threads"_a = 0,
             py::kw_only(), "device"_a = py::none(), "input_type"_a = "float32", "output_type"_a = "float32",
             "interleaved"_a = false, py::call_guard<py::gil_scoped_release>())
        .def_property_readonly("stream", &TilePipeline::stream, "The CUDA stream of the engine's work, the device's; 0 on the host.")
        .def_property_readonly("engine_seconds", &TilePipeline::engine_seconds,
                               "How long the unpacked tiles took from packed() to unpack(), on the device's clock.")
        .def("input", &TilePipeline::input, "slot"_a,
             "The slot's input tensor on the host, (1, C, h, w) or (1, h, w, C): a view that stays valid, and holds\n"
             "its memory, after close() as well.")
        .def("output", &TilePipeline::output, "slot"_a,
             "The slot's output tensor on the host, `scale` times as high and wide: a view as that of the input.")
        .def("device_input", &TilePipeline::device_input, "slot"_a, "Address of the input on the device.")
        .def("device_output", &TilePipeline::device_output, "slot"_a, "Address of the output on the device.")
        .def("device_check", &TilePipeline::device_check, "slot"_a,
             "Address on the device of a float32 which engines there set for every tile: finite if all values are.")
        .def("pack", &TilePipeline::pack, "picture"_a, "window"_a, "origin"_a = Pair(), "extent"_a = py::none(),
             "seed"_a = 0, "stream"_a = 0, "deviation"_a = 0.0f,
             "Queues gather() and the copy to the device into a free slot, waiting for one, and returns the slot.\n\n"
             "ValueError: as for gather(), or a tile of uint8 is to get noise.")
        .def("packed", &TilePipeline::packed, "slot"_a,
             "Waits until the slot's input is on its way: what is queued on `stream` from now on finds it there.\n\n"
             "Raises what went wrong in packing it; the slot is then free.")
        .def("unpack", &TilePipeline::unpack, "slot"_a, "crop"_a, "picture"_a, "y"_a, "x"_a,
             "Queues the copy from the device and scatter() of the slot's output, and returns a ticket; the slot is\n"
             "free once that is done.")
        .def("wait", &TilePipeline::wait, "ticket"_a,
             "Waits until all unpacks up to and including the ticket are done.\n\n"
             "Returns the tickets of those that held values that are not finite, each once. Raises what went wrong.")
        .def("close", &TilePipeline::close,
             "Finishes what is queued, waits for the device, ends the workers and frees the tensors, but for those of\n"
             "which there are views. May be called twice.")
        .def("__enter__", [](TilePipeline& self) -> TilePipeline& { return self; }, py::return_value_policy::reference)
        .def(
            "__exit__",
            [](TilePipeline& self, const py::object&, const py::object&, const py::object&) { self.close(); },
            "exc_type"_a, "exc_value"_a, "traceback"_a);
}

// uint16 (H, W, 3) -> planes.
ourgan::Planes16 structure_planes(const py::array& array) {
    const ConstPicture picture = readable_picture(array);
    if (picture.type != PixelType::uint16 || picture.channels != 3) {
        throw py::type_error("structure must be uint16 (height, width, 3), got " + describe(array));
    }
    ourgan::Planes16 planes(static_cast<std::int32_t>(picture.height), static_cast<std::int32_t>(picture.width));
    const auto window = planes.writable();
    for (std::int32_t y = 0; y < window.height; ++y) {
        const auto* row = reinterpret_cast<const std::uint16_t*>(picture.pixel(y, 0));
        for (int c = 0; c < 3; ++c) {
            std::int16_t* out = window.at(c, y, 0);
            for (std::int32_t x = 0; x < window.width; ++x) {
                out[x] = static_cast<std::int16_t>((row[3 * x + c] * ourgan::kSteps + 128) / 257);
            }
        }
    }
    return planes;
}

py::array resample(const py::array& picture, std::int64_t height, std::int64_t width, int threads) {
    const ConstPicture in = readable_picture(picture);
    if (height < 1 || width < 1) throw py::value_error("height and width must be at least 1");
    py::array out(picture.dtype(), {height, width, static_cast<std::int64_t>(in.channels)});
    const Picture target = writable_picture(out);
    py::gil_scoped_release release;
    ourgan::resample(in, target, threads);
    return out;
}

py::array halved(const py::array& picture, int threads) {
    const ConstPicture in = readable_picture(picture);
    py::array out(picture.dtype(), {(in.height + 1) / 2, (in.width + 1) / 2, in.channels});
    const Picture target = writable_picture(out);
    py::gil_scoped_release release;
    ourgan::halve(in, target, threads);
    return out;
}

// Hands the share of work done to a Python function, whose exception ends the search.
ourgan::Report reporting(const py::object& report) {
    if (report.is_none()) return [](double) {};
    return [&report](double share) {
        py::gil_scoped_acquire acquire;
        report(share);
    };
}

// From a structure, which is matched, or a composition, whose field is known.
std::unique_ptr<ourgan::Detail> find_detail(const std::shared_ptr<ourgan::PhotographLevels>& photograph,
                                            const std::variant<std::shared_ptr<ourgan::Composition>, py::array>& structure,
                                            const ourgan::LevelSizes& sizes, std::uint64_t seed,
                                            const std::optional<ourgan::DetailSettings>& given, int threads,
                                            const py::object& report, std::pair<bool, bool> wrap) {
    const ourgan::DetailSettings settings = given.value_or(ourgan::DetailSettings{});
    const ourgan::Wrap wraps{wrap.first, wrap.second};
    const ourgan::Report reported = reporting(report);
    const auto find = [&](const ourgan::Start& start) {
        return std::make_unique<ourgan::Detail>(
            photograph, ourgan::find_field(*photograph, start, sizes, wraps, seed, settings, threads, reported), sizes, wraps,
            settings.limit);
    };
    if (const auto* composition = std::get_if<std::shared_ptr<ourgan::Composition>>(&structure)) {
        py::gil_scoped_release release;
        const ourgan::KnownField known = ourgan::known_field(**composition, *photograph, sizes);
        return find({nullptr, &known.field, known.level});
    }
    const ourgan::Planes16 planes = structure_planes(std::get<py::array>(structure));
    py::gil_scoped_release release;
    return find({&planes, nullptr, 0});
}

// A view of memory that `owner` holds, little-endian wherever this runs; nobody may write to it.
template <class T>
py::array view(const T* data, const std::vector<py::ssize_t>& shape, const py::object& owner) {
    py::array array(py::dtype::of<T>(), shape, data, owner);
    array.attr("flags").attr("writeable") = false;
    return array.attr("astype")(array.dtype().attr("newbyteorder")("<"), "copy"_a = false);
}

py::typing::Dict<py::str, py::array> detail_state(const py::object& self) {
    const ourgan::Found& found = self.cast<const ourgan::Detail&>().found();
    const auto planes = [&self](const ourgan::Planes16& picture) {
        return view(picture.window().plane[0], {ourgan::kColours, picture.height(), picture.width()}, self);
    };
    static_assert(sizeof(ourgan::Offset) == 2 * sizeof(std::int32_t));
    const ourgan::Field& field = found.field;
    return py::dict("picture"_a = planes(found.picture),
                    "field"_a = view(&field.offsets.data()->y, {field.rows, field.columns, 2}, self),
                    "tone"_a = planes(found.tone));
}

// The values of a contiguous little-endian array of integers of this shape.
template <class T>
py::array readable_state(const py::array& array, const std::vector<py::ssize_t>& shape, const char* name) {
    const py::dtype type = py::dtype::of<T>();
    const bool fits = std::vector<py::ssize_t>(array.shape(), array.shape() + array.ndim()) == shape;
    if (!fits || !array.dtype().attr("newbyteorder")("=").equal(type) || (array.flags() & py::array::c_style) == 0) {
        throw py::value_error(py::str("expected {} to be a contiguous array {} of {}, got {}")
                                  .format(name, py::tuple(py::cast(shape)), type, describe(array)));
    }
    return array.attr("astype")(type, "copy"_a = false);
}

void copy_planes(const py::array& from, ourgan::Planes16& to) {
    std::memcpy(to.writable().plane[0], from.data(), static_cast<std::size_t>(from.nbytes()));
}

// What another process has found.
std::unique_ptr<ourgan::Detail> restore_detail(const std::shared_ptr<ourgan::PhotographLevels>& photograph,
                                               const ourgan::LevelSizes& sizes, const py::array& picture,
                                               const py::array& field, const py::array& tone,
                                               const std::optional<ourgan::DetailSettings>& given,
                                               std::pair<bool, bool> wrap) {
    const ourgan::Wrap wraps{wrap.first, wrap.second};
    ourgan::check_sizes(*photograph, sizes);
    const auto [height, width] = ourgan::found_size(*photograph, sizes, wraps);
    const std::vector<py::ssize_t> planes{ourgan::kColours, height, width};
    const py::array shown = readable_state<std::int16_t>(picture, planes, "picture");
    const py::array added = readable_state<std::int16_t>(tone, planes, "tone");
    // A field of every pixel, where the picture has no coarser level that is searched, or of every other one.
    const std::int32_t stride = field.ndim() == 3 && field.shape(0) == height && field.shape(1) == width ? 1 : 2;
    ourgan::Found found{ourgan::Planes16(height, width), ourgan::make_field(height, width, stride),
                        ourgan::Planes16(height, width)};
    const py::array places = readable_state<std::int32_t>(field, {found.field.rows, found.field.columns, 2}, "field");
    py::gil_scoped_release release;
    copy_planes(shown, found.picture);
    copy_planes(added, found.tone);
    std::memcpy(found.field.offsets.data(), places.data(), static_cast<std::size_t>(places.nbytes()));
    return std::make_unique<ourgan::Detail>(photograph, std::move(found), sizes, wraps,
                                            given.value_or(ourgan::DetailSettings{}).limit);
}

// What a composition begins with.
ConstPicture readable_start(const py::array& array) {
    if (!is_native(array.dtype(), 'u', 1) || array.ndim() != 3 || array.shape(2) != ourgan::kColours) {
        throw py::value_error("start must be uint8 (height, width, 3), got " + describe(array));
    }
    return readable_picture(array);
}

std::unique_ptr<ourgan::Composition> compose(const py::array& photograph,
                                             const std::vector<std::pair<std::pair<int, int>, std::pair<int, int>>>& levels,
                                             const std::optional<py::array>& start, std::pair<bool, bool> wrap,
                                             std::uint64_t seed,
                                             const std::optional<ourgan::CompositionSettings>& given, int threads,
                                             const py::object& report) {
    const ConstPicture picture = readable_picture(photograph);
    std::optional<ConstPicture> start_picture;
    if (start) start_picture = readable_start(*start);
    std::vector<ourgan::CompositionLevel> sizes;
    for (const auto& [photo, canvas] : levels) sizes.push_back({photo, canvas});
    const ourgan::Report reported = reporting(report);
    py::gil_scoped_release release;
    return std::make_unique<ourgan::Composition>(
        ourgan::compose(picture, sizes, start_picture ? &*start_picture : nullptr, {wrap.first, wrap.second}, seed,
                        given.value_or(ourgan::CompositionSettings{}), threads, reported));
}

// uint16 (H, W, 3).
py::array from_planes(const ourgan::Planes16& planes) {
    const auto window = planes.window();
    py::array_t<std::uint16_t> out({std::int64_t{window.height}, std::int64_t{window.width}, std::int64_t{3}});
    std::uint16_t* data = out.mutable_data();
    for (std::int32_t y = 0; y < window.height; ++y) {
        for (std::int32_t x = 0; x < window.width; ++x) {
            for (int c = 0; c < 3; ++c) {
                *data++ = static_cast<std::uint16_t>((*window.at(c, y, x) * 257 + ourgan::kSteps / 2) / ourgan::kSteps);
            }
        }
    }
    return out;
}

void bind_composition(py::module_& m) {
    using ourgan::Composition;
    using ourgan::CompositionSettings;
    py::class_<CompositionSettings> settings(m, "CompositionSettings", "How a picture is composed: see csrc/settings.h.");
    settings.def(py::init<>())
        .def_readwrite("noise", &CompositionSettings::noise)
        .def_readwrite("start_noise", &CompositionSettings::start_noise)
        .def_readwrite("first_rounds", &CompositionSettings::first_rounds)
        .def_readwrite("rounds", &CompositionSettings::rounds)
        .def_readwrite("tries", &CompositionSettings::tries)
        .def_readwrite("radius", &CompositionSettings::radius)
        .def_readwrite("row", &CompositionSettings::row)
        .def_readwrite("completeness", &CompositionSettings::completeness)
        .def_readwrite("exhaustive", &CompositionSettings::exhaustive);
    py::class_<Composition, std::shared_ptr<Composition>>(m, "Composition", "A picture composed of a photograph's patches.")
        .def(py::init(&compose), "photograph"_a, "levels"_a, py::kw_only(), "start"_a = py::none(),
             "wrap"_a = std::pair<bool, bool>(false, false), "seed"_a = 0, "settings"_a = py::none(), "threads"_a = 0,
             "report"_a = py::none())
        .def_property_readonly("picture", [](const Composition& self) { return from_planes(self.picture); })
        .def_property_readonly("copied", [](const Composition& self) { return ourgan::copied_share(self.field, self.wrap); });
}

void bind_detail(py::module_& m) {
    using ourgan::Detail;
    using ourgan::DetailSettings;
    using ourgan::PhotographLevels;
    m.def("resample", &resample, "picture"_a, "height"_a, "width"_a, "threads"_a = 0,
          "The picture (H, W, C), uint8 or uint16, resized to (height, width, C) of the same type.\n\n"
          "By Catmull-Rom's cubic, widened where the picture is reduced, in fixed point: the same bytes everywhere.\n"
          "threads: 0 for all the machine has. TypeError, ValueError: picture or size is something else.");

    m.def("halved", &halved, "picture"_a, "threads"_a = 1,
          "Rounded means of 2 x 2 pixels of the picture (H, W, C), uint8 or uint16; rows and columns at odd ends count\n"
          "twice. threads: 0 for all the machine has. TypeError, ValueError: it is something else.");

    py::class_<DetailSettings> settings(m, "DetailSettings",
                                        "How detail is searched for: see csrc/settings.h for what each number is for.");
    settings.def(py::init<>());
    const auto number = [&settings](const char* name, std::int32_t DetailSettings::* member) {
        settings.def_readwrite(name, member);
    };
    number("iterations", &DetailSettings::iterations);
    number("rounds", &DetailSettings::rounds);
    number("known_rounds", &DetailSettings::known_rounds);
    number("known_seams", &DetailSettings::known_seams);
    number("coarse_tries", &DetailSettings::coarse_tries);
    number("tries", &DetailSettings::tries);
    number("last_tries", &DetailSettings::last_tries);
    number("radius", &DetailSettings::radius);
    number("incoherence", &DetailSettings::incoherence);
    number("seam", &DetailSettings::seam);
    number("echo", &DetailSettings::echo);
    number("echo_radius", &DetailSettings::echo_radius);
    number("overuse", &DetailSettings::overuse);
    number("row", &DetailSettings::row);
    number("row_slack", &DetailSettings::row_slack);
    number("part", &DetailSettings::part);
    number("limit", &DetailSettings::limit);
    const auto tone = [&settings](const char* name, std::int32_t ourgan::ToneSettings::* member) {
        settings.def_property(
            name, [member](const DetailSettings& self) { return self.tone.*member; },
            [member](DetailSettings& self, std::int32_t value) { self.tone.*member = value; });
    };
    tone("tone_iterations", &ourgan::ToneSettings::iterations);
    tone("tone_anchor", &ourgan::ToneSettings::anchor);
    tone("tone_like", &ourgan::ToneSettings::like);
    tone("tone_unlike", &ourgan::ToneSettings::unlike);

    py::class_<PhotographLevels, std::shared_ptr<PhotographLevels>>(
        m, "PhotographLevels",
        "A photograph at all its levels, ready to be searched and gathered from.\n\n"
        "levels: uint8 (H, W, 3), coarsest first, each twice as high and wide as the one before. searched: how many\n"
        "of them, from the first on, a field is searched at. threads: 0 for all the machine has. ValueError: they are something else, or a side is\n"
        "shorter than a patch, 8 pixels.")
        .def(py::init([](const std::vector<py::array>& arrays, int searched, int threads) {
                 std::vector<ConstPicture> levels;
                 for (const py::array& array : arrays) levels.push_back(readable_picture(array));
                 py::gil_scoped_release release;
                 return std::make_shared<PhotographLevels>(levels, searched, threads);
             }),
             "levels"_a, "searched"_a, "threads"_a = 0)
        .def_property_readonly("count", &PhotographLevels::count)
        .def_property_readonly("searched", &PhotographLevels::searched)
        .def_property_readonly("bytes", &PhotographLevels::bytes, "Memory that it takes, about.");

    py::class_<Detail>(m, "Detail",
                       "A picture whose detail is the photograph's own: parts of its levels are gathered.\n\n"
                       "structure: uint16 (h, w, 3), the picture at its coarsest level. sizes: (height, width) of every\n"
                       "level, coarsest first, each half the next one, rounded up. report: called with the share of the\n"
                       "search that is done; what it raises ends it. threads: 0 for all the machine has.\n"
                       "ValueError, TypeError: these do not belong together.")
        .def(py::init(&find_detail), "photograph"_a, "structure"_a, "sizes"_a, "seed"_a = 0,
             "settings"_a = py::none(), "threads"_a = 0, "report"_a = py::none(),
             "wrap"_a = std::pair<bool, bool>(false, false))
        .def_static("restored", &restore_detail, "photograph"_a, "sizes"_a, py::kw_only(), "picture"_a, "field"_a, "tone"_a,
                    "settings"_a = py::none(), "wrap"_a = std::pair<bool, bool>(false, false),
                    "The picture that another process has found, as its `state()` says; the arrays are copied.\n\n"
                    "ValueError: they do not belong together, or hold what no search finds.")
        .def("state", &detail_state,
             "What has been found of the whole picture, for `restored`: views of the last searched level's picture and\n"
             "tone, '<i2' (3, h, w), and of its field, '<i4' (rows, columns, 2).")
        .def_property_readonly("base", &Detail::base, "The coarsest level that can be gathered.")
        .def_property_readonly("levels", &Detail::levels)
        .def_property_readonly("bytes", &Detail::bytes, "Memory that it takes beside the photograph's levels.")
        .def(
            "gather",
            [](const Detail& self, int level, const Box& box, py::array& out, int threads) {
                const Picture picture = writable_picture(out);
                py::gil_scoped_release release;
                self.gather(level, box, picture, threads);
            },
            "level"_a, "box"_a, "out"_a, "threads"_a = 0,
            "Writes a box of a level, in its pixels, to `out`, uint8 or uint16 (h, w, 3).\n\n"
            "Every pixel depends on its place alone, not on the box. ValueError: level, box or out do not fit.")
        .def(
            "sources",
            [](const Detail& self, int level, const Box& box) {
                py::array_t<std::int32_t> out({box.y1 - box.y0, box.x1 - box.x0, std::int64_t{2}});
                std::int32_t* data = out.mutable_data();
                py::gil_scoped_release release;
                self.sources(level, box, data);
                return out;
            },
            "level"_a, "box"_a,
            "From where in the photograph's level each pixel mainly comes: int32 (h, w, 2), (y, x).");
}

}  // namespace

PYBIND11_MODULE(_core, m) {
    m.doc() = "Compiled core: tile grids, pixel conversion, position-addressed noise, the tile pipeline, and detail.";
    py::register_local_exception_translator(translate_errors);
    bind_grid(m);
    bind_noise(m);
    bind_pixels(m);
    bind_device(m);
    bind_pipeline(m);
    bind_composition(m);
    bind_detail(m);
}
