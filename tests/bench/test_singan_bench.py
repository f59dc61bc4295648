"""The table of SinGAN's acceptance points."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.singan import (
    COLUMNS,
    PASTES,
    RING,
    as_tensor,
    color_distance,
    main,
    open_subject,
    paste,
    reconstruct,
    reconstruction_row,
    rmse,
    samples,
)
from ourgan_sdk import Synthesizer
from tests.conftest import SCALES

pytestmark = pytest.mark.usefixtures("one_thread")

Run = Callable[..., list[dict[str, str]]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The table's rows, by their columns."""

    def run(*arguments: object) -> list[dict[str, str]]:
        monkeypatch.setattr("sys.argv", ["singan", *map(str, arguments)])
        main()
        header, _, *lines = capsys.readouterr().out.splitlines()
        assert header == f"| {' | '.join(COLUMNS)} |"
        return [dict(zip(COLUMNS, line.strip("| ").split(" | "), strict=True)) for line in lines]

    return run


def write_log(folder: Path, levels: float) -> Path:
    """A run's metrics, of which the last scale's are the bundle's."""
    lines = [
        {"phase": f"structure-{m}", "step": 3, "reconstruction_levels": 200.0} for m in range(len(SCALES) - 1)
    ]
    lines += [{"phase": f"structure-{len(SCALES) - 1}", "step": 0, "reconstruction": 1.0}]
    lines += [{"phase": f"structure-{len(SCALES) - 1}", "step": 3, "reconstruction_levels": levels}]
    (folder / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return folder


def test_every_point_has_its_rows(run: Run, starting_path: Path, tmp_path: Path) -> None:
    subject = open_subject(starting_path, None)
    levels = rmse(reconstruct(subject), subject.pyramid[-1])
    rows = run(starting_path, "--run", write_log(tmp_path, levels), "--samples", 3)
    by_point = {n: [row for row in rows if row["point"] == str(n)] for n in range(1, 8)}
    assert sum(map(len, by_point.values())) == len(rows)
    assert [len(found) for found in by_point.values()] == [1, 2 + len(SCALES) - 1, PASTES + 1, 2, 2, 1, 1]
    assert by_point[1][0]["value"] == f"{levels:.2f}; logged: {levels:.2f}"
    assert by_point[1][0]["met"] == "yes"
    for row in by_point[2][:2]:
        values = [float(value) for value in row["value"].split(", ")]
        assert len(values) == len(SCALES)
        assert min(values) > 0
        steps = [later - one for one, later in itertools.pairwise(values)]
        if 0 not in steps:  # of what is rounded alike nothing is known
            assert row["met"] == ("yes" if max(steps) < 0 else "no")
    assert by_point[3][-1]["value"] == f"{PASTES} of {PASTES}"
    assert [row["met"] for row in by_point[3]][-1] == "yes"
    for row in by_point[4]:
        assert "which training has seen" in row["measured"]  # the bundle tells of nothing held out
        assert row["met"] in ("yes", "no")
    assert by_point[5][0]["met"] in ("yes", "no")
    for row in (by_point[5][1], by_point[6][0]):
        assert row["met"] == "-"
        assert Path(row["value"]).is_file()
    assert -1 <= float(by_point[7][0]["value"].split()[0]) <= 1


def test_another_reconstruction_is_told(starting_path: Path, tmp_path: Path) -> None:
    subject = open_subject(starting_path, None)
    levels = rmse(reconstruct(subject), subject.pyramid[-1])
    assert reconstruction_row(subject, write_log(tmp_path, levels + 1)).met is False
    row = reconstruction_row(subject, None)
    assert (row.value, row.met) == (f"{levels:.2f}", None)


def test_the_reconstruction_is_the_runtimes(starting_path: Path) -> None:
    """The first frame of a film from whose walks all deviation is taken is the same picture, rounded."""
    subject = open_subject(starting_path, None)
    ours = (reconstruct(subject) * 255).round().permute(1, 2, 0).numpy()
    height, width = subject.bundle.manifest.base_size
    film = subject.synthesizer.animation(width, height, 1, alpha=1.0)  # drawn back altogether
    (frame,) = list(film)
    assert np.abs(frame.astype(float) - ours).max() <= 1


def test_pastes() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (90, 120, 3)).astype(np.uint8)
    random, shapes = np.random.default_rng(1), set()
    for _ in range(8):
        pasted, inside = paste(picture, random)
        np.testing.assert_array_equal(pasted[~inside], picture[~inside])
        rows, columns = inside.any(1).sum(), inside.any(0).sum()
        assert 90 // 8 <= rows <= 90 // 4
        assert 120 // 8 <= columns <= 120 // 4
        shapes.add(bool(inside.sum() == rows * columns))
        assert color_distance(pasted, inside, picture) > color_distance(picture, inside, picture)
    assert shapes == {True, False}


def test_colour_distance() -> None:
    picture = np.full((80, 80, 3), 100, np.uint8)
    inside = np.zeros((80, 80), np.bool_)
    inside[30:40, 30:50] = True
    picture[inside] = (100, 103, 104)
    assert color_distance(picture, inside, picture) == pytest.approx(5)
    picture[: 30 - RING] = 0  # beyond the ring
    assert color_distance(picture, inside, picture) == pytest.approx(5)


def test_bundles_that_lack_something_are_refused(photograph_path: Path, bundle_path: Path) -> None:
    for path in (photograph_path, bundle_path):  # of an earlier release; without its photograph as well
        assert Synthesizer(path).start_scales > 1
        with pytest.raises(SystemExit, match="fit it anew"):
            open_subject(path, None)


def test_samples_are_previews_of_more_bits(starting_path: Path) -> None:
    subject = open_subject(starting_path, None)
    for start in (0, 1, 2):
        ours = samples(subject, start, range(4, 6))
        for seed, one in zip((4, 5), ours, strict=True):
            preview = as_tensor(subject.synthesizer.preview(seed, start_scale=start or None))
            assert 255 * (one - preview).abs().max() < 0.51


def test_distances() -> None:
    assert rmse(torch.zeros(3, 4, 4), torch.full((3, 4, 4), 0.2)) == pytest.approx(51)
