"""Importing packages that not everybody has installed."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from ..errors import OurganError
from .imports import import_module

__all__ = ["import_optional"]


def import_optional(
    module: str,
    title: str,
    install: str,
    error: type[OurganError],
    within: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Any:
    """The module, of a package that messages call `title`; `install` is what pip is to be given.

    Neither Ctrl-C nor a fork catches it halfway: see `import_module`.

    Raises `error`: that it is not installed, where nothing of that name is; and why it does not load where it
    is there, but a library or another module that it needs is not, or is another one than it needs.
    """
    try:
        return import_module(module, within)
    except ModuleNotFoundError as missing:
        if missing.name is not None and f"{module}.".startswith(f"{missing.name}."):
            raise error(f"{title} is not installed: pip install {install}") from missing
        raise error(_explain_broken(title, install, missing)) from missing
    except OurganError:
        raise
    except Exception as broken:  # whatever the package's own code raises when it looks for its libraries
        raise error(_explain_broken(title, install, broken)) from broken


def _explain_broken(title: str, install: str, reason: Exception) -> str:
    text = " ".join(str(reason).split()) or type(reason).__name__
    return (
        f"{title} is installed, but does not load ({text}): repair what is missing, or install it anew with "
        f"pip install --force-reinstall {install}"
    )
