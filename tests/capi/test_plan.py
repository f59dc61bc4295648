"""Plans in C++ against those in Python, over thousands of random cases: the same sizes and errors."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ourgan_sdk.detail import check_structure, check_wrap, plan_detail
from ourgan_sdk.errors import SizeError
from ourgan_sdk.sizes import patches_size
from ourgan_sdk.structure.patches import composition_levels
from ourgan_sdk.synthesizer import Synthesizer
from tests.building import built, why_no_c

pytestmark = pytest.mark.skipif(bool(why_no_c()), reason=why_no_c())

CASES = 4000

Size = tuple[int, int]
Case = tuple[Size, Size, float, float, tuple[bool, bool]]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory) / "csrc" / "libourgan" / "tests" / "plan_cases"


def cases() -> list[Case]:
    """Photographs and pictures of sizes all over the orders of magnitude."""
    random = np.random.default_rng(11)
    drawn: list[Case] = []
    for _ in range(CASES):
        height = round(2 ** random.uniform(6, 13))
        photograph = height, max(64, round(height * 2 ** random.uniform(-3.5, 3.5)))
        size = round(2 ** random.uniform(0, 17)), round(2 ** random.uniform(0, 17))
        if random.random() < 0.3:  # of those that wrap, many do halve
            size = (size[0] // 64 + 1) * 64, (size[1] // 64 + 1) * 64
        extent = 0.0 if random.random() < 0.4 else float(2 ** random.uniform(-2, 10))
        wrap = bool(random.random() < 0.15), bool(random.random() < 0.15)
        drawn.append((photograph, size, extent, float(random.random()), wrap))
    return drawn


def expected(case: Case) -> str:
    """What the program says of it."""
    photograph, size, given, variety, wrap = case
    extent = given or None
    lines = ""
    try:
        plan = plan_detail(photograph, size, extent)
        patches = patches_size(*photograph)
        structure = plan.structure_size(max(patches))
        lines = f"{plan.searched} {plan.passes} {plan.extent!r} {fitting(photograph, size)!r} |"
        pairs: Sequence[Sequence[Size]] = [plan.picture, plan.photograph, [patches, structure]]
        for sizes in (*pairs, *composition_levels(patches, structure, variety)):
            lines += "".join(f" {height} {width}" for height, width in sizes) + " |"
        check_structure(structure, plan.extent)
        check_wrap(photograph, size, extent, wrap)
    except SizeError as error:
        return f"{lines} error: {error}".replace("use detail='network' (--detail network), or ", "")
    return lines


def fitting(photograph: Size, size: Size) -> float:
    """As a synthesizer has it, of which nothing matters but the photograph's size."""
    photo = SimpleNamespace(height=photograph[0], width=photograph[1])
    return Synthesizer._fitting_extent(SimpleNamespace(bundle=SimpleNamespace(photo=photo)), size)


def test_plans_are_those_of_python(program: Path) -> None:
    drawn = cases()
    lines = ""
    for photograph, size, extent, variety, wrap in drawn:
        lines += " ".join(map(repr, (*photograph, *size, extent, variety, *map(int, wrap)))) + "\n"
    told = subprocess.run([program], input=lines, capture_output=True, text=True, check=True).stdout
    kinds: dict[str, int] = {}
    for case, line in zip(drawn, told.splitlines(), strict=True):
        assert normal(line) == normal(expected(case)), case
        kind = line.split("error: ")[1].split(" ")[0:2][-1] if "error" in line else "planned"
        kinds[kind] = kinds.get(kind, 0) + 1
    assert kinds["planned"] > CASES / 2
    assert len(kinds) >= 3, kinds  # errors of more than one sort


def normal(line: str) -> str:
    """With its two floating-point numbers in one way of writing."""
    words = line.split(" ")
    if len(words) > 4 and words[0].isdigit():
        words[2], words[3] = (repr(float(word)) for word in words[2:4])
    return " ".join(words).strip()
