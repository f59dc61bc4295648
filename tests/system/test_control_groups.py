"""What control groups leave of memory and processors, on trees as Linux, containers and systemd make them."""

import os
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from ourgan_sdk import Synthesizer
from ourgan_sdk.system import control_groups
from ourgan_sdk.system.memory import available_memory
from ourgan_sdk.system.processors import available_processors, engine_threads

SECOND = "31 23 0:28 {root} {folder} rw,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate"
FIRST = "35 31 0:32 {root} {folder} rw,relatime - cgroup cgroup rw,{controller}"


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Makes what a process sees of itself; "{}" in mounts is the tree's folder."""
    monkeypatch.setattr(control_groups, "_PROC", tmp_path / "proc")

    def make(memberships: str, mounts: list[str], files: dict[str, str]) -> Path:
        (tmp_path / "proc").mkdir(exist_ok=True)
        (tmp_path / "proc" / "cgroup").write_text(memberships)
        (tmp_path / "proc" / "mountinfo").write_text("\n".join(mounts))
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{text}\n")
        return tmp_path

    return make


def second(
    folder: str, limit: str = "max", high: str = "max", used: int = 0, cached: int = 0
) -> dict[str, str]:
    return {
        f"{folder}/memory.max": limit,
        f"{folder}/memory.high": high,
        f"{folder}/memory.current": str(used),
        f"{folder}/memory.stat": f"anon 5\nactive_file 7\ninactive_file {cached}",
    }


def first(folder: str, limit: int, used: int, cached: int) -> dict[str, str]:
    return {
        f"{folder}/memory.limit_in_bytes": str(limit),
        f"{folder}/memory.usage_in_bytes": str(used),
        f"{folder}/memory.stat": f"inactive_file 1\ntotal_inactive_file {cached}",
    }


def test_the_tightest_group_up_to_the_root(tree: Callable[..., Path], tmp_path: Path) -> None:
    """systemd: the service has no limit of its own, its slice has MemoryMax=, and that above MemoryHigh=."""
    slice_ = "sys/work.slice"
    files = {
        **second(f"{slice_}/work-jobs.slice/job.service", used=50_000),
        **second(f"{slice_}/work-jobs.slice", "1000000", used=600_000, cached=100_000),
        **second(slice_, "9000000", "800000", used=650_000),
        f"{slice_}/work-jobs.slice/job.service/cpu.max": "max 100000",
        f"{slice_}/work-jobs.slice/cpu.max": "150000 100000",
        f"{slice_}/cpu.max": "400000 100000",
    }
    mounts = [SECOND.format(root="/", folder=tmp_path / "sys")]
    tree("0::/work.slice/work-jobs.slice/job.service\n", mounts, files)
    assert control_groups.room_in_groups() == 150_000
    assert control_groups.processors_of_groups() == 2
    assert available_memory() == 150_000
    assert available_processors() == min(2, len(os.sched_getaffinity(0)))
    (tmp_path / slice_ / "memory.high").write_text("max\n")
    assert control_groups.room_in_groups() == 500_000


@pytest.mark.parametrize(
    ("path", "root"),
    [
        ("/", "/"),  # a namespace of its own
        ("/docker/abc", "/docker/abc"),  # the host's, with the container's group mounted
        ("/system.slice/docker-abc.scope", "/"),  # the host's: the path is not there
        ("/docker/abc", "/docker/other"),  # not below what is mounted
        ("/../../elsewhere", "/"),  # moved out of its namespace
    ],
)
def test_containers(tree: Callable[..., Path], tmp_path: Path, path: str, root: str) -> None:
    mounts = [SECOND.format(root=root, folder=tmp_path / "sys")]
    files = {**second("sys", "1000000", used=600_000, cached=100_000), "sys/cpu.max": "50000 100000"}
    tree(f"0::{path}\n", mounts, files)
    assert (control_groups.room_in_groups(), control_groups.processors_of_groups()) == (500_000, 1)


def test_version_1_and_both(tree: Callable[..., Path], tmp_path: Path) -> None:
    mounts = [
        FIRST.format(root="/", folder=tmp_path / "memory", controller="memory"),
        FIRST.format(root="/", folder=tmp_path / "cpu,cpuacct", controller="cpu,cpuacct"),
        SECOND.format(root="/", folder=tmp_path / "unified"),
    ]
    files = {
        **first("memory/a/b", 9223372036854771712, 100, 0),
        **first("memory/a", 1_000_000, 400_000, 100_000),
        **first("memory", 9223372036854771712, 5_000_000, 0),
        "cpu,cpuacct/a/cpu.cfs_quota_us": "-1",
        "cpu,cpuacct/a/cpu.cfs_period_us": "100000",
        "cpu,cpuacct/cpu.cfs_quota_us": "250000",
        "cpu,cpuacct/cpu.cfs_period_us": "100000",
        "unified/c/cpu.max": "max 100000",
    }
    tree("5:memory:/a/b\n4:cpu,cpuacct:/a\n1:name=systemd:/x\n0::/c\n", mounts, files)
    assert (control_groups.room_in_groups(), control_groups.processors_of_groups()) == (700_000, 3)


def test_other_processes_groups_do_not_matter(tree: Callable[..., Path], tmp_path: Path) -> None:
    mounts = [
        SECOND.format(root="/mine", folder=tmp_path / "my\\040own"),
        SECOND.format(root="/theirs", folder=tmp_path / "theirs"),
    ]
    files = {**second("my own", "1000"), **second("theirs", "10"), **second("theirs/mine", "10")}
    tree("0::/mine\n", mounts, files)
    assert control_groups.room_in_groups() == 1000


@pytest.mark.parametrize("files", [{}, second("sys"), second("sys", "?", "")])
def test_no_limits(tree: Callable[..., Path], tmp_path: Path, files: dict[str, str]) -> None:
    tree("0::/\nnonsense\n", ["", "a b c", SECOND.format(root="/", folder=tmp_path / "sys")], files)
    assert (control_groups.room_in_groups(), control_groups.processors_of_groups()) == (None, None)
    tree("", [], {})
    assert (control_groups.room_in_groups(), control_groups.processors_of_groups()) == (None, None)


def test_where_there_are_no_groups(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(control_groups, "_PROC", tmp_path / "none")
    assert 0 < available_memory() <= psutil.virtual_memory().total
    assert available_processors() == len(os.sched_getaffinity(0))


def test_threads_by_default(
    bundle_path: Path, monkeypatch: pytest.MonkeyPatch, tree: Callable[..., Path], tmp_path: Path
) -> None:
    """Engines choose by the machine's processors, which may be many more than there are."""
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: set(range(8)))
    tree("0::/\n", [SECOND.format(root="/", folder=tmp_path / "sys")], {"sys/cpu.max": "250000 100000"})
    assert (engine_threads(None), engine_threads(5)) == (3, 5)
    synthesizer = Synthesizer(bundle_path)
    assert (synthesizer._threads, synthesizer._networks._options.threads) == (3, 3)
    (tmp_path / "sys" / "cpu.max").write_text("max 100000\n")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: set(range(64)))
    assert (available_processors(), engine_threads(None)) == (64, None)
