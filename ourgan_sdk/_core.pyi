"""
Compiled core: tile grids, pixel conversion, position-addressed noise, the tile pipeline, and detail.
"""
from __future__ import annotations
import collections.abc
import numpy
import numpy.typing
import typing
__all__: list[str] = ['Box', 'Composition', 'CompositionSettings', 'CudaDevice', 'Detail', 'DetailSettings', 'DeviceMemory', 'Grid', 'PhotographLevels', 'Pipeline', 'Tile', 'gather', 'halved', 'normal', 'philox4x32', 'plan_grid', 'resample', 'scatter']
class Box:
    """
    Half-open region [y0, y1) x [x0, x1) in pixels; unpacks as (y0, x0, y1, x1).
    """
    def __eq__(self, arg0: typing.Any) -> bool:
        ...
    def __hash__(self) -> int:
        ...
    def __init__(self, y0: typing.SupportsInt | typing.SupportsIndex, x0: typing.SupportsInt | typing.SupportsIndex, y1: typing.SupportsInt | typing.SupportsIndex, x1: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    def __iter__(self) -> collections.abc.Iterator[int]:
        ...
    def __repr__(self) -> str:
        ...
    @property
    def height(self) -> int:
        ...
    @property
    def width(self) -> int:
        ...
    @property
    def x0(self) -> int:
        ...
    @property
    def x1(self) -> int:
        ...
    @property
    def y0(self) -> int:
        ...
    @property
    def y1(self) -> int:
        ...
class Tile:
    """
    One tile of a grid; window and core are in pixels of the pass's input picture.
    """
    def __repr__(self) -> str:
        ...
    @property
    def column(self) -> int:
        ...
    @property
    def core(self) -> Box:
        """
        What the tile owns: the cores of a grid partition its picture.
        """
    @property
    def row(self) -> int:
        ...
    @property
    def window(self) -> Box:
        """
        What the network sees.
        """
class Grid:
    """
    rows x columns tiles of a picture: cores that partition it evenly, in windows of one size that
    hold at least `halo` pixels on every side of their core. Windows reach beyond the picture.
    
    window_height, window_width: 0 for the smallest, the longest core and two halos.
    ValueError: a side is outside [1, 2**31] or halo outside [0, 2**28], there are more tiles along
    a side than pixels, or a window is too small or larger than 2**32.
    """
    def __init__(self, height: typing.SupportsInt | typing.SupportsIndex, width: typing.SupportsInt | typing.SupportsIndex, halo: typing.SupportsInt | typing.SupportsIndex, rows: typing.SupportsInt | typing.SupportsIndex, columns: typing.SupportsInt | typing.SupportsIndex, window_height: typing.SupportsInt | typing.SupportsIndex = 0, window_width: typing.SupportsInt | typing.SupportsIndex = 0) -> None:
        ...
    def __repr__(self) -> str:
        ...
    def tile(self, row: typing.SupportsInt | typing.SupportsIndex, column: typing.SupportsInt | typing.SupportsIndex) -> Tile:
        """
        IndexError: there is no such row or column.
        """
    @property
    def columns(self) -> int:
        ...
    @property
    def halo(self) -> int:
        ...
    @property
    def height(self) -> int:
        ...
    @property
    def recomputation(self) -> float:
        """
        Total window area / picture area - 1.
        """
    @property
    def rows(self) -> int:
        ...
    @property
    def width(self) -> int:
        ...
    @property
    def window_height(self) -> int:
        ...
    @property
    def window_width(self) -> int:
        ...
class DeviceMemory:
    """
    Memory of a GPU, freed on release() or with the last reference.
    """
    def release(self) -> None:
        """
        Waits for the device's work and frees the memory. May be called twice.
        """
    @property
    def address(self) -> int:
        """
        For the device's own use; 0 once it is released.
        """
    @property
    def bytes(self) -> int:
        ...
class CudaDevice:
    """
    An NVIDIA GPU, used in its primary context as PyTorch and other CUDA code in the process do. In a `with`
    block that context is the thread's current one, for libraries that work in whatever that is.
    
    ordinal: as the driver counts them, from 0. library: the driver's file, None for the system's.
    EngineError: there is no driver or no such device, or it failed; EngineMemoryError: it has no memory left.
    """
    @staticmethod
    def count(library: str | None = None) -> int:
        """
        How many GPUs there are: 0 without a driver.
        """
    def __enter__(self) -> CudaDevice:
        ...
    def __exit__(self, exc_type: typing.Any, exc_value: typing.Any, traceback: typing.Any) -> None:
        ...
    def __init__(self, ordinal: typing.SupportsInt | typing.SupportsIndex = 0, library: str | None = None) -> None:
        ...
    def __repr__(self) -> str:
        ...
    def allocate(self, bytes: typing.SupportsInt | typing.SupportsIndex) -> DeviceMemory:
        """
        ValueError: no bytes are asked for.
        """
    def free_memory(self) -> int:
        """
        In bytes, for all processes.
        """
    @property
    def compute_capability(self) -> tuple[int, int]:
        """
        (major, minor)
        """
    @property
    def driver_version(self) -> int:
        """
        The newest CUDA that the driver knows, as 1000 * major + 10 * minor.
        """
    @property
    def name(self) -> str:
        ...
    @property
    def ordinal(self) -> int:
        ...
    @property
    def stream(self) -> int:
        """
        The CUDA stream in which all engines on this device queue their work.
        """
    @property
    def total_memory(self) -> int:
        """
        In bytes.
        """
class Pipeline:
    """
    Slots of tiles in flight, packed and unpacked by worker threads of its own:
    pack(i + 1), packed(i), run the engine on slot i, unpack(i), wait.
    
    threads: 0 for one per slot. device: where the engine runs, None for the host, in place. On a device the
    engine queues its work on `stream`, and nothing but the workers waits for it: the copies to the device and
    back run beside it.
    input_type, output_type: uint8, float16 or float32. interleaved: whether tiles are (1, h, w, C) instead of
    (1, C, h, w), which is for float32 alone.
    ValueError: a size is not positive or a type is not possible. RuntimeError: used after close(), or in a
    process forked from its own.
    EngineError: the device failed; EngineMemoryError: it has too little memory.
    """
    def __enter__(self) -> Pipeline:
        ...
    def __exit__(self, exc_type: typing.Any, exc_value: typing.Any, traceback: typing.Any) -> None:
        ...
    def __init__(self, channels: typing.SupportsInt | typing.SupportsIndex, window_height: typing.SupportsInt | typing.SupportsIndex, window_width: typing.SupportsInt | typing.SupportsIndex, scale: typing.SupportsInt | typing.SupportsIndex, slots: typing.SupportsInt | typing.SupportsIndex = 3, threads: typing.SupportsInt | typing.SupportsIndex = 0, *, device: CudaDevice | None = None, input_type: str = 'float32', output_type: str = 'float32', interleaved: bool = False) -> None:
        ...
    def close(self) -> None:
        """
        Finishes what is queued, waits for the device, ends the workers and frees the tensors, but for those of
        which there are views. May be called twice.
        """
    def device_check(self, slot: typing.SupportsInt | typing.SupportsIndex) -> int:
        """
        Address on the device of a float32 which engines there set for every tile: finite if all values are.
        """
    def device_input(self, slot: typing.SupportsInt | typing.SupportsIndex) -> int:
        """
        Address of the input on the device.
        """
    def device_output(self, slot: typing.SupportsInt | typing.SupportsIndex) -> int:
        """
        Address of the output on the device.
        """
    def input(self, slot: typing.SupportsInt | typing.SupportsIndex) -> numpy.ndarray:
        """
        The slot's input tensor on the host, (1, C, h, w) or (1, h, w, C): a view that stays valid, and holds
        its memory, after close() as well.
        """
    def output(self, slot: typing.SupportsInt | typing.SupportsIndex) -> numpy.ndarray:
        """
        The slot's output tensor on the host, `scale` times as high and wide: a view as that of the input.
        """
    def pack(self, picture: numpy.ndarray, window: Box, origin: tuple[typing.SupportsInt | typing.SupportsIndex, typing.SupportsInt | typing.SupportsIndex] = (0, 0), extent: tuple[typing.SupportsInt | typing.SupportsIndex, typing.SupportsInt | typing.SupportsIndex] | None = None, seed: typing.SupportsInt | typing.SupportsIndex = 0, stream: typing.SupportsInt | typing.SupportsIndex = 0, deviation: typing.SupportsFloat | typing.SupportsIndex = 0.0) -> int:
        """
        Queues gather() and the copy to the device into a free slot, waiting for one, and returns the slot.
        
        ValueError: as for gather(), or a tile of uint8 is to get noise.
        """
    def packed(self, slot: typing.SupportsInt | typing.SupportsIndex) -> None:
        """
        Waits until the slot's input is on its way: what is queued on `stream` from now on finds it there.
        
        Raises what went wrong in packing it; the slot is then free.
        """
    def unpack(self, slot: typing.SupportsInt | typing.SupportsIndex, crop: Box, picture: numpy.ndarray, y: typing.SupportsInt | typing.SupportsIndex, x: typing.SupportsInt | typing.SupportsIndex) -> int:
        """
        Queues the copy from the device and scatter() of the slot's output, and returns a ticket; the slot is
        free once that is done.
        """
    def wait(self, ticket: typing.SupportsInt | typing.SupportsIndex) -> list[int]:
        """
        Waits until all unpacks up to and including the ticket are done.
        
        Returns the tickets of those that held values that are not finite, each once. Raises what went wrong.
        """
    @property
    def engine_seconds(self) -> float:
        """
        How long the unpacked tiles took from packed() to unpack(), on the device's clock.
        """
    @property
    def stream(self) -> int:
        """
        The CUDA stream of the engine's work, the device's; 0 on the host.
        """
class CompositionSettings:
    """
    How a picture is composed: see csrc/settings.h.
    """
    def __init__(self) -> None:
        ...
    @property
    def completeness(self) -> int:
        ...
    @completeness.setter
    def completeness(self, arg0: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    @property
    def exhaustive(self) -> int:
        ...
    @exhaustive.setter
    def exhaustive(self, arg0: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    @property
    def first_rounds(self) -> int:
        ...
    @first_rounds.setter
    def first_rounds(self, arg0: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    @property
    def noise(self) -> int:
        ...
    @noise.setter
    def noise(self, arg0: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    @property
    def radius(self) -> int:
        ...
    @radius.setter
    def radius(self, arg0: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    @property
    def rounds(self) -> int:
        ...
    @rounds.setter
    def rounds(self, arg0: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    @property
    def row(self) -> int:
        ...
    @row.setter
    def row(self, arg0: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    @property
    def start_noise(self) -> int:
        ...
    @start_noise.setter
    def start_noise(self, arg0: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    @property
    def tries(self) -> int:
        ...
    @tries.setter
    def tries(self, arg0: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
class Composition:
    """
    A picture composed of a photograph's patches.
    """
    def __init__(self, photograph: numpy.ndarray, levels: collections.abc.Sequence[tuple[tuple[typing.SupportsInt | typing.SupportsIndex, typing.SupportsInt | typing.SupportsIndex], tuple[typing.SupportsInt | typing.SupportsIndex, typing.SupportsInt | typing.SupportsIndex]]], *, start: numpy.ndarray | None = None, wrap: tuple[bool, bool] = (False, False), seed: typing.SupportsInt | typing.SupportsIndex = 0, settings: CompositionSettings | None = None, threads: typing.SupportsInt | typing.SupportsIndex = 0, report: typing.Any = None) -> None:
        ...
    @property
    def copied(self) -> float:
        ...
    @property
    def picture(self) -> numpy.ndarray:
        ...
class DetailSettings:
    """
    How detail is searched for: see csrc/settings.h for what each number is for.
    """
    def __init__(self) -> None:
        ...
    @property
    def coarse_tries(self) -> int:
        ...
    @coarse_tries.setter
    def coarse_tries(self, arg0: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    @property
    def echo(self) -> int:
        ...
    @echo.setter
    def echo(self, arg0: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    @property
    def echo_radius(self) -> int:
        ...
    @echo_radius.setter
    def echo_radius(self, arg0: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    @property
    def incoherence(self) -> int:
        ...
    @incoherence.setter
    def incoherence(self, arg0: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    @property
    def iterations(self) -> int:
        ...
    @iterations.setter
    def iterations(self, arg0: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    @property
    def known_rounds(self) -> int:
        ...
    @known_rounds.setter
    def known_rounds(self, arg0: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    @property
    def known_seams(self) -> int:
        ...
    @known_seams.setter
    def known_seams(self, arg0: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    @property
    def last_tries(self) -> int:
        ...
    @last_tries.setter
    def last_tries(self, arg0: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    @property
    def limit(self) -> int:
        ...
    @limit.setter
    def limit(self, arg0: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    @property
    def overuse(self) -> int:
        ...
    @overuse.setter
    def overuse(self, arg0: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    @property
    def part(self) -> int:
        ...
    @part.setter
    def part(self, arg0: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    @property
    def radius(self) -> int:
        ...
    @radius.setter
    def radius(self, arg0: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    @property
    def rounds(self) -> int:
        ...
    @rounds.setter
    def rounds(self, arg0: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    @property
    def row(self) -> int:
        ...
    @row.setter
    def row(self, arg0: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    @property
    def row_slack(self) -> int:
        ...
    @row_slack.setter
    def row_slack(self, arg0: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    @property
    def seam(self) -> int:
        ...
    @seam.setter
    def seam(self, arg0: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    @property
    def tone_anchor(self) -> int:
        ...
    @tone_anchor.setter
    def tone_anchor(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    @property
    def tone_iterations(self) -> int:
        ...
    @tone_iterations.setter
    def tone_iterations(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    @property
    def tone_like(self) -> int:
        ...
    @tone_like.setter
    def tone_like(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    @property
    def tone_unlike(self) -> int:
        ...
    @tone_unlike.setter
    def tone_unlike(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    @property
    def tries(self) -> int:
        ...
    @tries.setter
    def tries(self, arg0: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
class PhotographLevels:
    """
    A photograph at all its levels, ready to be searched and gathered from.
    
    levels: uint8 (H, W, 3), coarsest first, each twice as high and wide as the one before. searched: how many
    of them, from the first on, a field is searched at. threads: 0 for all the machine has. ValueError: they are something else, or a side is
    shorter than a patch, 8 pixels.
    """
    def __init__(self, levels: collections.abc.Sequence[numpy.ndarray], searched: typing.SupportsInt | typing.SupportsIndex, threads: typing.SupportsInt | typing.SupportsIndex = 0) -> None:
        ...
    @property
    def bytes(self) -> int:
        """
        Memory that it takes, about.
        """
    @property
    def count(self) -> int:
        ...
    @property
    def searched(self) -> int:
        ...
class Detail:
    """
    A picture whose detail is the photograph's own: parts of its levels are gathered.
    
    structure: uint16 (h, w, 3), the picture at its coarsest level. sizes: (height, width) of every
    level, coarsest first, each half the next one, rounded up. report: called with the share of the
    search that is done; what it raises ends it. threads: 0 for all the machine has.
    ValueError, TypeError: these do not belong together.
    """
    @staticmethod
    def restored(photograph: PhotographLevels, sizes: collections.abc.Sequence[tuple[typing.SupportsInt | typing.SupportsIndex, typing.SupportsInt | typing.SupportsIndex]], *, picture: numpy.ndarray, field: numpy.ndarray, tone: numpy.ndarray, settings: DetailSettings | None = None, wrap: tuple[bool, bool] = (False, False)) -> Detail:
        """
        The picture that another process has found, as its `state()` says; the arrays are copied.
        
        ValueError: they do not belong together, or hold what no search finds.
        """
    def __init__(self, photograph: PhotographLevels, structure: Composition | numpy.ndarray, sizes: collections.abc.Sequence[tuple[typing.SupportsInt | typing.SupportsIndex, typing.SupportsInt | typing.SupportsIndex]], seed: typing.SupportsInt | typing.SupportsIndex = 0, settings: DetailSettings | None = None, threads: typing.SupportsInt | typing.SupportsIndex = 0, report: typing.Any = None, wrap: tuple[bool, bool] = (False, False)) -> None:
        ...
    def gather(self, level: typing.SupportsInt | typing.SupportsIndex, box: Box, out: numpy.ndarray, threads: typing.SupportsInt | typing.SupportsIndex = 0) -> None:
        """
        Writes a box of a level, in its pixels, to `out`, uint8 or uint16 (h, w, 3).
        
        Every pixel depends on its place alone, not on the box. ValueError: level, box or out do not fit.
        """
    def sources(self, level: typing.SupportsInt | typing.SupportsIndex, box: Box) -> numpy.typing.NDArray[numpy.int32]:
        """
        From where in the photograph's level each pixel mainly comes: int32 (h, w, 2), (y, x).
        """
    def state(self) -> dict[str, numpy.ndarray]:
        """
        What has been found of the whole picture, for `restored`: views of the last searched level's picture and
        tone, '<i2' (3, h, w), and of its field, '<i4' (rows, columns, 2).
        """
    @property
    def base(self) -> int:
        """
        The coarsest level that can be gathered.
        """
    @property
    def bytes(self) -> int:
        """
        Memory that it takes beside the photograph's levels.
        """
    @property
    def levels(self) -> int:
        ...
def gather(picture: numpy.ndarray, window: Box, origin: tuple[typing.SupportsInt | typing.SupportsIndex, typing.SupportsInt | typing.SupportsIndex] = (0, 0), extent: tuple[typing.SupportsInt | typing.SupportsIndex, typing.SupportsInt | typing.SupportsIndex] | None = None, seed: typing.SupportsInt | typing.SupportsIndex = 0, stream: typing.SupportsInt | typing.SupportsIndex = 0, deviation: typing.SupportsFloat | typing.SupportsIndex = 0.0, out: numpy.ndarray | None = None, threads: typing.SupportsInt | typing.SupportsIndex = 0) -> numpy.typing.NDArray[numpy.float32]:
    """
    Reads a window of a picture as a float32 tile (C, h, w) with values in [0, 1], plus normal noise.
    
    picture: (H, W, C) uint8, uint16, float16 or float32 with contiguous pixels in a row; it holds the part
    that begins at origin (y, x) of a whole picture of extent (height, width), None for one that ends where
    the part does.
    window: in coordinates of the whole picture; what lies beyond its border repeats the border's pixels.
    Noise is not repeated: it is addressed by each pixel's own position, which may be negative.
    out: the array to write, made when not given. threads: 0 for all the machine has.
    TypeError, ValueError: an array has another dtype, shape or layout, the window is empty or leaves
    [-2**31, 2**31), or it shows pixels of the whole picture that the array does not hold.
    """
def halved(picture: numpy.ndarray, threads: typing.SupportsInt | typing.SupportsIndex = 1) -> numpy.ndarray:
    """
    Rounded means of 2 x 2 pixels of the picture (H, W, C), uint8 or uint16; rows and columns at odd ends count
    twice. threads: 0 for all the machine has. TypeError, ValueError: it is something else.
    """
def normal(channels: typing.SupportsInt | typing.SupportsIndex, height: typing.SupportsInt | typing.SupportsIndex, width: typing.SupportsInt | typing.SupportsIndex, seed: typing.SupportsInt | typing.SupportsIndex, stream: typing.SupportsInt | typing.SupportsIndex, y: typing.SupportsInt | typing.SupportsIndex = 0, x: typing.SupportsInt | typing.SupportsIndex = 0, deviation: typing.SupportsFloat | typing.SupportsIndex = 1.0) -> numpy.typing.NDArray[numpy.float32]:
    """
    Normal noise, float32 (channels, height, width), at rows y.. and columns x.. of an endless plane.
    
    Every value depends on (seed, stream, channel, row, column) alone and is the same on every machine.
    Positions may be negative. ValueError: a size is negative or the region leaves [-2**31, 2**31).
    """
def philox4x32(counter: typing.Annotated[collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex], "FixedSize(4)"], key: typing.Annotated[collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex], "FixedSize(2)"]) -> typing.Annotated[list[int], "FixedSize(4)"]:
    """
    The four 32-bit words of Philox 4x32-10 for a counter of four and a key of two 32-bit words.
    """
def plan_grid(height: typing.SupportsInt | typing.SupportsIndex, width: typing.SupportsInt | typing.SupportsIndex, halo: typing.SupportsInt | typing.SupportsIndex, budget: typing.SupportsInt | typing.SupportsIndex, *, pixel_bytes: typing.SupportsInt | typing.SupportsIndex = 1, row_bytes: typing.SupportsInt | typing.SupportsIndex = 0, max_pixels: typing.SupportsInt | typing.SupportsIndex | None = None, max_side: typing.SupportsInt | typing.SupportsIndex | None = None, alignment: typing.SupportsInt | typing.SupportsIndex = 1, least_rows: typing.SupportsInt | typing.SupportsIndex = 1, window: tuple[typing.SupportsInt | typing.SupportsIndex, typing.SupportsInt | typing.SupportsIndex] | None = None) -> Grid:
    """
    The grid of least total window area that these rules allow; among equals the one with fewer tiles, then
    with fewer columns.
    
    budget: not passed by window_height * (window_width * pixel_bytes + row_bytes). row_bytes is what a row
    of a band, as wide as the picture, takes in memory: it lets wide low windows win in wide pictures.
    max_pixels, max_side: the largest area and the longest side of a window, if there is a limit.
    alignment: the sides of a window are multiples of it.
    least_rows: of tiles, where the picture has as many rows of pixels.
    window: (height, width) of the only window of an engine of fixed shape, whatever the alignment.
    BudgetError: no window is allowed; the message says what budget or max_pixels would do, or how large a
    fixed window must be. ValueError: a number is out of its range.
    """
def resample(picture: numpy.ndarray, height: typing.SupportsInt | typing.SupportsIndex, width: typing.SupportsInt | typing.SupportsIndex, threads: typing.SupportsInt | typing.SupportsIndex = 0) -> numpy.ndarray:
    """
    The picture (H, W, C), uint8 or uint16, resized to (height, width, C) of the same type.
    
    By Catmull-Rom's cubic, widened where the picture is reduced, in fixed point: the same bytes everywhere.
    threads: 0 for all the machine has. TypeError, ValueError: picture or size is something else.
    """
def scatter(tile: numpy.ndarray, crop: Box, picture: numpy.ndarray, y: typing.SupportsInt | typing.SupportsIndex, x: typing.SupportsInt | typing.SupportsIndex, threads: typing.SupportsInt | typing.SupportsIndex = 0) -> int:
    """
    Writes a part of a float32 tile (C, h, w), clipped to [0, 1], into a picture (H, W, C) at (y, x).
    
    Integers are rounded half to even; what falls beyond the right and bottom edge is left out.
    Returns how many of the values written were not finite.
    TypeError, ValueError: an array has another dtype, shape or layout, or the crop is not inside the tile.
    """
