import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from ourgan_sdk import Bundle, Synthesizer
from ourgan_sdk.bundle import Manifest, Photo, write_bundle
from tests.tiny import write_photo
from tests.trainers.test_published import flax_arrays
from trainers import evaluate
from trainers.metrics import beyond, copied
from trainers.metrics.canvases import CanvasComparison, over_seeds
from trainers.metrics.comparison import Comparison, evaluate_upscalers
from trainers.metrics.full_resolution import FullResolution, Numbers
from trainers.metrics.inception import InceptionFeatures
from trainers.networks import lpips_jax
from trainers.networks.lpips import LPIPS
from trainers.photo import load_photo
from trainers.upscalers import realsr

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def packages(monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Weight files that packages have installed, by name: none, at first."""
    found: dict[str, Path] = {}
    monkeypatch.setattr(lpips_jax, "find_weights", found.get)
    monkeypatch.setattr(realsr, "find_realsr", lambda: found.get("realsr"))
    return found


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photo(tmp_path_factory.mktemp("photo") / "hills.png", 120, 180)


@pytest.fixture(scope="module")
def bundle(
    photo: Path, manifest: Manifest, networks: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The tiny bundle, as if it had learned ``photo`` without its right half."""
    path = tmp_path_factory.mktemp("bundle") / "hills.ourgan"
    learned = Photo(width=180, height=120, sha256=load_photo(photo).sha256)
    training = manifest.training.model_copy(update={"held_out": 0.5})
    write_bundle(path, manifest.model_copy(update={"photo": learned, "training": training}), networks)
    return path


@pytest.fixture(scope="module")
def with_photograph(bundle: Path, photo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same bundle, which holds its photograph as well."""
    path = tmp_path_factory.mktemp("holding") / "hills.ourgan"
    opened = Bundle.open(bundle)
    held = opened.manifest.photo.model_copy(update={"file": "photograph.png"})
    members = {name: opened.read(name) for name in opened.manifest.files}
    manifest = opened.manifest.model_copy(update={"photo": held})
    write_bundle(path, manifest, members | {"photograph.png": photo.read_bytes()})
    return path


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Runs the command; returns its report."""

    def call(*arguments: object) -> dict[str, Any]:
        output = tmp_path / "report.json"
        options = ["--samples", "4", "--device", "cpu", "--quiet", "-o", str(output)]
        assert evaluate.main([*map(str, arguments), *options]) == 0
        report: dict[str, Any] = json.loads(output.read_text())
        return report

    return call


def test_the_last_upscaler_is_that_of_later_passes(bundle: Path, photo: Path, tmp_path: Path) -> None:
    """Also where pass 2 has one of its own."""
    opened = Bundle.open(bundle)
    first, later = opened.manifest.upscalers
    members = {name: opened.read(name) for name in opened.manifest.files}
    second = first.model_copy(update={"file": "second.onnx"})
    manifest = opened.manifest.model_copy(update={"upscalers": [first, second, later]})
    three = write_bundle(tmp_path / "three.ourgan", manifest, members | {"second.onnx": members[first.file]})
    rows, _ = evaluate_upscalers(three, load_photo(photo))
    assert [row["file"] for row in rows] == [later.file, later.file, first.file]


def test_report_table_and_sheet(
    run: Callable[..., dict[str, Any]],
    bundle: Path,
    photo: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sheet = tmp_path / "sheet.png"
    report = run(bundle, photo, "--seed", 3, "--sheet", sheet)
    assert report["photo"]["learned_by_the_bundle"]
    assert report["seeds"] == [3, 6]
    assert report["bundle"]["training"]["held_out"] == 0.5
    structure, enlarged = report["sizes"]
    assert (structure["compared"], enlarged["compared"]) == ([18, 12], [72, 48])
    assert {"swd", "swd_level_0", "coherence", "completeness", "layout_drift"} == structure["metrics"].keys()
    assert {"swd", "swd_level_0", "swd_level_1"} == enlarged["metrics"].keys()
    assert all(numbers["mean"] > 0 for numbers in structure["metrics"].values())
    assert structure["metrics"]["layout_drift"]["mirrored_photo"] == pytest.approx(0, abs=1e-3)
    assert report["between_samples"]["diversity"] > 0
    assert [row["task"] for row in report["upscalers"]] == ["later, 180 px", "later, 90 px", "first, 72 px"]
    files = ["upscaler_later.onnx", "upscaler_later.onnx", "upscaler.onnx"]
    assert [row["file"] for row in report["upscalers"]] == files
    assert all(row["held_out"] for row in report["upscalers"])
    assert all("no weights" in report["left_out"][name] for name in ("SIFID", "LPIPS"))
    output = capsys.readouterr()
    assert output.err == ""
    for text in ("layout drift", "18 x 12", "72 x 48", "held out", "bicubic", "left out: SIFID: no weights"):
        assert text in output.out
    with Image.open(sheet) as image:
        assert image.size == (5 * 22 - 4, 12)
        shown = np.asarray(image)[:, 22 : 22 + 18]
    assert np.array_equal(shown, Synthesizer(bundle).preview(3))


def test_lpips_of_the_installed_package(
    run: Callable[..., dict[str, Any]], bundle: Path, photo: Path, packages: dict[str, Path], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    network = LPIPS()
    for parameter in network.linear.parameters():
        parameter.data.abs_()
    packages["alexnet"] = tmp_path / "alexnet.ckpt"
    packages["alexnet"].write_bytes(pickle.dumps(flax_arrays(network), protocol=3))
    report = run(bundle, photo, "--passes", 0)
    assert report["between_samples"]["lpips"]["mean"] > 0
    assert "LPIPS" not in report["left_out"]


def test_beyond_what_was_learned(
    run: Callable[..., dict[str, Any]],
    bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Against a photograph of twice the size, and no other."""
    monkeypatch.setattr(beyond, "SIDE", 64)
    whole = write_photo(tmp_path / "whole.png", 240, 361)
    rows = run(bundle, whole, "--passes", 0, "--beyond")["beyond"]
    assert list(rows) == ["bicubic", "upscaler_later.onnx"]
    assert all(numbers["psnr"] > 5 and "lpips" not in numbers for numbers in rows.values())
    output = capsys.readouterr()
    assert output.err == ""
    assert "amplitude 2 to 4 px" in output.out
    other = write_photo(tmp_path / "other.png", 240, 370)
    assert evaluate.main([str(bundle), str(other), "--beyond", "-o", str(tmp_path / "other.json")]) == 1
    assert "at half its size, 185 x 120;" in capsys.readouterr().err


def test_numbers_are_those_of_the_samples_that_the_runtime_renders(bundle: Path, photo: Path) -> None:
    comparison = Comparison(Synthesizer(bundle), load_photo(photo), 1, torch.device("cpu"))
    rendered = torch.from_numpy(Synthesizer(bundle).render(72, 48, seed=5)).permute(2, 0, 1)
    assert torch.equal(comparison.sample(5) * 255, rendered.float())


def test_outputs_that_would_replace_an_input_are_refused(bundle: Path, photo: Path, tmp_path: Path) -> None:
    before = photo.read_bytes(), bundle.read_bytes()
    both = tmp_path / "both.png"
    for report, sheet in ((tmp_path / "a.json", photo), (bundle, None), (both, both)):
        with pytest.raises(ValueError, match="the bundle, the photograph or the other output"):
            evaluate.check_outputs([bundle, photo], report, sheet)
    assert (photo.read_bytes(), bundle.read_bytes()) == before


def test_the_same_command_gives_the_same_numbers(
    run: Callable[..., dict[str, Any]], bundle: Path, photo: Path
) -> None:
    first, second = ({**run(bundle, photo), "seconds": 0} for _ in range(2))
    assert first == second
    assert run(bundle, photo, "--seed", 4)["sizes"] != first["sizes"]


def test_with_weights(
    run: Callable[..., dict[str, Any]],
    bundle: Path,
    photo: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """SIFID after pass 2, at the photograph's size as that is smaller; after pass 1 they are too small."""
    inception, alexnet, linear = (tmp_path / name for name in ("inception.pth", "alexnet.pth", "linear.pth"))
    torch.manual_seed(0)
    torch.save(InceptionFeatures().state_dict(), inception)
    lpips = LPIPS()
    torch.save(lpips.backbone.state_dict(), alexnet)
    torch.save({name: value.abs() for name, value in lpips.linear.state_dict().items()}, linear)
    report = run(bundle, photo, "--inception", inception, "--lpips", alexnet, linear)
    small, large = report["sizes"][1:]
    assert (large["rendered"], large["compared"]) == ([288, 192], [180, 120])
    reason = "pictures of 72 x 48 are too small for Inception"
    assert report["left_out"] == {"SIFID after pass 1": reason}
    assert "sifid_5" not in small["metrics"]
    assert large["metrics"]["sifid_5"]["mean"] > 0
    assert large["metrics"]["sifid_13"]["mean"] > 0
    assert report["between_samples"]["lpips"]["pairs"] == 6  # of 4 samples
    assert report["between_samples"]["lpips"]["mean"] > 0
    table = capsys.readouterr().out
    assert "SIFID, 13th layer" in table
    assert "LPIPS, 256 px" in table


def test_another_photograph_and_upscalers_trained_on_all_of_it(
    run: Callable[..., dict[str, Any]],
    bundle_path: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    other = write_photo(tmp_path / "other.png", 240, 360)
    report = run(bundle_path, other, "--passes", 0)
    assert not report["photo"]["learned_by_the_bundle"]
    assert [row["held_out"] for row in report["upscalers"]] == [False]
    assert "too few" in report["left_out"]["upscaler first, 72 px"]
    assert "TRAINED ON" in capsys.readouterr().out
    assert caplog.messages == [f"{other} is not the photograph that {bundle_path} has learned"]


def test_the_default_report_lies_here(
    bundle: Path, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert evaluate.main([str(bundle), str(photo), "--samples", "4", "--passes", "0", "--quiet"]) == 0
    assert (tmp_path / "hills-metrics.json").exists()


def test_the_default_report_replaces_none_on_another_photograph(
    bundle: Path,
    photo: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    report = tmp_path / f"{bundle.stem}-metrics.json"
    command = [str(bundle), str(photo), "--samples", "4", "--passes", "0", "--quiet"]
    report.write_text('{"photo": {"sha256": "another"}}')
    assert evaluate.main(command) == 1
    assert "it is the report on another photograph" in capsys.readouterr().err
    assert report.read_text() == '{"photo": {"sha256": "another"}}'
    for text in ("[", "[]", '{"photo": 5}'):
        report.write_text(text)
        evaluate.check_report(report, load_photo(photo))
    assert evaluate.main(command) == 0
    assert evaluate.main(command) == 0


def test_bad_input_ends_with_one_line_before_anything_is_rendered(
    bundle: Path,
    photo: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("rendered before the input was checked")

    monkeypatch.setattr(Synthesizer, "render", never)
    monkeypatch.setattr(Synthesizer, "canvas", never)
    grey = tmp_path / "grey.png"
    Image.new("RGB", (180, 120), (90, 90, 90)).save(grey)
    tiny = tmp_path / "tiny.png"
    Image.linear_gradient("L").resize((9, 6)).save(tiny)
    other = write_photo(tmp_path / "other.png", 240, 360)
    text = tmp_path / "text.ourgan"
    text.write_text("text")
    report = tmp_path / "report.json"
    cases: list[tuple[list[object], str]] = [
        ([bundle, tmp_path / "none.jpg"], "cannot read the photograph"),
        ([tmp_path / "none.ourgan", photo], "No such file"),
        ([text, photo], "text.ourgan"),
        ([bundle, grey], "is flat"),
        ([bundle, tiny], "at least 7 x 7 pixels"),
        ([bundle, photo, "--device", "tpu"], "tpu"),
        ([bundle, photo, "-o", tmp_path / "none" / "report.json"], "cannot write"),
        ([bundle, photo, "--sheet", tmp_path / "sheet.gif"], "a sheet's name ends in .png"),
        ([bundle, photo, "--inception", text], "is not torchvision's Inception v3"),
        ([bundle, photo, "--lpips", text, text], "is not torchvision's AlexNet"),
        ([bundle, photo, "--detail", "photograph", "--full", "360x240"], "holds no photograph"),
        ([bundle, photo, "--full", "360x240", "--full", "360x50"], "a picture of 360 x 50 is too small"),
        ([bundle, photo, "--full", "60x40"], "expected at least 64 x 64 pixels, got 60 x 40"),
        ([bundle, other, "--full", "360x240"], "360 x 240 has not the scale of the bundle's"),
    ]
    for arguments, message in cases:
        assert evaluate.main(["--quiet", "-o", str(report), *map(str, arguments)]) == 1
        error = capsys.readouterr().err
        assert error.startswith("error: ")
        assert message in error
        assert error.count("\n") == 1, error
    assert not report.exists()


@pytest.mark.parametrize("count", ["3", "-1", "many", "10001"])
def test_numbers_of_samples_that_are_refused(
    count: str, bundle: Path, photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        evaluate.main([str(bundle), str(photo), f"--samples={count}"])
    assert f"expected from 4 to 10000 samples, got '{count}'" in capsys.readouterr().err


@pytest.fixture
def few_patches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looked for in the photograph, which is what takes most of the time in pictures so small."""
    monkeypatch.setattr(copied, "QUERIES", 1024)


def pixels_of(photo: Path) -> npt.NDArray[np.uint8]:
    with Image.open(photo) as image:
        return np.array(image)


def metric(report: dict[str, Any], key: str = "mean") -> Numbers:
    """Of the only canvases of a report."""
    (one,) = report["full_resolution"]
    return {name: values[key] for name, values in one["metrics"].items()}


@pytest.mark.usefixtures("few_patches")
def test_canvases_stand_against_the_photograph_at_their_scale(
    run: Callable[..., dict[str, Any]], with_photograph: Path, photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two photographs wide: the photograph's level is the photograph itself, at half the canvas's width."""
    report = run(with_photograph, photo, "--seed", 7, "--passes", 0, "--full", "360x240", "--full-seeds", 1)
    (one,) = report["full_resolution"]
    assert (one["rendered"], one["compared"], one["photograph"]) == ([360, 240], [360, 240], [180, 120])
    assert (one["extent"], one["detail"], one["seeds"]) == (2, "photograph", [7, 7])
    canvas = Synthesizer(with_photograph).canvas(360, 240, 7)
    compare = FullResolution(pixels_of(photo))
    expected = compare.measure(
        canvas[:], lambda y0, x0, y1, x1: canvas.sources()[y0:y1, x0:x1].astype(np.int64)
    )
    assert metric(report) == metric(report, "minimum") == pytest.approx(expected)
    mirrored = compare.mirrored()
    assert metric(report, "mirrored_photo") == {name: mirrored.get(name) for name in expected}
    assert {"amplitude_2_4px", "swd_full_level_0", "source_largest", "border_share"} <= expected.keys()
    assert not any("full resolution" in what or "sources" in what for what in report["left_out"])
    output = capsys.readouterr().out
    for text in ("full resolution, 360 x 240, detail from the photograph", "largest piece, share"):
        assert text in output


@pytest.mark.usefixtures("few_patches")
def test_canvases_of_networks_have_no_sources(
    run: Callable[..., dict[str, Any]], with_photograph: Path, bundle: Path, photo: Path
) -> None:
    report = run(with_photograph, photo, "--passes", 0, "--full", "360x240", "--detail", "network")
    (one,) = report["full_resolution"]
    assert one["detail"] == "network"
    assert not any(name.startswith(("source", "border")) for name in one["metrics"])
    assert "no place in the photograph" in report["left_out"]["sources and borders of 360 x 240"]
    synthesizer = Synthesizer(bundle)
    compare = FullResolution(pixels_of(photo))
    both = over_seeds([compare.measure(synthesizer.render(360, 240, seed)) for seed in (0, 1)])
    assert metric(report, "maximum") == pytest.approx({name: one["maximum"] for name, one in both.items()})


@pytest.mark.usefixtures("few_patches")
def test_what_passes_add_to_the_photograph_is_not_compared(
    run: Callable[..., dict[str, Any]], with_photograph: Path, photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = run(with_photograph, photo, "--passes", 0, "--full", "720x480", "--full-seeds", 1)
    (one,) = report["full_resolution"]
    assert (one["rendered"], one["compared"], one["passes_left_out"]) == ([720, 480], [180, 120], 1)
    assert "compared at 180 x 120" in report["left_out"]["full resolution of 720 x 480"]
    assert "compared at 180 x 120: beyond it" in capsys.readouterr().out
    level = Synthesizer(with_photograph).canvas(720, 480).levels[1]
    expected = FullResolution(pixels_of(photo)).measure(level)
    assert "source_largest" in one["metrics"]
    assert {name: metric(report)[name] for name in expected} == pytest.approx(expected)
    of_networks = CanvasComparison(
        Synthesizer(with_photograph, detail="network"), load_photo(photo), 720, 480
    )
    canvas = of_networks.canvas(0)
    assert canvas.levels[of_networks.level(canvas)].shape == level.shape


def test_samples_are_the_networks_whatever_the_bundle_holds(
    run: Callable[..., dict[str, Any]], with_photograph: Path, bundle: Path, photo: Path
) -> None:
    assert run(with_photograph, photo)["sizes"] == run(bundle, photo)["sizes"]


def test_a_number_that_not_all_seeds_have() -> None:
    numbers = over_seeds([{"one": 1.0, "two": 5.0}, {"one": 4.0}])
    assert numbers["one"] == {"mean": 2.5, "minimum": 1, "maximum": 4, "samples": 2}
    assert numbers["two"] == {"mean": 5, "minimum": 5, "maximum": 5, "samples": 1}


def test_a_size_that_is_none(bundle: Path, photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        evaluate.main([str(bundle), str(photo), "--full=large"])
    assert "expected a size as WIDTHxHEIGHT" in capsys.readouterr().err
