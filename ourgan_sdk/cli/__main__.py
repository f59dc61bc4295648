"""`python -m ourgan_sdk.cli` is `ourgan`."""

import sys

from . import run

if __name__ == "__main__":
    sys.exit(run())
