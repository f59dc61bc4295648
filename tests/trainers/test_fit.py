import contextlib
import hashlib
import io
import json
import multiprocessing
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from export import to_onnx
from ourgan_sdk import Bundle, BundleError, Synthesizer, learn, save_bundle
from tests.reconstruction import check_reconstruction
from tests.tiny import TINY, InterruptedBackward, train_step_by_step, write_photo
from tests.trainers.interrupting import interrupted_after
from trainers import fit
from trainers.networks import CoordConv2d, RRDBNet, Structure
from trainers.presets import DRAFT, PAPER, STANDARD, Preset
from trainers.runs import run
from trainers.runs.restore import RestoreError, restore_network

PHASES = ("structure", "upscaler-later", "upscaler-first", "upscaler-second")
UPSCALERS = ["upscaler-first.onnx", "upscaler-second.onnx", "upscaler-later.onnx"]


pytestmark = pytest.mark.usefixtures("one_thread", "tiny_preset")


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photo(tmp_path_factory.mktemp("photo") / "hills.png")


@pytest.fixture(scope="module")
def finished(photo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run directory of an uninterrupted fit; its bundle lies in it."""
    directory = tmp_path_factory.mktemp("runs") / "whole"
    assert fit.main(arguments(photo, directory)) == 0
    return directory


def arguments(photo: Path, directory: Path) -> list[str]:
    output = directory.parent / f"{directory.name}.ourgan"
    options = ["--preset", "draft", "--device", "cpu", "--seed", "5", "--quiet"]
    return [str(photo), *options, "--run", str(directory), "-o", str(output)]


def weights(directory: Path) -> dict[str, torch.Tensor]:
    """Everything that was trained, by name."""
    found: dict[str, torch.Tensor] = {}

    def collect(prefix: str, value: Any) -> None:
        if isinstance(value, torch.Tensor):
            found[prefix] = value
        elif isinstance(value, dict):
            for key, inner in value.items():
                collect(f"{prefix}.{key}", inner)

    for phase in PHASES:
        state = torch.load(directory / "checkpoints" / f"{phase}.pt", weights_only=True)
        for key in ("model", "scale_state", "generator", "discriminator"):
            collect(f"{phase}.{key}", state.get(key))
    return found


def assert_same_weights(one: Path, other: Path) -> None:
    ours, theirs = weights(one), weights(other)
    assert ours.keys() == theirs.keys()
    different = [name for name in ours if not torch.equal(ours[name], theirs[name])]
    assert not different


def test_run_directory_and_bundle(finished: Path) -> None:
    bundle = Bundle.open(finished.with_suffix(".ourgan"))
    manifest = bundle.manifest
    assert (manifest.photo.width, manifest.photo.height) == (300, 200)
    assert manifest.training.structure_steps == [6, 6, 6, 5]
    assert manifest.training.preset == "draft"
    assert manifest.upscalers[0].noise_deviation == 0.1
    assert [upscaler.noise_deviation for upscaler in manifest.upscalers[1:]] == [0.03, 0]
    deviations = [scale.noise_deviation for scale in manifest.structure.scales]
    assert deviations[:2] == [1.0, 0.0]
    assert all(0 < deviation < 1 for deviation in deviations[2:])
    assert all(upscaler.seam_error.maximum <= 0.5 for upscaler in manifest.upscalers)
    for upscaler in manifest.upscalers:
        assert upscaler.erf is not None
        assert upscaler.erf.radius_9545 <= upscaler.erf.radius_999 <= upscaler.erf.theoretical == 5
        assert (finished / f"erf-{Path(upscaler.file).stem}.png").stat().st_size > 1000
    with Image.open(finished / "samples" / "preview.png") as preview:
        assert preview.width > 3 * 48
    lines = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    assert {line["phase"] for line in lines} == {f"structure-{m}" for m in range(4)} | set(PHASES[1:])
    picture = Synthesizer(finished.with_suffix(".ourgan")).render(400, 260, seed=1)
    assert picture.shape == (260, 400, 3)
    assert picture.std() > 1  # hardly trained, but no constant


def test_the_bundle_holds_the_photograph(finished: Path, photo: Path) -> None:
    bundle = Bundle.open(finished.with_suffix(".ourgan"))
    assert json.loads((finished / "config.json").read_text())["photograph"] is True
    assert (bundle.manifest.schema_version, bundle.manifest.photo.file) == (6, "photograph.jpg")
    assert bundle.manifest.photo.sha256 == hashlib.sha256(photo.read_bytes()).hexdigest()
    with Image.open(photo) as original, Image.open(io.BytesIO(bundle.read("photograph.jpg"))) as member:
        assert member.size == original.size
        difference = np.asarray(member).astype(int) - np.asarray(original.convert("RGB"))
    assert np.abs(difference).mean() < 3
    assert Synthesizer(bundle.path).canvas(150, 100).extent == 1
    assert Synthesizer(bundle.path, detail="network").canvas(150, 100).extent != 1


def test_a_texture_is_learned_without_rows(photo: Path, tmp_path: Path) -> None:
    """Which is settled with the run; its structure then does not know where up is."""
    directory = tmp_path / "texture"
    assert fit.main([*arguments(photo, directory), "--texture"]) == 0
    structure = restore_network(directory / "checkpoints" / "structure.pt").network
    assert isinstance(structure, Structure)
    assert not any(layer.vertical for layer in structure.modules() if isinstance(layer, CoordConv2d))
    assert Bundle.open(directory.with_suffix(".ourgan")).manifest.structure is not None
    with pytest.raises(SystemExit):
        fit.main(["--resume", str(directory), "--texture"])


def test_a_teacher_is_learned_from_and_named(photo: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    teacher = tmp_path / "teacher.pth"
    torch.save(RRDBNet(8, 1, 4).state_dict(), teacher)
    directory = tmp_path / "taught"
    assert fit.main([*arguments(photo, directory), "--teacher", str(teacher)]) == 0
    training = Bundle.open(directory.with_suffix(".ourgan")).manifest.training
    assert training is not None
    assert training.teacher is not None
    assert training.teacher.file == "teacher.pth"
    assert training.init is None


def test_what_reconstructs_gives_the_trainers_error(finished: Path, photo: Path) -> None:
    check_reconstruction(finished, photo)


def test_without_the_photograph_and_resumed(finished: Path, photo: Path, tmp_path: Path, capsys: Any) -> None:
    """The choice is the run's, and changes nothing else."""
    directory = tmp_path / "without"
    with interrupted_after(2, every_step=False):
        assert fit.main([*arguments(photo, directory), "--no-photograph"]) == 130
    resume = ["--resume", str(directory), "--device", "cpu", "--quiet"]
    with pytest.raises(SystemExit):
        fit.main([*resume, "--no-photograph"])
    assert "--no-photograph was settled when the run began" in capsys.readouterr().err
    assert fit.main(resume) == 0
    ours, theirs = Bundle.open(directory.with_suffix(".ourgan")), Bundle.open(finished.with_suffix(".ourgan"))
    assert (ours.manifest.schema_version, ours.manifest.photo.file) == (6, None)
    assert set(theirs.manifest.files) - set(ours.manifest.files) == {"photograph.jpg"}
    for name in ours.manifest.files:
        assert ours.read(name) == theirs.read(name)
    with pytest.raises(BundleError, match="holds no photograph"):
        Synthesizer(ours.path, detail="photograph")
    picture = Synthesizer(ours.path).render(150, 100, seed=2)
    np.testing.assert_array_equal(
        picture, Synthesizer(theirs.path, detail="network").render(150, 100, seed=2)
    )


@pytest.mark.parametrize("stop_after", [3, 9, 23, 33, 43])
def test_interrupted_and_resumed_equals_uninterrupted(
    finished: Path, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_after: int
) -> None:
    monkeypatch.setattr(run, "CHECKPOINT_SECONDS", 0.0)  # a checkpoint after every step
    monkeypatch.setattr(fit, "assemble", lambda _run, _photo, _trained, output: output.touch())
    directory = tmp_path / "part"
    with interrupted_after(stop_after):
        assert fit.main(arguments(photo, directory)) == 130
    assert fit.main(["--resume", str(directory), "--device", "cpu", "--quiet"]) == 0
    assert directory.with_suffix(".ourgan").exists()
    assert_same_weights(directory, finished)
    lines = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    steps = [(line["phase"], line["step"]) for line in lines]
    assert len(steps) == len(set(steps))


@pytest.mark.parametrize(
    ("stop_at", "phase", "scale", "step", "number", "code"),
    [
        (2, "structure", 0, 2, signal.SIGINT, 130),
        (15, "structure", 2, 2, signal.SIGTERM, 143),
        (46, "upscaler-later", None, 9, signal.SIGINT, 130),
    ],
)
def test_ctrl_c_and_sigterm_save_the_step_that_it_comes_in(
    finished: Path,
    photo: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stop_at: int,
    phase: str,
    scale: int | None,
    step: int,
    number: signal.Signals,
    code: int,
) -> None:
    """A patch-VAE scale, a patch-GAN scale, an upscaler; ``stop_at`` counts what goes backward."""
    monkeypatch.setattr(fit, "assemble", lambda _run, _photo, _trained, output: output.touch())
    backward = InterruptedBackward(stop_at, number)
    monkeypatch.setattr(torch.autograd, "backward", backward)
    directory = tmp_path / "part"
    assert fit.main(arguments(photo, directory)) == code
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    saved = max((directory / "checkpoints").glob("*.pt"), key=lambda path: path.stat().st_mtime_ns)
    state = torch.load(saved, weights_only=True)
    assert (state["phase"], state.get("scale"), state["step"]) == (phase, scale, step)
    assert backward.calls <= stop_at + 1  # a step of an adversarial phase goes back twice
    assert fit.main(["--resume", str(directory), "--device", "cpu", "--quiet"]) == 0
    assert_same_weights(directory, finished)


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_stops_at_once(finished: Path, first: signal.Signals, second: signal.Signals) -> None:
    started = run.Run.open(finished, torch.device("cpu"))

    def interrupt_twice() -> None:
        with run.terminable(), started.saving_when_interrupted():
            signal.raise_signal(first)
            assert started.checkpoint_due()
            signal.raise_signal(second)
            pytest.fail("training went on")

    with pytest.raises(run.Terminated if second == signal.SIGTERM else KeyboardInterrupt):
        interrupt_twice()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_signals_that_somebody_else_handles_are_left_alone(finished: Path) -> None:
    started = run.Run.open(finished, torch.device("cpu"))
    seen: list[int] = []
    usual = signal.signal(signal.SIGTERM, lambda number, _frame: seen.append(number))
    try:
        with run.terminable(), started.saving_when_interrupted():
            signal.raise_signal(signal.SIGTERM)
            assert not started.checkpoint_due()
    finally:
        signal.signal(signal.SIGTERM, usual)
    assert seen == [signal.SIGTERM]


def test_a_fit_that_nobody_hears_and_whose_photograph_has_moved(
    finished: Path, photo: Path, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With stdout and stderr closed it trains until SIGTERM comes, and saves; told where, it goes on."""
    monkeypatch.setattr(fit, "assemble", lambda _run, _photo, _trained, output: output.touch())
    script = Path(__file__).parents[1] / "tiny.py"
    directory = tmp_path / "moved"
    own = tmp_path / "hills.png"
    own.write_bytes(photo.read_bytes())
    command = [sys.executable, script, *arguments(own, directory)]
    process = subprocess.Popen(["bash", "-c", 'exec "$@" >&- 2>&-', "bash", *command])
    deadline = time.monotonic() + 120
    while not (directory / "checkpoints" / "structure-1.pt").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) == 143
    assert not directory.with_suffix(".ourgan").exists()
    elsewhere = own.rename(tmp_path / "elsewhere.png")
    resume = ["--resume", str(directory), "--device", "cpu", "--quiet"]
    assert fit.main(resume) == 1
    assert f"there is no photograph {own} any more: say where it is with --image" in capsys.readouterr().err
    other = write_photo(tmp_path / "other.png", 200, 302)
    assert fit.main([*resume, "--image", str(other)]) == 1
    assert f"{other} is not the photograph this run was started with" in capsys.readouterr().err
    assert fit.main([*resume, "--image", str(elsewhere)]) == 0
    assert_same_weights(directory, finished)
    with pytest.raises(SystemExit):
        fit.main([str(photo), "--image", str(elsewhere)])
    assert "--image tells where the photograph of a run is that goes on" in capsys.readouterr().err


def test_a_bundle_that_came_meanwhile_is_kept(
    finished: Path, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two runs of two photographs of one name: the second to end keeps its checkpoints, and says so."""
    directory = tmp_path / "late"
    shutil.copytree(finished, directory)
    config = json.loads((directory / "config.json").read_text())
    config["output"] = str(tmp_path / "hills.ourgan")
    (directory / "config.json").write_text(json.dumps(config))
    trained = fit.train_upscalers

    def another_ends_first(*arguments: Any, **options: Any) -> Any:
        other = write_photo(tmp_path / "hills.png", 200, 302)
        save_bundle(learn(other), config["output"])
        return trained(*arguments, **options)

    monkeypatch.setattr(fit, "train_upscalers", another_ends_first)
    resume = ["--resume", str(directory), "--device", "cpu", "--quiet"]
    assert fit.main(resume) == 1
    assert "it is the bundle of another photograph" in capsys.readouterr().err
    assert Bundle.open(config["output"]).manifest.photo.width == 302


def test_killed_and_resumed_makes_the_bundle_where_asked(
    finished: Path, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = Path(__file__).parents[1] / "tiny.py"
    directory = tmp_path / "killed"
    process = subprocess.Popen([sys.executable, script, *arguments(photo, directory)])
    deadline = time.monotonic() + 120
    while not (directory / "checkpoints" / "structure-1.pt").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    elsewhere = tmp_path / "elsewhere.ourgan"
    capsys.readouterr()
    assert fit.main(["--resume", str(directory), "-o", str(elsewhere), "--device", "cpu"]) == 0
    log = capsys.readouterr().err
    assert "\r" not in log
    assert "upscaler first: 100%, 6/6, " in log
    assert log.splitlines()[-1].startswith("export and measure: 100%, 8/8, ")
    assert not directory.with_suffix(".ourgan").exists()
    assert_same_weights(directory, finished)
    ours, theirs = Bundle.open(elsewhere), Bundle.open(finished.with_suffix(".ourgan"))
    assert ours.manifest.structure == theirs.manifest.structure
    assert [upscaler.file for upscaler in ours.manifest.upscalers] == UPSCALERS
    for name in ("structure.onnx", "reconstruction.f32", *UPSCALERS, "preview.png"):
        assert ours.read(name) == theirs.read(name)


def test_a_runs_networks_are_all_exported(finished: Path, tmp_path: Path, capsys: Any) -> None:
    directory = tmp_path / "run"
    shutil.copytree(finished, directory)
    assert to_onnx.main([str(directory)]) == 0
    bundle = Bundle.open(finished.with_suffix(".ourgan"))
    assert sorted(path.name for path in (directory / "onnx").iterdir()) == sorted(bundle.manifest.networks())
    for path in (directory / "onnx").iterdir():  # but for the names that the exporter counts up
        assert len(path.read_bytes()) == pytest.approx(len(bundle.read(path.name)), rel=0.01)
    (directory / "checkpoints" / "upscaler-second.pt").unlink()
    capsys.readouterr()
    assert to_onnx.main([str(directory)]) == 1
    assert "there is no checkpoint" in capsys.readouterr().err
    assert to_onnx.main([str(tmp_path)]) == 1
    assert "is not a run directory" in capsys.readouterr().err


@pytest.mark.parametrize("_time", range(2))
def test_killed_again_and_again_equals_uninterrupted(
    finished: Path, photo: Path, tmp_path: Path, _time: int
) -> None:
    """SIGKILL after random numbers of steps, a random part of a step later; a failure shows the seed."""
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")  # noqa: T201 - not in the test's name: all processes have to see the same names
    moments = random.Random(seed)
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["trainers.fit"])
    directory = tmp_path / "killed"
    exit_codes, more = [], arguments(photo, directory)
    while 0 not in exit_codes:
        process = processes.Process(target=train_step_by_step, args=(more,))
        process.start()
        for _ in range(moments.randint(4, 20)):
            before = written(directory)
            while written(directory) == before and process.is_alive():
                time.sleep(0.001)
        process.join(moments.uniform(0, 0.03))
        process.kill()
        process.join()
        exit_codes.append(process.exitcode)
        if (directory / "config.json").exists():
            more = ["--resume", str(directory), "--device", "cpu", "--quiet"]
    assert exit_codes.count(-signal.SIGKILL) >= 2, exit_codes
    assert set(exit_codes) == {0, -signal.SIGKILL}
    assert_same_weights(directory, finished)


def written(directory: Path) -> set[tuple[str, int]]:
    """The checkpoints that lie there, and when each was written."""
    found = set()
    for path in (directory / "checkpoints").glob("[!.]*.pt"):
        with contextlib.suppress(FileNotFoundError):
            found.add((path.name, path.stat().st_mtime_ns))
    return found


def test_bad_photographs_end_with_one_line_and_status_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pixel = tmp_path / "pixel.png"
    Image.linear_gradient("L").resize((1, 2)).save(pixel)
    for path, message in ((pixel, "1 x 2 pixels"), (tmp_path / "none.jpg", "No such file")):
        assert fit.main([str(path), "--preset", "draft", "--run", str(tmp_path / "run")]) == 1
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
        assert not (tmp_path / "run").exists()


def test_bad_outputs_and_devices_are_found_before_training(photo: Path, tmp_path: Path, capsys: Any) -> None:
    assert fit.main([str(photo), "-o", str(tmp_path / "no" / "such" / "a.ourgan")]) == 1
    assert "there is no folder" in capsys.readouterr().err
    for device in ("abacus", "meta"):
        assert fit.main([str(photo), "--device", device]) == 1
        assert f"'{device}'" in capsys.readouterr().err
    assert fit.main([str(photo), "-o", str(photo)]) == 1
    assert "ends in .ourgan" in capsys.readouterr().err
    (tmp_path / "folder.ourgan").mkdir()
    assert fit.main([str(photo), "-o", str(tmp_path / "folder.ourgan")]) == 1
    assert "it is a folder" in capsys.readouterr().err
    for seed in ("-1", str(1 << 63), "a"):
        with pytest.raises(SystemExit):
            fit.main([str(photo), "--seed", seed])
        assert "expected a seed" in capsys.readouterr().err


def test_runs_are_not_overwritten_and_broken_ones_refused(
    finished: Path, photo: Path, tmp_path: Path, capsys: Any
) -> None:
    assert fit.main(arguments(photo, finished)) == 1
    assert "already holds a run" in capsys.readouterr().err
    assert fit.main(["--resume", str(tmp_path)]) == 1
    assert "not a run directory" in capsys.readouterr().err
    broken = tmp_path / "broken"
    started = run.Run.create(broken, json.loads((finished / "config.json").read_text()), torch.device("cpu"))
    started.checkpoint_path("structure").write_bytes(b"PK\x03\x04 cut short")
    assert fit.main(["--resume", str(broken), "--quiet"]) == 1
    assert "structure.pt is broken" in capsys.readouterr().err
    other = finished / "checkpoints" / "upscaler-later.pt"
    started.checkpoint_path("structure").write_bytes(other.read_bytes())
    assert fit.main(["--resume", str(broken), "--quiet"]) == 1
    assert "not this run's checkpoint of structure" in capsys.readouterr().err
    for text, message in (
        ("{}", "expected output, perceptual, photo"),
        ("{", "is broken"),
        ('{"preset": {}}', "expected"),
    ):
        (broken / "config.json").write_text(text)
        assert fit.main(["--resume", str(broken), "--quiet"]) == 1
        assert message in capsys.readouterr().err


def test_settings_of_a_run_are_not_changed_on_resume(finished: Path, capsys: Any) -> None:
    with pytest.raises(SystemExit):
        fit.main(["--resume", str(finished), "--seed", "3"])
    assert "--seed was settled" in capsys.readouterr().err


def test_another_photograph_is_refused_on_resume(photo: Path, tmp_path: Path, capsys: Any) -> None:
    copy = tmp_path / "copy.png"
    copy.write_bytes(photo.read_bytes())
    config = {
        "preset": TINY.as_dict(),
        "photo": {"path": str(copy), "sha256": "0" * 64},
        "photograph": True,
        "seed": 0,
        "output": str(tmp_path / "a.ourgan"),
        "perceptual": None,
    }
    run.Run.create(tmp_path / "run", config, torch.device("cpu"))
    assert fit.main(["--resume", str(tmp_path / "run")]) == 1
    assert "is not the photograph" in capsys.readouterr().err


def test_full_disk_ends_with_a_message_and_keeps_the_checkpoint(
    photo: Path, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "CHECKPOINT_SECONDS", 0.0)
    save, saves = torch.save, 0

    def failing_save(state: Any, path: Path) -> None:
        nonlocal saves
        saves += 1
        if saves == 4:
            Path(path).write_bytes(b"half of it")
            raise RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 64 vs 0")
        save(state, path)

    monkeypatch.setattr(torch, "save", failing_save)
    directory = tmp_path / "run"
    assert fit.main(arguments(photo, directory)) == 1
    assert "is the disk full?" in capsys.readouterr().err
    assert [path.name for path in (directory / "checkpoints").iterdir()] == ["structure.pt"]
    assert torch.load(directory / "checkpoints" / "structure.pt", weights_only=True)["step"] == 3


@pytest.mark.parametrize("preset", [DRAFT, STANDARD, PAPER])
def test_presets_survive_json(preset: Preset) -> None:
    assert Preset.from_dict(json.loads(json.dumps(preset.as_dict()))) == preset


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        ("structure", {"padding": None}, "StructureConfig lacks padding"),
        ("upscaler", {"patch": None, "noise": None}, "UpscalerConfig lacks noise, patch"),
        ("structure", {"depth": 3}, "StructureConfig has an unknown depth"),
        (None, {"author": "me"}, "Preset has an unknown author"),
        (None, {"upscaler": None}, "Preset lacks upscaler"),
        (None, {"upscaler": [1]}, "UpscalerConfig is no object of values but [1]"),
    ],
)
def test_runs_of_other_versions_are_refused(
    finished: Path, tmp_path: Path, capsys: Any, part: str | None, change: dict[str, Any], message: str
) -> None:
    """A field that is not there is not filled in: another version may have meant another value."""
    config = json.loads((finished / "config.json").read_text())
    changed = config["preset"][part] if part else config["preset"]
    changed.update(change)
    for name in [name for name, value in change.items() if value is None]:
        del changed[name]
    run.Run.create(tmp_path / "run", config, torch.device("cpu"))
    assert fit.main(["--resume", str(tmp_path / "run"), "--quiet"]) == 1
    error = capsys.readouterr().err
    assert f"is not of this version: {message}; start a new run" in error
    assert error.count("\n") == 1


