"""How keys, pools, reservations and balances stand in tables, with the fields' own words as headings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from .failures import BadInput
from .inputs import did_you_mean
from .output import Cell, Column, age_text, path_text, printable, time_text, write_note, write_table

if TYPE_CHECKING:
    from ringfence import Balance, Client, PoolBalance, Published, Reservation, StockKey

POOL_FIGURES: Final = ("allocated", "available", "held", "unsettled", "consumed")


def dimension_names(client: Client, named: Iterable[str] = ()) -> tuple[str, ...]:
    """The policy's dimensions: each is a column of whatever lists stock keys.

    BadInput when one that is `named` is not among them: it would match nothing, or sum everything, without a word.
    """
    known = tuple(client.get_policy().dimensions)
    for name in named:
        if name not in known:
            there = f"it has {', '.join(known)}" if known else "it has none"
            raise BadInput(f"the policy has no dimension {name!r}, {there}{did_you_mean(name, known)}")
    return known


def dimensions_of(keys: Iterable[StockKey]) -> tuple[str, ...]:
    """The dimensions that these keys name, where all keys are at hand."""
    return tuple(sorted({name for key in keys for name in key.dimensions}))


def key_columns(dimensions: Sequence[str]) -> list[Column]:
    """Columns of a stock key."""
    return [Column("sku"), Column("location"), *map(Column, dimensions)]


def key_cells(key: StockKey, dimensions: Sequence[str]) -> list[Cell]:
    """Cells of a stock key."""
    return [key.sku, key.location, *(key.dimensions.get(name, "") for name in dimensions)]


def write_pools(pools: Sequence[PoolBalance]) -> None:
    """Pools as they stand after a write."""
    dimensions = dimensions_of(pool.key for pool in pools)
    columns = [*key_columns(dimensions), Column("path"), *(Column(name, numeric=True) for name in POOL_FIGURES)]
    write_table(
        columns,
        (
            [*key_cells(pool.key, dimensions), path_text(pool.path), *(getattr(pool, name) for name in POOL_FIGURES)]
            for pool in pools
        ),
    )


def write_reservation(reservation: Reservation) -> None:
    """A reservation: what it is on the first lines, then one row per part."""
    print(f"reservation {reservation.reservation_id}")
    facts = {
        "state": reservation.state.value,
        "owner": reservation.owner,
        "expire_time": time_text(reservation.expire_time, "never" if reservation.held else ""),
        "create_time": time_text(reservation.create_time),
        "consume_time": time_text(reservation.consume_time),
        "order_reference": reservation.order_reference,
        "cancel_reason": " ".join(
            filter(None, (reservation.cancel_reason and str(reservation.cancel_reason), reservation.cancel_reason_text))
        ),
        "revision": str(reservation.revision),
    }
    for name, value in facts.items():
        if value:
            print(f"  {name:<15}  {_one_line(value)}")
    write_parts(reservation)
    _write_tills(reservation)


def _write_tills(reservation: Reservation) -> None:
    """What tills have to do with the parts: one row per part that one was sent or has booked."""
    parts = [
        part
        for line in reservation.lines
        for part in line.parts
        if part.attempts or part.booked or part.closed or part.owed
    ]
    if not parts:
        return
    print("\nat the till")
    times = ("sent_time", "received_time", "settled_time")
    figures = ("owed", "booked", "rejected", "cancelling", "attempts")
    columns = [
        Column("part", numeric=True),
        Column("location"),
        *(Column(name.replace("_", " ")) for name in times),
        Column("document"),
        *(Column(name, numeric=True) for name in figures),
        Column("said"),
    ]
    write_table(
        columns,
        (
            [
                part.part_number,
                part.key.location,
                *(time_text(getattr(part, name)) for name in times),
                part.document_number,
                *(getattr(part, name) for name in figures),
                _one_line(part.rejected_reason or part.cancellation_refused_reason or part.last_error),
            ]
            for part in parts
        ),
    )


def write_parts(reservation: Reservation) -> None:
    """One row per part; a line that got nothing has a row without a part."""
    dimensions = dimensions_of(line.key for line in reservation.lines)
    figures = ("granted", "held", "unsettled", "settled", "cancelled", "expired")
    columns = [
        Column("line"),
        *key_columns(dimensions),
        Column("path"),
        Column("requested", numeric=True),
        Column("from path"),
        *(Column(name, numeric=True) for name in figures),
    ]
    rows: list[list[Cell]] = []
    for line in reservation.lines:
        for part in line.parts:
            asked = [line.line_id, *key_cells(part.key, dimensions), path_text(line.path), line.requested]
            rows.append([*asked, path_text(part.path), *(getattr(part, name) for name in figures)])
        if not line.parts:
            asked = [line.line_id, *key_cells(line.key, dimensions), path_text(line.path), line.requested]
            rows.append([*asked, "", *(0 for _ in figures)])
    write_table(columns, rows)


class BalanceView:
    """Which columns a table of balances has."""

    def __init__(self, dimensions: Sequence[str], *, rolled_up: Iterable[str] = (), wide: bool = False) -> None:
        """`rolled_up` is what a roll-up keeps apart ("sku", "level", "dimension:colour"); without any, a row is a
        pool."""
        kept = tuple(rolled_up)
        self._cells: list[tuple[Column, Callable[[Balance], Cell]]] = []
        if not kept or "sku" in kept:
            self._add("sku", lambda balance: balance.key.sku)
        if not kept or "location" in kept:
            self._add("location", lambda balance: balance.key.location)
        if "location_group" in kept:
            self._add("location group", lambda balance: balance.location_group)
        for name in dimensions:
            if not kept or f"dimension:{name}" in kept:
                self._add(name, lambda balance, name=name: balance.key.dimensions.get(name, ""))
        if not kept or "level" in kept:
            self._add("path", lambda balance: path_text(balance.path))
        for name in POOL_FIGURES:
            self._add_number(name, lambda balance, name=name: getattr(balance.own, name))
        self._add_field("available_to_reserve")
        if not kept:
            # A path without a quota of its own has a row for the sake of these.
            for name in POOL_FIGURES if wide else ("allocated",):
                self._add_number(f"subtree {name}", lambda balance, name=name: getattr(balance.subtree, name))
        if kept or wide:
            self._add_number("shortfall", lambda balance: balance.own.shortfall)
            self._add_field("available_to_allocate")
        if wide:
            for name in ("supply", "net", "quotas_short", "promises_short"):
                self._add_field(name)
            self._add("published", lambda balance: published_text(balance.published))
            self._add("count time", lambda balance: time_text(balance.freshness and balance.freshness.count_time))
            self._add("age", lambda balance: age_text(balance.freshness.age) if balance.freshness else "")
        if kept:
            self._add_number("keys", lambda balance: balance.key_count)

    @property
    def columns(self) -> list[Column]:
        """The columns."""
        return [column for column, _ in self._cells]

    def cells(self, balance: Balance) -> list[Cell]:
        """A balance's row."""
        return [cell(balance) for _, cell in self._cells]

    def _add(self, heading: str, cell: Callable[..., Any]) -> None:
        self._cells.append((Column(heading), cell))

    def _add_field(self, name: str) -> None:
        self._add_number(name.replace("_", " "), lambda balance: getattr(balance, name))

    def _add_number(self, heading: str, cell: Callable[..., Any]) -> None:
        self._cells.append((Column(heading, numeric=True), cell))


def published_text(reports: Sequence[Published]) -> str:
    """``8 (web-feed)``: what adapters last showed, by publisher."""
    return ", ".join(f"{report.quantity} ({printable(report.publisher)})" for report in reports)


def note_replay(replayed: bool) -> None:
    """Says that a request was decided before."""
    if replayed:
        write_note("this request_id was decided before: this is its stored outcome, and nothing more was done")


def _one_line(text: str) -> str:
    return printable(" ".join(text.split()))
