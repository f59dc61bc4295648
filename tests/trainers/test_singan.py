"""SinGAN's networks, its pyramid, and how it is trained."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.tiny import write_photo
from tests.trainers.interrupting import interrupted_after
from tests.trainers.structures import equal, start, weights
from trainers.networks import SinganCritic, SinganGenerator, SinganStructure
from trainers.networks.singan import NoisePadding, ValidConv2d
from trainers.networks.structure import SampleNorm
from trainers.photo import Photo, load_photo, structure_pyramid
from trainers.presets import HIGHRES, SINGAN, SINGAN_DRAFT, Preset
from trainers.pyramid import singan_sizes
from trainers.runs.restore import restore_network
from trainers.runs.run import Run
from trainers.structures.families import make_model, make_network, train
from trainers.structures.singan import SinganModel, SinganScale, train_singan

CPU = torch.device("cpu")
TINY = replace(
    SINGAN.structure,
    long_side=32,
    short_side=12,  # 18 x 12, 24 x 16, 32 x 21
    channels=4,
    doubled_every=2,  # 4, 4 and 8 channels
    layers=3,
    scale_steps=6,
    critic_steps=2,
    generator_steps=2,
)
SCALES = 3

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Photo:
    return load_photo(write_photo(tmp_path_factory.mktemp("photo") / "hills.png"))


@pytest.fixture(scope="module")
def pyramid(photo: Photo) -> list[Tensor]:
    return structure_pyramid(photo, TINY.sizes(photo.height, photo.width))


def make(photo: Photo, seed: int = 0, **changes: Any) -> SinganModel:
    torch.manual_seed(seed)
    return SinganModel(replace(TINY, **changes), photo.height, photo.width, CPU)


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


# Networks


def test_networks_of_the_paper() -> None:
    assert parameters(SinganGenerator(32)) == 29_763
    assert parameters(SinganCritic(32)) == 29_185
    assert [SINGAN.structure.width(m) for m in range(13)] == [32] * 4 + [64] * 4 + [128] * 5


@pytest.mark.parametrize(("preset", "field"), [(SINGAN, 11), (HIGHRES, 21)])
def test_one_pixel_of_a_generator_sees_its_receptive_field(preset: Preset, field: int) -> None:
    layers = preset.structure.layers
    picture = torch.rand(2, 3, field, field + 4)
    assert SinganGenerator(4, layers)(picture).shape == (2, 3, 1, 5)
    assert SinganCritic(4, layers)(picture).shape == (2, 1, 1, 5)


def test_weights_start_as_singans_do() -> None:
    torch.manual_seed(0)
    network = SinganGenerator(64)
    convolutions = [layer for layer in network.modules() if isinstance(layer, ValidConv2d)]
    norms = [layer for layer in network.modules() if isinstance(layer, SampleNorm)]
    assert (len(convolutions), len(norms)) == (5, 4)
    for layers, mean in ((convolutions, 0.0), (norms, 1.0)):
        values = torch.cat([layer.weight.detach().flatten() for layer in layers])
        assert float(values.mean()) == pytest.approx(mean, abs=0.005)
        assert float(values.std()) == pytest.approx(0.02, rel=0.1)
        assert not any(layer.bias.any() for layer in layers)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("layers", [3, 5])
def test_gradient_of_a_critic_equals_that_of_autograd(layers: int, count: int) -> None:
    """Batch normalisation's own share is in it, also in what a penalty tells the weights."""
    torch.manual_seed(0)
    critic = SinganCritic(6, layers).double()
    for parameter in critic.parameters():
        nn.init.normal_(parameter, 0.3, 0.3)
    x = torch.randn(count, 3, 13, 16, dtype=torch.float64)

    def autograd(x: Tensor) -> Tensor:
        x = x.detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
        return gradient

    torch.testing.assert_close(critic.input_gradient(x), autograd(x), rtol=1e-11, atol=1e-11)
    gradients = []
    for gradient in (critic.input_gradient, autograd):
        penalty = (gradient(x).norm(2, dim=1) - 1).square().mean()
        found = torch.autograd.grad(penalty, list(critic.parameters()), allow_unused=True)
        zeros = (torch.zeros_like(p) for p in critic.parameters())
        gradients.append([z if g is None else g for g, z in zip(found, zeros, strict=True)])
    # Biases of convolutions, which are normalised away, and the last ones change nothing.
    assert sum(bool(g.abs().max() > 1e-3) for g in gradients[0]) == 3 * layers - 3
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)


