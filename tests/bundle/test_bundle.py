"""Bundles: what is written is read, and nothing else is."""

import io
import json
import os
import random
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ourgan_sdk import Bundle, BundleError, Manifest, OutputError, write_bundle
from ourgan_sdk.bundle import (
    Checkpoint,
    Coordinates,
    EngineRecord,
    Erf,
    Photo,
    Pictures,
    Scale,
    SeamError,
    Structure,
    Training,
    Upscaler,
    Window,
    add_engines,
)

MEMBERS = {"structure.onnx": b"structure" * 300, "upscaler.onnx": b"upscaler" * 50, "preview.png": b""}


def finite(low: float = 0, high: float = 1e9) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False)


names = st.from_regex(r"[a-z0-9_-][a-z0-9._-]{0,8}", fullmatch=True).map(lambda name: f"{name}.onnx")
sides = st.integers(1, (1 << 31) - 1)
deviations = finite(high=1e6)


@st.composite
def growing_scales(draw: st.DrawFn) -> list[Scale]:
    heights, widths = (sorted(draw(st.lists(st.integers(1, 500), min_size=9, max_size=9))) for _ in range(2))
    return [
        Scale(height=height, width=width, channels=draw(st.integers(1, 99)), noise_deviation=draw(deviations))
        for height, width in zip(heights, widths, strict=True)
    ][: draw(st.integers(1, 9))]


trainings = st.builds(
    Training,
    preset=st.text(),
    seed=st.integers(0, (1 << 64) - 1),
    structure_steps=st.lists(st.integers(0, 1 << 40)),
    upscaler_steps=st.integers(0, 1 << 40),
    seconds=finite(),
    perceptual=st.none() | st.text(),
)
upscalers = st.builds(
    Upscaler,
    file=names,
    halo=st.integers(0, 4096),
    noise_deviation=deviations,
    bytes_per_pixel=st.integers(1, 1 << 30),
    seam_error=st.builds(SeamError, maximum=finite(), p9999=finite(), share_different=finite(high=1)),
    erf=st.none()
    | st.builds(
        Erf,
        radius_9545=st.integers(0, 512),
        radius_999=st.integers(0, 512),
        theoretical=st.none() | st.integers(0, 4096),
    ),
)
manifests = st.builds(
    Manifest,
    created_by=st.text(),
    photo=st.builds(Photo, width=sides, height=sides, sha256=st.from_regex("[0-9a-f]{64}", fullmatch=True)),
    training=trainings,
    structure=st.builds(Structure, file=names, scales=growing_scales()),
    upscalers=st.lists(upscalers, min_size=1, max_size=3),
)


@pytest.fixture
def path(tmp_path: Path, small: Manifest) -> Path:
    return write_bundle(tmp_path / "small.ourgan", small, MEMBERS).path


@pytest.fixture
def small(manifest: Manifest) -> Manifest:
    return manifest.model_copy(update={"upscalers": manifest.upscalers[:1]})


def contents(bundle: Bundle) -> dict[str, bytes]:
    return {name: bundle.read(name) for name in bundle.manifest.files}


