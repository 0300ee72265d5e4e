"""The order feed: what a till is told of an online sale, and what it answers. Rows 1, 2, 11, 12, 15 and 16.

Sent, received and a document number settle nothing. Handing over is at least once, in order per part.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import assert_never

from .commands import (
    CancellationConfirmed,
    CancellationRefused,
    KeepOrders,
    OrderFailed,
    OrderPostponed,
    OrderReceived,
    OrderRejected,
    ReplyOrder,
    TakeOrders,
)
from .journal import Batch
from .outcomes import HandedOrder, Invalid, OrderReplied, OrdersKept, OrdersTaken, ReplyResult, Violation
from .policy import LocationKind, Policy
from .settle import line_parts, rule_s
from .state import Part, Reservation
from .till_state import EventKind, EventState, OrderEvent, TillSale


def tell_order(batch: Batch, part: Part, quantity: int, channel: str) -> None:
    """Row 1: units that were sold are to be told to the till. An order that no adapter has yet is made larger."""
    _tell(batch, part, EventKind.ORDER, quantity, channel)


def tell_cancellation(batch: Batch, part: Part, quantity: int, channel: str) -> None:
    """Rows 12 and 15: the till is asked to cancel units that it was sent; nothing moves before it answers."""
    till = part.till
    assert till is not None
    till.cancelling += quantity
    till.changed = True
    _tell(batch, part, EventKind.CANCELLATION, quantity, channel)


def withdraw(till: TillSale, quantity: int) -> None:
    """Row 11: units that no adapter was told of are not needed any more, the latest first."""
    for event in reversed(till.events):
        if quantity and event.kind is EventKind.ORDER and event.unsent:
            share = min(quantity, event.quantity)
            event.quantity -= share
            quantity -= share
            if not event.quantity:
                event.state = EventState.WITHDRAWN
            event.changed = True


def take_orders(batch: Batch, organization: str, command: TakeOrders) -> OrdersTaken | Invalid:
    """Hands waiting events of these locations to an adapter, oldest first, each alone its until the lease ends.

    An event whose lease has ended is waiting again. One of a part waits for the events before it: they are replied to
    or postponed, or this adapter has them too.
    """
    policy = batch.policy(organization)
    violations = _subscription_violations(policy, command)
    if violations:
        return Invalid(tuple(violations))
    places = frozenset(command.locations)
    candidates = [
        (reservation, part, event)
        for reservation, part, event in batch.events.values()
        if event.open and reservation.organization == organization and part.stock.key.location in places
    ]
    candidates.sort(key=lambda candidate: candidate[2].sequence)
    taken: list[HandedOrder] = []
    holding = None if command.holding is None else set(command.holding)
    for reservation, part, event in candidates:
        if len(taken) == command.limit:
            break
        if _is_available(batch, command, holding, part, event):
            _hand_over(batch, command, reservation, part, event)
            if holding is not None:
                holding.add(event.event_id)
            taken.append(HandedOrder(reservation, part, event))
    return OrdersTaken(tuple(taken))


def keep_orders(batch: Batch, organization: str, command: KeepOrders) -> OrdersKept:
    """A sign of life of an adapter: the leases of what it has begin anew, so that a slow one does not lose its events
    to another. A lease that is over stays over: somebody else may have the event by now, or is about to."""
    until = batch.now + command.lease
    kept: set[bytes] = set()
    for event_id in command.event_ids:
        known = batch.events.get(event_id)
        if known is None or known[0].organization != organization:
            continue
        reservation, part, event = known
        if event.state is EventState.HANDED and event.adapter == command.adapter and event.lease_until > batch.now:
            assert part.till is not None
            event.lease_until = max(event.lease_until, until)
            # To be written; the order itself is as it was, and so is its revision.
            event.changed = part.till.changed = reservation.changed = True
            kept.add(event_id)
    return OrdersKept(frozenset(kept), until)


def reply_order(batch: Batch, organization: str, command: ReplyOrder) -> OrderReplied:
    """What a till said to an event. The first reply stands; that it failed, or was postponed, is none."""
    known = batch.events.get(command.event_id)
    if known is None or known[0].organization != organization:
        return OrderReplied(command.event_id, ReplyResult.UNKNOWN_EVENT)
    reservation, part, event = known
    till = part.till
    assert till is not None
    if not event.open:
        return OrderReplied(command.event_id, ReplyResult.DUPLICATE)
    fault = _reply_fault(event, command)
    if fault:
        return OrderReplied(command.event_id, ReplyResult.REFUSED, fault)
    reply = command.reply
    if isinstance(reply, OrderPostponed):
        # The order itself is as it was, and so is its revision: till.changed has it written.
        event.changed = till.changed = reservation.changed = True
        event.state = EventState.POSTPONED
        event.lease_until = batch.now + reply.retry_after
        return OrderReplied(command.event_id, ReplyResult.RECORDED)
    event.changed = till.changed = part.changed = True
    event.lease_until = 0
    if isinstance(reply, OrderFailed):
        event.state = EventState.WAITING
        event.not_before = batch.now + reply.retry_after
        till.last_error = reply.error
    else:
        event.state = EventState.DONE
        policy = batch.policy(organization)
        match reply:
            case OrderReceived():
                part.received_time = batch.record_time if reply.time is None else reply.time
                part.document_number = reply.document_number
            case OrderRejected():
                reject(till, reply.reason)
                rule_s(batch, policy, reservation, line_parts(reservation, part))
            case CancellationConfirmed():
                # The units are no longer the till's to book: n falls, and c with it as far as it was owed.
                till.cancelling = max(0, till.cancelling - event.quantity)
                till.ordered = max(0, till.ordered - event.quantity)
                if not till.ordered:
                    # Nothing is left to be booked: an order that was not replied to must not come again behind its
                    # cancellation.
                    end_events(till, (EventKind.ORDER,))
                rule_s(batch, policy, reservation, line_parts(reservation, part))
            case CancellationRefused():
                till.cancelling = max(0, till.cancelling - event.quantity)
                till.refused_reason = reply.reason
                rule_s(batch, policy, reservation, line_parts(reservation, part))
            case _:
                assert_never(reply)
    reservation.touch()
    return OrderReplied(command.event_id, ReplyResult.RECORDED)


def end_events(till: TillSale, kinds: Collection[EventKind] = tuple(EventKind)) -> None:
    """Nobody is to be told these any more, or again."""
    for event in till.events:
        if event.kind in kinds and event.open:
            event.state = EventState.DONE
            event.lease_until = 0
            event.changed = till.changed = True


def reject(till: TillSale, reason: str) -> None:
    """Row 18: the till will not serve the line. The sale stands; the channel decides."""
    till.closed = till.rejected = till.changed = True
    till.rejected_reason = reason
    withdraw(till, till.unsent)


def is_waiting(event: OrderEvent, now: int) -> bool:
    """Whether an event may be handed to any adapter: nobody has it, or the lease of who had it is over."""
    if event.state is EventState.WAITING:
        return event.not_before <= now
    return event.state in (EventState.HANDED, EventState.POSTPONED) and event.lease_until <= now


def is_postponed(event: OrderEvent, now: int) -> bool:
    """Whether the till has the event and takes its time: it holds up none behind it."""
    return event.state is EventState.POSTPONED and event.lease_until > now


def _tell(batch: Batch, part: Part, kind: EventKind, quantity: int, channel: str) -> None:
    till = part.till
    assert till is not None
    for event in till.events:
        if event.kind is kind and event.unsent and event.channel == channel:
            event.quantity += quantity
            event.changed = True
            return
    event = OrderEvent(
        batch.new_reservation_id(part.stock),
        batch.next_number_at(part.stock),
        kind,
        quantity,
        channel,
        create_time=batch.record_time,
    )
    till.events.append(event)


def _subscription_violations(policy: Policy, command: TakeOrders) -> list[Violation]:
    found = []
    for number, name in enumerate(command.locations):
        location = policy.location(name)
        field = f"subscribe.locations[{number}]"
        if location.kind is not LocationKind.TILL:
            text = f"{name!r} is OWNED: no till books its sales; name TILL locations, or have the policy make it one"
            found.append(Violation(field, "LOCATION_NOT_A_TILL", text))
        elif command.source and location.source and command.source != location.source:
            text = f"the policy gives {name!r} to the source {location.source!r}, not {command.source!r}; empty is any"
            found.append(Violation(field, "SOURCE_NOT_OF_LOCATION", text))
    return found


def _is_available(
    batch: Batch, command: TakeOrders, holding: Collection[bytes] | None, part: Part, event: OrderEvent
) -> bool:
    mine = event.state is EventState.HANDED and event.adapter == command.adapter
    again = command.resume and mine and (holding is None or event.event_id not in holding)
    if not is_waiting(event, batch.now) and not again:
        return False
    assert part.till is not None
    earlier = (
        each
        for each in part.till.events
        if each.open and each.sequence < event.sequence and not is_postponed(each, batch.now)
    )
    return all(
        each.state is EventState.HANDED
        and each.adapter == command.adapter
        and each.lease_until > batch.now
        and (holding is None or each.event_id in holding)
        for each in earlier
    )


def _hand_over(batch: Batch, command: TakeOrders, reservation: Reservation, part: Part, event: OrderEvent) -> None:
    event.state = EventState.HANDED
    event.adapter = command.adapter
    event.lease_until = batch.now + command.lease
    event.attempts += 1
    assert part.till is not None
    event.changed = part.till.changed = True
    if event.kind is EventKind.ORDER:
        part.till.attempts += 1
        if part.sent_time is None:
            part.sent_time = batch.record_time
            part.changed = True
    reservation.touch()


def _reply_fault(event: OrderEvent, command: ReplyOrder) -> str:
    """Why the reply does not answer this event, in words; empty when it does."""
    reply = command.reply
    if isinstance(reply, OrderPostponed) and not event.attempts:
        return "NOT_HANDED_OVER: no adapter was handed the event; postpone it once a stream brought it"
    about_order = isinstance(reply, OrderReceived | OrderRejected)
    if isinstance(reply, OrderFailed | OrderPostponed) or about_order == (event.kind is EventKind.ORDER):
        return ""
    right = "received or rejected" if event.kind is EventKind.ORDER else "confirm_cancellation or refuse_cancellation"
    return f"REPLY_OF_OTHER_KIND: the event is of kind {event.kind.name}; {right}, or failed or postponed, answers it"
