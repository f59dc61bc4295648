"""A cluster on this machine: two processes of one thread each, for all tests of this folder."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ourgan_sdk import Canvas, Synthesizer
from ourgan_sdk.cluster import local_workers
from tests.coordinates.tiny import write_coordinates

pytest.importorskip("distributed")


@pytest.fixture(scope="session")
def client() -> Iterator[Any]:
    with local_workers(2, threads=2) as client:
        yield client


@pytest.fixture(scope="session")
def photographed(photograph_path: Path) -> Canvas:
    """Detail of the photograph, its field known: 700 x 1000 (h x w)."""
    canvas = Synthesizer(photograph_path, threads=2).canvas(1000, 700, seed=3)
    canvas.find_base()
    return canvas


@pytest.fixture(scope="session")
def enlarged(bundle_path: Path) -> Canvas:
    """Made by networks from a structure, in several tiles: 500 x 800 (h x w)."""
    return Synthesizer(bundle_path, memory_limit="4MiB", threads=2).canvas(800, 500, seed=3)


@pytest.fixture(scope="session")
def of_coordinates(tmp_path_factory: pytest.TempPathFactory) -> Canvas:
    """Made by a network of coordinates, in several tiles: 500 x 800 (h x w)."""
    path = write_coordinates(tmp_path_factory.mktemp("coordinates") / "folder.ourgan")
    return Synthesizer(path, memory_limit="8MiB", threads=2).canvas(800, 500, seed=3)
