"""Which slots a command is about, as far as it tells itself, and which lane is to commit it."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final, NamedTuple

from ringfence_server.ledger.commands import Command, SetPolicy
from ringfence_server.ledger.needs import Needs, needs_of
from ringfence_server.ledger.policy import Policy

from .load_till import needs_till
from .slots import Slots, bits_of, slots_of

PLACES: Final = Policy(location_order=("",))
"""Locations do not matter for where a key lies; a line without one is to name its SKU nevertheless."""


def slots_named(slots: Slots, needs: Needs) -> int:
    """The slots of what needs name, as a bitmap; where their reservations lie, only the tables tell."""
    bits = bits_of(map(slots.of_key, needs.pools))
    if needs_till(needs):
        bits |= bits_of(map(slots.of_count, needs.counts)) | bits_of(map(slots.of_id, needs.events))
    return bits


class Place(NamedTuple):
    """The lane of a command, and what it may share a batch with."""

    lane: int
    group: Hashable


class Placing:
    """By its first slot: what sells one SKU, and what goes on with such a reservation, shares a lane."""

    def __init__(self, slots: Slots, lanes: int, *, distributed: bool) -> None:
        """``distributed``: a batch is to be of the same slots, for each slot of it costs statements of its own."""
        self._slots = slots
        self.lanes = lanes
        self._distributed = distributed

    def route(self, organization: str, caller: str, command: Command) -> Place:
        """Where a command goes."""
        bits = self._bits(organization, caller, command)
        slots = slots_of(bits)
        return Place(slots[0] % self.lanes if slots else 0, bits if self._distributed else None)

    def _bits(self, organization: str, caller: str, command: Command) -> int:
        if isinstance(command, SetPolicy):
            return self._slots.all_bits
        needs = Needs()
        needs_of(needs, organization, caller, command, PLACES)
        return bits_of(map(self._slots.of_key, needs.pools)) | bits_of(map(self._slots.of_id, needs.reservations))
