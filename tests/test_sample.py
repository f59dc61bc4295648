"""The sample bundle that ships with the package: sound, small, seamless, varied."""

import numpy as np
import pytest

from ourgan_sdk import RenderStats, Synthesizer
from ourgan_sdk.synthesizer import DetailMode, sample_bundle
from trainers.presets import DRAFT

SIZE = (2400, 1600)
"""By networks three passes, from 38 x 25."""

WHOLE = 2 << 30
"""A memory limit that makes every pass of SIZE one tile."""


def test_is_small_and_says_where_it_comes_from() -> None:
    assert sample_bundle().stat().st_size <= 10e6
    manifest = Synthesizer().bundle.manifest
    assert manifest.training.preset == "draft"
    assert (manifest.photo.width, manifest.photo.height) == (3072, 2048)
    assert manifest.photo.file is not None
    assert all(upscaler.seam_error.maximum <= 0.5 for upscaler in manifest.upscalers)


def test_was_trained_as_draft_says() -> None:
    """A sample of an older preset would show what nobody can make any more."""
    training, structure = Synthesizer().bundle.manifest.training, DRAFT.structure
    assert training.structure_steps == [structure.steps(scale) for scale in range(structure.scales)]
    later = DRAFT.upscaler.steps(pretrained=True)
    first = DRAFT.upscaler.steps(pretrained=True, share=DRAFT.upscaler.first_share)
    assert training.upscaler_steps == sum(later) + 2 * sum(first)  # pass 2's takes as many as pass 1's
    assert training.held_out == DRAFT.upscaler.held_out


@pytest.mark.parametrize("seed", [0, 5])
def test_tiled_equals_whole_within_one_level(seed: int) -> None:
    tiled_stats, whole_stats = RenderStats(), RenderStats()
    tiled = Synthesizer(memory_limit=128 << 20, detail="network").render(*SIZE, seed, stats=tiled_stats)
    whole = Synthesizer(memory_limit=WHOLE, detail="network").render(*SIZE, seed, stats=whole_stats)
    assert whole_stats.tiles == whole_stats.passes == 3
    assert tiled_stats.tiles > 8
    difference = np.abs(tiled.astype(int) - whole)
    assert difference.max() <= 1


BOTH = pytest.mark.parametrize("detail", ["photograph", "network"])


@BOTH
def test_threads_and_repetition_change_nothing(detail: DetailMode) -> None:
    size = (1100, 500)
    first = Synthesizer(threads=1, detail=detail).render(*size, 3)
    for threads in (1, 2):
        np.testing.assert_array_equal(Synthesizer(threads=threads, detail=detail).render(*size, 3), first)


@BOTH
def test_region_equals_the_slice(detail: DetailMode) -> None:
    canvas = Synthesizer(detail=detail).canvas(*SIZE, seed=2)
    region = canvas[700:900, 1000:1400]
    np.testing.assert_array_equal(region, canvas.read()[700:900, 1000:1400])


def test_seeds_differ_in_layout_not_in_grain() -> None:
    """Strongly reduced previews of several seeds, which hold the layout alone, must differ visibly."""
    synthesizer = Synthesizer()
    blocks = np.stack([synthesizer.preview(seed)[:48, :64] for seed in range(8)]).astype(float)
    layouts = blocks.reshape(8, 3, 16, 4, 16, 3).mean((2, 4))
    assert layouts.std(0).mean() > 15
