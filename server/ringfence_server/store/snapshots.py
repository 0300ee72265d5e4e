"""Beginning a snapshot and settling which instant it stands for; see ``instants`` for why that holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from ringfence_server.ledger.names import MAX_INT64
from ringfence_server.ledger.reading import LaterThanNow, Moment, RevisionUnknown
from ringfence_server.ledger.revisions import NONE, Revisions, contains

from .driver import DriverConnection
from .instants import Bound, Instants
from .read_keys import KeyRows, SlotState, States, View
from .read_lanes import begin_transaction, end_transaction
from .read_past import Past

_CLOCK_BACK: Final = 1_000_000
"""Microseconds by which a clock may be behind what was recorded by it before nobody waits for it any more."""


class Wanted(NamedTuple):
    """What is asked of a snapshot."""

    organization: str
    slots: Sequence[int]
    """Those it is asked about."""
    read_time: int | None
    min_revisions: Revisions = NONE


class Begun(NamedTuple):
    """A snapshot, its transaction open."""

    moment: Moment
    view: View


class Snapshots:
    """Begins snapshots of one store."""

    def __init__(self, keys: KeyRows, instants: Instants) -> None:
        self._keys = keys
        self._instants = instants

    def bound(self, connection: DriverConnection, least: int = 0) -> Bound:
        """What is known before a snapshot is taken; ``least`` is an instant that was met."""
        return self._instants.before(connection, least)

    def instant_of_slot(self, bound: Bound, state: SlotState) -> tuple[int, int]:
        """The instant that a snapshot stands for in one slot, and the one up to which leases have ended: the same,
        unless the clock is in doubt and expiry pauses."""
        instant = max(self._instants.within(bound, state.now, state.record_time), state.record_time)
        return instant, _due_until(bound, instant)

    def begin(self, connection: DriverConnection, wanted: Wanted, least: int = 0) -> Begun | int:
        """A snapshot; or an instant to ask again with as ``least`` in a moment, when batches are under way that may be
        recorded before it.

        Raises:
            LaterThanNow: read_time lies in the future.
            RevisionUnknown: the state that is asked for is not there, or at a replica not yet.
        """
        bound = self.bound(connection, least)
        if bound.instant is not None:
            reached = least if wanted.read_time is None else wanted.read_time
            if reached > bound.instant:
                if bound.behind:
                    # It has to be asked again what is known; waiting alone does not help.
                    raise RevisionUnknown
                if wanted.read_time is not None:
                    self._refuse_future(bound, self._keys.states(connection), wanted.read_time)
                return reached
        begin_transaction(connection)
        try:
            states = self._keys.states(connection)
            instant = self._instant(bound, states, wanted, least)
            if instant is None:
                if bound.behind:
                    raise RevisionUnknown
                end_transaction(connection)
                return max([states[slot].record_time for slot in wanted.slots]) if wanted.read_time is None else 0
            return self._looked_at(connection, bound, states, wanted, instant)
        except BaseException:
            end_transaction(connection)
            raise

    def _instant(self, bound: Bound, states: States, wanted: Wanted, least: int) -> int | None:
        """The instant the snapshot stands for; None: it cannot be told yet."""
        first = states[wanted.slots[0]]
        safe = self._instants.within(bound, first.now, first.record_time)
        if wanted.read_time is not None:
            if wanted.read_time <= safe:
                return wanted.read_time
            self._refuse_future(bound, states, wanted.read_time)
            return None
        newest = max([states[slot].record_time for slot in wanted.slots])
        if len(wanted.slots) == 1 or newest <= safe:
            return max(newest, safe)
        if newest > bound.now + _CLOCK_BACK:
            return newest
        # The second time it is enough to contain what was there the first time.
        return safe if least or (bound.behind and not wanted.min_revisions) else None

    @staticmethod
    def _refuse_future(bound: Bound, states: States, read_time: int) -> None:
        """Batches may be recorded a little ahead of a clock that stands or went back; what was answered is not
        future."""
        if read_time > bound.now and read_time > max([state.record_time for state in states]):
            raise LaterThanNow

    def _looked_at(
        self, connection: DriverConnection, bound: Bound, states: States, wanted: Wanted, instant: int
    ) -> Begun:
        organization = wanted.organization
        later = {slot: states[slot].last_sequence for slot in wanted.slots if states[slot].record_time > instant}
        past = Past(connection, instant, later) if later else None
        revisions = [0] * len(states)
        for slot in wanted.slots:
            revisions[slot] = past.revisions[slot] if past is not None and slot in later else states[slot].revision
        if wanted.min_revisions:
            _refuse_unknown(wanted, instant, states, revisions)
        if states[0].record_time > instant:
            policy = self._keys.policy_at(connection, organization, instant)
        else:
            policy = self._keys.policies(connection, [organization])[organization]
        due_until = _due_until(bound, instant)
        due = self._keys.due(connection, due_until, wanted.slots)
        return Begun(Moment(instant, tuple(revisions)), View(due_until, policy, due, past))


def _refuse_unknown(wanted: Wanted, instant: int, states: States, revisions: Sequence[int]) -> None:
    """What is not known of an instant of the past is not held against who asks for it."""
    if wanted.read_time is None:
        there = tuple([state.revision for state in states])
    else:
        there = tuple(
            [
                state.revision if state.record_time <= instant else revisions[slot] or MAX_INT64
                for slot, state in enumerate(states)
            ]
        )
    if not contains(there, wanted.min_revisions):
        raise RevisionUnknown


def _due_until(bound: Bound, instant: int) -> int:
    return instant if bound.due_until >= bound.now else min(instant, bound.due_until)
