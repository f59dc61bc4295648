"""From one photograph to a bundle of ConSinGAN's family, and what it then can do."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ourgan_sdk import Bundle, Synthesizer
from ourgan_sdk.bundle import SeamError, Upscaler
from tests.conftest import HALO, upscaler_network
from tests.reconstruction import check_reconstruction
from tests.tiny import TINY, write_photo
from trainers import fit
from trainers.bundling import assemble
from trainers.photo import Photo
from trainers.presets import CONSINGAN_DRAFT, PRESETS
from trainers.runs.run import Run
from trainers.upscalers.passes import Role

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photo(tmp_path_factory.mktemp("photo") / "hills.png")


@pytest.fixture(scope="module")
def run(photo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory, beside which its bundle lies."""
    directory = tmp_path_factory.mktemp("runs") / "run"
    output = ["--run", str(directory), "-o", str(directory.with_suffix(".ourgan"))]
    common = ["--preset", "consingan-draft", "--device", "cpu", "--seed", "3", "--quiet"]
    structure = replace(CONSINGAN_DRAFT.structure, long_side=60, stages=3, channels=8, stage_steps=8)
    upscaler = replace(TINY.upscaler, second=None)
    networks = iter([upscaler_network(2), upscaler_network(3)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assemble, "export_upscaler", lambda _: next(networks))  # theirs are tests of their own
        patch.setattr(assemble, "describe_upscaler", described)
        patch.setitem(
            PRESETS, "consingan-draft", replace(CONSINGAN_DRAFT, structure=structure, upscaler=upscaler)
        )
        assert fit.main([str(photo), *common, *output]) == 0
    return directory


def described(_run: Run, _photo: Photo, role: Role, *_: object) -> Upscaler:
    """What it is, without measuring it."""
    return Upscaler(
        file=assemble.member(role),
        halo=HALO,
        noise_deviation=role.noise,
        bytes_per_pixel=1024,
        seam_error=SeamError(maximum=0, p9999=0, share_different=0),
    )


def test_what_reconstructs_gives_the_trainers_error(run: Path, photo: Path) -> None:
    check_reconstruction(run, photo)


def test_the_bundle_is_like_any_other(run: Path) -> None:
    bundle = Bundle.open(run.with_suffix(".ourgan"))
    structure = bundle.manifest.structure
    assert structure is not None
    assert json.loads((run / "config.json").read_text())["preset"]["family"] == "consingan"
    assert (structure.starts, structure.margin) == (False, 3)
    assert [scale.channels for scale in structure.scales] == [3, 8, 8]
    with Synthesizer(bundle) as synthesizer:
        pictures = [synthesizer.render(330, 220, seed) for seed in (1, 1, 2)]
        np.testing.assert_array_equal(*pictures[:2])
        assert (pictures[0] != pictures[2]).any()
        wide = synthesizer.preview(1, width=150, height=40)
        assert wide.shape == (40, 150, 3)
        frames = list(synthesizer.animation(96, 64, 4, 1))
        assert len({frame.tobytes() for frame in frames}) == 4


def test_its_stages_cannot_start_from_pictures_but_patches_can(run: Path) -> None:
    with (
        Synthesizer(run.with_suffix(".ourgan")) as synthesizer,
        pytest.raises(ValueError, match="exported without starts"),
    ):
        synthesizer.preview(1, start_scale=2)
    with Synthesizer(run.with_suffix(".ourgan"), structure="patches") as synthesizer:
        assert synthesizer.preview(1, start_scale=2).ndim == 3
