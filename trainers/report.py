"""An evaluation's report for people: a table, and a contact sheet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ourgan_sdk.system.atomic import atomic_file

from .command_line import minutes
from .metrics import beyond
from .metrics.full_resolution import table as full_resolution_table
from .runs.run import grid

SHEET_SAMPLES = 9
SHEET_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".webp": "WEBP"}

LABELS = {
    "swd": ("sliced Wasserstein, x 1000", 1),
    "coherence": ("coherence, levels^2", 1),
    "completeness": ("completeness, levels^2", 1),
    "layout_drift": ("layout drift, levels", 2),
    "sifid_5": ("SIFID, 5th layer", 3),
    "sifid_13": ("SIFID, 13th layer", 3),
}
"""How the table shows a metric: its name, and how many digits."""

SIZES = ("rendered", "compared", "photograph")
COLUMNS = {"mean": "mean", "least": "minimum", "most": "maximum", "mirrored photo": "mirrored_photo"}
"""Of the table about canvases: titles, and keys of the report."""


def save_sheet(path: Path, photo: Tensor, samples: Tensor) -> None:
    """A contact sheet: the photograph, then the first samples."""
    sheet = grid(torch.stack([photo, *samples[:SHEET_SAMPLES]]), columns=5)
    with atomic_file(path) as temporary:
        sheet.save(temporary, SHEET_FORMATS[path.suffix.lower()], quality=90)


def table(report: dict[str, Any]) -> str:
    """The report for people."""
    lines = [
        f"{report['bundle']['file']} against {report['photo']['file']}: {report['samples']} samples, "
        f"{minutes(report['seconds'])}",
        "",
        f"{'metric (lower is better)':<28}{'size':>12}{'mean':>10}{'+-':>9}{'mirrored photo':>16}",
    ]
    for size in report["sizes"]:
        shown = "{} x {}".format(*size["compared"])
        for name, value in size["metrics"].items():
            label, digits = LABELS.get(name, (f"  level {name.removeprefix('swd_level_')}", 1))
            lines.append(
                f"{label:<28}{shown:>12}{value['mean']:>10.{digits}f}{value['deviation']:>9.{digits}f}"
                f"{value['mirrored_photo']:>16.{digits}f}"
            )
    between = report["between_samples"]
    lines += ["", "between samples (higher: more varied)", f"{'diversity':<40}{between['diversity']:>10.3f}"]
    if "lpips" in between:
        lpips = between["lpips"]
        lines.append(f"{'LPIPS, 256 px':<40}{lpips['mean']:>10.3f}{lpips['deviation']:>9.3f}")
    for one in report["full_resolution"]:
        lines += ["", *full_resolution_lines(one)]
    lines += ["", *upscaler_lines(report["upscalers"])]
    if report["beyond"]:
        lines += [
            "beyond the resolution that was learned, where there is most to see",
            *beyond.lines(report["beyond"]),
            "",
        ]
    return "\n".join(lines + [f"left out: {what}: {why}" for what, why in report["left_out"].items()])


def upscaler_lines(rows: list[dict[str, Any]]) -> list[str]:
    """The part of the table about upscalers."""
    if not rows:
        return []
    share = rows[0]["share_of_width"]
    if rows[0]["held_out"]:
        where = f"right {share:.1%} of the photograph, held out of their training"
    else:
        where = f"right {share:.1%} of the photograph, which they were TRAINED ON: no part was held out"
    lines = [f"upscalers on the {where}", f"{'':<40}{'PSNR, dB':>10}{'SSIM':>9}{'SWD':>16}"]
    for row in rows:
        for name in ("upscaler", "bicubic"):
            label, scores = f"{row['task']}: {row['file'] if name == 'upscaler' else name}", row[name]
            lines.append(f"{label:<40}{scores['psnr']:>10.2f}{scores['ssim']:>9.4f}{scores['swd']:>16.1f}")
    return [*lines, ""]


def full_resolution_lines(one: dict[str, Any]) -> list[str]:
    """The part of the table about canvases of one size."""
    size, compared, photograph = ("{} x {}".format(*one[name]) for name in SIZES)
    first, last = one["seeds"]
    head = f"full resolution, {size}, detail from the {one['detail']}, seeds {first} to {last}"
    lines = [f"{head}; the photograph at its scale: {photograph}"]
    if one["passes_left_out"]:
        lines.append(f"compared at {compared}: beyond it, the photograph has no pixels to compare with")
    columns = {
        title: {name: values[key] for name, values in one["metrics"].items() if values[key] is not None}
        for title, key in COLUMNS.items()
    }
    return [*lines, full_resolution_table(columns)]
