"""The report for people: the table in Markdown, and a contact sheet per photograph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from ourgan_sdk.system.atomic import atomic_file
from trainers.photo import reduce
from trainers.runs.run import grid

from .measuring import KINDS, Kind, Pictures, Subject
from .rows import LABELS, LEFT_OUT, PUBLISHED

CELL = 240  # pixels of a sheet's pictures, long side
SHOWN = 3  # pictures of a kind

METRICS = {
    "sifid_5": ("SIFID, 5th", 3),
    "sifid_13": ("SIFID, 13th", 3),
    "swd": ("sliced Wasserstein x 1000", 1),
    "layout_drift": ("layout drift", 1),
    "coherence": ("coherence", 0),
    "completeness": ("completeness", 0),
    "copied": ("copied share", 2),
}
BETWEEN = {"diversity": ("diversity", 2), "lpips": ("LPIPS", 3)}
TITLES: Mapping[Kind, str] = {
    "structure": "Structures",
    "network": "Rendered, detail by networks (the paper's way)",
    "photograph": "Rendered, detail from the photograph",
}
BOUNDS = {"mirrored": "photograph, mirrored", "shuffled_rows": "photograph, rows shuffled"}


def markdown(report: Mapping[str, Any]) -> str:
    """All tables: of the published figures, and per kind of picture those of every photograph."""
    lines = [
        "# Step 1 exchanged",
        "",
        f"`{report['command']}`",
        "",
        f"Budget {report['budget']}; structures of {report['seeds'][0]} seeds, rendered pictures of "
        f"{report['seeds'][1]}. Mean ± standard deviation over seeds; layout drift in 8-bit levels, "
        "coherence and completeness in levels². Lower is better but for diversity and LPIPS, which tell how "
        "different samples are. What copies the photograph is near to it: read the distance beside the "
        "copied share.",
        "",
        *(f"{name}: left out, {why}." for name, why in report["left_out"].items()),
        "",
        "## Published (OUR-GAN, Table 2, 4K)",
        "",
        *published_lines(),
    ]
    for kind in KINDS:
        lines += ["", f"## {TITLES[kind]}", ""]
        lines += table(report["photographs"], kind)
    lines += ["", "## Upscalers", "", *upscaler_lines(report["photographs"])]
    return "\n".join(lines) + "\n"


def published_lines() -> list[str]:
    """Table 2 as it was published."""
    titles = ["step 1"]
    titles += [f"{name}, {what}" for name in PUBLISHED for what in ("SIFID 5th", "SIFID 13th", "LPIPS")]
    labels = LABELS | {row: label for row, (label, _) in LEFT_OUT.items()}
    lines = head(titles)
    for row in PUBLISHED["ST4K"]:
        figures = [data[row] for data in PUBLISHED.values()]
        cells = [f"{value:.2f}" for one in figures for value in (one.sifid_5, one.sifid_13, one.lpips)]
        lines.append(line([labels[row], *cells]))
    return lines


def table(photographs: Iterable[Mapping[str, Any]], kind: Kind) -> list[str]:
    """The rows of every photograph, and the means over all photographs of those that all have."""
    photographs = [one for one in photographs if "bounds" in one]
    rows = [row[kind] for one in photographs for row in one["rows"] if kind in row]
    names = [name for name in METRICS if any(name in row["metrics"] for row in rows)]
    between = [name for name in BETWEEN if any(name in row["between"] for row in rows)]
    titles = ["photograph", "step 1", *(METRICS[name][0] for name in names)]
    lines = head([*titles, *(BETWEEN[name][0] for name in between)])
    for one in photographs:
        for row in one["rows"]:
            lines.append(line([one["name"], row["label"], *cells_of(row, kind, names, between)]))
        for bound, label in BOUNDS.items():
            numbers = one["bounds"][kind][bound]
            cells = [f"{numbers[name]:.{METRICS[name][1]}f}" if name in numbers else "-" for name in names]
            lines.append(line([one["name"], label, *cells, *("-" for _ in between)]))
        lines += [
            line([one["name"], label, why, *("" for _ in [*names, *between][1:])])
            for label, why in LEFT_OUT.values()
        ]
    return [*lines, *means(photographs, kind, names, between)]


def cells_of(row: Mapping[str, Any], kind: Kind, names: list[str], between: list[str]) -> list[str]:
    """Of one row; what went wrong stands in the first cell."""
    if kind not in row:
        return [row.get("error", "-"), *("" for _ in [*names, *between][1:])]
    numbers = row[kind]
    cells = []
    for name in names:
        digits = METRICS[name][1]
        value = numbers["metrics"].get(name)
        cells.append(f"{value['mean']:.{digits}f} ± {value['deviation']:.{digits}f}" if value else "-")
    for name in between:
        value = numbers["between"].get(name)
        cells.append("-" if value is None else f"{value:.{BETWEEN[name][1]}f}")
    return cells


def means(
    photographs: list[Mapping[str, Any]], kind: Kind, names: list[str], between: list[str]
) -> list[str]:
    """Lines of the means over photographs, where there are several; of rows that every one of them has."""
    if len(photographs) < 2:
        return []
    lines = []
    for row, label in LABELS.items():
        found = [one for photo in photographs for one in photo["rows"] if one["row"] == row and kind in one]
        if len(found) < len(photographs):
            continue
        metrics = [one[kind]["metrics"] for one in found]
        cells = [
            _mean([one[name]["mean"] if name in one else None for one in metrics], METRICS[name][1])
            for name in names
        ]
        cells += [
            _mean([one[kind]["between"].get(name) for one in found], BETWEEN[name][1]) for name in between
        ]
        lines.append(line(["**all**", f"**{label}**", *cells]))
    return lines


def _mean(numbers: Sequence[float | None], digits: int) -> str:
    """Of numbers that all photographs have: of some of them it could not be set beside other rows'."""
    known = [number for number in numbers if number is not None]
    return f"{fmean(known):.{digits}f}" if len(known) == len(numbers) else "-"


