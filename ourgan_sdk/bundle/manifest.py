"""What a bundle says about itself, the records of its `manifest.json`, and the limits of what it may hold."""

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from .._version import __version__
from ..errors import BundleError
from ..sizes import LARGEST_SIDE, patches_size

__all__ = [
    "LARGEST_MANIFEST",
    "LARGEST_MEMBER",
    "MANIFEST",
    "MEMBER_NAME",
    "MOST_MEMBERS",
    "SCHEMA_VERSION",
    "Checkpoint",
    "Coordinates",
    "EngineRecord",
    "Erf",
    "FileEntry",
    "Manifest",
    "Photo",
    "Pictures",
    "Scale",
    "SeamError",
    "Structure",
    "Training",
    "Upscaler",
    "Window",
    "check_networks",
    "first_problem",
    "parse_manifest",
]

SCHEMA_VERSION: Final = 7
"""The latest. Bundles are written in the first version that has what they hold: 2 with engines, 3 with the
photograph, 4 without a structure network, 5 where training names a teacher or what pass 2's own network was
started from, 6 where the structure can start from a picture or takes noise around it, 7 where it is of
coordinates, 1 otherwise; earlier releases read those as well."""
PHOTOGRAPH_VERSION = 3
STRUCTURELESS_VERSION = 4
COORDINATES_VERSION = 7
NEW_IN: Final = {
    5: ("training", ("init_second", "teacher")),
    6: ("structure", ("margin", "starts", "reconstruction")),
}
"""The fields of a record that a schema version has first, where they are not at their defaults."""
MANIFEST = "manifest.json"
LARGEST_MANIFEST = 1 << 20
LARGEST_MEMBER = (
    2_000_000_000  # ZIP notes larger sizes elsewhere, and ONNX, being protobuf, ends there as well
)
MOST_MEMBERS = 256
MOST_SCALES = 255  # each draws its noise from a stream of its own; those from 256 on belong to the passes
MOST_NOISE = 1 << 28  # a gigabyte of float32
MOST_CELL_BYTES = 1 << 30  # of a window: more is nothing that grids are planned with
BESIDE_ACTIVATIONS = 20  # bytes per pixel, at most: what it becomes, and a cell's two coordinates
MEMBER_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")

