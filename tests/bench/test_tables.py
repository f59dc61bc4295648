"""Step 1 exchanged: the whole command with presets that train in seconds, and its numbers made again."""

import copy
import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from bench.tables import __main__ as tables
from bench.tables import measuring, training
from bench.tables.measuring import KINDS, read_picture
from bench.tables.report import markdown
from bench.tables.rows import LABELS, PUBLISHED, Budget
from bench.tables.training import Workshop
from ourgan_sdk import Bundle, Synthesizer
from ourgan_sdk.bundle import SeamError, Upscaler, write_bundle
from tests.conftest import HALO, upscaler_network
from tests.tiny import TINY, write_photo
from trainers.bundling import assemble
from trainers.metrics.copied import CopiedShare
from trainers.metrics.diversity import diversity
from trainers.metrics.layout import layout_drift
from trainers.metrics.nearest_patches import NearestPatches
from trainers.metrics.sliced_wasserstein import SlicedWasserstein
from trainers.photo import Photo, load_photo, reduce, to_float
from trainers.presets import CONSINGAN_DRAFT_STRUCTURE, PRESETS, Preset
from trainers.runs.run import Run
from trainers.upscalers.passes import Role

pytestmark = pytest.mark.usefixtures("one_thread")

UPSCALER = replace(TINY.upscaler, second=None, l1_steps=2, gan_steps=1)
STRUCTURES = {
    "draft": TINY.structure,
    "consingan-draft": replace(CONSINGAN_DRAFT_STRUCTURE, short_side=20, stages=2, channels=4, stage_steps=3),
}
SEEDS, PICTURES, SIDE = 3, 2, 96  # twice the structures


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    write_photo(folder / "hills.png")
    (folder / "README.md").write_text("no photograph")
    return folder


@pytest.fixture(scope="module", autouse=True)
def _tiny_presets() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, structure in STRUCTURES.items():
            patch.setitem(PRESETS, name, Preset(name, structure, UPSCALER))
        patch.setattr(measuring, "COMPARED", 64)
        yield


def run(folder: Path, output: Path) -> tuple[int, dict[str, Any]]:
    status = tables.main(
        [
            *(str(folder), "--output", str(output), "--device", "cpu", "--threads", "1"),
            *("--seeds", str(SEEDS), "--pictures", str(PICTURES), "--size", str(SIDE)),
        ]
    )
    return status, json.loads((output / "report.json").read_text())


def workshop(folder: Path, output: Path, seed: int = 0) -> Workshop:
    path = folder / "hills.png"
    return Workshop(
        *(path, load_photo(path), output / "hills"),
        budget=Budget("draft"),
        seed=seed,
        device=torch.device("cpu"),
    )


