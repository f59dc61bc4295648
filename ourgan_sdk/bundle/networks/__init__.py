"""The one way for a network out of a bundle to a runtime: parsed, checked, and written anew.

Runtimes believe what an ONNX file says: that a weight lies in another file, that a loop goes round 2^62
times, that a tensor has 2^40 rows. So none gets to see one before all of it has been checked here against a
list of what an upscaler or a structure may contain (`operators`), and what it would do has been worked out
(`inference`) for the very sizes that it is run on.
"""

from .checking import CheckSizes, Network, check_network
from .parsing import LARGEST_NETWORK

__all__ = ["LARGEST_NETWORK", "CheckSizes", "Network", "check_network"]
