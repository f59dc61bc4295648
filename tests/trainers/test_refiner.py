"""The refiner of continuous scale: local, of any factor, trained on what it may see."""

import math
from dataclasses import replace
from pathlib import Path

import onnxruntime as ort
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from trainers import refine as refine_command
from trainers.bundling import refiner as bundling
from trainers.metrics.restoration import psnr
from trainers.networks.refiner import STRIDE, Refiner, draw_noise, enlarge
from trainers.photo import Photo, held_out_part, reduce, to_float
from trainers.runs.run import Run
from trainers.upscalers import refiner
from trainers.upscalers.refiner import (
    CHECKPOINT,
    Crops,
    RefinerConfig,
    RefinerTraining,
    refine,
    train_refiner,
)

CPU = torch.device("cpu")
SMALL = RefinerConfig(features=16, blocks=1, code=8, steps=60, batch=4, patch=48, margin=8, precision="fp32")

pytestmark = pytest.mark.usefixtures("one_thread")


def small_config(**given: object) -> RefinerConfig:
    """The same for the command."""
    return replace(SMALL, **given)  # type: ignore[arg-type]


small_config.from_dict = RefinerConfig.from_dict  # type: ignore[attr-defined]


def shapes_photo(height: int = 192, width: int = 384) -> Photo:
    """Sharp discs of random colours, anti-aliased by a reduction from twice the size."""
    generator = torch.Generator().manual_seed(0)
    picture = torch.full((3, 2 * height, 2 * width), 0.5)
    y, x = torch.meshgrid(torch.arange(2 * height), torch.arange(2 * width), indexing="ij")
    for _ in range(250):
        across, down, radius, *color = torch.rand(6, generator=generator).tolist()
        inside = (y - 2 * height * down).square() + (x - 2 * width * across).square() < (6 + 40 * radius) ** 2
        picture[:, inside] = torch.tensor(color)[:, None]
    pixels = (reduce(picture[None], height, width)[0] * 255).round().to(torch.uint8)
    return Photo(pixels, "0" * 64)


def random_refiner(seed: int = 0) -> Refiner:
    """One that changes what it is given."""
    torch.manual_seed(seed)
    network = Refiner(16, 2, 8).eval()
    torch.nn.init.normal_(network.conv_last.weight, std=0.1)
    return network


def trained(config: RefinerConfig, photo: Photo) -> Refiner:
    torch.manual_seed(0)
    training = RefinerTraining(config, Crops(photo, config), CPU)
    while training.done < config.steps:
        training.step()
    return training.average.eval()


def task(photo: Photo, factor: float) -> tuple[Tensor, Tensor]:
    """The part held out, reduced by a factor, and as it is."""
    high = to_float(held_out_part(photo, 1 / 4).pixels)[None]
    return reduce(high, *(round(n / factor) for n in high.shape[2:])), high


def test_untrained_it_changes_nothing() -> None:
    picture = torch.rand(2, 3, 20, 26)
    assert torch.equal(Refiner(16, 1)(picture, draw_noise(picture), torch.tensor([3.0])), picture)


@torch.no_grad()
def test_a_pixel_depends_on_what_is_within_reach_and_on_no_more() -> None:
    network = random_refiner()
    reach, side = network.reach, 96
    assert reach % STRIDE == 0
    picture = torch.rand(1, 3, side, side)
    noise, factor = draw_noise(picture), torch.tensor([2.5])
    before = network(picture, noise, factor)
    at = 48
    changed = picture.clone()
    changed[..., at, at] += 1
    difference = ((network(changed, noise, factor) - before).abs().amax((0, 1)) > 1e-6).nonzero()
    furthest = int((difference - at).abs().max())
    assert reach - 2 * STRIDE <= furthest <= reach
    window = slice(20, 20 + 2 * reach + 8)
    part = network(picture[..., window, window], noise[..., window, window], factor)
    inner = slice(window.start + reach, window.stop - reach)
    middle = part[..., reach:-reach, reach:-reach]
    torch.testing.assert_close(middle, before[..., inner, inner], atol=1e-5, rtol=0)


@torch.no_grad()
def test_the_factor_is_an_input() -> None:
    network, picture = random_refiner(), torch.rand(1, 3, 32, 32)
    noise = draw_noise(picture)
    two, six, most, more = (network(picture, noise, torch.tensor([r])) for r in (2.0, 6.0, 8.0, 20.0))
    assert (two - six).abs().max() > 1e-3
    assert torch.equal(most, more)


