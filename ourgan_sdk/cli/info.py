"""`ourgan info`: what a bundle says about itself."""

import argparse

from ..bundle import Bundle, Coordinates, EngineRecord, Manifest
from ..learning import open_source
from ..progress import RenderStats
from ..synthesizer import Synthesizer
from ..system.streams import show
from .options import Commands, add_command

__all__ = ["add_to", "run"]

_SEEDS = 8


def add_to(commands: Commands) -> None:
    """Add the subcommand."""
    add_command(commands, "info", run, "print what a bundle says about itself")


def run(options: argparse.Namespace) -> None:
    """Print it."""
    bundle = open_source(options.bundle)
    manifest = bundle.manifest
    lines = {
        "bundle": f"{bundle.path} (schema {manifest.schema_version}, by {manifest.created_by})",
        "sha256": bundle.sha256,
        **_learned(manifest),
        "detail": _detail(manifest),
        "training": _training(manifest),
        "structure": _structure(manifest),
    }
    if manifest.photograph is not None:
        lines["copied"] = _copied(bundle)
    if manifest.coordinates is not None:
        lines[manifest.coordinates.file] = _coordinates(manifest.coordinates)
    for upscaler in manifest.upscalers:
        seam, erf = upscaler.seam_error, upscaler.erf
        lines[upscaler.file] = (
            f"x{upscaler.scale}, halo {upscaler.halo}, noise {upscaler.noise_deviation:g}, "
            f"seam error at most {seam.maximum:g} levels, {100 * seam.share_different:.4f} % of values differ"
            + (f", 99.9 % of the receptive field within {erf.radius_999} px" if erf else "")
        )
    for engine in manifest.engines:
        lines[engine.file] = (
            f"{engine.network} for {engine.runtime} {engine.version}, {engine.precision} to {engine.output}, "
            f"windows of {_window_sizes(engine)}, {engine.activation_bytes} bytes of activations, "
            f"compute capability {', '.join(engine.compute_capabilities)}"
        )
    lines |= {f"member {name}": f"{entry.size} bytes" for name, entry in manifest.files.items()}
    for name, text in lines.items():
        show(f"{name + ':':<24} {text}")


def _learned(manifest: Manifest) -> dict[str, str]:
    """From what the bundle has learned."""
    if manifest.photo is not None:
        photo = manifest.photo
        return {"photo": f"{photo.width} x {photo.height}, sha256 {photo.sha256}"}
    if manifest.coordinates is None:
        return {}
    pictures = manifest.coordinates.pictures
    return {
        "pictures": f"{pictures.count}, with shorter sides of {pictures.shortest} to {pictures.longest}, "
        f"sha256 {pictures.sha256}"
    }


def _training(manifest: Manifest) -> str:
    training = manifest.training
    if training is None:
        return "none: the photograph alone was learned" if manifest.photo else "nothing is told of it"
    steps = "+".join(map(str, training.structure_steps))
    return (
        f"preset {training.preset}, seed {training.seed}, {training.seconds:.0f} s; "
        f"steps: structure {steps}, upscaler {training.upscaler_steps}"
    )


def _coordinates(one: Coordinates) -> str:
    seam = one.seam_error
    return (
        f"cells of {one.stride} x {one.stride} pixels, halo {one.halo} cells, code of {one.latent}, "
        f"seam error at most {seam.maximum:g} levels, {100 * seam.share_different:.4f} % of values differ"
    )


def _structure(manifest: Manifest) -> str:
    if manifest.coordinates is not None:
        one = manifest.coordinates
        return (
            f"of coordinates, learned at scales of {one.patch} to {one.largest} pixels of a picture's "
            "shorter side; at larger ones its coordinates grow finer, what it draws does not"
        )
    if manifest.structure is None:
        height, width = manifest.base_size
        return f"of the photograph's patches, {width} x {height}"
    coarsest, finest = manifest.structure.scales[0], manifest.structure.scales[-1]
    return (
        f"a network of {len(manifest.structure.scales)} scales from {coarsest.width} x {coarsest.height} to "
        f"{finest.width} x {finest.height}"
        f"{', which can start from pictures' if manifest.structure.starts else ''}"
    )


def _copied(bundle: Bundle) -> str:
    """How much of the photograph structures of patches take in one piece."""
    synthesizer, stats = Synthesizer(bundle, structure="patches", engine="onnxruntime"), RenderStats()
    shares = []
    for seed in range(_SEEDS):
        synthesizer.preview(seed, stats=stats)
        shares.append(stats.copied_share or 0.0)
    return (
        f"structures of patches have {sum(shares) / _SEEDS:.0%} of the photograph in one piece on average, "
        f"{max(shares):.0%} at most (seeds 0 to {_SEEDS - 1})"
    )


def _detail(manifest: Manifest) -> str:
    if manifest.coordinates is not None:
        return "by the network of coordinates, at any scale"
    if manifest.photograph is None:
        return "by networks: the bundle does not hold the photograph"
    return (
        f"from the photograph, member {manifest.photograph}: pictures contain its pixels "
        "(--detail network: they do not)"
    )


def _window_sizes(engine: EngineRecord) -> str:
    small, large = (f"{window.width} x {window.height}" for window in (engine.smallest_window, engine.window))
    return large if small == large else f"{small} to {large}"
