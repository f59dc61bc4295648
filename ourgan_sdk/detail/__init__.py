"""Detail from the photograph: where a pixel at 100 % comes from, in bundles that hold their photograph.

`plan` says at which scale; `photograph` has the photograph at all its levels; `picture` is one canvas's
detail: its field, found once, and regions of its levels, gathered; `original` is the photograph as it is.
"""

from .original import OriginalPicture
from .photograph import PhotographSource
from .picture import DetailPicture, empty_sources
from .plan import EXTENTS, DetailPlan, check_passes, check_structure, check_wrap, halved_size, plan_detail

__all__ = [
    "EXTENTS",
    "DetailPicture",
    "DetailPlan",
    "OriginalPicture",
    "PhotographSource",
    "check_passes",
    "check_structure",
    "check_wrap",
    "empty_sources",
    "halved_size",
    "plan_detail",
]
