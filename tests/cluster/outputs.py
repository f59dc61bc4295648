"""Outputs for tests, which fail on workers in one way or another."""

import os
import signal
from collections.abc import Iterator

from ourgan_sdk import OutputError
from ourgan_sdk.arrays import Picture
from ourgan_sdk.cluster.outputs import DeepZoom
from ourgan_sdk.cluster.pyramid import Block

TESTS = os.getpid()


class Small(DeepZoom):
    """In blocks of a tile, so that a small picture has many of them."""

    SIDE = 512


class Deadly(Small):
    """Whose workers die."""

    def files(self, name: str, block: Block, pixels: Picture) -> Iterator[tuple[str, bytes]]:
        os.kill(os.getpid(), signal.SIGKILL)
        return super().files(name, block, pixels)


class Hungry(Small):
    """For which there is no memory."""

    def files(self, *_: object) -> Iterator[tuple[str, bytes]]:
        raise MemoryError("nothing left")


class Full(Small):
    """For which there is no room on the disk."""

    def files(self, *_: object) -> Iterator[tuple[str, bytes]]:
        raise OSError(28, "No space left on device")


class Wrong(Small):
    """Which has an error of its own."""

    def files(self, *_: object) -> Iterator[tuple[str, bytes]]:
        raise KeyError("no such thing")


class Lacking(Small):
    """Which no worker can encode."""

    @staticmethod
    def check() -> None:
        raise OutputError("libvips is not installed")
