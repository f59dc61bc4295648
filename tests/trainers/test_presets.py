"""The presets against their sources, value by value, and how a command chooses among them.

`paper`: OUR-GAN's Tables 3 and 4 (arXiv 2202.13799). `singan`: SinGAN (ICCV 2019) and its code. `consingan`:
ConSinGAN (WACV 2021) and its code. `hpvaegan`: in test_hpvaegan.
"""

import json
from dataclasses import replace
from typing import Any

import pytest

from trainers import fit
from trainers.networks import UpscalerSize, size_of
from trainers.presets import (
    CONSINGAN,
    CONSINGAN_DRAFT,
    DEFAULTS,
    DRAFT,
    HIGHRES,
    PAPER,
    PRESETS,
    SINGAN,
    SINGAN_DRAFT,
    STANDARD,
    Preset,
    names_of,
    ourgan_structure,
)
from trainers.runs.restore import restore_upscaler
from trainers.upscalers.pretrained import OURS

TABLE_3 = {
    "vae_steps": 5000,  # iterations per scale
    "gan_steps": 5000,
    "layers": 5,
    "channels": 64,
    "long_side": 256,
    "betas": (0.5, 0.999),
    "learning_rate": 0.0005,
    "clip": 5,
    "critic_clip": None,
    "batch": 2,
    "noise": 0.1,
    "reconstruction": 10,
    "kl": 1,
    "adversarial": 1,
    "encoder_blocks": 2,
    "vae_scales": 3,
    "factor": 0.75,
    "decay": 0,  # all scales are trained alike
    "upsampling": "bilinear",
    "averaging": 1,  # none: the last weights
    "final_share": 0,
    "padding": "zeros",
    "precision": "fp32",
}
TABLE_4 = {
    "first": UpscalerSize("rrdb", 64, 23, 32),
    "later": UpscalerSize("rrdb", 64, 23, 32),
    "patch": 128,
    "betas": (0.9, 0.999),
    "learning_rate": 0.0001,
    "gan_learning_rate": 0.0001,
    "perceptual": 1.0,
    "reconstruction": 0.01,
    "adversarial": 0.005,
    "margin": 0,
    "adversarial_share": None,
    "noise": 0.1,
}
SINGAN_VALUES = {
    "long_side": 250,
    "short_side": 25,
    "factor": 0.75,
    "channels": 32,
    "doubled_every": 4,
    "most_channels": 128,
    "layers": 5,
    "padding": "zeros",
    "scale_steps": 2000,
    "critic_steps": 3,
    "generator_steps": 3,
    "learning_rate": 5e-4,
    "betas": (0.5, 0.999),
    "final_rate": 0.1,
    "reconstruction": 10,
    "gradient_penalty": 0.1,
    "noise": 0.1,
}
CONSINGAN_VALUES = {
    "long_side": 250,
    "short_side": 25,
    "stages": 6,
    "together": 3,
    "older_rate": 0.1,
    "channels": 64,
    "layers": 3,
    "stage_steps": 2000,
    "critic_steps": 3,
    "generator_steps": 3,
    "learning_rate": 5e-4,
    "betas": (0.5, 0.999),
    "final_rate": 0.1,
    "reconstruction": 10,
    "gradient_penalty": 0.1,
    "noise": 0.1,
}


@pytest.mark.parametrize(("name", "value"), TABLE_3.items())
def test_structure(name: str, value: Any) -> None:
    assert getattr(PAPER.structure, name) == value


def test_scales() -> None:
    assert PAPER.structure.scales - PAPER.structure.vae_scales == 6
    assert {PAPER.structure.steps(scale) for scale in range(PAPER.structure.scales)} == {5000}


def test_steps_fall_by_a_share_of_the_first_gan_scale() -> None:
    """High-Res-SinGAN's decay."""
    for structure, expected in (
        (STANDARD.structure, [1000] * 3 + [2900, 2030, 1160]),
        (DRAFT.structure, [400] * 3 + [1300, 845]),
    ):
        assert [structure.steps(scale) for scale in range(structure.scales)] == expected
    structure = STANDARD.structure
    assert replace(structure, decay=0.5).steps(structure.scales - 1) == 1  # at least