def test_checkpoints_of_other_versions_are_refused(finished: Path, tmp_path: Path) -> None:
    state = torch.load(finished / "checkpoints" / "structure.pt", weights_only=True)
    del state["config"]["preset"]["structure"]["padding"]
    torch.save(state, tmp_path / "old.pt")
    with pytest.raises(RestoreError, match=r"old.pt is not a checkpoint.*StructureConfig lacks padding"):
        restore_network(tmp_path / "old.pt")


def test_sample_grid_holds_every_picture() -> None:
    pictures = torch.linspace(0, 1, 5)[:, None, None, None].expand(5, 3, 6, 7)
    sheet = np.asarray(run.grid(pictures, columns=2, gap=1))
    assert sheet.shape == (3 * 7 - 1, 2 * 8 - 1, 3)
    assert sheet[7, 0, 0] == round(0.5 * 255)


def test_checkpoints_of_another_photograph_are_not_taken_over(finished: Path, tmp_path: Path) -> None:
    config = json.loads((finished / "config.json").read_text())
    other = {**config, "photo": {**config["photo"], "sha256": "1" * 64}}
    directory = run.Run.create(tmp_path / "other", other, torch.device("cpu"))
    path = directory.checkpoint_path("structure")
    path.write_bytes((finished / "checkpoints" / "structure.pt").read_bytes())
    with pytest.raises(run.RunError, match="not this run's checkpoint"):
        directory.load_checkpoint("structure")
    same = run.Run.create(tmp_path / "same", {**config, "output": "elsewhere"}, torch.device("cpu"))
    same.checkpoint_path("structure").write_bytes(path.read_bytes())
    assert same.load_checkpoint("structure") is not None
