"""Group commit: whatever arrived while the last transaction ran becomes the next one."""

from .committer import Committer, CommitterLimits, Draining, Overloaded
from .lanes import Routes
from .request import Answer, Failure, Request, Stamp
from .revaluer import Revaluer

__all__ = [
    "Answer",
    "Committer",
    "CommitterLimits",
    "Draining",
    "Failure",
    "Overloaded",
    "Request",
    "Revaluer",
    "Routes",
    "Stamp",
]
