"""The table's rows: what makes structures, by which presets, and what was published of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from trainers.presets import PRESETS, AnyStructureConfig, Preset, UpscalerConfig

PATCHES = "patches"
OURS = "ourgan"
LABELS = {
    "singan": "SinGAN",
    "consingan": "ConSinGAN",
    "hpvaegan": "HP-VAE-GAN",
    OURS: "OUR-GAN",
    PATCHES: "patches of the photograph",
}
"""The rows that are made, and their titles."""

LEFT_OUT = {"sivgan": ("SIV-GAN", "not built here: the row is empty")}


@dataclass(frozen=True)
class Published:
    """OUR-GAN's Table 2, at 4K: SIFID after the 5th and the 13th layer, and LPIPS between samples."""

    sifid_5: float
    sifid_13: float
    lpips: float


PUBLISHED: Mapping[str, Mapping[str, Published]] = {
    "ST4K": {
        "singan": Published(1.54, 1.67, 0.27),
        "consingan": Published(1.45, 1.58, 0.25),
        "hpvaegan": Published(1.47, 1.56, 0.42),
        "sivgan": Published(1.55, 1.54, 0.26),
        OURS: Published(1.36, 1.48, 0.30),
    },
    "RAISE": {
        "singan": Published(1.50, 1.77, 0.30),
        "consingan": Published(1.36, 1.67, 0.26),
        "hpvaegan": Published(1.34, 1.62, 0.41),
        "sivgan": Published(1.46, 1.58, 0.26),
        OURS: Published(1.22, 1.50, 0.28),
    },
}
"""Of 25 and of 50 photographs, 50 samples each (arXiv 2202.13799)."""

BUDGETS: Mapping[str, Mapping[str, str]] = {
    "draft": {
        "singan": "singan-draft",
        "consingan": "consingan-draft",
        "hpvaegan": "hpvaegan-draft",
        OURS: "draft",
    },
    "standard": {
        "singan": "singan",
        "consingan": "consingan",
        "hpvaegan": "hpvaegan",
        OURS: "standard",
    },
    "paper": {
        "singan": "singan",
        "consingan": "consingan",
        "hpvaegan": "hpvaegan",
        OURS: "paper",
    },
}
"""The rows' presets; upscalers are those of OUR-GAN's. All but ``draft`` are for a GPU."""


@dataclass(frozen=True)
class Budget:
    """What a table is trained with. All structures have one size: that of OUR-GAN's preset."""

    name: str

    @property
    def ours(self) -> Preset:
        """The preset of OUR-GAN's row."""
        return PRESETS[BUDGETS[self.name][OURS]]

    @property
    def long_side(self) -> int:
        """Pixels of all structures."""
        return self.ours.structure.long_side

    @property
    def upscaler(self) -> UpscalerConfig:
        """That of steps 2 and 3: as they are the same for all rows, no row's structures teach them."""
        return replace(self.ours.upscaler, structures=0)

    def preset(self, row: str) -> Preset:
        """What a row's structure is trained with.

        Raises:
            KeyError: nothing is trained for that row.
        """
        preset = PRESETS[BUDGETS[self.name][row]]
        structure: AnyStructureConfig = replace(preset.structure, long_side=self.long_side)
        return replace(preset, structure=structure, upscaler=self.upscaler)

    @property
    def trained(self) -> list[str]:
        """The rows whose structures are trained."""
        return list(BUDGETS[self.name])
