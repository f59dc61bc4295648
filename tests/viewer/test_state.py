"""Links and identifiers as the page's scripts read and write them, in Node, against the service's own."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ourgan_sdk.detail import plan_detail
from ourgan_sdk.service.identifiers import parse_identifier

VIEWER = Path(__file__).parents[2] / "ourgan_sdk" / "service" / "viewer"

IDENTIFIERS = [
    "canyon~100000x60000~7",
    "canyon~100000x60000~18446744073709551615~extent=2~variety=0.3~structure=patches~detail=network",
    "a.b_c-d~1x1~0~tileable=y~vertical=1",
    "canyon~800x600~1~variety=0~retarget=1",
    "canyon~800x600~1~variety=0.5~retarget=1~start-scale=2",
    "canyon~800x600~1~variety=0.5~vertical=1~structure=auto~detail=auto",
    "canyon~800x600~1~vertical=0~tileable=both~symmetric=x",
]
WRONG = [
    *("", "canyon", "canyon~800x600", "canyon~0x600~1", "canyon~800x600~01", "can yon~800x600~1"),
    *("canyon~800x600~18446744073709551616", "canyon~800x600~1~variety", "canyon~800x600~1~colour=red"),
    "canyon~800x600~1~extent=1~extent=2",
]

PLANS = [
    *(
        ("a~100000x60000~1", 4200, 2800),
        ("a~60000x100000~1", 3072, 2048),
        ("a~100000x60000~1~extent=8", 4200, 2800),
    ),
    *(("a~100000x60000~1~extent=0.25", 900, 1600), ("a~9000x10~1", 3000, 2000), ("a~9001x10~1", 3000, 2000)),
    ("a~640x480~1", 3000, 2000),
]
"""Canvases, and (width, height) of their photographs."""

PROGRAM = """
import { formatCanvas, formatLink, furtherSeed, parseCanvas, parseLink, passes, within } from "%s";
const [, , asked] = process.argv;
const { identifiers, wrong, link, plans } = JSON.parse(asked);
const state = parseLink(link);
console.log(JSON.stringify({
  identifiers: identifiers.map((one) => formatCanvas(parseCanvas(one))),
  wrong: wrong.map(parseCanvas),
  link: formatLink(state),
  at: state.at,
  bad: parseLink("#canvas=%%&at=1,2&select=1,2,0,5"),
  last: formatCanvas(furtherSeed(parseCanvas("a~1x1~0"), -1)),
  first: formatCanvas(furtherSeed(parseCanvas("a~1x1~18446744073709551615"), 1)),
  passes: plans.map(([canvas, width, height]) =>
    passes(parseCanvas(canvas), { width, height, detail: ["photograph", "network"] })),
  networks: passes(parseCanvas("a~9999x99~1"), { width: 9, height: 9, detail: ["network"] }),
  within: within({ x: -5, y: 90.6, width: 20, height: 20 }, { width: 100, height: 100 }),
}));
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node is here")
    program = tmp_path_factory.mktemp("node") / "program.mjs"
    program.write_text(PROGRAM % (VIEWER / "state.js").as_uri())
    link = "#canvas=canyon~100000x60000~7~extent=2&at=50000,30000,12.5&select=100,200,4000,3000"
    asked = json.dumps({"identifiers": IDENTIFIERS, "wrong": WRONG, "link": link, "plans": PLANS})
    result = subprocess.run([node, program, asked], capture_output=True, text=True, check=True, timeout=60)
    return dict(json.loads(result.stdout), asked=link)


def test_identifiers_are_canonical_as_the_service_has_them(said: dict[str, Any]) -> None:
    assert said["identifiers"] == [str(parse_identifier(one)) for one in IDENTIFIERS]


def test_what_names_no_canvas_is_none(said: dict[str, Any]) -> None:
    assert said["wrong"] == [None] * len(WRONG)
    assert said["bad"] == {"canvas": None, "at": None, "select": None}


def test_a_link_comes_back_as_it_was(said: dict[str, Any]) -> None:
    assert said["link"] == said["asked"]
    assert said["at"] == {"x": 50000, "y": 30000, "scale": 0.125}


def test_seeds_go_round(said: dict[str, Any]) -> None:
    assert said["last"] == "a~1x1~18446744073709551615"
    assert said["first"] == "a~1x1~0"


def test_rectangles_stay_within_the_picture(said: dict[str, Any]) -> None:
    assert said["within"] == {"x": 0, "y": 91, "width": 15, "height": 9}


def test_knows_how_often_networks_enlarge(said: dict[str, Any]) -> None:
    for (canvas, width, height), passes in zip(PLANS, said["passes"], strict=True):
        asked = parse_identifier(canvas)
        assert plan_detail((height, width), (asked.height, asked.width), asked.extent).passes == passes, (
            canvas
        )
    assert said["networks"] is None
