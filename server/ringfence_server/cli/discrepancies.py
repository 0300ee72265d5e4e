"""`discrepancies`: what did not fit between tills and the service, each with its evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import inputs
from .lists import BeforeOption, LimitOption, SinceOption, write_json_of, write_newest
from .session import JsonOption, Session, client_command

if TYPE_CHECKING:
    from ringfence import Discrepancy


def add_commands(app: typer.Typer) -> None:
    """Adds the command."""
    client_command(app, "discrepancies", rich_help_panel="Stock")(discrepancies)


def discrepancies(
    session: Session,
    location: Annotated[
        list[str] | None, typer.Option("--location", metavar="NAME", help="Only this location; repeatable.")
    ] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND", help="surplus_booking, position_conflict, shortfall …; repeatable."),
    ] = None,
    sku: Annotated[str, typer.Option(metavar="SKU", help="Only this SKU.")] = "",
    since: SinceOption = None,
    before: BeforeOption = None,
    limit: LimitOption = 100,
    as_json: JsonOption = False,
) -> None:
    """List what did not fit between tills and the service, newest first.

    A record does not change afterwards: it says what was known, what was reported, by whom and in which request.

    Example: ringfence discrepancies --location berlin --since 24h
    """
    from ringfence import DiscrepancyKind

    with session.client() as client:
        pager = client.list_discrepancies(
            locations=location or (),
            kinds=[inputs.choice(DiscrepancyKind, one, "--kind") for one in kind or ()],
            sku=sku,
            record_time_from=inputs.past_instant(since, "--since") if since else None,
            record_time_until=inputs.past_instant(before, "--before") if before else None,
            page_size=inputs.page_size(limit),
        )
        if as_json:
            write_json_of("discrepancies", pager, limit)
            return
        from .output import Column
        from .views import dimension_names, key_columns

        dimensions = dimension_names(client)
        columns = [
            Column("sequence", numeric=True),
            Column("record time"),
            Column("kind"),
            *key_columns(dimensions),
            *(Column(name, numeric=True) for name in ("quantity", "known", "reported")),
            *(Column(name) for name in ("source", "measure", "position", "reservation", "order reference")),
        ]
        write_newest(columns, pager, lambda found: _cells(found, dimensions), limit)


def _cells(found: Discrepancy, dimensions: tuple[str, ...]) -> list[Any]:
    from .output import exact_time_text
    from .views import key_cells

    return [
        found.sequence,
        exact_time_text(found.record_time),
        found.kind.value,
        *key_cells(found.key, dimensions),
        found.quantity,
        found.known,
        found.reported,
        found.source,
        found.measure,
        _position_text(found),
        f"{found.reservation_id}/{found.part_number}" if found.reservation_id else "",
        found.order_reference,
    ]


def _position_text(found: Discrepancy) -> str:
    """``1041``, or with an epoch ``2:1041``."""
    if not found.position:
        return ""
    return f"{found.epoch}:{found.position}" if found.epoch else str(found.position)
