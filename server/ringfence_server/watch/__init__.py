"""The watch feed: who hears of which change, at their own pace, without slowing the writers."""

from .hub import Changes, Closed, Hub, Interest, Subscription
from .pacer import Meter, Pacer

__all__ = ["Changes", "Closed", "Hub", "Interest", "Meter", "Pacer", "Subscription"]