def noises(network: SinganStructure, sizes: list[tuple[int, int]], seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(1, channels, height + 2 * network.margin, width + 2 * network.margin, generator=generator)
        for channels, (height, width) in zip(network.noise_channels, sizes, strict=True)
    ]


SIZES = [(9, 13), (12, 17), (16, 23)]


@pytest.mark.parametrize("padding", ["zeros", "noise"])
def test_structure_follows_its_formula(padding: NoisePadding) -> None:
    torch.manual_seed(0)
    network = SinganStructure([4, 4, 8], 3, padding)
    assert network.noise_channels == [1, 3, 3]
    assert network.margin == {"zeros": 0, "noise": 3}[padding]
    z = noises(network, SIZES, 1)
    border = 3 - network.margin
    x = torch.zeros(1, 3, 1, 1)
    for generator, noise, size in zip(network.generators, z, SIZES, strict=True):
        up = F.interpolate(x, size=size, mode="bicubic", align_corners=False)
        given_noise = F.pad(noise.expand(-1, 3, -1, -1), (border,) * 4)
        x = generator(F.pad(up, (3,) * 4) + given_noise) + up
    torch.testing.assert_close(network(z), x)
    assert x.shape == (1, 3, *SIZES[-1])


def test_samples_do_not_depend_on_what_they_are_made_with() -> None:
    torch.manual_seed(0)
    network = SinganStructure([4, 4, 8], 3)
    one, other = (noises(network, SIZES, seed) for seed in (1, 2))
    together = network([torch.cat(pair) for pair in zip(one, other, strict=True)])
    torch.testing.assert_close(together[:1], network(one), rtol=1e-4, atol=1e-5)


def test_starts_are_given_to_the_scales_above_them() -> None:
    torch.manual_seed(0)
    network = SinganStructure([4, 4, 8], 3)
    one, other = (noises(network, SIZES, seed) for seed in (1, 2))
    pictures = [torch.rand(1, 3, *size) * 2 - 1 for size in SIZES[:-1]]
    nothing = [(picture, torch.zeros_like(picture[:, :1])) for picture in pictures]
    with torch.no_grad():
        torch.testing.assert_close(network(one, starts=nothing), network(one))
        all_of_it = [*nothing[:1], (pictures[1], torch.ones_like(pictures[1][:, :1]))]
        mixed = [*other[:2], one[2]]  # other noise below the start
        assert not torch.equal(network(mixed), network(one))
        assert torch.equal(network(mixed, starts=all_of_it), network(one, starts=all_of_it))
        assert torch.equal(network(one, starts=all_of_it), network.step(2, pictures[1], one[2]))
        half = [*nothing[:1], (pictures[1], torch.full_like(pictures[1][:, :1], 0.5))]
        between = (pictures[1] + network(one[:2])) / 2
        torch.testing.assert_close(network(one, starts=half), network.step(2, between, one[2]))


