"""Every handler of the service, by its full method name."""

from __future__ import annotations

from .commands import command_handlers
from .execute import execute_handlers
from .handlers import Handlers
from .services import Services

SERVICES = (
    "ringfence.v1.AllocationService",
    "ringfence.v1.StockService",
    "ringfence.v1.PolicyService",
    "ringfence.v1.LedgerService",
)
"""Full names of the contract's services, for health and reflection."""


def all_handlers(services: Services) -> Handlers:
    """The handlers of every method of the contract."""
    import importlib  # DEVELOPMENT

    found = {**command_handlers(services), **execute_handlers(services)}
    for module, name in (("queries", "query_handlers"), ("watch", "watch_handlers")):
        try:
            found.update(getattr(importlib.import_module(f"{__package__}.{module}"), name)(services))
        except ModuleNotFoundError:
            pass
    return found
