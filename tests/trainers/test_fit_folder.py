import io
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image

from ourgan_sdk import bundle
from ourgan_sdk.calibration import halo
from tests.tiny import InterruptedBackward
from trainers import fit_folder
from trainers.any_resolution import presets
from trainers.any_resolution.losses import MULTISCALE
from trainers.any_resolution.model import Generator
from trainers.any_resolution.views import coordinates
from trainers.bundling import coordinates as bundling
from trainers.bundling.onnx_export import ExportError

pytestmark = pytest.mark.usefixtures("one_thread", "tiny")

TINY = presets.AnyPreset(
    "any-draft",
    replace(
        presets.DRAFT.any_resolution,
        patch=16,
        channels=4,
        critic_channels=4,
        latent=6,
        features=8,
        layers=1,
        stride=4,
        margin=4,
        batch=4,
        whole_steps=3,
        patch_steps=3,
    ),
)


@pytest.fixture(scope="module")
def tiny() -> Any:
    """The preset any-draft trains in seconds, and halos are measured on small windows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(presets.PRESETS, "any-draft", TINY)
        patch.setattr(halo, "SIDES", (32, 64))
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "hills"
    path.mkdir()
    random = np.random.default_rng(0)
    for i, (height, width) in enumerate([(16, 20), (40, 30), (64, 64), (10, 40)]):
        pixels = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path / ("narrow.png" if height == 10 else f"{i}.png"))
    return path


def arguments(folder: Path, directory: Path, *more: str) -> list[str]:
    options = ["--preset", "any-draft", "--device", "cpu", "--seed", "3", "--quiet"]
    return [
        str(folder),
        *options,
        "--run",
        str(directory),
        "-o",
        str(directory.with_suffix(".ourgan")),
        *more,
    ]


@pytest.fixture(scope="module")
def finished(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("runs") / "whole"
    assert fit_folder.main(arguments(folder, directory)) == 0
    return directory


@pytest.fixture
def unbundled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands end when the networks are trained."""
    monkeypatch.setattr(fit_folder, "assemble", lambda *given: given[-1].touch())


def trained(directory: Path) -> Generator:
    state = torch.load(directory / "checkpoints" / "generator.pt", weights_only=True)
    generator = Generator(TINY.any_resolution, state["largest"]).requires_grad_(False)
    generator.load_state_dict(state["average"])
    return generator


def test_the_bundle_says_what_was_learned(finished: Path) -> None:
    manifest = bundle.Bundle.open(finished.with_suffix(".ourgan")).manifest
    assert manifest.photo is None
    assert manifest.structure is None
    assert manifest.upscalers == []
    record = manifest.coordinates
    assert record is not None
    assert (record.latent, record.patch, record.largest, record.stride) == (6, 16, 64, 4)
    assert 0 < record.halo <= trained(finished).radius
    assert 0 < record.seam_error.maximum <= 0.5
    assert 100 < record.bytes_per_pixel < 10_000
    assert (record.pictures.count, record.pictures.shortest, record.pictures.longest) == (3, 16, 64)
    assert manifest.training is not None
    assert manifest.training.structure_steps == [3, 3]
    assert (manifest.training.preset, manifest.training.seed) == ("any-draft", 3)
    assert manifest.training.perceptual == MULTISCALE
    assert manifest.learned == record.pictures.sha256


def test_what_is_exported_is_what_was_trained(finished: Path) -> None:
    data = bundle.Bundle.open(finished.with_suffix(".ourgan")).read("coordinates.onnx")
    generator, session = trained(finished), onnxruntime.InferenceSession(data)
    latent, scale = torch.randn(1, 6), torch.tensor([45.0])
    where = torch.tensor([[0.1, 0.3]]).double(), scale.double()
    grid = coordinates(*where, 36, 4, 2)
    feeds = {"coordinates": grid.numpy(), "scale": scale.numpy(), "latent": latent.numpy()}
    (got,) = session.run(None, feeds)
    expected = (generator(grid, scale, latent) / 2 + 0.5).clamp(0, 1)
    assert got.shape == (1, 3, 52, 52)
    assert np.abs(got - expected.numpy()).max() < 1e-4
    assert onnx.load(io.BytesIO(data)).opset_import[0].version == 20
    assert b"/trainers/" not in data  # nor any other path of the machine that made it