def upscaler_lines(photographs: Iterable[Mapping[str, Any]]) -> list[str]:
    """The hashes that all rows of a photograph share."""
    lines = head(["photograph", "SHA-256", "upscalers, in all rows"])
    for one in photographs:
        hashes = ", ".join(f"{file} {sha256[:16]}" for file, sha256 in one.get("upscalers", {}).items())
        lines.append(line([one["name"], one["sha256"][:16], hashes or one.get("error", "-")]))
    return lines


def head(titles: list[str]) -> list[str]:
    """The two lines above a table's rows."""
    return [line(titles), "|---" * len(titles) + "|"]


def line(cells: Iterable[str]) -> str:
    """One of a table's."""
    return f"| {' | '.join(cells)} |"


def save_sheet(path: Path, subject: Subject, rows: Iterable[Pictures], most: int) -> None:
    """The photograph and its mirror image; below, a line per row: structures, networks, photograph.

    ``most``: pictures of a kind that there are.
    """
    photo, count = cell(subject.picture), min(SHOWN, most)
    blank = torch.ones_like(photo)
    tiles = [photo, photo.flip(2), *[blank] * (len(KINDS) * count - 2)]
    for row in rows:
        for kind in KINDS:
            size = subject.structure_size if kind == "structure" else subject.size
            tiles += [cell(picture) for picture in row.read(kind, range(count), size)]
    with atomic_file(path) as temporary:
        grid(torch.stack(tiles), columns=len(KINDS) * count).save(temporary, "JPEG", quality=90)


def cell(picture: Tensor) -> Tensor:
    """A picture (3, H, W) at the size of a sheet's cells."""
    ratio = CELL / max(picture.shape[1:])
    return reduce(picture[None], *(max(1, round(side * ratio)) for side in picture.shape[1:]))[0]
