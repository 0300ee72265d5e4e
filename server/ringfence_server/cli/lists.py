"""`reservations` and `ledger`: what was promised to whom, and every movement of a quantity."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from . import inputs
from .failures import BadInput
from .session import DimensionOption, JsonOption, Session, client_command

if TYPE_CHECKING:
    from ringfence import Entry, Pager, Place, Reservation

    from .output import Column

T = TypeVar("T")

LimitOption = Annotated[int, typer.Option(min=0, metavar="N", help="At most N, the newest; 0: all.")]
SinceOption = Annotated[
    str | None, typer.Option(metavar="TIME", help="From this instant on: 2026-01-31T12:00:00Z, or 2h ago: 2h.")
]
BeforeOption = Annotated[str | None, typer.Option(metavar="TIME", help="Before this instant, or before 2h ago: 2h.")]
_TIMED = ("not_sent", "not_received", "not_settled")


def add_commands(app: typer.Typer) -> None:
    """Adds the two commands."""
    client_command(app, "reservations", rich_help_panel="Orders")(reservations)
    client_command(app, "ledger", rich_help_panel="Ledger")(ledger)


def reservations(
    session: Session,
    reservation: Annotated[
        str | None, typer.Argument(metavar="RESERVATION", help="Show this one, with its parts.")
    ] = None,
    state: Annotated[
        list[str] | None,
        typer.Option(metavar="STATE", help="held, consumed, settled, expired, cancelled …; repeatable."),
    ] = None,
    owner: Annotated[str, typer.Option(metavar="LABEL", help="Only this owner label, exactly.")] = "",
    sku: Annotated[str, typer.Option(metavar="SKU", help="Only with a line of this SKU.")] = "",
    location: Annotated[str, typer.Option(metavar="NAME", help="Only with a part at this location.")] = "",
    order_reference: Annotated[str, typer.Option(metavar="TEXT", help="Only this order reference, exactly.")] = "",
    till_progress: Annotated[
        str,
        typer.Option(
            metavar="WHERE",
            help="Only with a part on its way into a till: not_sent, not_received, not_settled, rejected, cancelling.",
        ),
    ] = "",
    stuck_for: Annotated[
        str | None,
        typer.Option(
            metavar="SPAN", help="Only where it stands for at least so long; with not_sent, not_received, not_settled."
        ),
    ] = None,
    since: SinceOption = None,
    before: BeforeOption = None,
    limit: LimitOption = 100,
    as_json: JsonOption = False,
) -> None:
    """List reservations, newest first, or show one.

    What is stuck: ringfence reservations --till-progress not_received --stuck-for 10m

    Example: ringfence reservations --state held --sku LAMP
    """
    from ringfence import ReservationState, TillProgress

    progress = inputs.choice(TillProgress, till_progress, "--till-progress") if till_progress else None
    if stuck_for is not None and progress not in _TIMED:
        raise BadInput(f"--stuck-for is how long a part stands at --till-progress {', '.join(_TIMED)}")
    filters: dict[str, Any] = {
        "states": tuple(inputs.choice(ReservationState, one, "--state") for one in state or ()),
        "owner": owner,
        "sku": sku,
        "location": location,
        "order_reference": order_reference,
        "till_progress": progress,
        "stuck_for": inputs.span(stuck_for, "--stuck-for") if stuck_for is not None else None,
        "create_time_from": inputs.past_instant(since, "--since") if since else None,
        "create_time_until": inputs.past_instant(before, "--before") if before else None,
    }
    with session.client() as client:
        if reservation is not None:
            if any(filters.values()):
                raise BadInput("a reservation by its id, or filters, not both")
            _show(client.get_reservation(reservation), as_json)
            return
        pager = client.list_reservations(**filters, page_size=inputs.page_size(limit))
        if as_json:
            write_json_of("reservations", pager, limit)
            return
        write_newest(_reservation_columns(), pager, _reservation_cells, limit)


def ledger(
    session: Session,
    sku: Annotated[str, typer.Option(metavar="SKU", help="Only this stock key; with --location.")] = "",
    location: Annotated[str, typer.Option(metavar="NAME", help="The stock key's location.")] = "",
    dimension: DimensionOption = None,
    reservation: Annotated[str, typer.Option(metavar="ID", help="Only this reservation.")] = "",
    request: Annotated[str, typer.Option(metavar="UUID", help="Only what this request caused.")] = "",
    since: SinceOption = None,
    before: BeforeOption = None,
    wide: Annotated[bool, typer.Option("--wide", "-w", help="Also measure, request and effective time.")] = False,
    limit: LimitOption = 100,
    as_json: JsonOption = False,
) -> None:
    """List ledger entries, newest first: every movement of a quantity between two places.

    Example: ringfence ledger --sku LAMP --location berlin
    """
    from ringfence import StockKey

    from .views import dimension_names, key_columns

    if bool(sku) != bool(location) or (dimension and not sku):
        raise BadInput("a stock key is --sku and --location together, with every --dimension it has")
    named = inputs.dimensions(dimension or ())
    key = StockKey(sku, location, named) if sku else None
    with session.client() as client:
        dimensions = () if as_json and not named else dimension_names(client, named)
        pager = client.list_entries(
            key=key,
            reservation=reservation,
            request_id=request,
            record_time_from=inputs.past_instant(since, "--since") if since else None,
            record_time_until=inputs.past_instant(before, "--before") if before else None,
            page_size=inputs.page_size(limit),
        )
        if as_json:
            write_json_of("entries", pager, limit)
            return
        from .output import Column

        columns = [
            Column("sequence", numeric=True),
            Column("record time"),
            Column("kind"),
            *key_columns(dimensions),
            Column("quantity", numeric=True),
            *map(Column, ("from", "to", "reservation")),
            *map(Column, ("measure", "request", "effective time") if wide else ()),
        ]
        write_newest(columns, pager, lambda entry: _entry_cells(entry, dimensions, wide), limit)


def _show(found: Reservation, as_json: bool) -> None:
    if as_json:
        from .output import write_json
        from .plain import plain

        write_json(plain(found.raw))
    else:
        from .views import write_reservation

        write_reservation(found)


def _reservation_columns() -> list[Column]:
    from .output import Column

    return [
        Column("reservation"),
        Column("state"),
        Column("owner"),
        Column("lines", numeric=True),
        *(Column(name, numeric=True) for name in ("requested", "granted", "held")),
        Column("create time"),
        Column("expire time"),
        Column("order reference"),
    ]


def _reservation_cells(found: Reservation) -> list[Any]:
    from .output import time_text

    return [
        found.reservation_id,
        found.state.value,
        found.owner,
        len(found.lines),
        sum(line.requested for line in found.lines),
        sum(line.granted for line in found.lines),
        found.held,
        time_text(found.create_time),
        time_text(found.expire_time, "never" if found.held else ""),
        found.order_reference,
    ]


def _entry_cells(entry: Entry, dimensions: tuple[str, ...], wide: bool) -> list[Any]:
    from .output import exact_time_text
    from .views import key_cells

    cells: list[Any] = [
        entry.sequence,
        exact_time_text(entry.record_time),
        entry.kind.value,
        *key_cells(entry.key, dimensions),
        entry.quantity,
        _place_text(entry.from_place, entry.from_path),
        _place_text(entry.to_place, entry.to_path),
        entry.reservation_id,
    ]
    if wide:
        effective = exact_time_text(entry.effective_time) if entry.effective_time != entry.record_time else ""
        cells += [entry.measure, entry.request_id, effective]
    return cells


def _place_text(place: Place, path: str) -> str:
    """`free:web/london`; what is outside or sold is in no pool."""
    from ringfence import Place

    from .output import path_text

    return place.value if place in {Place.OUTSIDE, Place.SOLD} else f"{place.value}:{path_text(path)}"


def write_newest(columns: Any, pager: Pager[T], cells: Callable[[T], list[Any]], limit: int) -> None:
    """A list as a table; says on stderr when it is cut."""
    from .output import Limited, write_cut, write_note, write_table

    items = Limited(pager, limit)
    if not write_table(columns, (cells(item) for item in items)):
        write_note("nothing matches")
    else:
        write_cut(items, f"newest {limit}")


def write_json_of(name: str, pager: Pager[Any], limit: int) -> None:
    """A list as JSON, item by item as the contract has it."""
    from .output import Limited, write_json_list
    from .plain import plain

    write_json_list(name, Limited(pager, limit), lambda item: plain(item.raw), {})