def archive(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


def changed(path: Path, **changes: object) -> Path:
    """The bundle at `path` with other values in its manifest, written without any check."""
    bundle = Bundle.open(path)
    text = json.dumps(bundle.manifest.model_dump() | changes).encode()
    return archive(path, {"manifest.json": text, **contents(bundle)})


def manifest_of(path: Path) -> dict[str, Any]:
    """As it is written."""
    with zipfile.ZipFile(path) as file:
        manifest: dict[str, Any] = json.loads(file.read("manifest.json"))
    return manifest


@given(manifests, st.data())
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_round_trip(tmp_path: Path, manifest: Manifest, data: st.DataObject) -> None:
    members = {name: data.draw(st.binary(max_size=50)) for name in manifest.networks()}
    written = write_bundle(tmp_path / "a.ourgan", manifest, members)
    opened = Bundle.open(tmp_path / "a.ourgan")
    assert opened == written
    assert opened.manifest.model_copy(update={"files": {}}) == manifest
    assert contents(opened) == members


def test_equal_content_gives_equal_bytes(tmp_path: Path, small: Manifest) -> None:
    one, two = (write_bundle(tmp_path / name, small, MEMBERS) for name in ("one.ourgan", "two.ourgan"))
    assert one.path.read_bytes() == two.path.read_bytes()
    other = write_bundle(tmp_path / "two.ourgan", small, MEMBERS | {"preview.png": b"other"})
    assert one.sha256 == two.sha256 != other.sha256


def test_cut_short_at_every_kilobyte(bundle_path: Path, tmp_path: Path) -> None:
    whole = bundle_path.read_bytes()
    cut = tmp_path / "cut.ourgan"
    for size in [*range(0, len(whole), 1024), len(whole) - 1]:
        cut.write_bytes(whole[:size])
        with pytest.raises(BundleError, match=r"cut\.ourgan: is (not a bundle|cut short)"):
            Bundle.open(cut)


def test_damaged_bytes_are_noticed_or_harmless(path: Path) -> None:
    """A byte that no one reads, such as one of a date, may change; any other gives a BundleError."""
    expected, whole = Bundle.open(path), path.read_bytes()
    members = contents(expected)
    directory = whole.index(b"PK\x01\x02")
    positions = [*random.Random(0).sample(range(directory), 400), *range(directory, len(whole))]
    noticed = 0
    for position in positions:
        damaged = bytearray(whole)
        damaged[position] ^= 1 << position % 8
        path.write_bytes(damaged)
        try:
            bundle = Bundle.open(path)
            assert bundle == expected
            assert contents(bundle) == members
        except BundleError:
            noticed += 1
    assert noticed > len(positions) / 2


@given(st.binary(max_size=300), st.booleans())
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_foreign_bytes(tmp_path: Path, data: bytes, signed: bool) -> None:
    path = tmp_path / "foreign.ourgan"
    path.write_bytes(b"PK\x03\x04" * signed + data)
    with pytest.raises(BundleError):
        Bundle.open(path)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"absent\.ourgan: cannot be read: No such file"):
        Bundle.open(tmp_path / "absent.ourgan")
    with pytest.raises(BundleError, match="cannot be read"):
        Bundle.open(tmp_path)


def test_future_version(path: Path) -> None:
    changed(path, schema_version=8, created_by="ourgan_sdk 9.0.0", unheard_of=True)
    with pytest.raises(BundleError, match=r"schema version 8, by 'ourgan_sdk 9\.0\.0'.* upgrade"):
        Bundle.open(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema_version": 0}, "expected schema_version 1 to 7, found 0"),
        ({"schema_version": "1"}, "expected schema_version 1 to 7, found '1'"),
        ({"surplus": 1}, "surplus: Extra inputs"),
        ({"photo": {"width": 0, "height": 1, "sha256": "0" * 64}}, r"photo\.width: .*greater than"),
        ({"photo": {"width": "3", "height": 1, "sha256": "0" * 64}}, r"photo\.width: .*valid integer"),
        ({"upscalers": []}, "upscalers: .*at least 1"),
        ({"photo": None}, "photo: expected where there are no coordinates"),
        ({"structure": None}, "structure: expected in schema version 1"),
        ({"training": None}, "training: expected in schema version 1"),
        ({"schema_version": 4, "structure": None}, "expected a structure network, or a photograph"),
        ({"files": {}}, "'preview.png': the manifest declares none, the archive holds 0 bytes"),
        ({"files": {"../up": {"size": 0, "sha256": "0" * 64}}}, "not a name"),
    ],
)
def test_wrong_manifest(path: Path, change: dict[str, object], words: str) -> None:
    with pytest.raises(BundleError, match=words):
        Bundle.open(changed(path, **change))


SCALE = {"height": 4, "width": 6, "channels": 3, "noise_deviation": 1.0}


