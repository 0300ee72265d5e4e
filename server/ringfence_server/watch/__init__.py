"""Who hears of which change: watchers at their own pace, tills' adapters at once, without slowing the writers."""

from .follower import ChangeFeed, Follower
from .hub import Changes, Closed, Hub, Interest, Subscription
from .orders import OrderBell, OrderListener
from .pacer import Meter, Pacer

__all__ = [
    "ChangeFeed",
    "Changes",
    "Closed",
    "Follower",
    "Hub",
    "Interest",
    "Meter",
    "OrderBell",
    "OrderListener",
    "Pacer",
    "Subscription",
]
