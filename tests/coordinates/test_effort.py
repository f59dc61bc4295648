"""What views take, as canvases say it beforehand; and what a service answers by that."""

from pathlib import Path

import numpy as np
import pytest

from ourgan_sdk import Box, Layout, RenderStats, Synthesizer
from ourgan_sdk.service import Settings
from tests.service.conftest import running

WHOLE = "whole"

VIEWS = [
    ((16, 16), 16.0, WHOLE, (16, 16)),
    ((16, 16), 32.0, (3, 5, 9, 7), (2, 6)),
    ((200, 20), 3.0, (0, 100, 20, 200), (50, 10)),
    ((301, 203), None, WHOLE, (301, 203)),
    ((301, 203), None, (100, 20, 140, 90), (35, 20)),
    ((300, 200), 1.5, (0, 0, 128, 256), (64, 32)),
]
"""Size (width, height), extent, part, and size of the view: reduced of larger ones, and of levels."""


@pytest.mark.parametrize(("size", "extent", "part", "shown"), VIEWS)
def test_views_take_what_is_said(
    coordinates_path: Path,
    size: tuple[int, int],
    extent: float | None,
    part: tuple[int, int, int, int] | str,
    shown: tuple[int, int],
) -> None:
    """Pixel by pixel: what the network makes, halos included."""
    canvas = Synthesizer(coordinates_path, memory_limit="3MiB").canvas(*size, 5, extent=extent)
    box = Box(0, 0, size[1], size[0]) if isinstance(part, str) else Box(*part)
    read, made = canvas.view_work(box, *shown)
    stats = RenderStats()
    canvas.view(box, *shown, stats=stats)
    assert stats.window_pixels == made
    assert made >= read >= shown[0] * shown[1]


def test_of_masks_and_mirrors_only_what_is_made_counts(bundle_path: Path) -> None:
    """What stays of a picture is no network's; what is mirrored is the half's; reduced, the larger one's."""
    synthesizer = Synthesizer(bundle_path, detail="network")
    size = (400, 300)
    plain = synthesizer.canvas(*size)
    whole, left, right = Box(0, 0, 300, 400), Box(0, 0, 300, 40), Box(0, 360, 300, 400)
    _, made = plain.view_work(whole, *size)
    assert made >= 400 * 300
    symmetric = synthesizer.canvas(*size, layout=Layout(symmetric="x"))
    assert symmetric.view_work(right, 40, 300) == symmetric.view_work(left, 40, 300)
    assert symmetric.view_work(whole, *size)[1] <= made
    start, mask = np.zeros((30, 40, 3), np.uint8), np.zeros((30, 40), bool)
    mask[:, :4] = True
    masked = synthesizer.canvas(*size, start=start, start_scale=synthesizer.start_scales, mask=mask)
    assert masked.view_work(right, 40, 300) == (40 * 300, 0)
    assert masked.view_work(left, 40, 300) == plain.view_work(left, 40, 300)
    assert masked.view_work(whole, *size)[1] <= made
    reduced = plain.resized(340, 255)
    read, larger = reduced.view_work(Box(0, 0, 255, 340), 340, 255)
    assert (read, larger) == (400 * 300, made)


def test_services_refuse_reduced_canvases_by_what_they_are_made_of(coordinates_path: Path) -> None:
    """16 x 16 pixels of 2048 x 2048 that the network makes; whole ones, which are no thumbnails, as well."""
    settings = Settings(sources={"folder": coordinates_path}, port=0, viewer=False, max_work=1 << 26)
    with running(settings) as client:
        for part in ("0,0,16,16/16,16", "full/16,", "full/8,"):
            answer = client.get(f"/iiif/3/folder~16x16~3~extent=64/{part}/0/default.png")
            assert answer.status_code == 400, part
            assert "take the work of" in answer.text
        assert client.get("/iiif/3/folder~16x16~3~extent=8/full/16,/0/default.png").status_code == 200
        # Nothing of these has to be searched, however large their coarsest level is.
        large = client.get("/iiif/3/folder~40000x30000~3~extent=512/0,0,64,64/64,/0/default.png")
        assert large.status_code == 200, large.text