@pytest.mark.parametrize(
    ("scales", "words"),
    [
        ([SCALE | {"height": 1 << 31}], r"height: .*less than or equal to 2147483647"),
        ([SCALE | {"width": 1 << 70}], r"width: "),
        ([SCALE | {"channels": 4097}], r"channels: .*less than or equal to 4096"),
        ([SCALE | {"noise_deviation": 1e300}], r"noise_deviation: .*less than or equal to 1000000"),
        ([SCALE | {"height": 1 << 20, "width": 1 << 20}], "noise of at most 268435456 values, got 32985"),
        ([SCALE, SCALE | {"height": 3}], "each to be at least as large as the one before"),
        ([SCALE] * 256, "scales: .*at most 255 items"),
    ],
)
def test_absurd_structures(path: Path, small: Manifest, scales: list[object], words: str) -> None:
    with pytest.raises(BundleError, match=words):
        Bundle.open(changed(path, structure=small.structure.model_dump() | {"scales": scales}))


@pytest.mark.parametrize(
    ("field", "value"),
    [("halo", 4097), ("noise_deviation", 1.1e6), ("bytes_per_pixel", 1 << 31), ("bytes_per_pixel", 0)],
)
def test_absurd_upscalers(path: Path, small: Manifest, field: str, value: float) -> None:
    upscaler = small.upscalers[0].model_dump() | {field: value}
    with pytest.raises(BundleError, match=rf"upscalers\.0\.{field}: "):
        Bundle.open(changed(path, upscalers=[upscaler]))


@pytest.mark.parametrize("text", [b"", b"{", b"[1]", b'{"schema_version": NaN}', b"[" * 100_000, b"\xff\xfe"])
def test_manifest_that_is_none(tmp_path: Path, text: bytes) -> None:
    with pytest.raises(BundleError, match=r"manifest\.json: (is not JSON|expected schema_version)"):
        Bundle.open(archive(tmp_path / "a.ourgan", {"manifest.json": text}))


@pytest.mark.parametrize("name", ["/etc/passwd", "../up", "a/../../b", "C:\\x", "a//b", ".hidden", "folder/"])
def test_names_that_lead_outside(path: Path, small: Manifest, name: str) -> None:
    with pytest.raises(BundleError, match="not a name"):
        write_bundle(path, small, MEMBERS | {name: b""})
    bundle = Bundle.open(path)
    text = zipfile.ZipFile(path).read("manifest.json")
    archive(path, {"manifest.json": text, **contents(bundle), name: b""})
    with pytest.raises(BundleError, match="not a plain relative path"):
        Bundle.open(path)


def test_compressed_members(path: Path) -> None:
    members = {name: zipfile.ZipFile(path).read(name) for name in ("manifest.json", *MEMBERS)}
    with pytest.raises(BundleError, match=r"'manifest\.json': is compressed"):
        Bundle.open(archive(path, members, zipfile.ZIP_DEFLATED))


def test_surplus_missing_and_double_members(path: Path) -> None:
    members = {name: zipfile.ZipFile(path).read(name) for name in ("manifest.json", *MEMBERS)}
    with pytest.raises(
        BundleError, match=r"'more\.bin': the manifest declares none, the archive holds 4 bytes"
    ):
        Bundle.open(archive(path, members | {"more.bin": b"more"}))
    with pytest.raises(
        BundleError, match=r"'preview\.png': the manifest declares 0 bytes, the archive holds none"
    ):
        Bundle.open(archive(path, {name: data for name, data in members.items() if name != "preview.png"}))
    with pytest.raises(BundleError, match=r"no member 'manifest\.json'"):
        Bundle.open(archive(path, MEMBERS))
    archive(path, members)
    with zipfile.ZipFile(path, "a") as file, pytest.warns(UserWarning, match="Duplicate"):
        file.writestr("preview.png", b"")
    with pytest.raises(BundleError, match=r"'preview\.png': appears twice"):
        Bundle.open(path)


