"""What a command needs loaded before it is decided: stock keys with pools, reservations, order references.

A command that names a reservation has its parts' stocks loaded with it; ``after_reservations`` adds what only then is
known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from .commands import (
    Allocate,
    BookedOrder,
    BookedPart,
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
    ReserveLine,
    TakeOrders,
    Unallocate,
    UpdateReservation,
)
from .names import COMMON, StockKey, ancestors
from .policy import LocationKind, Policy
from .state import Reservation
from .till_state import CountKey, CountSession, ScopeKey


class Needs:
    """The rows a batch has to load.

    First what names other rows is resolved: ``orders``, ``events``, ``takes`` and ``awaiting`` add to the reservations
    to be loaded, each with its parts, their stocks, measures, sales, bookings and events; ``counts`` are loaded. Then
    ``after_reservations`` and ``after_counts`` say what else. An OWNED location's commands fill none of the till's
    fields: what is empty costs no statement.
    """

    __slots__ = (
        "awaiting",
        "begins",
        "counts",
        "events",
        "measures",
        "orders",
        "pools",
        "published",
        "references",
        "reservations",
        "scopes",
        "takes",
    )

    def __init__(self) -> None:
        self.pools: dict[StockKey, set[str]] = {}
        """Per stock key the paths whose pools are needed; the common pool always is."""
        self.measures: set[StockKey] = set()
        """Keys whose measures are needed too."""
        self.reservations: set[bytes] = set()
        self.references: set[tuple[str, str, str]] = set()
        """(organization, caller, order_reference)."""
        self.awaiting: set[StockKey] = set()
        """Keys whose reservations with an awaiting sale are needed: ``TillSale.awaiting`` of a part at the key."""
        self.orders: set[tuple[str, str, str]] = set()
        """(organization, channel, order_reference) that bookings name, an empty channel being any: the reservations
        that carry it go to ``Batch.orders`` and are needed."""
        self.events: set[bytes] = set()
        """Events that replies name: their reservations are needed, and they go to ``Batch.events``."""
        self.takes: list[tuple[str, TakeOrders]] = []
        """(organization, command): of the open events of its locations the oldest ``limit`` that ``feed.is_waiting``,
        and with ``resume`` those that its adapter has; their reservations are needed, and they go to
        ``Batch.events``."""
        self.counts: set[CountKey] = set()
        """Full counts, for ``Batch.counts``."""
        self.begins: dict[CountKey, ScopeKey] = {}
        """What full counts that begin in this batch are of: one of them may end in it too."""
        self.scopes: set[ScopeKey] = set()
        """What lies below full counts that may end, for ``Batch.scopes``: the sums over the location's keys with a
        figure of the measure, and at most MAX_ZEROED keys with an older figure, which are needed with their measures
        and their reservations with an awaiting sale."""
        self.published: set[StockKey] = set()
        """Keys whose ``Stock.published`` is needed."""

    def add_pools(self, key: StockKey, paths: Iterable[str]) -> None:
        """Needs the pools of these paths."""
        known = self.pools.get(key)
        if known is None:
            self.pools[key] = {COMMON, *paths}
        else:
            known.update(paths)


def needs_of(needs: Needs, organization: str, caller: str, command: Command, policy: Policy) -> None:
    """Adds what the command needs, as far as the command itself tells."""
    match command:
        case Reserve(lines=lines):
            _add_lines(needs, lines, policy)
        case PostStock():
            has_tills = policy.has_tills
            for figure in command.figures:
                key = figure.key
                if key not in needs.pools:
                    needs.pools[key] = {COMMON}
                needs.measures.add(key)
                if has_tills and policy.location(key.location).kind is LocationKind.TILL:
                    needs.awaiting.add(key)
            for report in command.bookings:
                if isinstance(report.sale, BookedPart):
                    needs.reservations.add(report.sale.reservation_id)
                else:
                    needs.orders.add((organization, report.sale.channel, report.sale.order_reference))
            if command.count_id:
                name = (organization, command.source, command.count_id)
                needs.counts.add(name)
                if command.begin is not None:
                    location = command.begin.location
                    measure = command.begin.measure or policy.location(location).settlement_measure
                    needs.begins.setdefault(name, (organization, location, measure, command.begin.mark))
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
        case ReassignPart():
            needs.reservations.add(command.reservation_id)
        case ReplyOrder():
            needs.events.add(command.event_id)
        case KeepOrders():
            needs.events.update(command.event_ids)
        case TakeOrders():
            needs.takes.append((organization, command))
        case ReportPublished():
            for published in command.quantities:
                needs.add_pools(published.key, ())
                needs.published.add(published.key)
        case _:
            pass


def after_reservations(
    needs: Needs,
    command: Command,
    policy: Policy,
    reservations: Mapping[bytes, Reservation],
    orders: Mapping[tuple[str, str, str], Iterable[bytes]] = MappingProxyType({}),
) -> None:
    """Adds what is known only now: what an increase of a sourced line may draw on (the line's SKU at every location of
    the order), where a part may be moved to, and the keys that another store's till booked. ``orders`` is
    ``Batch.orders``."""
    if isinstance(command, UpdateReservation):
        if command.lines:
            reservation = reservations.get(command.reservation_id)
            for part in reservation.parts if reservation is not None else ():
                if not part.located:
                    for key in _candidate_keys(part.stock.key._replace(location=""), policy):
                        needs.add_pools(key, ancestors(part.asked_path))
    elif isinstance(command, PostStock):
        if command.bookings:
            _add_stores(needs, command, reservations, orders)
    elif isinstance(command, ReassignPart):
        reservation = reservations.get(command.reservation_id)
        for part in reservation.parts if reservation is not None else ():
            if part.number == command.part_number:
                key = part.stock.key._replace(location=command.location)
                needs.add_pools(key, ancestors(part.asked_path if command.path is None else command.path))
                needs.measures.add(key)


def after_counts(needs: Needs, organization: str, command: Command, counts: Mapping[CountKey, CountSession]) -> None:
    """Adds what the end of a full count may zero; ``counts`` is ``Batch.counts``."""
    if isinstance(command, PostStock) and command.end is not None:
        name = (organization, command.source, command.count_id)
        session = counts.get(name)
        if session is None:
            if name in needs.begins:
                needs.scopes.add(needs.begins[name])
        elif not session.ended:
            needs.scopes.add((organization, session.location, session.measure, session.mark))


def _add_stores(
    needs: Needs,
    command: PostStock,
    reservations: Mapping[bytes, Reservation],
    orders: Mapping[tuple[str, str, str], Iterable[bytes]],
) -> None:
    """The keys at the locations whose tills booked: of every line that a report can mean."""
    by_order: dict[tuple[str, str], list[bytes]] = {}
    for (_, channel, reference), found in orders.items():
        by_order.setdefault((channel, reference), []).extend(found)
    for report in command.bookings:
        sale = report.sale
        if isinstance(sale, BookedOrder):
            ids: Iterable[bytes] = by_order.get((sale.channel, sale.order_reference), ())
        else:
            ids = (sale.reservation_id,)
        for reservation_id in ids:
            reservation = reservations.get(reservation_id)
            for part in reservation.parts if reservation is not None else ():
                if part.stock.key.location != report.location:
                    key = part.stock.key._replace(location=report.location)
                    needs.add_pools(key, ancestors(part.asked_path))
                    needs.measures.add(key)


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
