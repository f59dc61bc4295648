"""What bench.quality keeps from one call to the next, and what it shows."""

from pathlib import Path

import numpy as np
import pytest

from bench.crops import place
from bench.quality import Results, Subject, row, spread
from trainers.metrics.full_resolution import Numbers


def never() -> Numbers:
    raise AssertionError("measured again")


@pytest.fixture
def subject(tmp_path: Path) -> Subject:
    for name in ("bundle", "photo"):
        (tmp_path / name).write_text(name)
    return Subject(tmp_path / "bundle", tmp_path / "photo", "photograph", "auto")


def test_what_is_in_the_file_is_not_measured_again(subject: Subject, tmp_path: Path) -> None:
    """And what was cut off is, without harm to what follows."""
    path, keys = tmp_path / "results.jsonl", [subject.key((8, 4), seed) for seed in range(3)]
    results = Results(path)
    for seed in range(2):
        results.get(keys[seed], lambda seed=seed: {"one": float(seed)}, "name")  # type: ignore[misc]
    path.write_text(path.read_text()[:-2])
    again = Results(path)
    assert again.get(keys[0], never, "name") == {"one": 0}
    assert again.get(keys[1], lambda: {"one": 10.0}, "name") == {"one": 10}
    assert again.get(keys[2], lambda: {"one": 20.0}, "name") == {"one": 20}
    third = Results(path)
    assert [third.get(key, never, "name")["one"] for key in keys] == [0, 10, 20]


def test_another_picture_has_another_key(subject: Subject) -> None:
    network = Subject(subject.bundle, subject.photo, "network", "auto")
    openvino = Subject(subject.bundle, subject.photo, "network", "openvino")
    keys = {one.key((8, 4), 0) for one in (subject, network, openvino)}
    keys |= {subject.key((8, 5), 0), subject.key((8, 4), 1)}
    subject.bundle.write_text("another")
    assert len(keys | {subject.key((8, 4), 0)}) == 6
    assert subject.key((8, 4), "mirror") == network.key((8, 4), "mirror")


def test_rows_and_ranges() -> None:
    numbers = [{"swd_full_level_0": 2.0, "swd_full": 3.0, "amplitude_2_4px": value} for value in (0.5, 1.0)]
    assert spread(numbers, "amplitude_2_4px", 2) == "0.50 / 0.75 / 1.00"
    assert spread(numbers, "source_largest", 2) == "-"
    shown = row("name", numbers, {"swd_full_level_0": 4.0, "swd_full": 1.0})
    assert shown.startswith("| name | 0.500 / 0.750 / 1.000 | - |")
    assert "| 0.50 / 0.50 / 0.50 | 3.00 / 3.00 / 3.00 |" in shown


def test_the_busiest_place_is_found() -> None:
    reduced = np.full((64, 96, 3), 100, np.uint8)
    reduced[32:48, 64:80] = np.random.default_rng(0).integers(0, 255, (16, 16, 1))
    assert place(reduced, 16, 100) == (4 * 32, 4 * 64)
    assert place(reduced, 16, 10) != (4 * 32, 4 * 64)
