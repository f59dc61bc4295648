"""How time and memory grow with the picture: 4K, 8K, 16K from one bundle, and more than a gigapixel.

Every render runs in a process of its own; memory is what it takes at most beyond the process before it.

python -m bench.scale                  4K and 8K to TIFF, 16384 x 10912 to TIFF and PNG, from the sample
python -m bench.scale --gigapixel      46336 x 23168 into a pyramidal BigTIFF, with a tiny upscaler
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bench.processes import measure, report
from ourgan_sdk import RenderStats, Synthesizer, write_bundle
from ourgan_sdk.calibration.halo import calibrate
from ourgan_sdk.sizes import parse_size
from trainers.bundling.activation_memory import measure_bytes_per_pixel
from trainers.bundling.assemble import as_function
from trainers.bundling.onnx_export import export_upscaler
from trainers.networks import RRDBNet

RENDERS = (("3840x2160", "tif"), ("7680x4320", "tif"), ("16384x10912", "tif"), ("16384x10912", "png"))
GIGAPIXEL = (("46336x23168", "tif"),)


def main() -> None:
    """Measure the renders one after the other, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gigapixel", action="store_true")
    parser.add_argument("--folder", type=Path, help="keep the pictures here")
    parser.add_argument("--one", nargs=3, metavar=("BUNDLE", "SIZE", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        bundle, size, file = options.one
        run(None if bundle == "-" else Path(bundle), size, Path(file))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = options.folder or Path(name)
        bundle = str(tiny_bundle(Path(name))) if options.gigapixel else "-"
        renders = GIGAPIXEL if options.gigapixel else RENDERS
        print("| picture | file | seconds | seconds per megapixel | recomputed | memory, GB | file, MB |")
        print("|---|---|---|---|---|---|---|")
        for size, suffix in renders:
            file = folder / f"{size}.{suffix}"
            result = measure("bench.scale", "--one", bundle, size, file)
            width, height = parse_size(size)
            print(
                f"| {width} x {height} | {suffix.upper()} | {result['seconds']:.1f} | "
                f"{1e6 * result['seconds'] / (width * height):.4f} | {100 * result['recomputed']:.1f} % | "
                f"{result['peak'] - result['idle']:.2f} | {file.stat().st_size / 1e6:.0f} |",
                flush=True,
            )


def run(bundle: Path | None, size: str, file: Path) -> None:
    """One render, in a process of its own."""
    synthesizer = Synthesizer(bundle, engine="onnxruntime", detail="network")
    canvas = synthesizer.canvas(*parse_size(size), seed=1)

    def prepare() -> None:
        synthesizer.canvas(canvas.width, canvas.height)[:8, :8]  # opens all networks

    def work() -> dict[str, Any]:
        stats = RenderStats()
        canvas.save(file, pyramid=bundle is not None, progress=True, stats=stats)
        needed = sum(level.shape[0] * level.shape[1] for level in canvas.levels[1:])
        return {"recomputed": stats.window_pixels / needed - 1}

    report(work, prepare)


def tiny_bundle(folder: Path) -> Path:
    """The sample's structure with an upscaler of eight channels, which only interpolates."""
    sample = Synthesizer().bundle
    network = export_upscaler(RRDBNet(8, 1, 8))
    generator = np.random.default_rng(0)
    calibration = calibrate(
        "upscaler.onnx",
        as_function(network),
        lambda side: [generator.random((1, 3, side, side), dtype=np.float32)],
    )
    upscaler = sample.manifest.upscalers[-1].model_copy(
        update={
            "file": "upscaler.onnx",
            "halo": calibration.halo,
            "bytes_per_pixel": measure_bytes_per_pixel(network),
            "seam_error": calibration.error,
        }
    )
    assert sample.manifest.structure is not None
    structure = sample.manifest.structure.file
    members = {structure: sample.read(structure), "upscaler.onnx": network}
    path = folder / "tiny.ourgan"
    write_bundle(
        path, sample.manifest.without_photograph().model_copy(update={"upscalers": [upscaler]}), members
    )
    return path


if __name__ == "__main__":
    main()
