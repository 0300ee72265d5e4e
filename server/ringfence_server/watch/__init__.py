"""Who hears of which change: watchers at their own pace, tills' adapters at once, without slowing the writers."""

from .hub import Changes, Closed, Hub, Interest, Subscription
from .orders import OrderBell, OrderListener
from .pacer import Pacer

__all__ = ["Changes", "Closed", "Hub", "Interest", "OrderBell", "OrderListener", "Pacer", "Subscription"]
