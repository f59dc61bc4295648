"""The viewer's files, which lie beside this module."""

from pathlib import Path

__all__ = ["viewer_files"]

_FOLDER = Path(__file__).parent / "viewer"
_SUFFIXES = frozenset({".html", ".css", ".js", ".svg", ".png", ".ico", ".txt"})
_TOOLS = "node_modules"


def viewer_files() -> dict[str, Path]:
    """All of them by what browsers call them, below /view/; empty where there is no viewer."""
    found = (path for path in sorted(_FOLDER.rglob("*")) if path.suffix in _SUFFIXES and path.is_file())
    names = {path.relative_to(_FOLDER): path for path in found}
    return {name.as_posix(): path for name, path in names.items() if _TOOLS not in name.parts}
