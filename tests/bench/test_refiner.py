"""What bench.refiner measures, keeps and calls a win."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bench.refiner import TASKS, Case, Plan, busiest, how_bad, kept_run, score, verdict
from bench.refining import Subject, by_bicubic, by_passes, by_refiner, measure_part
from trainers.networks import ResidualNet
from trainers.networks.refiner import Refiner
from trainers.photo import Photo
from trainers.presets import DRAFT
from trainers.upscalers.refiner import RefinerConfig

pytestmark = pytest.mark.usefixtures("one_thread")

Row = dict[str, float]


def case_of(folder: Path, config: RefinerConfig) -> Case:
    path = folder / "photo.png"
    if not path.exists():
        Image.fromarray(some_pixels()).save(path)
    return Case(path, Plan(config, DRAFT.upscaler, 512, TASKS, (2.0,), folder))


def some_pixels(height: int = 96, width: int = 160) -> np.ndarray:
    """Bright sky above dark ground, with blocks of noise."""
    random = np.random.default_rng(0)
    picture = np.linspace(220, 40, height)[:, None, None] + np.zeros((1, width, 3))
    blocks = random.uniform(-60, 60, (height // 8, width // 8, 3)).repeat(8, 0).repeat(8, 1)
    fine = random.uniform(-30, 30, (height, width, 1))
    return (picture + blocks + fine).clip(0, 255).astype(np.uint8)


def test_contenders_meet_any_factor() -> None:
    """Untrained, passes and the refiner interpolate; a factor of 6 takes two passes."""
    low = torch.rand(1, 3, 20, 24)
    calls = []
    network = ResidualNet(8, 1).eval()

    def upscale(picture: torch.Tensor) -> torch.Tensor:
        calls.append(tuple(picture.shape[2:]))
        return network(picture)  # type: ignore[no-any-return]

    for factor, passes in ((2, [(20, 24)]), (4, [(20, 24)]), (6, [(20, 24), (80, 96)])):
        size = factor * 20, factor * 24
        calls.clear()
        made = by_passes(upscale)(low, *size)
        assert calls == passes
        assert made.shape == (1, 3, *size)
        assert (made - by_bicubic(low, *size)).abs().mean() < 0.1
        assert torch.allclose(by_refiner(Refiner(8, 1).eval())(low, *size), by_bicubic(low, *size), atol=1e-6)


def test_a_photograph_is_measured_on_all_tasks() -> None:
    pixels = torch.from_numpy(some_pixels()).permute(2, 0, 1)
    subject = Subject(Photo(pixels, ""), 160, 1 / 2, None)
    assert subject.part.shape == (1, 3, 96, 72)
    assert torch.equal((subject.part[0] * 255).round().byte(), pixels[:, :96, 88:])
    numbers, picture = subject.held_out(2, lambda *_: subject.part)
    assert numbers["psnr"] == 100
    assert numbers["swd"] == 0
    assert numbers["amplitude_2_4px"] == pytest.approx(1)
    blurred, _ = subject.held_out(2, by_bicubic)
    detail, shown = subject.held_out(2, None)
    assert shown.shape == picture.shape
    assert blurred["psnr"] > detail["psnr"] > 5
    assert blurred["amplitude_2_4px"] < 0.7 < detail["amplitude_2_4px"]
    back = subject.reduced(2, by_bicubic)
    new, canvas = subject.new(2, by_bicubic), subject.new(2, None)
    assert back["swd_full_level_0"] > 2 * canvas["swd_full_level_0"]
    assert new["source_largest"] == canvas["source_largest"]
    assert new["amplitude_2_4px"] < 0.7 < canvas["amplitude_2_4px"]


def test_measurements_are_known_by_what_made_them(tmp_path: Path) -> None:
    """A refiner trained otherwise has another key, and another run; the canvas is one at every factor."""
    usual = RefinerConfig()
    one, same, other = (case_of(tmp_path, config) for config in (usual, usual, replace(usual, steps=3)))
    key = ("new", 2.0, "refiner")
    assert one.key(*key) == same.key(*key) != other.key(*key)
    assert one.key("new", 2.0, "passes") == other.key("new", 2.0, "passes")
    assert one.key("new", 2.0, "detail") == one.key("reduced", 3.0, "detail")
    assert one.key("held out", 2.0, "detail") != one.key("held out", 3.0, "detail")
    first = kept_run(tmp_path, "photo", {"steps": 1})
    assert kept_run(tmp_path, "photo", {"steps": 1}).directory == first.directory
    assert kept_run(tmp_path, "photo", {"steps": 2}).directory != first.directory


def test_what_is_won() -> None:
    def rows(**swd: float) -> dict[tuple[str, float, str], Row]:
        return {("new", 2.0, name): {"swd_full": value, "amplitude_2_4px": 1} for name, value in swd.items()}

    better = rows(bicubic=1, passes=5, refiner=2, detail=3)
    worse = rows(bicubic=9, passes=5, refiner=4, detail=3)
    assert score([better, worse], "new", 2.0, "swd_full") == (1, 1, 2)
    assert score([better, better, worse], "new", 2.0, "swd_full") == (2, 1, 3)
    assert score([better], "new", 2.0, "psnr") == (0, 0, 0)
    told = [*verdict((2.0,), [], tasks=("new",))]
    assert told[-1] == "- nothing"
    told = [*verdict((2.0,), [better, better, worse], tasks=("new",))]
    assert told[1:] == ["- new, x2, swd_full: 2 of 3; better than bicubic enlargement: 1"]


def test_what_is_better() -> None:
    assert how_bad("psnr", 30) < how_bad("psnr", 20)
    assert how_bad("lpips", 0.1) < how_bad("lpips", 0.2)
    assert how_bad("amplitude_2_4px", 0.9) == pytest.approx(how_bad("amplitude_2_4px", 1 / 0.9))
    assert how_bad("amplitude_2_4px", 1) == 0
    assert how_bad("border_busy_stands_out_95", -1.0) == how_bad("border_busy_stands_out_95", 0.0) == 0
    assert how_bad("border_busy_stands_out_95", 2.0) == 2


def test_parts_of_a_picture() -> None:
    part = torch.zeros(3, 400, 400)
    part[:, 300:380, 200:300] = torch.rand(3, 80, 100)
    y, x = busiest(part)
    assert y + 168 > 300
    assert x <= 200 < 300 <= x + 168
    assert measure_part(part, part, None)["ssim"] == pytest.approx(1)
