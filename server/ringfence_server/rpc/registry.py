"""Every handler of the service, by its full method name."""

from __future__ import annotations

from .commands import command_handlers
from .execute import execute_handlers
from .handlers import Handlers
from .order_feed import order_feed_handlers
from .queries import query_handlers
from .services import Services
from .watch import watch_handlers

SERVICES = (
    "ringfence.v1.AllocationService",
    "ringfence.v1.StockService",
    "ringfence.v1.OrderFeedService",
    "ringfence.v1.PolicyService",
    "ringfence.v1.LedgerService",
)
"""Full names of the contract's services, for health and reflection."""


def all_handlers(services: Services) -> Handlers:
    """The handlers of every method of the contract."""
    return {
        **command_handlers(services),
        **execute_handlers(services),
        **query_handlers(services),
        **order_feed_handlers(services),
        **watch_handlers(services),
    }
