"""`python -m ourgan_sdk.cli` is `ourgan`."""

import sys

from . import main

if __name__ == "__main__":
    sys.exit(main())
