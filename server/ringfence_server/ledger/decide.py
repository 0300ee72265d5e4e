"""One command in, one outcome out."""

from __future__ import annotations

from collections.abc import Iterable

from .allocate import allocate, reallocate, unallocate
from .cancel import cancel
from .commands import (
    Allocate,
    Cancel,
    Command,
    Consume,
    ConsumeDirect,
    KeepOrders,
    PostStock,
    Reallocate,
    ReassignPart,
    ReplyOrder,
    ReportPublished,
    Reserve,
    TakeOrders,
    Unallocate,
    UpdateReservation,
)
from .consume import consume, consume_direct
from .feed import keep_orders, reply_order, take_orders
from .journal import Batch
from .lease import apply_due
from .outcomes import Decision
from .post_stock import post_stock
from .published import report_published
from .reassign import reassign_part
from .reserve import reserve
from .state import Part, Reservation
from .supply import revalue
from .update import update_reservation


def bring_up_to_date(batch: Batch, due: Iterable[tuple[Reservation, Part]]) -> None:
    """Before any decision: ends what is due, and values by the policy in force what an older one valued."""
    batch.request_id = b""
    batch.forget_sales()
    apply_due(batch, due)
    for stock in batch.stocks.values():
        policy = batch.policies[stock.key.organization]
        if stock.policy_revision < policy.formula_revision:
            revalue(batch, policy, stock)


def decide(batch: Batch, organization: str, caller: str, command: Command) -> Decision:
    """Decides one command on the batch's state: its effect has moved everything, its refusal nothing."""
    match command:
        case Reserve():
            return reserve(batch, organization, caller, command)
        case PostStock():
            return post_stock(batch, organization, command)
        case Consume():
            return consume(batch, organization, caller, command)
        case Cancel():
            return cancel(batch, organization, caller, command)
        case ConsumeDirect():
            return consume_direct(batch, organization, caller, command)
        case UpdateReservation():
            return update_reservation(batch, organization, command)
        case Allocate():
            return allocate(batch, organization, command)
        case Unallocate():
            return unallocate(batch, organization, command)
        case Reallocate():
            return reallocate(batch, organization, command)
        case ReassignPart():
            return reassign_part(batch, organization, caller, command)
        case TakeOrders():
            return take_orders(batch, organization, command)
        case KeepOrders():
            return keep_orders(batch, organization, command)
        case ReplyOrder():
            return reply_order(batch, organization, command)
        case ReportPublished():
            return report_published(batch, organization, command)
        case _:
            raise AssertionError(f"{type(command).__name__} is decided by a transaction of its own")
