"""What a photograph's rows are made with: its upscalers, once, and for every row a bundle that has them.

FOLDER/upscalers            the run of steps 2 and 3; FOLDER/patches.ourgan: they and the photograph
FOLDER/ROW                  the run of a row's step 1; FOLDER/ROW.ourgan: the same, and the structure

Runs go on where they stood, and bundles that are there are taken as they are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch

from ourgan_sdk import Bundle
from ourgan_sdk.bundle import Manifest, Training, write_bundle
from ourgan_sdk.bundle import Photo as PhotoRecord
from ourgan_sdk.bundle.manifest import SCHEMA_VERSION
from ourgan_sdk.photograph import photograph_member
from trainers.bundling import assemble
from trainers.bundling.onnx_export import export_structure, export_upscaler
from trainers.fit import describe
from trainers.perceptual import find_perceptual, load_perceptual
from trainers.photo import Photo, check_photo
from trainers.presets import Preset
from trainers.runs.run import Run, RunError
from trainers.structures.families import train
from trainers.upscalers.passes import roles, train_upscalers
from trainers.upscalers.pretrained import OURS, adopt_sizes, keep, kept, read_pretrained

from .rows import PATCHES, Budget


class Workshop:
    """One photograph's folder. ``seed`` is that of all its trainings."""

    def __init__(
        self,
        path: Path,
        photo: Photo,
        folder: Path,
        *,
        budget: Budget,
        seed: int,
        device: torch.device,
    ) -> None:
        self.path, self.photo, self.folder = path, photo, folder
        self.budget, self.seed, self.device = budget, seed, device

    def bundle(self, row: str) -> Path:
        """A row's bundle, made where it is not there yet.

        Raises:
            PhotographError: the photograph is too small.
            RunError: a run directory is of another command; DivergedError: a training diverged.
        """
        path = self.folder / f"{row}.ourgan"
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            if row == PATCHES:
                self._train_upscalers(path)
            else:
                self._train_structure(row, path, Bundle.open(self.bundle(PATCHES)))
        return path

    def seconds(self, row: str) -> float | None:
        """What the training of a row's structure took; None where there was none."""
        training = Bundle.open(self.bundle(row)).manifest.training
        return training.seconds if training is not None and row != PATCHES else None

    def _train_upscalers(self, output: Path) -> None:
        """Steps 2 and 3, on reductions of the photograph alone; the bundle without a structure network."""
        preset = self.budget.ours
        starts = {name: read_pretrained(path) for name, path in OURS.items()}
        starts = starts if preset.upscaler.pretrained else {}
        config = adopt_sizes(self.budget.upscaler, starts)
        perceptual = find_perceptual(None, lpips=config.lpips > 0)
        check_photo(self.photo, preset.structure, config.window, config.held_out)
        run = self._run(
            "upscalers",
            Preset(f"{preset.name}, steps 2 and 3", preset.structure, config),
            {
                "perceptual": perceptual,
                **{name: starts[name].record() if name in starts else None for name in OURS},
                "teacher": None,
            },
        )
        for name, one in starts.items():
            if not run.checkpoint_path(name).exists():
                keep(run, name, one)
        pretrained = {name: network for name in OURS if (network := kept(run, name))}
        with run.saving_when_interrupted():
            trained = train_upscalers(
                *(run, self.photo, config, self.budget.long_side),
                perceptual=load_perceptual(perceptual, self.device),
                pretrained=pretrained,
            )
        self._write_upscalers(run, trained, output)

    def _write_upscalers(self, run: Run, trained: Mapping[str, object], output: Path) -> None:
        used = roles(run.preset.upscaler, self.budget.long_side)
        with run.progress("export and measure", 0, 2 * len(used)) as bar:
            members, upscalers = {}, []
            for role in used:
                network = trained[role.name]
                members[assemble.member(role)] = export_upscaler(network)  # type: ignore[arg-type]
                bar.update()
                exported = members[assemble.member(role)]
                upscalers.append(
                    assemble.describe_upscaler(run, self.photo, role, network, exported)  # type: ignore[arg-type]
                )
                bar.update()
        if self.photo.original is None:
            raise ValueError("expected a photograph that was read from a file")
        file, members[file] = photograph_member(self.photo.original)
        photo = PhotoRecord(
            width=self.photo.width, height=self.photo.height, sha256=self.photo.sha256, file=file
        )
        manifest = Manifest(
            schema_version=SCHEMA_VERSION,
            photo=photo,
            training=self._training(run, [], assemble.upscaler_steps(run)),
            upscalers=upscalers,
        )
        write_bundle(output, manifest, members)

    def _train_structure(self, row: str, output: Path, shared: Bundle) -> None:
        """Step 1 of a row; the bundle is the shared one with the structure network in it."""
        preset = self.budget.preset(row)
        check_photo(self.photo, preset.structure, preset.upscaler.window, preset.upscaler.held_out)
        run = self._run(row, preset, {"perceptual": None})
        with run.saving_when_interrupted():
            model = train(run, self.photo, preset.structure)
        members = {name: shared.read(name) for name in shared.manifest.files}
        members["structure.onnx"] = export_structure(model.network, model.sizes)
        members[assemble.RECONSTRUCTION] = assemble.reconstruction(model, self.photo)
        steps = [preset.structure.steps(m) for m in range(len(model.sizes))]
        before = shared.manifest.training
        manifest = shared.manifest.model_copy(
            update={
                "structure": assemble.describe_structure(model),
                "training": self._training(run, steps, before.upscaler_steps if before else 0),
                "files": {},
            }
        )
        write_bundle(output, manifest, members)

    def _training(self, run: Run, structure_steps: list[int], upscaler_steps: int) -> Training:
        return Training(
            preset=run.preset.name,
            seed=self.seed,
            structure_steps=structure_steps,
            upscaler_steps=upscaler_steps,
            seconds=round(run.seconds, 1),
            perceptual=(run.config["perceptual"] or {}).get("kind"),
            held_out=run.preset.upscaler.held_out,
        )

    def _run(self, name: str, preset: Preset, further: Mapping[str, object]) -> Run:
        """The run ``name``, new or to go on with.

        Raises:
            RunError: there is one of another photograph, seed or preset.
        """
        directory = self.folder / name
        config = {
            "photo": describe(self.photo, self.path),
            "photograph": True,
            "output": "",
            "preset": preset.as_dict(),
            "seed": self.seed,
            **further,
        }
        torch.manual_seed(self.seed)
        torch.set_flush_denormal(True)  # gradients near zero, in a new network, are slow on a processor
        if not (directory / "config.json").exists():
            return Run.create(directory, config, self.device)
        run = Run.open(directory, self.device)
        different = sorted(
            key for key, value in json.loads(json.dumps(config)).items() if run.config.get(key) != value
        )
        if different:
            raise RunError(
                f"{directory} holds a run of another {', '.join(different)}: give another --output, or "
                "remove that folder"
            )
        return run


def upscaler_hashes(path: Path) -> dict[str, str]:
    """The SHA-256 of a bundle's upscalers, by member, in the order of passes."""
    manifest = Bundle.open(path).manifest
    return {one.file: manifest.files[one.file].sha256 for one in manifest.upscalers}
