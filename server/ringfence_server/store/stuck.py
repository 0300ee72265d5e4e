"""Slots that a transaction locks and does not go on with: a server's that froze, or somebody's at a prompt.

Whoever waits for a lock learns that it took too long, not for which slot, and meanwhile has others that are waited for.
So a server that waited in vain asks once which slots it is, and from then on before each batch that wants one of these:
nothing waits for them any more, and with the first answer that one is free, or merely busy, it is wanted as ever.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from ringfence_server.ledger.needs import Needs
from ringfence_server.ledger.work import RequestsBlocked, Work

from .driver import PostgresConnection
from .load import Loader
from .load_till import needs_till
from .locks import SlotLocks
from .placing import slots_named
from .slots import Slots, bits_of, slots_of

_log = logging.getLogger(__name__)


class Stuck(RequestsBlocked):
    """Some requests of a work need slots that are stuck."""

    def __init__(self, requests: Sequence[int], slots: int) -> None:
        super().__init__(requests)
        self.slots = slots
        """A bitmap: slots that are stuck, and those in which something is due that reaches into them."""


class StuckSlots:
    """Which they are, as far as one server knows; its lanes share it."""

    def __init__(self, locks: SlotLocks, wait_seconds: float) -> None:
        """``wait_seconds``: how long a batch waits for a lock. A transaction that was quiet half as long does not go
        on, and one that takes twice as long is no batch."""
        self._locks = locks
        self._quiet_seconds = wait_seconds / 2
        self._longest_seconds = wait_seconds * 2
        self._told: dict[int, int | None] = {}
        self.bits = 0
        """A bitmap: slots that are to be looked at before a batch that wants them. None, as long as all goes well."""

    def suspect(self, slots: int) -> None:
        """Some of these slots, a bitmap, were waited for in vain."""
        self.bits |= slots

    def look(self, connection: PostgresConnection) -> int:
        """Which of the suspected slots are stuck, as a bitmap; the others are suspected no more."""
        asked = self.bits
        found = self._locks.stuck(connection, slots_of(asked), self._quiet_seconds, self._longest_seconds)
        # Another lane may have come to suspect more.
        self.bits = self.bits & ~asked | bits_of(found)
        if found != self._told:
            self._told = found
            if found:
                slots = ", ".join(f"{slot} (pid {pid or 'unknown'})" for slot, pid in sorted(found.items()))
                _log.warning("another transaction keeps slots locked, and what needs them is refused: %s", slots)
            else:
                _log.warning("no slot is kept locked any more")
        return bits_of(found)


def stuck_requests(
    connection: PostgresConnection, work: Work, slots: Slots, loader: Loader, wanted: int, stuck: int, until: int
) -> Stuck:
    """Which requests of a work have to wait. ``wanted``, a bitmap: the slots that it was to lock; ``stuck``: those of
    them that it cannot have; ``until``: the instant up to which leases have ended, microseconds. A few reads, however
    many requests there are."""
    if work.policy_organization is not None:
        return Stuck(range(len(work.request_keys)), stuck)
    needs = work.needs_of_each(loader.policies(connection, work.organizations))
    due, _ = loader.due(connection, until, slots_of(wanted))
    ids = {*due, *(reservation_id for each in needs for reservation_id in each.reservations)}
    reach = loader.slots_of_reservations(connection, ids)
    blocked = _with_all_due(stuck, [reach[reservation_id] for reservation_id in due])

    def names_it(each: Needs) -> bool:
        bits = slots_named(slots, each) | _union(reach[reservation_id] for reservation_id in each.reservations)
        return bool(bits & blocked)

    # Where nobody names it, some are led there: full counts to all keys of a location, what else tills say to the other
    # lines of an order.
    for is_blocked in (names_it, _counts, needs_till):
        chosen = [place for place, each in enumerate(needs) if is_blocked(each)]
        if chosen:
            return Stuck(chosen, blocked)
    return Stuck(range(len(needs)), blocked)


def _counts(needs: Needs) -> bool:
    return bool(needs.counts)


def _with_all_due(slots: int, due: Sequence[int]) -> int:
    """Slots with those in which nothing can be decided without them: what is due there ends before, and over all of its
    own slots at once. ``due``: of each order that is due its slots."""
    while True:
        wider = slots | _union(each for each in due if each & slots)
        if wider == slots:
            return slots
        slots = wider


def _union(bitmaps: Iterable[int]) -> int:
    union = 0
    for each in bitmaps:
        union |= each
    return union
