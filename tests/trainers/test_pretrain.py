import json
import os
import re
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ourgan_sdk.bundle import Manifest
from tests.tiny import TINY, InterruptedBackward, write_photo
from trainers import fit, presets, pretrain
from trainers.bundling.assemble import describe
from trainers.metrics.restoration import Scores, Task
from trainers.networks import RRDBNet, make_upscaler, size_of
from trainers.networks.vgg import FILE, VGGFeatures
from trainers.perceptual import find_perceptual
from trainers.presets import PAPER
from trainers.runs import run
from trainers.runs.restore import restore_upscaler
from trainers.upscalers import photographs
from trainers.upscalers.passes import PassOne

pytestmark = pytest.mark.usefixtures("one_thread", "tiny_preset")


@pytest.fixture(autouse=True)
def empty_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Torch hub's cache of checkpoints."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two photographs, and files that are none."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "more").mkdir()
    write_photo(folder / "hills.png")
    write_photo(folder / "more" / "plain.TIF", 160, 400)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    Image.linear_gradient("L").resize((60, 400)).save(folder / "narrow.png")
    (folder / "notes.txt").write_text("not a photograph")
    return folder


@pytest.fixture(scope="module")
def finished(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("runs") / "whole"
    assert pretrain.main(arguments(photos, directory)) == 0
    return directory


def arguments(photos: Path, directory: Path, *more: str) -> list[str]:
    options = ["--preset", "draft", "--device", "cpu", "--seed", "3", "--quiet"]
    return [str(photos), *options, "--run", str(directory), "-o", str(directory.with_suffix(".pth")), *more]


def final_weights(directory: Path) -> dict[str, torch.Tensor]:
    state = torch.load(directory / "checkpoints" / "upscaler.pt", weights_only=True)
    networks = ("generator", "discriminator", "average")
    parts = {f"{part}.{k}": v for part in networks for k, v in state[part].items()}
    assert state["step"] == 12
    return parts


def test_both_phases_are_trained_and_measured(finished: Path) -> None:
    lines = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    validated = [line for line in lines if "psnr" in line]
    assert [line["step"] for line in validated] == [5, 11]
    assert all(0 < line["psnr"] < 100 and 0 < line["ssim"] < 1 and line["swd"] > 0 for line in validated)
    assert (finished / "checkpoints" / "upscaler-l1.pt").exists()
    network = restore_upscaler(finished.with_suffix(".pth"))
    assert size_of(network) == TINY.upscaler.later
    final = final_weights(finished)
    for name, value in network.state_dict().items():
        assert torch.equal(value, final[f"average.{name}"].half().float())


def test_pass_2s_learns_from_what_pass_1_has_made(
    finished: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it goes on, and the file of pass 1's is gone; validated on the like."""
    first = tmp_path / "first.pth"
    torch.manual_seed(0)
    torch.save({"params": make_upscaler(TINY.upscaler.first).state_dict()}, first)
    wide = replace(TINY, upscaler=replace(TINY.upscaler, held_out=1 / 3))  # room for two passes
    monkeypatch.setitem(presets.PRESETS, "draft", wide)
    directory = tmp_path / "second"
    init = ["--init", str(finished.with_suffix(".pth"))]
    monkeypatch.setattr(torch.autograd, "backward", InterruptedBackward(3))
    assert pretrain.main(arguments(photos, directory, "--after", str(first), *init)) == 130
    first.unlink()
    assert pretrain.main(["--resume", str(directory), "--device", "cpu", "--quiet"]) == 0
    settings = json.loads((directory / "config.json").read_text())
    assert (settings["noise"], settings["after"]["file"]) == (TINY.upscaler.second_noise, "first.pth")
    assert size_of(restore_upscaler(directory.with_suffix(".pth"))) == TINY.upscaler.second
    lines = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "psnr" in line] == [5, 11]


def test_crops_and_tasks_of_pass_2(photos: Path) -> None:
    pass_one = PassOne(make_upscaler(TINY.upscaler.first), 0.1)
    config = replace(TINY.upscaler, held_out=1 / 3)
    plain, made = photographs.Folder(photos, config, 0), photographs.Folder(photos, config, 0, pass_one)
    for position in range(4):
        one, other = plain.crop(position), made.crop(position)
        height, width = other.low.shape[1:]
        assert (height % 4, width % 4) == (0, 0)
        assert torch.equal(other.high, one.high[:, : 4 * height, : 4 * width])
        assert torch.equal(other.low, made.crop(position).low)  # whenever it is asked for
        assert 0.001 < float((other.low - one.low[:, :height, :width]).abs().mean()) < 0.2
    (clean, _), (noisy, _) = made.held_out(0.0), made.held_out(0.1)
    assert torch.equal(clean.high, noisy.high)
    assert float((noisy.low - clean.low).std()) == pytest.approx(0.1, rel=0.1)


def test_a_preset_without_a_second_network_trains_none(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, finished: Path
) -> None:
    without = replace(TINY, upscaler=replace(TINY.upscaler, second=None))
    monkeypatch.setitem(presets.PRESETS, "draft", without)
    first = str(finished.with_suffix(".pth"))
    assert pretrain.main(arguments(photos, tmp_path / "run", "--after", first)) == 1
    assert "has no network for pass 2 alone" in capsys.readouterr().err


def test_files_that_cannot_be_used_are_named(photos: Path, tmp_path: Path, caplog: Any) -> None:
    assert pretrain.main(arguments(photos, tmp_path / "run")) == 0
    assert "broken.jpg is broken or cut short" in caplog.text
    assert "narrow.png has 60 x 400 pixels, too few for patches of 64" in caplog.text
    assert "notes.txt" not in caplog.text
    assert "what was held out of 2 photographs" in caplog.text
    assert re.search(r"bicubic +PSNR \d+\.\d\d dB, SSIM 0\.\d{4}, SWD \d", caplog.text)
    assert "no perceptual features" in caplog.text


@pytest.mark.parametrize("stop_at", [3, 10])
def test_interrupted_and_resumed_equals_uninterrupted(
    finished: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_at: int
) -> None:
    backward = InterruptedBackward(stop_at)
    monkeypatch.setattr(torch.autograd, "backward", backward)
    directory = tmp_path / "part"
    assert pretrain.main(arguments(photos, directory)) == 130
    assert not directory.with_suffix(".pth").exists()
    assert pretrain.main(["--resume", str(directory), "--device", "cpu", "--quiet"]) == 0
    ours, theirs = final_weights(directory), final_weights(finished)
    assert [name for name in theirs if not torch.equal(ours[name], theirs[name])] == []


def test_sigterm_saves_and_a_folder_that_has_moved_is_told(
    finished: Path,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
) -> None:
    own = tmp_path / "photos"
    shutil.copytree(photos, own)
    monkeypatch.setattr(torch.autograd, "backward", InterruptedBackward(3, signal.SIGTERM))
    directory = tmp_path / "part"
    assert pretrain.main(arguments(own, directory)) == 143
    elsewhere = own.rename(tmp_path / "elsewhere")
    resume = ["--resume", str(directory), "--device", "cpu", "--quiet"]
    assert pretrain.main(resume) == 1
    assert f"{own} is not a folder" in capsys.readouterr().err
    assert pretrain.main([*resume, "--folder", str(elsewhere)]) == 0
    ours, theirs = final_weights(directory), final_weights(finished)
    assert [name for name in theirs if not torch.equal(ours[name], theirs[name])] == []


def test_a_checkpoint_of_the_default_name_is_not_replaced(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / f"{photos.name}.pth"
    path.write_bytes(b"of another folder of that name")
    assert pretrain.main([str(photos), "--preset", "draft", "--quiet"]) == 1
    assert "it is there, and may be of another folder" in capsys.readouterr().err
    assert path.read_bytes() == b"of another folder of that name"


def test_bad_folders_end_with_one_line(photos: Path, tmp_path: Path, capsys: Any) -> None:
    empty, unusable = tmp_path / "empty", tmp_path / "unusable"
    for folder in (empty, unusable):
        folder.mkdir()
    Image.new("RGB", (20, 20)).save(unusable / "small.png")
    for folder, message in (
        (empty, "there is no photograph"),
        (tmp_path / "none", "is not a folder"),
        (unusable, "none of the 1 photographs"),
    ):
        assert pretrain.main(arguments(folder, tmp_path / "run")) == 1
        error = capsys.readouterr().err
        assert message in error.splitlines()[-1]
    assert pretrain.main(arguments(photos, tmp_path / "run", "--l1-steps", "0", "--gan-steps", "0")) == 1
    assert "at least one step" in capsys.readouterr().err
    assert pretrain.main([str(photos), "-o", str(tmp_path / "no" / "a.pth")]) == 1
    assert "cannot write" in capsys.readouterr().err
    for wrong in (["--l1-steps", "-1"], ["--gan-steps", "x"], ["--noise", "-1"], ["--resume", "somewhere"]):
        with pytest.raises(SystemExit):
            pretrain.main([str(photos), *wrong])


def test_runs_of_the_other_command_and_other_photographs_are_refused(
    finished: Path, tmp_path: Path, capsys: Any
) -> None:
    assert fit.main(["--resume", str(finished)]) == 1
    assert "of another command: expected output, perceptual, photo" in capsys.readouterr().err
    config = json.loads((finished / "config.json").read_text())
    started = run.Run.create(tmp_path / "run", {**config, "listing": "0" * 64}, torch.device("cpu"))
    assert pretrain.main(["--resume", str(started.directory)]) == 1
    assert "are not those that this run was started with" in capsys.readouterr().err


def test_every_photograph_comes_once_per_round(photos: Path) -> None:
    folder = photographs.Folder(photos, presets.PRESETS["draft"].upscaler, 0)
    for start in (0, 4, 8):
        assert {next(folder.order(start + i)) for i in range(4)} == set(folder.files)
    rounds = [[next(folder.order(start + i)) for i in range(4)] for start in range(0, 40, 4)]
    assert len({tuple(files) for files in rounds}) > 1


def test_what_is_held_out_is_not_trained_on(tmp_path: Path) -> None:
    pixels = np.full((200, 300, 3), 90, np.uint8)
    pixels[:, 276:] = 255  # just beyond, so that no filter reaches it
    Image.fromarray(pixels).save(tmp_path / "a.png")
    folder = photographs.Folder(tmp_path, presets.PRESETS["draft"].upscaler, 0)
    crops = [folder.crop(i) for i in range(20)]
    assert max(int(pair.high.max()) for pair in crops) < 130  # a filter's overshoot at most
    assert len({tuple(pair.high.shape) for pair in crops}) > 5
    (held_out,) = folder.held_out(0.0)
    assert held_out.high.shape == (3, 200, 24)
    assert held_out.high.mean() > 200 / 255
    (noisy,) = folder.held_out(0.1)
    assert noisy.low.shape == held_out.low.shape == (1, 3, 50, 6)
    assert (noisy.low - held_out.low).std() == pytest.approx(0.1, rel=0.1)
    assert torch.equal(noisy.low, folder.held_out(0.1)[0].low)
    assert photographs.Folder(tmp_path, PAPER.upscaler, 0).held_out(0.0) == []


def test_what_is_held_out_of_a_large_photograph_is_its_middle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(photographs, "VALIDATION_CROP", 40)
    pixels = np.zeros((200, 300, 3), np.uint8)
    pixels[80:120, 200:250] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    config = replace(presets.PRESETS["draft"].upscaler, held_out=0.5)  # columns 150 to 300
    (task,) = photographs.Folder(tmp_path, config, 0).held_out(0.0)
    assert task.high.shape == (3, 40, 40)
    assert bool((task.high == 1).all())


def test_a_perfect_upscaler_has_the_highest_scores() -> None:
    torch.manual_seed(0)
    network = RRDBNet(8, 1, 4)
    low = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        perfect = Task(low, network(low)[0].clamp(0, 1))
    worse = Task(low, perfect.high.flip(1))
    assert pretrain.validate(network, [perfect]) == Scores(100, pytest.approx(1), 0)
    both = pretrain.validate(network, [perfect, worse])
    assert both.psnr == pytest.approx((100 + pretrain.validate(network, [worse]).psnr) / 2)


def fit_arguments(photo: Path, directory: Path, *more: str) -> list[str]:
    options = ["--preset", "draft", "--device", "cpu", "--quiet", "--run", str(directory)]
    return [str(photo), *options, "-o", str(directory.with_suffix(".ourgan")), *more]


def test_fit_starts_from_it_and_keeps_it(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, manifest: Manifest
) -> None:
    trained: list[Any] = []

    def keep_what_was_trained(*what: Any) -> None:
        trained.extend(what)
        what[-1].touch()

    monkeypatch.setattr(fit, "assemble", keep_what_was_trained)
    torch.manual_seed(0)
    files = [tmp_path / "later.pth", tmp_path / "first.pt"]
    for file in files:
        torch.save({"params_ema": RRDBNet(6, 2, 4).state_dict()}, file)
    directory = tmp_path / "run"
    started = fit.parse(
        fit_arguments(photos / "hills.png", directory, "--init", str(files[0]), "--init-first", str(files[1]))
    )
    fit.start_run(started, torch.device("cpu"))
    for file in files:
        file.unlink()  # the run has what it needs
    assert fit.main(["--resume", str(directory), "--device", "cpu", "--quiet"]) == 0
    finished, photo, networks, _ = trained
    training = describe(finished, photo, None, networks.structure, manifest.upscalers).training
    assert training.init is not None
    assert training.init_first is not None
    assert (training.init.file, training.init_first.file) == ("later.pth", "first.pt")
    assert training.init.sha256 != training.init_first.sha256
    assert (training.upscaler_steps, training.held_out) == (6 + 3 + 3, 1 / 12)
    network = restore_upscaler(directory / "checkpoints" / "upscaler-later.pt")
    assert (network.features, network.blocks, network.growth) == (6, 2, 4)


def test_fit_refuses_what_it_cannot_start_from(
    finished: Path, photos: Path, tmp_path: Path, capsys: Any
) -> None:
    text = tmp_path / "text.pth"
    text.write_text("weights")
    init = str(finished.with_suffix(".pth"))
    for more, message in (
        (["--init", str(text)], "text.pth is not a checkpoint"),
        (["--init", str(tmp_path / "none.pth")], "there is no checkpoint"),
        (["--init", init, "--init-first", str(text)], "text.pth is not a checkpoint"),
        (["--teacher", str(text)], "text.pth is not a checkpoint"),
    ):
        assert fit.main(fit_arguments(photos / "hills.png", tmp_path / "run", *more)) == 1
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
        assert not (tmp_path / "run").exists()
    with pytest.raises(SystemExit):
        fit.main([str(photos / "hills.png"), "--init-first", init])
    assert "--init-first needs --init" in capsys.readouterr().err


def test_full_disk_while_the_starting_point_is_copied_ends_with_a_message(
    photos: Path, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    init = tmp_path / "init.pth"
    torch.save(RRDBNet(6, 1, 4).state_dict(), init)

    def full(*_: Any) -> None:
        raise RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 64 vs 0")

    monkeypatch.setattr(torch, "save", full)
    directory = tmp_path / "run"
    assert fit.main(fit_arguments(photos / "hills.png", directory, "--init", str(init))) == 1
    assert "is the disk full?" in capsys.readouterr().err
    assert not any((directory / "checkpoints").iterdir())


def test_vgg_is_taken_from_torch_hub_where_it_lies(
    photos: Path, tmp_path: Path, empty_hub: Path, caplog: Any, capsys: Any
) -> None:
    assert find_perceptual(None, lpips=False) is None
    (empty_hub / FILE).write_bytes(b"cut short")
    assert pretrain.main(arguments(photos, tmp_path / "run")) == 1
    assert f"{FILE} is not torchvision's VGG19 weight file" in capsys.readouterr().err
    torch.save({f"features.{k}": v for k, v in VGGFeatures().features.state_dict().items()}, empty_hub / FILE)
    caplog.clear()
    assert pretrain.main(arguments(photos, tmp_path / "run", "--l1-steps", "1", "--gan-steps", "1")) == 0
    assert f"perceptual features: vgg19, {(empty_hub / FILE).resolve()}" in caplog.text
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["perceptual"] > 0


def test_a_run_does_not_lie_among_the_photographs(photos: Path, capsys: Any) -> None:
    assert pretrain.main(arguments(photos, photos / "run", "-o", str(photos.parent / "a.pth"))) == 1
    assert "among the photographs" in capsys.readouterr().err
    assert not (photos / "run").exists()


def test_names_that_are_not_utf8(photos: Path, tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"caf\xe9.png")
    odd.write_bytes(next(photos.glob("*.png")).read_bytes())
    folder = photographs.Folder(tmp_path, TINY.upscaler, 0)
    assert folder.files == [odd]
    assert len(folder.listing()) == 64


def test_outputs_that_cannot_be_are_refused_before_the_work(
    finished: Path, photos: Path, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pretrain, "train_upscaler", None)  # nothing is trained
    for output, message in (
        (photos / "hills.png", "a checkpoint's name ends in .pth or .pt"),
        (tmp_path / "a.safetensors", "a checkpoint's name ends in .pth or .pt"),
        (tmp_path / "missing" / "a.pth", "its folder is missing"),
    ):
        assert pretrain.main([*arguments(photos, tmp_path / "run"), "-o", str(output)]) == 1
        assert message in capsys.readouterr().err
        resumed = ["--resume", str(finished), "--device", "cpu", "--quiet", "-o", str(output)]
        assert pretrain.main(resumed) == 1
        assert message in capsys.readouterr().err


def test_a_resumed_run_may_write_elsewhere(finished: Path, tmp_path: Path) -> None:
    output = tmp_path / "other.pth"
    resumed = ["--resume", str(finished), "--device", "cpu", "--quiet", "-o", str(output)]
    assert pretrain.main(resumed) == 0
    ours, theirs = (restore_upscaler(path).state_dict() for path in (output, finished.with_suffix(".pth")))
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


def test_out_of_memory_is_told_in_one_line(
    photos: Path, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB\nmore words")

    monkeypatch.setattr(fit, "train", exhausted)
    assert fit.main(fit_arguments(photos / "hills.png", tmp_path / "run")) == 1
    error = capsys.readouterr().err
    assert "out of memory (CUDA out of memory. Tried to allocate 2 GiB)" in error
    assert error.count("\n") == 1