def test_a_network_that_exports_as_another_is_refused(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = trained(finished)

    def export(*_: object) -> Any:
        wrong = onnx.load(io.BytesIO(data))
        for node in wrong.graph.node:
            if node.op_type == "LeakyRelu":
                node.attribute[0].f = 0.3
        return wrong

    data = bundle.Bundle.open(finished.with_suffix(".ourgan")).read("coordinates.onnx")
    monkeypatch.setattr(bundling, "export", export)
    with pytest.raises(ExportError, match="coordinates: ONNX Runtime differs from PyTorch"):
        bundling.export_coordinates(generator)


def test_an_export_leaves_the_network_as_it_was(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = trained(finished)
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    monkeypatch.setattr(bundling, "export", lambda *_: onnx.ModelProto())
    monkeypatch.setattr(bundling, "compare", lambda *_: None)
    bundling.export_coordinates(generator)
    for name, value in generator.state_dict().items():
        assert torch.equal(value, before[name])


@pytest.mark.usefixtures("unbundled")
def test_what_a_run_says(finished: Path, folder: Path, tmp_path: Path, caplog: Any) -> None:
    options = ["--resume", str(finished), "-o", str(tmp_path / "again.ourgan"), "--device", "cpu", "--quiet"]
    assert fit_folder.main([*options, "--folder", str(folder)]) == 0
    assert "narrow.png has 40 x 10 pixels, fewer than 16" in caplog.text
    assert "3 pictures, 16 to 64 px" in caplog.text
    assert "no perceptual features in the teacher's loss" in caplog.text
    assert "24 images shown" in caplog.text


@pytest.mark.usefixtures("unbundled")
def test_interrupted_and_resumed_equals_uninterrupted(
    finished: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(torch.autograd, "backward", InterruptedBackward(9))
        assert fit_folder.main(arguments(folder, tmp_path / "run")) == 130
    assert "go on with --resume" in capsys.readouterr().err
    moved = tmp_path / "moved"
    shutil.copytree(folder, moved)
    resume = ["--resume", str(tmp_path / "run"), "--device", "cpu", "--quiet"]
    assert fit_folder.main([*resume, "--folder", str(moved)]) == 0
    for a, b in zip(trained(tmp_path / "run").parameters(), trained(finished).parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_run_goes_on_with_its_own_pictures_only(
    finished: Path, folder: Path, tmp_path: Path, capsys: Any
) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(folder, changed)
    (changed / "2.png").unlink()
    options = ["--resume", str(finished), "--device", "cpu", "--quiet", "--folder", str(changed)]
    assert fit_folder.main(options) == 1
    assert "are not those that this run was started with" in capsys.readouterr().err


@pytest.mark.usefixtures("unbundled")
@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["-o", "hills.zip"], "a bundle's name ends in .ourgan"),
        (["-o", "nowhere/hills.ourgan"], "there is no folder nowhere"),
    ],
)
def test_outputs_that_cannot_be_written(
    folder: Path, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch, more: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert fit_folder.main([*arguments(folder, tmp_path / "run"), *more]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_bundle_of_other_pictures_is_kept(
    finished: Path, folder: Path, tmp_path: Path, capsys: Any
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(folder / "2.png", other)
    output = ["-o", str(finished.with_suffix(".ourgan"))]
    assert fit_folder.main([*arguments(other, tmp_path / "run"), *output]) == 1
    assert "is the bundle of other pictures" in capsys.readouterr().err


def test_folders_that_cannot_be_used(folder: Path, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "small").mkdir()
    shutil.copy(folder / "narrow.png", tmp_path / "small")
    assert fit_folder.main(arguments(tmp_path / "small", tmp_path / "run")) == 1
    assert "none of the 1 pictures" in capsys.readouterr().err
    assert fit_folder.main(arguments(tmp_path / "nothing", tmp_path / "run")) == 1
    assert "nothing" in capsys.readouterr().err
    assert fit_folder.main(arguments(folder, folder / "run", "-o", str(tmp_path / "x.ourgan"))) == 1
    assert "would lie among the pictures" in capsys.readouterr().err


def test_runs_of_other_commands_and_versions(finished: Path, tmp_path: Path, capsys: Any) -> None:
    run = tmp_path / "run"
    run.mkdir()
    config = json.loads((finished / "config.json").read_text())
    del config["preset"]["any_resolution"]["r1"]
    (run / "config.json").write_text(json.dumps(config))
    options = ["--resume", str(run), "--device", "cpu", "--quiet"]
    assert fit_folder.main(options) == 1
    assert "is not of this version: AnyConfig lacks r1" in capsys.readouterr().err
    (run / "config.json").write_text(json.dumps({"photo": {}, **config, "pictures": None} | {"folder": "x"}))
    assert fit_folder.main(options) == 1
    del config["folder"]
    (run / "config.json").write_text(json.dumps(config))
    assert fit_folder.main(options) == 1
    assert "broken or of another command" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "give either a folder or --resume RUN"),
        (["x", "--resume", "y"], "give either a folder or --resume RUN"),
        (["--resume", "y", "--seed", "1"], "--seed was settled"),
        (["x", "--folder", "y"], "give it with --resume RUN"),
        (["x", "--preset", "draft"], "invalid choice"),
    ],
)
def test_options_that_do_not_go_together(given: list[str], message: str, capsys: Any) -> None:
    with pytest.raises(SystemExit):
        fit_folder.main(given)
    assert message in capsys.readouterr().err


def test_features_that_no_preset_reads_are_refused(folder: Path, tmp_path: Path, capsys: Any) -> None:
    options = ["--preset", "any-draft", "--vgg", str(tmp_path / "vgg.pth"), "--run", str(tmp_path / "run")]
    assert fit_folder.main([str(folder), *options]) == 1
    assert "any-draft uses no perceptual features: --vgg would not be read" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
