"""What the package exports of its compiled core, or an ImportError that says how to get the core."""

from pathlib import Path

__all__ = ["Box"]


def _explain_missing_core(package: Path) -> str:
    if not (package.parent / "csrc").is_dir():
        return "ourgan_sdk lacks its compiled core; run: pip install --force-reinstall ourgan-sdk"
    return (
        f"the source folder {package} has no compiled core, and shadows any installed ourgan_sdk: "
        f"run Python from another folder, or build the core here with: pip install -e {package.parent}"
    )


try:
    from ._core import Box
except ModuleNotFoundError as error:
    if error.name != f"{__package__}._core":
        raise
    raise ImportError(_explain_missing_core(Path(__file__).parent), name=error.name) from None