def test_nothing_but_the_archive(path: Path, tmp_path: Path) -> None:
    """Another archive in front, junk behind or in between: other readers might find something else there."""
    whole, other = path.read_bytes(), archive(tmp_path / "a.zip", {"a": b"a"}).read_bytes()
    directory = whole.index(b"PK\x01\x02")
    assert zipfile.ZipFile(io.BytesIO(other + whole)).namelist()[0] == "manifest.json"
    end = whole[:-2] + (3).to_bytes(2, "little") + b"abc"
    between = whole[:directory] + b"junk" + whole[directory:-6]
    between += (directory + 4).to_bytes(4, "little") + whole[-2:]
    for data in (other + whole, whole + b"junk", whole + b"junk" * 9999, end, between):
        path.write_bytes(data)
        with pytest.raises(BundleError, match="bytes that belong to no member, from"):
            Bundle.open(path)
    path.write_bytes(whole + other)
    with pytest.raises(BundleError, match="is not a bundle"):
        Bundle.open(path)
    path.write_bytes(whole)
    assert contents(Bundle.open(path)) == MEMBERS


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 16]) + data[place + 1 :]


@pytest.mark.parametrize(
    ("offset", "words"),
    [(6, "flags"), (8, "method"), (14, "CRC-32"), (18, "stored size"), (22, "size"), (30, "name")],
)
def test_headers_that_disagree_with_the_directory(path: Path, offset: int, words: str) -> None:
    """A reader that goes by the one would find something else than one that goes by the other."""
    whole = path.read_bytes()
    # The manifest, which comes first, speaks of the member as well.
    header = whole.rindex(b"PK\x03\x04", 0, whole.rindex(MEMBERS["structure.onnx"]))
    path.write_bytes(flipped(whole, header + offset))
    with pytest.raises(
        BundleError, match=rf"'structure\.onnx': is damaged: its header says {words} .*, the ZIP directory "
    ):
        Bundle.open(path)
    for place in (4, 10, 12):  # version and time tell nothing
        path.write_bytes(flipped(whole, header + place))
        assert contents(Bundle.open(path)) == MEMBERS


def test_data_descriptors(path: Path, tmp_path: Path) -> None:
    """Sizes behind a member instead of before it, as programs write that do not know them yet."""
    members = {name: zipfile.ZipFile(path).read(name) for name in ("manifest.json", *MEMBERS)}
    streamed = tmp_path / "streamed.ourgan"

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def tell(self) -> int:
            raise io.UnsupportedOperation

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w") as file:
        for name, content in members.items():
            file.writestr(zipfile.ZipInfo(name), content)
    streamed.write_bytes(pipe.getvalue())
    assert zipfile.ZipFile(streamed).read("manifest.json") == members["manifest.json"]
    with pytest.raises(
        BundleError, match=r"'manifest\.json': has a data descriptor; its sizes belong before it"
    ):
        Bundle.open(streamed)


def test_declared_sizes_are_checked_before_reading(path: Path, tmp_path: Path) -> None:
    """Sizes in the ZIP directory of gigabytes that are not there must not make anyone allocate them."""
    huge = archive(tmp_path / "a.ourgan", {"manifest.json": b" " * (1 << 20) + b" "})
    with pytest.raises(BundleError, match=r"'manifest\.json': declares 1048577 bytes, more than the 1048576"):
        Bundle.open(huge)
    data = bytearray(path.read_bytes())
    entry = data.rindex(b"PK\x01\x02", 0, data.rindex(b"structure.onnx"))
    data[entry + 20 : entry + 28] = (1_000_000_000).to_bytes(4, "little") * 2
    path.write_bytes(data)
    with pytest.raises(BundleError, match=r"members declare 10000\d+ bytes, the file has"):
        Bundle.open(path)


def test_members_are_read_as_declared(path: Path, small: Manifest) -> None:
    bundle = Bundle.open(path)
    with pytest.raises(BundleError, match=r"no member 'other\.onnx'; it has structure\.onnx"):
        bundle.read("other.onnx")
    same_size = MEMBERS | {"structure.onnx": MEMBERS["structure.onnx"][::-1]}
    write_bundle(path, small, same_size)
    with pytest.raises(BundleError, match=r"'structure\.onnx' is damaged: its SHA-256"):
        bundle.read("structure.onnx")
    write_bundle(path, small, MEMBERS | {"structure.onnx": b"short"})
    with pytest.raises(BundleError, match=r"'structure\.onnx' has 5 bytes, expected 2700"):
        bundle.read("structure.onnx")


