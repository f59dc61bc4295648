"""What may be asked of a layout, and what it decides where nothing is."""

import numpy as np
import pytest

from ourgan_sdk import Layout


def test_defaults() -> None:
    layout = Layout()
    assert (layout.wildness, layout.rows) == (0.5, 1.0)
    assert layout.wrap == layout.mirror == (False, False)
    assert layout.of_patches == []


@pytest.mark.parametrize(
    ("tileable", "symmetric", "wrap", "mirror"),
    [
        ("x", None, (False, True), (False, False)),
        ("y", None, (True, False), (False, False)),
        ("both", None, (True, True), (False, False)),
        (None, "both", (False, False), (True, True)),
        ("both", "x", (True, False), (False, True)),  # what is mirrored continues itself
        ("x", "x", (False, False), (False, True)),
    ],
)
def test_axes(tileable: str | None, symmetric: str | None, wrap: object, mirror: object) -> None:
    layout = Layout(tileable=tileable, symmetric=symmetric)  # type: ignore[arg-type]
    assert (layout.wrap, layout.mirror) == (wrap, mirror)


def test_up_and_down_do_not_matter_where_the_top_continues_the_bottom() -> None:
    assert [Layout(tileable=axes).rows for axes in ("x", "y", "both")] == [1.0, 0.0, 0.0]  # type: ignore[arg-type]
    assert Layout(tileable="y", vertical=2.0).rows == 2.0


def test_the_photographs_own_layout_stays_close_to_it() -> None:
    assert Layout(retarget=True).wildness == 0.0
    assert Layout(retarget=True, variety=np.float32(0.25)).wildness == 0.25  # type: ignore[arg-type]


def test_what_patches_alone_can_do_is_told() -> None:
    layout = Layout(variety=0.5, symmetric="x", tileable="y")
    assert layout.of_patches == ["variety", "tileable"]


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"variety": 1.01}, ValueError, "variety to be from 0 to 1, got 1.01"),
        ({"variety": float("nan")}, ValueError, "variety to be from 0 to 1, got nan"),
        ({"variety": "wild"}, TypeError, "variety to be a number, got 'wild'"),
        ({"variety": True}, TypeError, "variety to be a number, got True"),
        ({"vertical": -0.1}, ValueError, "vertical to be from 0 to 4, got -0.1"),
        ({"tileable": "z"}, ValueError, "tileable to be x, y, both or None, got 'z'"),
        ({"symmetric": "xy"}, ValueError, "symmetric to be x, y, both or None, got 'xy'"),
        ({"retarget": 1}, TypeError, "retarget to be True or False, got 1"),
        ({"retarget": True, "tileable": "x"}, ValueError, "give no tileable with it"),
    ],
)
def test_refused(arguments: dict[str, object], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        Layout(**arguments)  # type: ignore[arg-type]