@pytest.mark.parametrize(("name", "value"), TABLE_4.items())
def test_upscaler(name: str, value: Any) -> None:
    assert getattr(PAPER.upscaler, name) == value


def test_steps_of_the_upscaler() -> None:
    steps = PAPER.upscaler.l1_steps + PAPER.upscaler.gan_steps
    assert steps == 100_000
    assert [share * steps for share in PAPER.upscaler.halvings] == [30_000, 60_000, 90_000]


def test_the_upscaler_is_averaged_as_the_reference_is_in_full_precision() -> None:
    """What standard and draft do beyond the table, and what they take of it."""
    upscaler = PAPER.upscaler
    assert (upscaler.averaging, upscaler.precision, upscaler.held_out) == (1000, "fp32", 0)
    assert not upscaler.pretrained


def test_steps_of_fitting_the_upscalers() -> None:
    for upscaler, later, first in (
        (STANDARD.upscaler, (100, 500), (50, 250)),
        (DRAFT.upscaler, (0, 100), (0, 50)),
    ):
        assert upscaler.steps(pretrained=True) == later
        assert upscaler.steps(pretrained=True, share=upscaler.first_share) == first


@pytest.mark.parametrize("preset", [DRAFT, STANDARD])
def test_presets_keep_the_coarsest_scale_and_average(preset: Preset) -> None:
    """What is whole in a picture is decided at the coarsest scale, whatever the finest is."""
    paper, structure = PAPER.structure, preset.structure
    coarsest = paper.long_side * paper.factor ** (paper.scales - 1)
    ours = structure.long_side * structure.factor ** (structure.scales - 1)
    assert abs(ours - coarsest) < 4
    assert (structure.averaging, structure.upsampling, structure.final_share) == (100, "bicubic", 0.0)
    assert preset.upscaler.averaging <= sum(preset.upscaler.steps(pretrained=True))


@pytest.mark.parametrize("preset", [DRAFT, STANDARD])
def test_weights_of_the_project_have_the_sizes_of_its_presets(preset: Preset) -> None:
    upscaler = preset.upscaler
    assert upscaler.pretrained
    assert size_of(restore_upscaler(OURS["init"])) == upscaler.later
    assert size_of(restore_upscaler(OURS["init_first"])) == upscaler.first
    assert size_of(restore_upscaler(OURS["init_second"])) == upscaler.second


def test_where_upscalers_start() -> None:
    def points(*options: str) -> list[str]:
        arguments = fit.parse(["photo.jpg", *options])
        return [
            path.name
            for path in fit.starting_points(arguments, PRESETS[arguments.preset or "draft"]).values()
        ]

    ours = ["upscaler-later.pth", "upscaler-first.pth", "upscaler-second.pth"]
    assert points("--preset", "draft") == ours
    assert points("--preset", "draft", "--from-scratch") == []
    assert points("--preset", "paper") == []
    assert points("--preset", "draft", "--init", "a.pth") == ["a.pth"]
    assert points("--preset", "paper", "--init", "a.pth", "--init-first", "b.pth") == ["a.pth", "b.pth"]
    assert points("--init", "a.pth", "--init-second", "b.pth") == ["a.pth", "b.pth"]
    for wrong in ("--init a.pth --from-scratch", "--init-first a.pth", "--init-second a.pth"):
        with pytest.raises(SystemExit):
            points(*wrong.split())


@pytest.mark.parametrize(("name", "value"), SINGAN_VALUES.items())
def test_singan(name: str, value: Any) -> None:
    assert getattr(SINGAN.structure, name) == value


def test_singan_lowers_the_rate_after_1600_of_2000_steps() -> None:
    assert {SINGAN.structure.final_step(m) for m in range(9)} == {1600}
    assert {SINGAN.structure.steps(m) for m in range(9)} == {2000}
    assert {(SINGAN_DRAFT.structure.steps(m), SINGAN_DRAFT.structure.final_step(m)) for m in range(4)} == {
        (500, 400)
    }


