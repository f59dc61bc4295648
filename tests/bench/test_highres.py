"""High-Res-SinGAN's tables: fewer steps, and slices that are joined and mended."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from bench.highres import (
    DECAY,
    arithmetic,
    cross_weights,
    halvable,
    join,
    logged,
    main,
    parts_of,
    saved,
    seam,
    time_preset,
)
from tests.tiny import write_photo
from trainers.photo import Photo, load_photo
from trainers.presets import HIGHRES_STRUCTURE

pytestmark = pytest.mark.usefixtures("one_thread")

Run = Callable[..., list[str]]
LONG, SHORT = 40, 26


@pytest.fixture(scope="module")
def photo_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photo(tmp_path_factory.mktemp("photo") / "hills.png")


@pytest.fixture
def run(
    photo_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """The lines that are printed for a small structure of few layers."""

    def run(*arguments: object) -> list[str]:
        given = [photo_path, "--long-side", LONG, "--layers", 3, "--seeds", 1, "--samples", 2, "--detail", 2]
        given += ["--folder", tmp_path, "--threads", 1, *arguments]
        monkeypatch.setattr("sys.argv", ["highres", *map(str, given)])
        main()
        return capsys.readouterr().out.splitlines()

    return run


def test_tables_and_sheets(run: Run, tmp_path: Path) -> None:
    lines = run("--iterations", 10)
    decays, slicing = lines[: lines.index("")], lines[lines.index("") + 1 :]
    rows = [line.split() for line in decays[1:5]]
    assert [row[:2] for row in rows] == [["0.1", "0"], ["0", "0"], ["0.1", "median"], ["0", "median"]]
    assert [row[6:] for row in rows] == [["10", "9"], ["10", "10"]] * 2
    for row in rows:
        assert all(float(value) > 0 for value in row[2:6])
    assert decays[5].startswith("time saved: ")
    assert "of the steps 5%" in decays[5]
    assert f"{LONG} x {SHORT} px" in slicing[0]
    seams = {line[:32].strip(): line[32:].split() for line in slicing[2:9]}
    assert list(seams) == [
        *("first method", "joined", "mended at the cross", "mended everywhere"),
        *("by the base model at the cross", "by the base model everywhere", "photograph"),
    ]
    for name, (reconstruction, *rest) in seams.items():
        assert float(reconstruction) > 0
        if name != "photograph":
            least, middle, most = (float(value) for value in rest[::2][:3])
            assert 0 < least <= middle <= most
            assert float(rest[-1]) > 0
    assert slicing[9].startswith("slicing by the first method")
    detailed = [line.split() for line in slicing[12:15]]
    assert all(float(value) > 0 for line in detailed for value in line[-1::-2][:3])
    gap = 4
    for name, kinds, factor in (("slicing", 6, 1), ("slicing-detail", 3, 2)):
        with Image.open(tmp_path / f"hills-{name}.png") as sheet:
            columns, rows_ = (factor * side + gap for side in (LONG, SHORT))
            assert sheet.size == (3 * columns - gap, kinds * rows_ - gap)


def steps_of(path: Path) -> list[str]:
    """The lines of a log that steps have written, with their times."""
    return [line for line in path.read_text().splitlines() if "wasserstein" in line]


def test_runs_are_kept(run: Run, tmp_path: Path) -> None:
    first = run("--iterations", 2)
    kept = {path: steps_of(path) for path in tmp_path.glob("*/metrics.jsonl")}
    assert len(kept) == 2 + 4 + 1
    assert run("--iterations", 2) == first
    assert {path: steps_of(path) for path in kept} == kept
    with pytest.raises(SystemExit, match="trained otherwise"):
        run("--iterations", 3)


def test_sides_that_cannot_be_halved_or_seen_are_refused(run: Run) -> None:
    with pytest.raises(SystemExit):
        run("--long-side", 41)
    with pytest.raises(SystemExit, match="fewer --layers"):
        run("--layers", 10)


@pytest.mark.parametrize("size", [(200, 300), (301, 200), (333, 499), (250, 250), (100, 301)])
@pytest.mark.parametrize("long_side", [40, 62])
def test_photographs_are_cropped_to_what_can_be_halved(size: tuple[int, int], long_side: int) -> None:
    pixels = torch.randint(256, (3, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    photo = halvable(Photo(pixels, ""), long_side)
    config = replace(HIGHRES_STRUCTURE, long_side=long_side)
    height, width = config.sizes(photo.height, photo.width)[-1]
    assert max(height, width) == long_side
    assert height % 2 == width % 2 == photo.height % 2 == photo.width % 2 == 0
    assert photo.height > size[0] * (1 - 2 / long_side) - 20
    parts = list(parts_of(photo))
    assert torch.equal(join([part.pixels[None] for part in parts])[0], photo.pixels)
    half = replace(config, long_side=long_side // 2)
    for part in parts:
        assert half.sizes(part.height, part.width)[-1] == (height // 2, width // 2)


def quarters(levels: list[float], noise: float = 0.1) -> Tensor:
    """Four patches of noise (3, 40, 64) of these means."""
    generator = torch.Generator().manual_seed(0)
    parts = [level + noise * torch.rand(1, 3, 20, 32, generator=generator) for level in levels]
    return join(parts)[0]


def test_seams() -> None:
    assert seam(quarters([0.3] * 4)) == pytest.approx(1, abs=0.15)
    across = seam(quarters([0.2, 0.4, 0.4, 0.2]))
    assert across == pytest.approx(0.2 / (0.1 / 3), rel=0.2)
    assert seam(quarters([0.2, 0.4, 0.2, 0.4])) == pytest.approx((1 + across) / 2, rel=0.2)
    enlarged = quarters([0.2, 0.4, 0.4, 0.2], 0.0).repeat_interleave(3, 1).repeat_interleave(3, 2)
    assert math.isinf(seam(enlarged, 3))


def test_only_what_is_near_the_cross_is_mended() -> None:
    weights = cross_weights(166, 250)
    assert weights.shape == (166, 250)
    assert weights[83].min() == weights[:, 125].min() == 1
    assert weights[:40, :80].max() == 0
    torch.testing.assert_close(weights, weights.flip(0).flip(1))


def test_steps_and_seconds_are_the_logs(tmp_path: Path) -> None:
    """An interruption is no time of a step."""
    lines = [
        {"time": time, "phase": f"structure-{m}", "step": step, "wasserstein": 0.0}
        for m, times in enumerate([(0, 5, 10, 200, 202), (300,)])
        for step, time in zip((0, 10, 20, 30, 34), times, strict=False)
    ]
    lines.append({"time": 203, "phase": "structure-0", "step": 35, "reconstruction_levels": 1.0})
    (tmp_path / "log").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    assert logged(tmp_path / "log", 2) == ([35, 1], pytest.approx(35 * 0.5))


def test_arithmetic_is_the_papers() -> None:
    """High-Res-SinGAN at 8, 9 and 10 scales."""
    for scales, steps, pixels in ((8, 0.35, 0.58), (9, 0.40, 0.68), (10, 0.45, 0.78)):
        with_ = [round(2000 * (1 - DECAY * m)) for m in range(scales)]
        sizes = [(round(25 / 0.75**m), round(38 / 0.75**m)) for m in range(scales)]
        assert saved(with_, [2000] * scales, [1] * scales) == pytest.approx(steps)
        areas = [height * width for height, width in sizes]
        assert saved(with_, [2000] * scales, areas) == pytest.approx(pixels, abs=0.02)
        assert f"of the steps {steps:.0%}" in arithmetic(with_, [2000] * scales, sizes)


def test_timing(photo_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = replace(HIGHRES_STRUCTURE, long_side=48, layers=2, scale_steps=10)
    time_preset(load_photo(photo_path), "tiny", config, 1)
    header, *rows, total = capsys.readouterr().out.splitlines()
    assert header.split()[0] == "tiny"
    assert [row.split()[-2:] for row in rows] == [[str(10 - m), "10"] for m in range(len(rows))]
    assert all(float(row.split()[-3]) > 0 for row in rows)
    assert "time saved: " in total
