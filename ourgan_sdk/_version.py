"""The version of the package, by itself so that any module can import it."""

__version__ = "0.1.0"
