"""Identifiers of canvases: what is written is read again, one picture has one form, what is wrong is said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ourgan_sdk.service.errors import BadRequestError
from ourgan_sdk.service.identifiers import Identifier, parse_identifier, source_of
from ourgan_sdk.structure.layout import Layout


def decimals(least: float, most: float) -> st.SearchStrategy[float]:
    return st.integers(round(least * 10**6), round(most * 10**6)).map(lambda value: value / 10**6)


AXES = st.sampled_from([None, "x", "y", "both"])

IDENTIFIERS = st.builds(
    Identifier,
    source=st.from_regex(r"[A-Za-z0-9._-]{1,20}", fullmatch=True),
    width=st.integers(1, 9_999_999_999),
    height=st.integers(1, 9_999_999_999),
    seed=st.integers(0, (1 << 64) - 1),
    extent=st.none() | decimals(0.25, 1024),
    variety=st.none() | decimals(0, 1),
    vertical=st.none() | decimals(0, 4),
    tileable=AXES,
    symmetric=AXES,
    retarget=st.just(False),
    start_scale=st.none() | st.integers(1, 255),
    structure=st.sampled_from(["auto", "network", "patches"]),
    detail=st.sampled_from(["auto", "photograph", "network"]),
)


@given(IDENTIFIERS)
def test_what_is_written_is_read_again(identifier: Identifier) -> None:
    text = str(identifier)
    again = parse_identifier(text)
    assert str(again) == text
    assert (again.source, again.width, again.height, again.seed) == (
        identifier.source,
        identifier.width,
        identifier.height,
        identifier.seed,
    )
    assert (again.layout.wildness, again.layout.rows) == (
        identifier.layout.wildness,
        identifier.layout.rows,
    )
    assert again.extent == identifier.extent


@given(IDENTIFIERS, st.randoms(use_true_random=False))
def test_order_does_not_matter(identifier: Identifier, random) -> None:
    head, size, seed, *rest = str(identifier).split("~")
    random.shuffle(rest)
    assert parse_identifier("~".join([head, size, seed, *rest])) == parse_identifier(str(identifier))


@given(
    st.text(max_size=60)
    | st.from_regex(r"a~[0-9x]{1,9}~[0-9]{1,3}(~[a-z-]+=[0-9a-z.]+){0,3}", fullmatch=True)
)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        identifier = parse_identifier(text)
    except BadRequestError:
        return
    assert parse_identifier(str(identifier)) == identifier


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("a~20x10~0~variety=0.5", "a~20x10~0"),
        ("a~20x10~0~variety=0.50~extent=2.0", "a~20x10~0~extent=2"),
        ("a~20x10~0~retarget=1~variety=0", "a~20x10~0~retarget=1"),
        ("a~20x10~0~retarget=1~variety=0.5", "a~20x10~0~variety=0.5~retarget=1"),
        ("a~20x10~0~tileable=both~vertical=0", "a~20x10~0~tileable=both"),
        ("a~20x10~0~tileable=x~vertical=1", "a~20x10~0~tileable=x"),
        ("a~20x10~0~detail=auto~structure=patches", "a~20x10~0~structure=patches"),
        ("a~20x10~0~start-scale=2~extent=1.25", "a~20x10~0~extent=1.25~start-scale=2"),
    ],
)
def test_one_picture_has_one_form(text: str, canonical: str) -> None:
    assert str(parse_identifier(text)) == canonical


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a", "SOURCE~WIDTHxHEIGHT~SEED"),
        ("a~20x10", "SOURCE~WIDTHxHEIGHT~SEED"),
        ("a/b~20x10~0", "SOURCE~WIDTHxHEIGHT~SEED"),
        ("a~0x10~0", "WIDTHxHEIGHT"),
        ("a~20x10~-1", "seed from 0"),
        (f"a~20x10~{1 << 64}", "seed from 0"),
        ("a~20x10~\u0663", "seed from 0"),
        ("a~20x10~0~extent=1025", "extent: expected a number from 0.25 to 1024"),
        ("a~20x10~0~extent=nan", "extent: expected a number"),
        ("a~20x10~0~extent=1e3", "extent: expected a number"),
        ("a~20x10~0~variety=0.5~variety=0.6", "once at most"),
        ("a~20x10~0~tileable=z", "tileable: expected one of x, y, both"),
        ("a~20x10~0~retarget=0", "retarget: expected 1"),
        ("a~20x10~0~retarget=1~tileable=x", "tileable"),
        ("a~20x10~0~start-scale=0", "scale from 1"),
        ("a~20x10~0~start_scale=1", "expected each of"),
        ("a~20x10~0~", "expected each of"),
    ],
)
def test_what_is_wrong_is_said(text: str, reason: str) -> None:
    with pytest.raises(BadRequestError, match=reason):
        parse_identifier(text)


def test_layout_is_what_was_asked_for() -> None:
    identifier = parse_identifier("a~20x10~5~variety=0.3~vertical=2~tileable=x~symmetric=y")
    assert identifier.layout == Layout(variety=0.3, vertical=2.0, tileable="x", symmetric="y")
    assert source_of("a~20x10~5") == "a"
