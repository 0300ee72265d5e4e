"""The watch feed: who hears of which change, at their own pace, without slowing the writers."""

from .follower import ChangeFeed, Follower
from .hub import Changes, Closed, Hub, Interest, Subscription
from .pacer import Meter, Pacer

__all__ = ["ChangeFeed", "Changes", "Closed", "Follower", "Hub", "Interest", "Meter", "Pacer", "Subscription"]