@pytest.mark.parametrize("size", [(75, 101), (64, 64)])
def test_any_size_in_bands_is_the_whole(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    network, low = random_refiner(), torch.rand(1, 3, 25, 31)
    whole = refine(network, low, *size)
    assert whole.shape == (1, 3, *size)
    assert 0 <= whole.min() < whole.max() <= 1
    monkeypatch.setattr(refiner, "BAND_ROWS", 16)
    torch.testing.assert_close(refine(network, low, *size), whole, atol=1e-5, rtol=0)
    assert not torch.allclose(refine(network, low, *size, seed=1), whole, atol=1e-3)


def test_what_is_held_out_is_in_no_crop() -> None:
    """The right part is all white, and the rest has no white."""
    pixels = torch.randint(100, (3, 200, 400), dtype=torch.uint8)
    pixels[..., 300:] = 255
    config = replace(SMALL, held_out=1 / 4)
    crops = Crops(Photo(pixels, ""), config)
    torch.manual_seed(0)
    factors = []
    for _ in range(100):
        batch = crops()
        assert batch.high.shape == (4, 3, 64, 64)
        assert batch.low.shape[:2] == (4, 3)
        assert batch.high.max() < 0.6
        assert torch.equal(batch.low, reduce(batch.high, *batch.low.shape[2:]))
        factors.append(batch.factor)
    assert config.least * 0.98 <= min(factors) < 1.8
    assert 6 < max(factors) <= config.most
    assert sum(factor < math.sqrt(config.least * config.most) for factor in factors) == pytest.approx(
        50, abs=15
    )


def test_a_photograph_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match=r"63 x 200 pixels beside the part held out.*at least 64 on each"):
        Crops(Photo(torch.zeros(3, 200, 63, dtype=torch.uint8), ""), replace(SMALL, held_out=0.0))


def test_it_gives_back_more_than_interpolation_at_every_factor() -> None:
    """Of a part that it has never seen, at factors that are hardly ever drawn exactly."""
    photo = shapes_photo()
    config = replace(SMALL, held_out=1 / 4, steps=200, patch_statistics=0.0, learning_rate=2e-2)
    network = trained(config, photo)
    gains = []
    for factor in (2, 3, 6):
        low, high = task(photo, factor)
        sides = high.shape[2:]
        gains.append(psnr(refine(network, low, *sides), high) - psnr(enlarge(low, *sides).clamp(0, 1), high))
    assert gains[0] > 0.05
    assert gains[1] > 0.05
    assert gains[2] > 0.015


def test_the_inverse_teacher_keeps_what_went_in() -> None:
    """Reduced to the size of what it was given, the result is nearer to that than without the loss.

    So near as bicubic enlargement, from which both begin.
    """
    photo = shapes_photo()
    low, high = task(photo, 3)

    def error(picture: Tensor) -> float:
        return F.l1_loss(reduce(picture, *low.shape[2:]), low).item()

    begun = error(enlarge(low, *high.shape[2:]).clamp(0, 1))
    added = []
    for weight in (0.0, 3.0):
        config = replace(SMALL, held_out=1 / 4, steps=40, consistency=weight, learning_rate=2e-2)
        network = trained(replace(config, reconstruction=0.0, patch_statistics=0.1), photo)
        added.append(error(refine(network, low, *high.shape[2:])) - begun)
    assert added[1] < 0.5 * added[0]