def test_writing_checks_the_networks(tmp_path: Path, small: Manifest) -> None:
    with pytest.raises(BundleError, match=r"names network 'upscaler\.onnx'"):
        write_bundle(tmp_path / "a.ourgan", small, {"structure.onnx": b""})
    assert list(tmp_path.iterdir()) == []


def test_failed_write_leaves_the_old_file(
    path: Path, small: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OutputError, match=r"small\.ourgan: No space left on device"):
        write_bundle(path, small, MEMBERS | {"preview.png": b"new"})
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_opening_reads_a_bounded_part(path: Path, small: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening reads the directory and the manifest, not the networks."""
    write_bundle(path, small, MEMBERS | {"structure.onnx": bytes(5 << 20)})
    read = 0
    original = io.BufferedReader.read

    class Counting(io.BufferedReader):
        def read(self, size: int | None = -1, /) -> bytes:
            nonlocal read
            data = original(self, size)
            read += len(data)
            return data

    monkeypatch.setattr(Path, "open", lambda self, _mode: Counting(io.FileIO(self)))
    Bundle.open(path)
    assert 0 < read < 200_000


def engine_record(**changes: object) -> EngineRecord:
    values = {
        "file": "engines/upscaler-fp16-uint8.plan",
        "network": "upscaler.onnx",
        "network_sha256": "0" * 64,
        "runtime": "tensorrt-rtx",
        "version": "1.7.1.116",
        "precision": "fp16",
        "output": "uint8",
        "compute_capabilities": ["8.6", "12.0"],
        "smallest_window": Window(height=64, width=64),
        "window": Window(height=640, width=1088),
        "activation_bytes": 5 << 30,
    }
    return EngineRecord.model_validate(values | changes)


def test_bundles_without_engines_are_as_they_were(path: Path) -> None:
    """Earlier releases read version 1 and forbid what they do not know."""
    manifest = json.loads(zipfile.ZipFile(path).read("manifest.json"))
    assert manifest["schema_version"] == 1
    assert "engines" not in manifest


@pytest.mark.parametrize("name", ["teacher", "init_second"])
def test_what_only_the_latest_release_knows_of_training_is_version_5(
    path: Path, small: Manifest, name: str
) -> None:
    assert not {"teacher", "init_second"} & manifest_of(path)["training"].keys()
    assert small.training is not None
    training = small.training.model_copy(update={name: Checkpoint(file="a.pth", sha256="0" * 64)})
    written = write_bundle(path, small.model_copy(update={"training": training}), MEMBERS)
    assert written == Bundle.open(path)
    assert written.manifest.schema_version == 5
    assert manifest_of(path)["training"][name] == {"file": "a.pth", "sha256": "0" * 64}


@pytest.mark.parametrize(
    "new", [{"starts": True}, {"margin": 5}, {"reconstruction": "z.f32"}], ids=lambda new: next(iter(new))
)
def test_what_only_the_latest_release_knows_of_structures_is_version_6(
    path: Path, small: Manifest, new: dict[str, object]
) -> None:
    assert not {"starts", "margin", "reconstruction"} & manifest_of(path)["structure"].keys()
    assert small.structure is not None
    structure = small.structure.model_copy(update=new)
    changed_manifest = small.model_copy(update={"structure": structure})
    written = write_bundle(path, changed_manifest, MEMBERS | {"z.f32": b"0123"})
    assert written == Bundle.open(path)
    assert written.manifest.schema_version == 6
    assert new.items() <= manifest_of(path)["structure"].items()


def test_what_reconstructs_is_a_member_of_its_own(path: Path, small: Manifest) -> None:
    def write(name: str) -> None:
        assert small.structure is not None
        structure = small.structure.model_copy(update={"reconstruction": name})
        write_bundle(path, small.model_copy(update={"structure": structure}), MEMBERS)

    with pytest.raises(BundleError, match=r"names reconstruction 'z\.f32', which is not among the members"):
        write("z.f32")
    with pytest.raises(BundleError, match="expected it in a member of its own"):
        write("upscaler.onnx")


PHOTOGRAPH = {"photograph.jpg": b"pixels" * 99}


def with_photograph(manifest: Manifest) -> Manifest:
    photo = manifest.photo.model_copy(update={"file": "photograph.jpg"})
    return manifest.model_copy(update={"photo": photo})


def test_bundles_without_photograph_are_as_they_were(path: Path) -> None:
    """With engines too: earlier releases read versions 1 and 2 and forbid what they do not know."""
    assert set(manifest_of(path)["photo"]) == {"width", "height", "sha256"}
    add_engines(Bundle.open(path), [(engine_record(), b"plan")])
    assert manifest_of(path)["schema_version"] == 2
    assert set(manifest_of(path)["photo"]) == {"width", "height", "sha256"}


def test_bundles_of_earlier_releases_can_be_read_and_extended(path: Path) -> None:
    manifest = manifest_of(path)
    assert "file" not in manifest["photo"]
    bundle = Bundle.open(archive(path, {"manifest.json": json.dumps(manifest).encode(), **MEMBERS}))
    assert bundle.manifest.photo.file is None
    assert add_engines(bundle, [(engine_record(), b"plan")]).manifest.photo.file is None


def test_bundles_with_photograph_are_version_3(tmp_path: Path, small: Manifest) -> None:
    path = tmp_path / "a.ourgan"
    for version in (1, 3):
        manifest = with_photograph(small).model_copy(update={"schema_version": version})
        written = write_bundle(path, manifest, MEMBERS | PHOTOGRAPH)
        assert written == Bundle.open(path)
        assert written.manifest.schema_version == 3
        assert written.manifest.photo.file == "photograph.jpg"
        assert manifest_of(path)["photo"]["file"] == "photograph.jpg"
        assert written.read("photograph.jpg") == PHOTOGRAPH["photograph.jpg"]


def test_adding_engines_keeps_the_photograph(tmp_path: Path, small: Manifest) -> None:
    bundle = write_bundle(tmp_path / "a.ourgan", with_photograph(small), MEMBERS | PHOTOGRAPH)
    for output in ("uint8", "float16", "uint8"):
        record = engine_record(output=output, file=f"engines/{output}.plan")
        bundle = add_engines(bundle, [(record, b"plan")])
        assert bundle.manifest.schema_version == 3
        assert bundle.manifest.photo == with_photograph(small).photo
        assert bundle.read("photograph.jpg") == PHOTOGRAPH["photograph.jpg"]
    assert len(bundle.manifest.engines) == 2


@pytest.mark.parametrize("version", [1, 2])
def test_a_photograph_needs_version_3(tmp_path: Path, small: Manifest, version: int) -> None:
    path = write_bundle(tmp_path / "a.ourgan", with_photograph(small), MEMBERS | PHOTOGRAPH).path
    with pytest.raises(BundleError, match=f"photo.file: expected none in schema version {version}"):
        Bundle.open(changed(path, schema_version=version))


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("absent.jpg", r"names photograph 'absent\.jpg', which is not among the members"),
        ("structure.onnx", r"photo\.file: expected it in a member of its own"),
        ("upscaler.onnx", r"photo\.file: expected it in a member of its own"),
        (3, r"photo\.file: .*valid string"),
    ],
)
def test_photographs_that_are_none(tmp_path: Path, small: Manifest, file: object, words: str) -> None:
    path = write_bundle(tmp_path / "a.ourgan", with_photograph(small), MEMBERS | PHOTOGRAPH).path
    photo = manifest_of(path)["photo"] | {"file": file}
    with pytest.raises(BundleError, match=words):
        Bundle.open(changed(path, photo=photo))


def test_an_engine_does_not_take_the_photographs_place(tmp_path: Path, small: Manifest) -> None:
    bundle = write_bundle(tmp_path / "a.ourgan", with_photograph(small), MEMBERS | PHOTOGRAPH)
    with pytest.raises(BundleError, match=r"two members 'photograph\.jpg'"):
        add_engines(bundle, [(engine_record(file="photograph.jpg"), b"plan")])


def test_writing_checks_the_photograph(tmp_path: Path, small: Manifest) -> None:
    with pytest.raises(BundleError, match=r"names photograph 'photograph\.jpg'"):
        write_bundle(tmp_path / "a.ourgan", with_photograph(small), MEMBERS)
    assert list(tmp_path.iterdir()) == []


def test_engines_are_added_and_replaced(path: Path) -> None:
    before = Bundle.open(path)
    record, other = engine_record(), engine_record(output="float16", file="engines/b.plan")
    added = add_engines(before, [(record, b"plan"), (other, b"another")])
    assert added == Bundle.open(path)
    assert added.manifest.schema_version == 2
    assert added.manifest.engines == [record, other]
    assert contents(added) == MEMBERS | {record.file: b"plan", other.file: b"another"}
    newer = engine_record(version="1.8", file="engines/c.plan")
    replaced = add_engines(added, [(newer, b"newer")])
    assert replaced.manifest.engines == [other, newer]
    assert contents(replaced) == MEMBERS | {other.file: b"another", newer.file: b"newer"}
    unchanged = {"schema_version", "engines", "files"}
    assert replaced.manifest.model_dump(exclude=unchanged) == before.manifest.model_dump(exclude=unchanged)


def test_engines_in_a_copy(path: Path, tmp_path: Path) -> None:
    before = path.read_bytes()
    copy = add_engines(Bundle.open(path), [(engine_record(), b"plan")], tmp_path / "copy.ourgan")
    assert copy.path == tmp_path / "copy.ourgan"
    assert copy.read(engine_record().file) == b"plan"
    assert path.read_bytes() == before


def test_failed_adding_leaves_the_bundle(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()
    with pytest.raises(BundleError, match=r"two members 'preview\.png'"):
        add_engines(Bundle.open(path), [(engine_record(file="preview.png"), b"plan")])
    with pytest.raises(BundleError, match="not a name"):
        add_engines(Bundle.open(path), [(engine_record(file="../up"), b"plan")])

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OutputError, match="No space left on device"):
        add_engines(Bundle.open(path), [(engine_record(), b"plan")])
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"runtime": "other"}, r"engines\.0\.runtime: "),
        ({"compute_capabilities": ["sm86"]}, r"engines\.0\.compute_capabilities\.0: "),
        ({"compute_capabilities": []}, r"engines\.0\.compute_capabilities: "),
        ({"window": {"height": 0, "width": 1}}, r"engines\.0\.window\.height: "),
        ({"window": {"height": 40, "width": 1}}, "smallest_window: expected it not to be larger than window"),
        ({"file": "absent.plan"}, r"names engine 'absent\.plan', which is not among the members"),
        ({"file": "upscaler.onnx"}, "engines: expected each in a member of its own"),
    ],
)
def test_engines_that_are_none(path: Path, changes: dict[str, object], words: str) -> None:
    records = [engine_record().model_dump() | changes]
    with pytest.raises(BundleError, match=words):
        Bundle.open(changed(path, schema_version=2, engines=records))


def test_engines_need_version_2(path: Path) -> None:
    add_engines(Bundle.open(path), [(engine_record(), b"plan")])
    with pytest.raises(BundleError, match="expected none in schema version 1, found 1"):
        Bundle.open(changed(path, schema_version=1))


def coordinates_record(**changes: object) -> dict[str, Any]:
    pictures = {"count": 60, "sha256": "1" * 64, "shortest": 64, "longest": 700}
    record = Coordinates(
        file="coordinates.onnx",
        latent=8,
        patch=32,
        largest=512,
        stride=2,
        halo=3,
        bytes_per_pixel=900,
        seam_error=SeamError(maximum=0.25, p9999=0.1, share_different=0.01),
        pictures=Pictures(**pictures),
    )
    return record.model_dump() | changes


def of_coordinates(small: Manifest, **changes: object) -> Manifest:
    """What a folder of pictures has become; `changes` to the manifest, unchecked."""
    record = Coordinates(**coordinates_record())
    without = {"photo": None, "structure": None, "upscalers": [], "coordinates": record}
    return small.model_copy(update={"schema_version": 7} | without | changes)


COORDINATES = {"coordinates.onnx": b"coordinates" * 40}


def test_structures_of_coordinates_are_version_7(tmp_path: Path, small: Manifest) -> None:
    path = tmp_path / "a.ourgan"
    written = write_bundle(path, of_coordinates(small), COORDINATES)
    assert written == Bundle.open(path)
    manifest = manifest_of(path)
    assert (manifest["schema_version"], manifest["photo"], manifest["upscalers"]) == (7, None, [])
    assert manifest["coordinates"] == coordinates_record()
    assert written.manifest.networks() == ["coordinates.onnx"]
    assert written.manifest.base_size == (32, 32)
    assert written.manifest.natural_size == (512, 512)
    assert written.manifest.learned == "1" * 64
    assert written.manifest.without_photograph() == written.manifest
    with pytest.raises(BundleError, match="learned from many pictures: there is no one photograph"):
        _ = written.photo


def test_bundles_without_coordinates_are_as_they_were(path: Path) -> None:
    """Earlier releases forbid what they do not know."""
    assert "coordinates" not in manifest_of(path)
    assert manifest_of(path)["schema_version"] == 1


PHOTO = {"width": 3, "height": 4, "sha256": "0" * 64}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema_version": 6}, "coordinates: expected none in schema version 6"),
        ({"photo": PHOTO}, "coordinates: expected neither a photo nor a structure"),
        ({"coordinates": None}, "photo: expected where there are no coordinates"),
        ({"coordinates": None, "photo": PHOTO}, "upscalers: expected at least 1 where"),
        ({"coordinates": coordinates_record(largest=31)}, "coordinates: .*largest: expected"),
        ({"coordinates": coordinates_record(latent=0)}, r"coordinates\.latent: .*greater"),
        ({"coordinates": coordinates_record(stride=65)}, r"coordinates\.stride: .*less than"),
        ({"coordinates": coordinates_record(halo=4097)}, r"coordinates\.halo: .*less than"),
        ({"coordinates": coordinates_record(bytes_per_pixel=0)}, r"coordinates\.bytes_per_pixel: .*greater"),
        (
            {"coordinates": coordinates_record(bytes_per_pixel=1 << 30)},
            r"a\.ourgan: .*coordinates: .*bytes_per_pixel: expected at most",
        ),
        ({"coordinates": coordinates_record(file="b.onnx")}, r"names network 'b\.onnx', which is not among"),
        (
            {
                "coordinates": coordinates_record(
                    pictures={"count": 1, "sha256": "1" * 64, "shortest": 9, "longest": 8}
                )
            },
            "pictures: .*shortest: expected",
        ),
    ],
)
def test_coordinates_that_are_none(
    tmp_path: Path, small: Manifest, change: dict[str, object], words: str
) -> None:
    path = write_bundle(tmp_path / "a.ourgan", of_coordinates(small), COORDINATES).path
    with pytest.raises(BundleError, match=words):
        Bundle.open(changed(path, **change))


def test_nothing_renders_with_upscalers_beside_coordinates(tmp_path: Path, small: Manifest) -> None:
    path = write_bundle(tmp_path / "a.ourgan", of_coordinates(small), COORDINATES).path
    upscalers = [upscaler.model_dump() for upscaler in small.upscalers]
    with pytest.raises(BundleError, match=r"a\.ourgan: .*upscalers: expected none beside coordinates, found"):
        Bundle.open(changed(path, upscalers=upscalers))