def corner_variance(padding: NoisePadding, seed: int, samples: int = 120) -> float:
    """Variance between samples in the corners, by that in the centre."""
    torch.manual_seed(seed)
    network = SinganStructure([8, 8], 5, padding)
    sizes = [(25, 38), (33, 50)]
    with torch.no_grad():
        pictures = torch.cat([network(noises(network, sizes, sample)) for sample in range(samples)])
    variance = pictures.var(0).mean(0)
    rows, columns = ([0, 1, 2, n - 3, n - 2, n - 1] for n in sizes[-1])
    return float(variance[rows][:, columns].mean() / variance[12:21, 20:30].mean())


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_corners_vary_more_with_noise_around_pictures_than_with_zeros(seed: int) -> None:
    zeros, noise = (corner_variance(padding, seed) for padding in ("zeros", "noise"))
    assert zeros + 0.1 < noise


# Pyramid


def test_pyramids_of_known_aspects() -> None:
    for (height, width), scales, finest in (
        ((2000, 3000), 8, (167, 250)),
        ((3000, 3000), 9, (250, 250)),
        ((1000, 2000), 7, (125, 250)),
        ((3000, 2000), 8, (250, 167)),
    ):
        sizes = SINGAN.structure.sizes(height, width)
        assert len(sizes) == scales
        assert sizes[-1] == finest
        assert min(sizes[0]) == 25
    assert SINGAN_DRAFT.structure.sizes(2000, 3000) == [(25, 38), (34, 51), (47, 70), (64, 96)]
    highres = HIGHRES.structure.sizes(2000, 3000)
    assert (len(highres), highres[0], highres[-1]) == (10, (25, 38), (333, 500))


@given(st.integers(50, 5000), st.integers(50, 5000), st.sampled_from([96, 250, 500]))
@settings(deadline=None)
def test_pyramids_of_any_aspect(height: int, width: int, long_side: int) -> None:
    """The coarsest's short side is 25; no other number of scales comes nearer to the factor."""
    sizes = singan_sizes(height, width, long_side, 25, 0.75)
    whole = 25 * max(height, width) / (long_side * min(height, width))
    assert max(sizes[-1]) == long_side
    if whole >= 1:
        assert len(sizes) == 1
        return
    assert min(sizes[0]) == 25
    steps = len(sizes) - 1
    distances = {n: abs(whole ** (1 / n) - 0.75) for n in range(1, 40)}
    assert distances[steps] == min(distances.values())
    for (h, w), (h_next, w_next) in pairwise(sizes):
        assert h <= h_next
        assert w <= w_next
        assert math.isclose(h / w, height / width, rel_tol=0.05)


# Training


def test_a_family_is_that_of_its_configuration(photo: Photo) -> None:
    model = make_model(TINY, photo.height, photo.width, CPU)
    assert isinstance(model, SinganModel)
    assert model.sizes == [(12, 18), (16, 24), (21, 32)]
    network = make_network(TINY, SCALES)
    assert isinstance(network, SinganStructure)
    assert network.state_dict().keys() == model.network.state_dict().keys()


def test_weights_are_copied_where_widths_are_equal(photo: Photo, pyramid: list[Tensor]) -> None:
    model = make(photo)
    generators, below = model.network.generators, None
    for m in range(SCALES):
        first = weights(generators[m])
        model.inherit(m)
        scale = SinganScale(model, pyramid, m, below)
        copied = m == 1  # 4 channels; scale 2 has 8
        assert equal(weights(generators[m]), first) is not copied
        if below is not None and copied:
            assert equal(weights(generators[m]), weights(generators[m - 1]))
            assert equal(weights(scale.critic), weights(below.critic))
        assert scale.critic.width == TINY.width(m)
        scale.step()
        below = scale


def test_only_the_newest_scale_learns(photo: Photo, pyramid: list[Tensor]) -> None:
    model = make(photo)
    scale = SinganScale(model, pyramid, 1, None)
    before = [weights(generator) for generator in model.network.generators]
    scale.step()
    changed = [
        not equal(weights(generator), one)
        for generator, one in zip(model.network.generators, before, strict=True)
    ]
    assert changed == [False, True, False]