def test_a_run_goes_on_as_if_it_had_never_stopped(tmp_path: Path) -> None:
    photo, config = shapes_photo(96, 128), replace(SMALL, steps=6)
    straight = trained(config, photo)
    torch.manual_seed(0)
    run = Run.create(tmp_path / "run", {"preset": {}}, CPU, quiet=True)
    half = RefinerTraining(config, Crops(photo, config), CPU)
    for _ in range(3):
        half.step()
    run.save_checkpoint(CHECKPOINT, half.state_dict())
    torch.manual_seed(1)
    run = Run.open(tmp_path / "run", CPU, quiet=True, keys=frozenset({"preset"}))
    resumed = train_refiner(run, RefinerTraining(config, Crops(photo, config), CPU))
    for name, value in straight.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_the_command_trains_writes_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is written is what was trained, also at sizes and factors that the export has not looked at."""
    monkeypatch.setattr(refine_command, "RefinerConfig", small_config)
    monkeypatch.setattr(bundling, "SIZES", bundling.SIZES[1:2])
    photo, run, output = tmp_path / "photo.png", tmp_path / "run", tmp_path / "one.onnx"
    picture = shapes_photo(96, 1200).pixels.permute(1, 2, 0).numpy()
    Image.fromarray(picture).save(photo)
    always = ["--quiet", "--device", "cpu"]
    assert (
        refine_command.main([str(photo), "-o", str(output), "--run", str(run), "--steps", "3", *always]) == 0
    )

    state = torch.load(run / "checkpoints" / f"{CHECKPOINT}.pt", weights_only=True)
    network = Refiner(SMALL.features, SMALL.blocks, SMALL.code, SMALL.most)
    network.load_state_dict(state["average"])
    session = ort.InferenceSession(output.read_bytes(), providers=["CPUExecutionProvider"])
    for size, factor in (((24, 38), 2.2), ((6, 4), 7.9)):
        enlarged = torch.rand(1, 3, *size)
        noise = draw_noise(enlarged)
        given = {"enlarged": enlarged, "noise": noise, "factor": torch.tensor([factor])}
        (got,) = session.run(None, {name: value.numpy() for name, value in given.items()})
        with torch.no_grad():
            wanted = network(enlarged, noise, given["factor"]).clamp(0, 1)
        torch.testing.assert_close(torch.from_numpy(got), wanted, atol=1e-5, rtol=0)
        assert (wanted - enlarged).abs().max() > 1e-4

    seen: list[Refiner] = []
    monkeypatch.setattr(refine_command, "export_refiner", lambda one, _photo: seen.append(one) or b"again")
    moved = photo.rename(tmp_path / "moved.png")
    assert refine_command.main(["--resume", str(run), *always]) == 1
    assert "say where it is with --image" in capsys.readouterr().err
    assert refine_command.main(["--resume", str(run), "--image", str(moved), *always]) == 0
    assert output.read_bytes() == b"again"
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in seen[0].state_dict().items())


def test_another_photographs_refiner_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of one name, in one folder; where it is the same photograph's, a second run lies beside the first."""
    monkeypatch.setattr(refine_command, "RefinerConfig", small_config)
    monkeypatch.setattr(bundling, "SIZES", bundling.SIZES[1:2])
    monkeypatch.chdir(tmp_path)
    picture = shapes_photo(96, 1200).pixels.permute(1, 2, 0).numpy()
    Image.fromarray(picture).save("hills.png")
    command = ["hills.png", "--steps", "2", "--quiet", "--device", "cpu"]
    assert refine_command.main(command) == 0
    assert refine_command.main([*command, "--seed", "1"]) == 0
    assert {path.name for path in Path("runs").iterdir()} == {"hills-refiner", "hills-refiner-2"}
    before = Path("hills-refiner.onnx").read_bytes()
    Image.fromarray(picture[:, ::-1]).save("hills.png")
    capsys.readouterr()
    assert refine_command.main(command) == 1
    assert "it is no refiner of this photograph" in capsys.readouterr().err
    assert Path("hills-refiner.onnx").read_bytes() == before
    assert not Path("runs/hills-refiner-3").exists()
    assert refine_command.main([*command, "--force"]) == 0
    assert Path("hills-refiner.onnx").read_bytes() != before
    Path("hills-refiner.onnx").write_bytes(b"something else")
    assert refine_command.main(command) == 1
    assert Path("hills-refiner.onnx").read_bytes() == b"something else"


def test_what_the_command_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photo, run = tmp_path / "photo.png", tmp_path / "run"
    picture = shapes_photo(128, 300).pixels.permute(1, 2, 0).numpy()
    Image.fromarray(picture).save(photo)
    for arguments in (
        ["--resume", "x", "--steps", "4"],
        [str(photo), "--steps", "0"],
        [],
        ["x", "--resume", "y"],
    ):
        with pytest.raises(SystemExit):
            refine_command.main(arguments)
    assert refine_command.main([str(photo), "-o", str(tmp_path / "one.txt"), "--run", str(run)]) == 1
    assert "ends in .onnx" in capsys.readouterr().err
    Image.fromarray(picture[:96]).save(photo)
    assert refine_command.main([str(photo), "-o", str(tmp_path / "one.onnx"), "--run", str(run)]) == 1
    assert "at least 128 on each side" in capsys.readouterr().err
    assert not run.exists()
    config = {"photo": {}, "output": str(tmp_path / "one.onnx"), "perceptual": None, "refiner": {}, "seed": 0}
    Run.create(run, config, CPU)
    assert refine_command.main(["--resume", str(run)]) == 1
    assert "not of this version" in capsys.readouterr().err
