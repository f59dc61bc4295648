from pathlib import Path

import pytest

from ourgan_sdk import Synthesizer
from tests.coordinates.tiny import write_coordinates


@pytest.fixture(scope="session")
def coordinates_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_coordinates(tmp_path_factory.mktemp("coordinates") / "folder.ourgan")


@pytest.fixture(scope="session")
def synthesizer(coordinates_path: Path) -> Synthesizer:
    return Synthesizer(coordinates_path)
