"""What a command needs loaded before it is decided: stock keys with pools, reservations, order references.

A command that names a reservation has its parts' stocks loaded with it; ``after_reservations`` adds what only then is
known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .commands import (
    Allocate,
    Cancel,
    Command,
    Consume,
    ConsumeDirect,
    PostStock,
    Reallocate,
    Reserve,
    ReserveLine,
    Unallocate,
    UpdateReservation,
)
from .names import COMMON, StockKey, ancestors
from .policy import Policy
from .state import Reservation


class Needs:
    """The rows a batch has to load."""

    __slots__ = ("measures", "pools", "references", "reservations")

    def __init__(self) -> None:
        self.pools: dict[StockKey, set[str]] = {}
        """Per stock key the paths whose pools are needed; the common pool always is."""
        self.measures: set[StockKey] = set()
        """Keys whose measures are needed too."""
        self.reservations: set[bytes] = set()
        self.references: set[tuple[str, str, str]] = set()
        """(organization, caller, order_reference)."""

    def add_pools(self, key: StockKey, paths: Iterable[str]) -> None:
        """Needs the pools of these paths."""
        known = self.pools.get(key)
        if known is None:
            known = self.pools[key] = {COMMON}
        known.update(paths)


def needs_of(needs: Needs, organization: str, caller: str, command: Command, policy: Policy) -> None:
    """Adds what the command needs, as far as the command itself tells."""
    match command:
        case Reserve(lines=lines):
            _add_lines(needs, lines, policy)
        case Consume():
            needs.reservations.add(command.reservation_id)
            if command.order_reference:
                needs.references.add((organization, caller, command.order_reference))
        case ConsumeDirect(lines=lines):
            _add_lines(needs, lines, policy)
            needs.measures.update(key for line in lines for key in _candidate_keys(line.key, policy))
            if command.order_reference:
                needs.references.add((organization, caller, command.order_reference))
        case Cancel() | UpdateReservation():
            needs.reservations.add(command.reservation_id)
        case Allocate() | Unallocate():
            for line in command.lines:
                needs.add_pools(line.key, (line.path,))
        case Reallocate():
            for move in command.lines:
                needs.add_pools(move.key, (move.from_path, move.to_path))
        case PostStock():
            for figure in command.figures:
                needs.add_pools(figure.key, ())
                needs.measures.add(figure.key)
        case _:
            pass


def after_reservations(
    needs: Needs, command: Command, policy: Policy, reservations: Mapping[bytes, Reservation]
) -> None:
    """Adds what an increase of a sourced line may draw on: the line's SKU at every location of the order."""
    if isinstance(command, UpdateReservation) and command.lines:
        reservation = reservations.get(command.reservation_id)
        for part in reservation.parts if reservation is not None else ():
            if not part.located:
                for key in _candidate_keys(part.stock.key._replace(location=""), policy):
                    needs.add_pools(key, ancestors(part.asked_path))


def part_paths(path: str, asked_path: str) -> set[str]:
    """Pools that a part's movements can touch: where it came from, where it may go back to, who asked."""
    return {*ancestors(path), *ancestors(asked_path)}


def _add_lines(needs: Needs, lines: Iterable[ReserveLine], policy: Policy) -> None:
    for line in lines:
        chain = ancestors(line.path)
        if line.key.location:
            needs.add_pools(line.key, chain)
        else:
            for key in _candidate_keys(line.key, policy):
                needs.add_pools(key, chain)


def _candidate_keys(key: StockKey, policy: Policy) -> tuple[StockKey, ...]:
    if key.location:
        return (key,)
    return tuple(key._replace(location=name) for name in policy.location_order)
