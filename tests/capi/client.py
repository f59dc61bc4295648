"""libourgan through ctypes, as a C program would call it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

RGB8, RGB16, RGBA8, RGBA16 = range(4)
AXES = {None: 0, "y": 1, "x": 2, "both": 3}
PROGRESS = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_double, ctypes.c_void_p)


class SourceOptions(ctypes.Structure):
    _fields_ = (
        ("struct_size", ctypes.c_size_t),
        ("memory_limit", ctypes.c_uint64),
        ("threads", ctypes.c_int32),
        ("reserved", ctypes.c_int32),
    )


class CanvasOptions(ctypes.Structure):
    _fields_ = (
        ("struct_size", ctypes.c_size_t),
        ("width", ctypes.c_int64),
        ("height", ctypes.c_int64),
        ("seed", ctypes.c_uint64),
        ("extent", ctypes.c_double),
        ("variety", ctypes.c_double),
        ("vertical", ctypes.c_double),
        ("tileable", ctypes.c_int32),
        ("symmetric", ctypes.c_int32),
        ("retarget", ctypes.c_int32),
        ("reserved", ctypes.c_int32),
    )


class Region(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_int64) for name in ("y0", "x0", "y1", "x1"))


class CError(Exception):
    """What a call returned: `name`, as the status is called, and the last error's text."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(f"{name}: {text}")
        self.name = name


def told_by(progress: Callable[[float], int] | None) -> Any:
    """A function for the library that calls ``progress``, or none."""
    if progress is None:
        return ctypes.cast(None, PROGRESS)
    return PROGRESS(lambda share, _user: progress(share))


class Library:
    """The functions of the library at `path`."""

    def __init__(self, path: Path) -> None:
        self.c = ctypes.CDLL(str(path))
        for name in ("ourgan_version", "ourgan_last_error", "ourgan_status_name"):
            getattr(self.c, name).restype = ctypes.c_char_p

    def check(self, status: int) -> None:
        if status:
            assert self.c.ourgan_last_status() == status
            raise CError(self.c.ourgan_status_name(status).decode(), self.c.ourgan_last_error().decode())

    @contextmanager
    def source(self, where: Path | bytes, *, memory_limit: int = 0, threads: int = 1) -> Iterator[Source]:
        options, handle = SourceOptions(), ctypes.c_void_p()
        size = ctypes.c_size_t(ctypes.sizeof(options))
        self.c.ourgan_source_options_init_sized(ctypes.byref(options), size)
        options.memory_limit, options.threads = memory_limit, threads
        if isinstance(where, bytes):
            arguments: tuple[Any, ...] = where, ctypes.c_size_t(len(where)), b"picture"
            opened = self.c.ourgan_open_memory(*arguments, ctypes.byref(options), ctypes.byref(handle))
        else:
            opened = self.c.ourgan_open(str(where).encode(), ctypes.byref(options), ctypes.byref(handle))
        self.check(opened)
        try:
            yield Source(self, handle)
        finally:
            self.c.ourgan_source_free(handle)


class Source:
    """An opened bundle or photograph."""

    def __init__(self, library: Library, handle: ctypes.c_void_p) -> None:
        self._library = library
        self._handle = handle

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)"""
        width, height = ctypes.c_int64(), ctypes.c_int64()
        c = self._library.c
        self._library.check(c.ourgan_source_size(self._handle, ctypes.byref(width), ctypes.byref(height)))
        return width.value, height.value

    @contextmanager
    def canvas(self, width: int, height: int, seed: int = 0, **asked: Any) -> Iterator[Canvas]:
        options, handle, c = CanvasOptions(), ctypes.c_void_p(), self._library.c
        c.ourgan_canvas_options_init_sized(ctypes.byref(options), ctypes.c_size_t(ctypes.sizeof(options)))
        options.width, options.height, options.seed = width, height, seed
        for name, value in asked.items():
            if name in ("tileable", "symmetric"):
                setattr(options, name, AXES[value])
            elif value is not None:
                setattr(options, name, value)
        self._library.check(c.ourgan_canvas_new(self._handle, ctypes.byref(options), ctypes.byref(handle)))
        try:
            yield Canvas(self._library, handle)
        finally:
            c.ourgan_canvas_free(handle)


class Canvas:
    """One picture."""

    def __init__(self, library: Library, handle: ctypes.c_void_p) -> None:
        self._library = library
        self._handle = handle

    def number(self, name: str, kind: Any) -> Any:
        """What the function of that name tells."""
        value = kind()
        function = getattr(self._library.c, f"ourgan_canvas_{name}")
        self._library.check(function(self._handle, ctypes.byref(value)))
        return value.value

    def level_sizes(self) -> list[tuple[int, int]]:
        """(height, width)"""
        sizes = []
        for level in range(self.number("levels", ctypes.c_int32)):
            width, height = ctypes.c_int64(), ctypes.c_int64()
            self._library.check(
                self._library.c.ourgan_canvas_level_size(
                    self._handle, level, ctypes.byref(width), ctypes.byref(height)
                )
            )
            sizes.append((height.value, width.value))
        return sizes

    def prepare(self, progress: Callable[[float], int] | None = None) -> None:
        self._library.check(
            self._library.c.ourgan_canvas_prepare(self._handle, None, told_by(progress), None)
        )

    def read(
        self,
        level: int,
        region: tuple[int, int, int, int],
        kind: int = RGB8,
        *,
        out: npt.NDArray[Any] | None = None,
        progress: Callable[[float], int] | None = None,
    ) -> npt.NDArray[Any]:
        """The pixels of (y0, x0, y1, x1), written into `out`, whose rows may lie anywhere."""
        y0, x0, y1, x1 = region
        if out is None:
            shape = max(y1 - y0, 0), max(x1 - x0, 0), 4 if kind >= RGBA8 else 3
            out = np.full(shape, 77, np.uint16 if kind % 2 else np.uint8)
        self._library.check(
            self._library.c.ourgan_canvas_read(
                self._handle,
                level,
                Region(*region),
                kind,
                ctypes.c_void_p(out.ctypes.data),
                ctypes.c_ssize_t(out.strides[0]),
                None,
                told_by(progress),
                None,
            )
        )
        return out