@pytest.fixture(scope="module")
def output(folder: Path, tmp_path_factory: pytest.TempPathFactory, _tiny_presets: None) -> Path:
    """One structure is trained and exported; the other rows have it, too. Upscalers are trained alone."""
    output = tmp_path_factory.mktemp("tables")
    networks = iter([upscaler_network(2), upscaler_network(3)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "export_upscaler", lambda _: next(networks))
        patch.setattr(assemble, "describe_upscaler", described)
        trained = workshop(folder, output).bundle("consingan")
    for row in ("singan", "hpvaegan", "ourgan"):
        shutil.copy(trained, trained.with_name(f"{row}.ourgan"))
    assert run(folder, output)[0] == 0
    return output


def described(_run: Run, _photo: Photo, role: Role, *_: object) -> Upscaler:
    """What it is, without measuring it."""
    return Upscaler(
        file=assemble.member(role),
        halo=HALO,
        noise_deviation=role.noise,
        bytes_per_pixel=1024,
        seam_error=SeamError(maximum=0, p9999=0, share_different=0),
    )


@pytest.fixture(scope="module")
def found(output: Path) -> dict[str, Any]:
    (found,) = json.loads((output / "report.json").read_text())["photographs"]
    assert isinstance(found, dict)
    return found


def test_all_rows_share_the_upscalers(output: Path, found: dict[str, Any], folder: Path) -> None:
    assert found["sha256"] == load_photo(folder / "hills.png").sha256
    assert list(found["upscalers"]) == ["upscaler-first.onnx", "upscaler-later.onnx"]
    assert [row["row"] for row in found["rows"]] == list(LABELS)
    for row in found["rows"]:
        assert row["upscalers"] == found["upscalers"]
        bundle = Bundle.open(output / "hills" / row["bundle"]["file"])
        assert {file: bundle.manifest.files[file].sha256 for file in row["upscalers"]} == row["upscalers"]
        assert hashlib.sha256(bundle.path.read_bytes()).hexdigest() == row["bundle"]["sha256"]
        structure = bundle.manifest.structure
        assert (structure is None) is (row["row"] == "patches")
        if structure is not None:
            assert max(structure.scales[-1].height, structure.scales[-1].width) == 48
            assert row["training_seconds"] > 0


@pytest.mark.parametrize("kind", ["structure", "network", "photograph"])
def test_a_row_is_what_its_files_say(output: Path, found: dict[str, Any], folder: Path, kind: str) -> None:
    """Made again from the photograph and the PNG files, by the metrics themselves."""
    row = next(one for one in found["rows"] if one["row"] == "consingan")
    numbers = row[kind]
    width, height = numbers["size"]
    assert (width, height) == ((48, 32) if kind == "structure" else (96, 64))
    files = sorted((output / "hills" / "pictures").glob(f"consingan-*/{kind}-*.png"))
    assert len(files) == (SEEDS if kind == "structure" else PICTURES)
    pictures = [
        to_float(torch.from_numpy(np.asarray(Image.open(file)).copy()).permute(2, 0, 1)) for file in files
    ]
    photo = reduce(to_float(load_photo(folder / "hills.png").pixels)[None], height, width)[0]
    small, compared = pictures, photo
    if kind != "structure":
        small = [reduce(picture[None], 43, 64)[0] for picture in pictures]
        compared = reduce(photo[None], 43, 64)[0]
    distance, nearest, copied = SlicedWasserstein(photo), NearestPatches(compared), CopiedShare(compared)
    for name, values in (
        ("swd", [fmean(distance(picture)) for picture in pictures]),
        ("layout_drift", [layout_drift(picture, photo) for picture in pictures]),
        ("coherence", [nearest(picture)[0] for picture in small]),
        ("completeness", [nearest(picture)[1] for picture in small]),
        ("copied", [copied(picture).largest for picture in small]),
    ):
        assert numbers["metrics"][name]["mean"] == pytest.approx(fmean(values), rel=1e-6)
        assert numbers["metrics"][name]["deviation"] == pytest.approx(stdev(values), rel=1e-6)
    assert numbers["between"]["diversity"] == pytest.approx(diversity(torch.stack(pictures), photo))


def test_pictures_are_those_that_the_bundle_renders(output: Path) -> None:
    (folder,) = (output / "hills" / "pictures").glob("consingan-*")
    with Synthesizer(output / "hills" / "consingan.ourgan", detail="network", threads=1) as synthesizer:
        expected = synthesizer.render(96, 64, 1)
    np.testing.assert_array_equal(np.asarray(Image.open(folder / "network-00001.png")), expected)
    with pytest.raises(ValueError, match="expected 9 x 8 pixels"):
        read_picture(folder / "network-00001.png", (8, 9))


def test_drift_tells_shuffled_rows_from_a_mirror_image(found: dict[str, Any]) -> None:
    assert found["drift_flags_shuffled_rows"]
    for bounds in found["bounds"].values():
        assert bounds["mirrored"]["layout_drift"] == pytest.approx(0, abs=1e-3)
        assert bounds["shuffled_rows"]["layout_drift"] > 20
        assert bounds["shuffled_rows"]["swd"] > bounds["mirrored"]["swd"]


def test_the_tables_for_people(output: Path) -> None:
    report = json.loads((output / "report.json").read_text())
    text = markdown(report)
    assert text == (output / "report.md").read_text()
    for row, label in LABELS.items():
        assert text.count(f"| hills | {label} |") == 3
        assert (row in PUBLISHED["ST4K"]) is (row != "patches")
    assert "| OUR-GAN | 1.36 | 1.48 | 0.30 | 1.22 | 1.50 | 0.28 |" in text
    assert text.count("| hills | SIV-GAN | not built here") == 3
    assert "SIFID: left out, no weights" in text
    assert text.count("photograph, rows shuffled") == 3
    with Image.open(output / "hills" / "sheet.jpg") as sheet:
        assert sheet.width > sheet.height > 5 * 150  # nine pictures wide, six lines


@pytest.mark.parametrize(
    ("pairs", "deviation"), [([0.25], {}), ([0.25, 0.75], {"lpips_deviation": 0.125**0.5})]
)
def test_two_pictures_are_one_pair(
    pairs: list[float], deviation: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "pairwise_lpips", lambda _network, _pictures: pairs)
    networks = SimpleNamespace(lpips=object(), inception=None)
    subject = SimpleNamespace(networks=networks, photograph=lambda _kind: torch.rand(3, 32, 32))
    found = measuring.Subject.between(subject, torch.rand(len(pairs) + 1, 3, 32, 32), "network")  # type: ignore[arg-type]
    assert found == pytest.approx({"diversity": found["diversity"], "lpips": fmean(pairs), **deviation})


def test_what_one_photograph_lacks_has_no_mean(output: Path) -> None:
    """SIFID needs 75 pixels on the shorter side, which of two photographs one may have."""
    report = json.loads((output / "report.json").read_text())
    (hills,) = report["photographs"]
    other = copy.deepcopy(hills)
    for row in other["rows"]:
        for kind in KINDS:
            if kind in row:
                row[kind]["metrics"]["sifid_5"] = {"mean": 1.234, "deviation": 0.1}
    text = markdown({**report, "photographs": [hills, {**other, "name": "tall"}]})
    rows = [line for line in text.splitlines() if line.startswith("| **all** | **SinGAN**")]
    titles = [line for line in text.splitlines() if line.startswith("| photograph | step 1")]
    assert len(rows) == len(titles) == 3
    for title, row in zip(titles, rows, strict=True):
        cells = dict(zip(title.split(" | "), row.split(" | "), strict=True))
        assert cells["SIFID, 5th"] == "-"
        assert float(cells["layout drift"]) > 0


def test_it_goes_on_where_it_stood(
    folder: Path, output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is trained, rendered or measured again; a picture that is missing is rendered."""
    again = tmp_path / "tables"
    shutil.copytree(output, again)
    (missing,) = (again / "hills" / "pictures").glob("singan-*/structure-00001.png")
    before = missing.read_bytes()
    missing.unlink()
    numbers = (again / "hills" / "numbers.jsonl").read_text()
    monkeypatch.setattr(Workshop, "_run", None)
    monkeypatch.setattr(Synthesizer, "render", None)
    status, report = run(folder, again)
    assert status == 0
    assert missing.read_bytes() == before
    assert (again / "hills" / "numbers.jsonl").read_text() == numbers
    first = json.loads((output / "report.json").read_text())
    assert report["photographs"] == first["photographs"]


def test_a_fault_in_a_row_leaves_the_others(folder: Path, output: Path, tmp_path: Path) -> None:
    """One bundle is broken, one has other upscalers."""
    again = tmp_path / "tables"
    shutil.copytree(output, again)
    (again / "hills" / "singan.ourgan").write_bytes(b"no bundle")
    other = Bundle.open(again / "hills" / "ourgan.ourgan")
    change_upscaler(other, again / "hills" / "hpvaegan.ourgan")
    status, report = run(folder, again)
    assert status == 1
    rows = {row["row"]: row for row in report["photographs"][0]["rows"]}
    assert "BundleError" in rows["singan"]["error"]
    assert "expected the upscalers of all rows" in rows["hpvaegan"]["error"]
    assert [row for row, one in rows.items() if "error" not in one] == ["consingan", "ourgan", "patches"]
    assert "| hills | SinGAN | BundleError" in (again / "report.md").read_text()


def change_upscaler(bundle: Bundle, path: Path) -> None:
    """The bundle with its first upscaler in both places."""
    first, later = (one.file for one in bundle.manifest.upscalers)
    members = {name: bundle.read(name) for name in bundle.manifest.files} | {later: bundle.read(first)}
    write_bundle(path, bundle.manifest.model_copy(update={"files": {}}), members)


def test_another_run_in_its_place_is_refused(folder: Path, output: Path, tmp_path: Path) -> None:
    again = tmp_path / "hills"
    shutil.copytree(output / "hills", again)
    (again / "consingan.ourgan").unlink()
    with pytest.raises(RuntimeError, match="holds a run of another seed"):
        workshop(folder, tmp_path, seed=1).bundle("consingan")


def test_orders_that_cannot_be_carried_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, message in (
        ([str(tmp_path)], "found none in"),
        ([str(tmp_path), "--seeds", "1"], "two seeds at least"),
    ):
        with pytest.raises(SystemExit):
            tables.parse(arguments)
        assert message in capsys.readouterr().err