def test_a_step_is_so_many_of_each_and_the_generators_see_one_noise(
    photo: Photo, pyramid: list[Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make(photo, critic_steps=3, generator_steps=3)
    scale = SinganScale(model, pyramid, 1, None)
    drawn: list[Tensor] = []
    used: list[Tensor] = []
    draw, refine = model.noises, model.network.refine

    def recording_draw(scales: int, count: int = 1) -> list[Tensor]:
        result = draw(scales, count)
        drawn.append(result[-1])
        return result

    def recording_refine(m: int, up: Tensor, noise: Tensor, *rest: Any) -> Tensor:
        used.append(noise)
        return refine(m, up, noise, *rest)

    monkeypatch.setattr(model, "noises", recording_draw)
    monkeypatch.setattr(model.network, "refine", recording_refine)
    scale.step()
    assert len(drawn) == 3
    fakes = [noise for noise in used if noise.any()]  # reconstructions have none
    assert [next(i for i, z in enumerate(drawn) if z is noise) for noise in fakes] == [0, 1, 2, 2, 2]
    assert len(used) - len(fakes) == 3
    for optimizer in scale.optimizers.values():
        steps = {int(state["step"]) for state in optimizer.optimizer.state.values()}
        assert steps == {3}
        (group,) = optimizer.optimizer.param_groups
        assert (group["lr"], group["betas"], optimizer.clip) == (5e-4, (0.5, 0.999), math.inf)


def test_noise_is_measured_on_the_enlarged_reconstruction(photo: Photo, pyramid: list[Tensor]) -> None:
    model = make(photo)
    assert model.deviations == [1.0, 0.0, 0.0]
    SinganScale(model, pyramid, 0, None)
    assert model.deviations[0] == 1.0
    SinganScale(model, pyramid, 1, None)
    with torch.no_grad():
        up = F.interpolate(
            model.network([model.fixed_noise]), size=model.sizes[1], mode="bicubic", align_corners=False
        )
    assert model.deviations[1] == pytest.approx(0.1 * float(F.mse_loss(up, pyramid[1]).sqrt()))
    _, second = model.noises(2, 50)
    assert float(second.std()) == pytest.approx(model.deviations[1], rel=0.1)


@pytest.mark.parametrize("padding", ["zeros", "noise"])
def test_noises_of_the_reconstruction(photo: Photo, pyramid: list[Tensor], padding: NoisePadding) -> None:
    """{z*, 0, ..., 0}, of the maps' shapes; every scale trains on them."""
    model = make(photo, padding=padding)
    margin = TINY.layers if padding == "noise" else 0
    fixed = model.reconstruction_noises(pyramid, SCALES)
    shapes = [
        (1, c, h + 2 * margin, w + 2 * margin) for c, (h, w) in zip((1, 3, 3), model.sizes, strict=True)
    ]
    assert [z.shape for z in fixed] == shapes == [z.shape for z in model.noises(SCALES)]
    assert torch.equal(fixed[0], model.fixed_noise)
    assert not any(z.any() for z in fixed[1:])
    assert model.sample(SCALES, 2).shape == (2, 3, *model.sizes[-1])
    for m in range(SCALES):
        scale = SinganScale(model, pyramid, m, None)
        assert all(value.isfinite() for value in scale.step().values())
        assert scale.reconstruction_noise.shape == shapes[m]


def test_reconstructions_vary_by_their_noise_alone(photo: Photo, pyramid: list[Tensor]) -> None:
    model = make(photo)
    one, other = model.reconstruct(pyramid, 2)
    assert torch.equal(one, other)
    model.deviations = [1.0, 0.1, 0.1]
    one, other = model.reconstruct(pyramid, 2)
    assert not torch.equal(one, other)


def error(model: SinganModel, pyramid: list[Tensor], scales: int = SCALES) -> float:
    """Of the reconstruction, in levels."""
    with torch.no_grad():
        picture = model.network(model.reconstruction_noises(pyramid, scales)).clamp(-1, 1)
    return 127.5 * float((picture - pyramid[scales - 1].clamp(-1, 1)).square().mean().sqrt())


@pytest.fixture(scope="module")
def whole(photo: Photo, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SinganModel]:
    directory = tmp_path_factory.mktemp("runs") / "whole"
    return directory, train_singan(start(directory, photo, TINY), photo, TINY)


def test_training_logs_its_steps_and_reconstructions(
    whole: tuple[Path, SinganModel], pyramid: list[Tensor]
) -> None:
    directory, model = whole
    lines = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    assert [(line["phase"], line["step"]) for line in lines] == [
        (f"structure-{m}", step) for m in range(SCALES) for step in (0, 5, 6)
    ]
    for m, line in enumerate(lines[2::3]):
        assert line["reconstruction_levels"] == pytest.approx(error(model, pyramid, m + 1), rel=1e-4)
    samples = {path.name for path in (directory / "samples").iterdir()}
    assert samples == {f"structure-{m}.png" for m in range(SCALES)}


@pytest.mark.parametrize("stop_after", [3, 6, 7, 8, 10, 14, 20])
def test_resumed_equals_uninterrupted(
    photo: Photo,
    tmp_path: Path,
    whole: tuple[Path, SinganModel],
    stop_after: int,
) -> None:
    """Killed within the first scale, at and about its end, and later; z* is the same, too."""
    with interrupted_after(stop_after), pytest.raises(KeyboardInterrupt):
        train(start(tmp_path / "part", photo, TINY), photo, TINY)
    torch.manual_seed(8)
    part = train(Run.open(tmp_path / "part", CPU, quiet=True), photo, TINY)
    assert isinstance(part, SinganModel)
    model = whole[1]
    assert torch.equal(part.fixed_noise, model.fixed_noise)
    assert part.deviations == model.deviations
    assert equal(weights(part.network), weights(model.network))


@pytest.mark.parametrize(("name", "scales"), [("structure", 3), ("structure-1", 2)])
def test_a_checkpoint_gives_its_network_back(whole: tuple[Path, SinganModel], name: str, scales: int) -> None:
    directory, model = whole
    restored = restore_network(directory / "checkpoints" / f"{name}.pt")
    network = restored.network
    assert isinstance(network, SinganStructure)
    assert restored.sizes == model.sizes[:scales]
    assert restored.deviations == model.deviations[:scales]
    assert network.noise_channels == [1, 3, 3][:scales]
    torch.manual_seed(3)
    z = model.noises(scales)
    with torch.no_grad():
        torch.testing.assert_close(network(z), model.network(z))  # in another layout of memory


@pytest.mark.parametrize("padding", ["zeros", "noise"])
def test_training_lowers_the_error_of_the_reconstruction(
    photo: Photo, pyramid: list[Tensor], padding: NoisePadding
) -> None:
    model = make(photo, padding=padding, channels=8, critic_steps=1, generator_steps=1)
    before = error(model, pyramid, 1)
    scale = SinganScale(model, pyramid, 0, None)
    for _ in range(80):
        scale.step()
    assert error(model, pyramid, 1) < 0.7 * before


def test_the_last_fifth_of_a_scales_steps_is_slower(
    photo: Photo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[float] = []

    def recording(self: SinganScale, step: Callable[..., Any] = SinganScale.step) -> Any:
        rates.append(self.optimizers["critic_optimizer"].optimizer.param_groups[0]["lr"])
        return step(self)

    monkeypatch.setattr(SinganScale, "step", recording)
    config = replace(TINY, scale_steps=10, decay=0.5, critic_steps=1, generator_steps=1)
    train_singan(start(tmp_path / "run", photo, TINY), photo, config)
    assert [config.steps(m) for m in range(SCALES)] == [10, 5, 1]
    assert rates == pytest.approx([5e-4] * 8 + [5e-5] * 2 + [5e-4] * 4 + [5e-5] + [5e-4])