Count = Annotated[int, Field(ge=0)]
Side = Annotated[int, Field(ge=1, le=LARGEST_SIDE)]
Deviation = Annotated[float, Field(ge=0, le=1e6)]
NonNegative = Annotated[float, Field(ge=0)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Photo(_Record):
    """The photograph that a bundle learned; `file` is the member that holds its pixels, None if none does."""

    width: Side
    height: Side
    sha256: Sha256  # of the file that was learned; a member may be encoded anew
    file: str | None = None


class Checkpoint(_Record):
    """A file of pre-trained weights."""

    file: str
    sha256: Sha256


class Training(_Record):
    """How the networks were trained; for people to read, no render depends on it."""

    preset: str
    seed: Annotated[int, Field(ge=0, lt=1 << 64)]
    structure_steps: list[Count]
    upscaler_steps: Count  # of all upscalers together
    seconds: NonNegative
    perceptual: str | None
    held_out: Annotated[float, Field(ge=0, lt=1)] = 0.0  # share of the photograph's width, at its right
    init: Checkpoint | None = None  # what the upscaler of later passes was started from
    init_first: Checkpoint | None = None  # and that of pass 1, where it is not the trained later one
    init_second: Checkpoint | None = None  # and pass 2's own, where it is not the trained later one
    teacher: Checkpoint | None = None  # what the upscaler of later passes has learned from


class Scale(_Record):
    """One level of the structure pyramid: its size in training and the noise it takes."""

    height: Side
    width: Side
    channels: Annotated[int, Field(ge=1, le=4096)]
    noise_deviation: Deviation


class Structure(_Record):
    """The network that makes a base picture from noise maps, coarsest scale first.

    Noise maps have `margin` pixels more than their scale on every side. With `starts`, every scale but the
    finest takes a picture and its share besides, in place of what the scales below make of noise.
    `reconstruction` is the member with scale 0's noise map, float32 (channels, height, width) in rows, least
    significant byte first, that makes the photograph, where all others are zero.
    """

    file: str
    scales: Annotated[list[Scale], Field(min_length=1, max_length=MOST_SCALES)]
    dtype: Literal["float32"] = "float32"
    margin: Annotated[int, Field(ge=0, le=64)] = 0
    starts: bool = False
    reconstruction: str | None = None

    @model_validator(mode="after")
    def _check_sizes(self) -> "Structure":
        """A render's noise has about as many values as the training's, so these bound its memory."""
        for one, following in pairwise(self.scales):
            if one.height > following.height or one.width > following.width:
                raise ValueError("scales: expected each to be at least as large as the one before")
        around = 2 * self.margin
        values = sum(one.channels * (one.height + around) * (one.width + around) for one in self.scales)
        if values > MOST_NOISE:
            raise ValueError(f"scales: expected noise of at most {MOST_NOISE} values, got {values}")
        return self


class SeamError(_Record):
    """Tiled against whole output at the stored halo, in 8-bit levels.

    `share_different` is the share of values that are not the same level once both are rounded to 8 bits.
    """

    maximum: NonNegative
    p9999: NonNegative
    share_different: Annotated[float, Field(ge=0, le=1)]


class Erf(_Record):
    """A network's receptive field: radii in input pixels, as of halos.

    `radius_9545` and `radius_999` belong to the squares that hold 95.45 % and 99.9 % of the effective one's
    energy; `theoretical` is how far an input can lie and still matter, None where that is not known.
    """

    radius_9545: Count
    radius_999: Count
    theoretical: Count | None = None


class Upscaler(_Record):
    """A x4 network. `halo` is in input pixels, `bytes_per_pixel` peak activation memory per input pixel.

    Tiling depends on the halo alone; `seam_error` and `erf` say why it is what it is.
    """

    file: str
    scale: Literal[4] = 4
    dtype: Literal["float32"] = "float32"
    halo: Annotated[int, Field(ge=0, le=4096)]
    noise_deviation: Deviation
    bytes_per_pixel: Annotated[int, Field(ge=1, le=1 << 30)]
    seam_error: SeamError
    erf: Erf | None = None


class Pictures(_Record):
    """What the network of a folder has learned from.

    `sha256` is that of the files' SHA-256, sorted, one a line; `shortest` and `longest` are the shorter sides
    of the smallest and of the largest picture, in pixels.
    """

    count: Annotated[int, Field(ge=1)]
    sha256: Sha256
    shortest: Side
    longest: Side

    @model_validator(mode="after")
    def _check_sides(self) -> "Pictures":
        if self.shortest > self.longest:
            raise ValueError("shortest: expected it not to be more than longest")
        return self


class Coordinates(_Record):
    """The network that makes a picture of where its pixels lie, at any scale (Chai et al., ECCV 2022).

    `patch` and `largest` are the scales that it has seen, in pixels of the side of a picture's square. It is
    given cells, of `stride` x `stride` pixels each, in windows with `halo` cells more on every side;
    `bytes_per_pixel` is its peak activation memory per pixel of such a window.
    """

    file: str
    latent: Annotated[int, Field(ge=1, le=4096)]
    patch: Side
    largest: Side
    stride: Annotated[int, Field(ge=1, le=64)]
    halo: Annotated[int, Field(ge=0, le=4096)]
    bytes_per_pixel: Annotated[int, Field(ge=1, le=1 << 30)]
    seam_error: SeamError
    pictures: Pictures

    @model_validator(mode="after")
    def _check_scales(self) -> "Coordinates":
        if self.largest < self.patch:
            raise ValueError("largest: expected it not to be less than patch")
        return self

    @model_validator(mode="after")
    def _check_cells(self) -> "Coordinates":
        most = MOST_CELL_BYTES // self.stride**2 - BESIDE_ACTIVATIONS
        if self.bytes_per_pixel > most:
            raise ValueError(
                f"bytes_per_pixel: expected at most {most} for cells of {self.stride} x {self.stride} "
                f"pixels, got {self.bytes_per_pixel}"
            )
        return self


class Window(_Record):
    """The size of an engine's input."""

    height: Side
    width: Side


class EngineRecord(_Record):
    """An upscaler built for a runtime, of the tiles that `ourgan_sdk.engines.graphs.precision` describes.

    It belongs to the member `network` as long as that has the hash `network_sha256`, runs on the runtime's
    `version` alone, and on GPUs of the `compute_capabilities`, such as "8.6". `output` is the type of its
    pixels. It takes windows from `smallest_window` to `window`, which may be the same, and for the largest
    one `activation_bytes` of the GPU's memory for activations.
    """

    file: str
    network: str
    network_sha256: Sha256
    runtime: Literal["tensorrt", "tensorrt-rtx"]
    version: Annotated[str, Field(min_length=1)]
    precision: Literal["fp32", "fp16", "bf16"]
    output: Literal["uint8", "float16", "float32"]
    compute_capabilities: Annotated[
        list[Annotated[str, Field(pattern=r"^[0-9]{1,3}\.[0-9]$")]], Field(min_length=1)
    ]
    smallest_window: Window
    window: Window
    activation_bytes: Count

    @model_validator(mode="after")
    def _check_windows(self) -> "EngineRecord":
        small, large = self.smallest_window, self.window
        if small.height > large.height or small.width > large.width:
            raise ValueError("smallest_window: expected it not to be larger than window")
        return self

    @property
    def replaces(self) -> tuple[str, str, str, str]:
        """What a bundle holds one engine of."""
        return self.runtime, self.network, self.precision, self.output


class FileEntry(_Record):
    """Size in bytes and hash of one member."""

    size: Annotated[int, Field(ge=0, le=LARGEST_MEMBER)]
    sha256: Sha256


class Manifest(_Record):
    """What a bundle says about itself; `files` covers every member but the manifest, by `write_bundle`.

    `photo` is None exactly where the structure is of `coordinates`: those were learned from many pictures.
    """

    schema_version: Literal[1, 2, 3, 4, 5, 6, 7] = 1
    created_by: str = f"ourgan_sdk {__version__}"
    photo: Photo | None = None
    training: Training | None = None  # None where nothing was trained, as the structure is made of patches
    structure: Structure | None = None
    coordinates: Coordinates | None = None
    upscalers: list[Upscaler] = []  # at least one, or none beside coordinates
    engines: list[EngineRecord] = []
    files: Annotated[dict[str, FileEntry], Field(max_length=MOST_MEMBERS)] = {}

    @model_validator(mode="after")
    def _check_engines(self) -> "Manifest":
        if self.schema_version == 1 and self.engines:
            raise ValueError(f"engines: expected none in schema version 1, found {len(self.engines)}")
        named = [engine.file for engine in self.engines] + self.networks()
        if len(set(named)) < len(named):
            raise ValueError("engines: expected each in a member of its own")
        return self

    @model_validator(mode="after")
    def _check_coordinates(self) -> "Manifest":
        """Beside coordinates there is no photograph and no other network; of others there is an upscaler."""
        if self.coordinates is None:
            if self.photo is None:
                raise ValueError("photo: expected where there are no coordinates")
            if not self.upscalers:
                raise ValueError("upscalers: expected at least 1 where there are no coordinates")
        elif self.schema_version < COORDINATES_VERSION:
            raise ValueError(f"coordinates: expected none in schema version {self.schema_version}")
        elif self.photo is not None or self.structure is not None:
            raise ValueError("coordinates: expected neither a photo nor a structure beside them")
        elif self.upscalers:
            raise ValueError(
                f"upscalers: expected none beside coordinates, found {len(self.upscalers)}: their "
                "network makes pictures at any scale"
            )
        return self

    @model_validator(mode="after")
    def _check_photograph(self) -> "Manifest":
        file = self.photograph
        if file is not None and self.schema_version < PHOTOGRAPH_VERSION:
            raise ValueError(f"photo.file: expected none in schema version {self.schema_version}")
        if file is not None and file in {*self.networks(), *(engine.file for engine in self.engines)}:
            raise ValueError("photo.file: expected it in a member of its own")
        return self

    @model_validator(mode="after")
    def _check_structure(self) -> "Manifest":
        if self.schema_version < STRUCTURELESS_VERSION:
            for name in ("training", "structure"):
                if getattr(self, name) is None:
                    raise ValueError(f"{name}: expected in schema version {self.schema_version}")
        elif self.structure is None and self.photograph is None and self.coordinates is None:
            raise ValueError("expected a structure network, or a photograph to make structures of")
        return self

    @property
    def photograph(self) -> str | None:
        """The member that holds the photograph's pixels, None if none does."""
        return None if self.photo is None else self.photo.file

    @property
    def learned(self) -> str:
        """The SHA-256 of what was learned: the photograph's file, or that of `Pictures`."""
        if self.coordinates is not None:
            return self.coordinates.pictures.sha256
        assert self.photo is not None  # noqa: S101 - `_check_coordinates` says so
        return self.photo.sha256

    @property
    def base_size(self) -> tuple[int, int]:
        """(height, width) of a structure that shows one photograph: as trained, or as patches make it.

        Of coordinates, those of the square that phase 1 has seen.
        """
        if self.coordinates is not None:
            return self.coordinates.patch, self.coordinates.patch
        if self.structure is None:
            assert self.photo is not None  # noqa: S101 - `_check_coordinates` says so
            return patches_size(self.photo.height, self.photo.width)
        finest = self.structure.scales[-1]
        return finest.height, finest.width

    @property
    def natural_size(self) -> tuple[int, int]:
        """(height, width) of a picture where nobody says: the photograph's, or the largest scale learned."""
        if self.coordinates is not None:
            return self.coordinates.largest, self.coordinates.largest
        assert self.photo is not None  # noqa: S101 - `_check_coordinates` says so
        return self.photo.height, self.photo.width

    def without_photograph(self) -> "Manifest":
        """The same of a bundle that does not hold the photograph."""
        if self.photo is None:
            return self
        return self.model_copy(update={"photo": self.photo.model_copy(update={"file": None})})

    @model_validator(mode="after")
    def _check_reconstruction(self) -> "Manifest":
        file = None if self.structure is None else self.structure.reconstruction
        others = {*self.networks(), *(engine.file for engine in self.engines), self.photograph}
        if file is not None and file in others:
            raise ValueError("structure.reconstruction: expected it in a member of its own")
        return self

    def _says_what_is_new_in(self, version: int) -> bool:
        record, names = NEW_IN[version]
        return any(getattr(getattr(self, record), name, None) for name in names)

    @property
    def lowest_version(self) -> Literal[1, 2, 3, 4, 5, 6, 7]:
        """The first schema version that has all that this manifest says: earlier releases read it as well."""
        if self.coordinates is not None:
            return 7
        if self._says_what_is_new_in(6):
            return 6
        if self._says_what_is_new_in(5):
            return 5
        if self.structure is None or self.training is None:
            return 4
        return 3 if self.photograph is not None else 2 if self.engines else 1

    @model_validator(mode="after")
    def _check_names(self) -> "Manifest":
        for name in self.files:
            if not MEMBER_NAME.fullmatch(name) or name == MANIFEST:
                raise ValueError(f"{name!r} is not a name that a member may have")
        return self

    def networks(self) -> list[str]:
        """The members that hold networks, structure first."""
        structures = [one.file for one in (self.structure, self.coordinates) if one is not None]
        return list(dict.fromkeys([*structures, *(upscaler.file for upscaler in self.upscalers)]))

    def upscaler(self, index: int) -> Upscaler:
        """The upscaler of pass `index`, counted from 0; the last one serves all passes beyond it."""
        return self.upscalers[min(index, len(self.upscalers) - 1)]


def parse_manifest(path: Path, text: bytes) -> Manifest:
    """The manifest of the bundle `path`; raises BundleError if it is none, or of a future version."""
    where = f"{path}: {MANIFEST}"
    try:
        content: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{where}: is not JSON: {error}") from error
    version = content.get("schema_version") if isinstance(content, dict) else None
    # Asked before anything else, since a future version may differ in any other way.
    if type(version) is int and version > SCHEMA_VERSION:
        raise BundleError(
            f"{where}: has schema version {version}, by {content.get('created_by', 'a later release')!r}; "
            f"ourgan_sdk {__version__} reads 1 to {SCHEMA_VERSION}: upgrade ourgan-sdk"
        )
    if type(version) is not int or version < 1:
        raise BundleError(f"{where}: expected schema_version 1 to {SCHEMA_VERSION}, found {version!r}")
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        raise BundleError(f"{where}: {first_problem(error)}") from error


def first_problem(error: ValidationError) -> str:
    """Where a manifest is wrong, and what is."""
    problem = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, problem['loc'])) or 'manifest'}: {problem['msg']}"


def check_networks(path: Path, manifest: Manifest) -> None:
    """Raise BundleError if a member that the manifest of the bundle `path` names is not in it.

    That is a network, an engine, the photograph or what reconstructs it.
    """
    named = [("network", name) for name in manifest.networks()]
    if manifest.photograph is not None:
        named.append(("photograph", manifest.photograph))
    if manifest.structure is not None and manifest.structure.reconstruction is not None:
        named.append(("reconstruction", manifest.structure.reconstruction))
    for kind, name in (*named, *(("engine", engine.file) for engine in manifest.engines)):
        if name not in manifest.files:
            raise BundleError(f"{path}: the manifest names {kind} {name!r}, which is not among the members")