@pytest.mark.parametrize(("name", "value"), CONSINGAN_VALUES.items())
def test_consingan(name: str, value: Any) -> None:
    assert getattr(CONSINGAN.structure, name) == value


def test_consingan_lowers_the_rate_at_four_fifths() -> None:
    assert {CONSINGAN.structure.final_step(m) for m in range(6)} == {1600}
    structure = CONSINGAN_DRAFT.structure
    assert structure.final_step(0) == round(0.8 * structure.steps(0))


def test_what_high_res_singan_does_otherwise() -> None:
    structure = HIGHRES.structure
    assert (structure.long_side, structure.layers, structure.decay) == (500, 10, 0.1)
    assert {structure.width(m) for m in range(10)} == {32}
    scales = len(structure.sizes(2000, 3000))
    steps = [structure.steps(m) for m in range(scales)]
    assert steps == [2000, 1800, 1600, 1400, 1200, 1000, 800, 600, 400, 200]
    assert structure.steps(10) == structure.steps(20) == 1
    for count, saved in ((8, 0.35), (9, 0.4), (10, 0.45)):
        taken = sum(structure.steps(m) for m in range(count))
        assert 1 - taken / (2000 * count) == pytest.approx(saved)


def test_families() -> None:
    assert names_of("ourgan") == ["draft", "hpvaegan", "hpvaegan-draft", "paper", "standard"]
    assert names_of("consingan") == ["consingan", "consingan-draft"]
    assert names_of("singan") == ["highres", "singan", "singan-draft"]
    assert {PRESETS[name].family for name in DEFAULTS.values()} == set(DEFAULTS)
    assert all(PRESETS[name].family == family for family, name in DEFAULTS.items())
    assert ourgan_structure("paper") == PAPER.structure
    with pytest.raises(TypeError, match="expected a preset of the family ourgan, got singan"):
        ourgan_structure("singan")


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS.keys())
def test_presets_of_all_families_survive_json(preset: Preset) -> None:
    assert Preset.from_dict(json.loads(json.dumps(preset.as_dict()))) == preset


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"family": None}, "Preset lacks family"),
        ({"family": "sivgan"}, "Preset has an unknown family 'sivgan'"),
        ({"family": ["singan"]}, "Preset has an unknown family"),
        ({"family": "ourgan"}, "StructureConfig lacks"),
        ({"author": "me"}, "Preset has an unknown author"),
    ],
)
def test_families_of_other_versions_are_refused(change: dict[str, Any], message: str) -> None:
    data = {name: value for name, value in (SINGAN.as_dict() | change).items() if value is not None}
    with pytest.raises(TypeError, match=message):
        Preset.from_dict(data)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ("", "standard"),
        ("--family ourgan", "standard"),
        ("--family singan", "singan"),
        ("--family consingan", "consingan"),
        ("--preset highres", "highres"),
        ("--family singan --preset singan-draft", "singan-draft"),
        ("--family ourgan --preset draft", "draft"),
    ],
)
def test_the_family_is_the_presets_and_the_preset_the_familys(options: str, name: str) -> None:
    assert fit.preset_of(fit.parse(["photo.jpg", *options.split()])).name == name


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            "photo.jpg --family singan --preset draft",
            "--preset draft is of the family ourgan; singan has highres, singan, singan-draft",
        ),
        (
            "photo.jpg --family ourgan --preset singan",
            "--preset singan is of the family singan; "
            "ourgan has draft, hpvaegan, hpvaegan-draft, paper, standard",
        ),
        ("photo.jpg --family singan --texture", "structures of the family singan have none"),
        ("photo.jpg --preset highres --texture", "structures of the family singan have none"),
        ("--resume run --family singan", "--family was settled when the run began"),
    ],
)
def test_families_that_do_not_go_with_the_rest(options: str, message: str, capsys: Any) -> None:
    with pytest.raises(SystemExit):
        fit.parse(options.split())
    assert message in capsys.readouterr().err
