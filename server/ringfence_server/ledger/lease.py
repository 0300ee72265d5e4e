"""Leases: when a hold ends, and ending what is due before anything else is decided or read."""

from __future__ import annotations

from collections.abc import Iterable

from .commands import Lease
from .journal import Batch
from .outcomes import Violation
from .policy import LeaseBounds
from .state import EntryKind, Part, Place, Reservation


def end_of_lease(bounds: LeaseBounds, lease: Lease, now: int, create_time: int) -> int | Violation | None:
    """The instant (microseconds) at which a lease given now ends, None for never, or the bound it breaks.

    ``max_lease`` bounds the lease from now; ``max_total_hold`` bounds the hold from the reservation's creation. The
    default lease is cut to what max_total_hold leaves; what the caller names is refused rather than cut.
    """
    latest = create_time + bounds.max_total_hold
    if lease.never:
        if not bounds.allow_never:
            return Violation("never", "LEASE_NEVER_NOT_ALLOWED", "the policy wants an end: set ttl or expire_time")
        return None
    if lease.expire_time is not None:
        field, end = "expire_time", lease.expire_time
    elif lease.ttl is not None:
        field, end = "ttl", now + lease.ttl
    else:
        field, end = "expiration", min(now + bounds.default_lease, latest)
        if end <= now:
            return Violation(field, "HOLD_TOO_LONG", "the policy's max_total_hold leaves no time for a lease")
        return end
    if end <= now:
        return Violation(field, "LEASE_NOT_IN_FUTURE", "the lease would be over at once; name a later instant")
    if end > now + bounds.max_lease:
        return Violation(field, "LEASE_TOO_LONG", f"the policy's max_lease is {bounds.max_lease / 1e6:g} s from now")
    if end > latest:
        left = max(0, latest - now) / 1e6
        return Violation(field, "HOLD_TOO_LONG", f"the policy's max_total_hold leaves {left:g} s from now")
    return end


def apply_due(batch: Batch, parts: Iterable[tuple[Reservation, Part]]) -> None:
    """Ends every hold whose instant has come, in the order of the instants, each effective at its own instant."""
    due = [
        (part.expire_time, reservation.reservation_id, part.number, reservation, part)
        for reservation, part in parts
        if part.held and part.expire_time is not None and part.expire_time <= batch.record_time
    ]
    due.sort(key=lambda item: item[:3])
    ended: set[bytes] = set()
    for expire_time, reservation_id, _, reservation, part in due:
        batch.effective_time = expire_time
        quantity = part.held
        give_back(batch, EntryKind.EXPIRE, reservation, part, quantity)
        part.expired += quantity
        if reservation_id not in ended:
            ended.add(reservation_id)
            reservation.touch()
    batch.effective_time = None


def give_back(batch: Batch, kind: EntryKind, reservation: Reservation, part: Part, quantity: int) -> None:
    """Moves held units to the pool that gave them or its nearest living ancestor; no cap refuses what comes back.

    The caller books them as expired or cancelled on the part.
    """
    stock = part.stock
    target = stock.living_pool(part.path)
    batch.move(kind, stock, quantity, stock.pool(part.path), Place.HELD, target, Place.FREE, reservation, part)
    part.held -= quantity
    release_cap(part, quantity)


def release_cap(part: Part, quantity: int) -> None:
    """What came back counts no longer toward the sales_cap of the path that asked."""
    asked = part.stock.pool(part.asked_path)
    asked.taken -= quantity
    asked.changed = True
