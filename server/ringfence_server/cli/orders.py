"""`reserve`, `consume`, `cancel`, `reassign`, `update` and `extend`: what happens to an order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import inputs
from .failures import BadInput
from .session import (
    DimensionOption,
    JsonOption,
    PathOption,
    RequestIdOption,
    Session,
    client_command,
)

if TYPE_CHECKING:
    from ringfence import CancelResult, ConsumeResult, ReassignPartResult, ReserveResult, UpdateReservationResult

_PANEL = "Orders"
_AT_RISK = "at risk: more is promised than is there; the sale stands, delivery may fail"
_Reservation = Annotated[str, typer.Argument(metavar="RESERVATION", help="The reservation's id.")]
_LineOption = Annotated[
    list[str] | None,
    typer.Option(
        "--line", "-l", metavar="LINE[=QUANTITY]", help="Some lines only; without a quantity all it has; repeatable."
    ),
]
_TtlOption = Annotated[str | None, typer.Option(metavar="SPAN", help="How long the hold lasts from now, such as 15m.")]
_UntilOption = Annotated[
    str | None, typer.Option(metavar="TIME", help="When the hold ends, such as 2026-01-31T12:00:00Z.")
]
_NeverOption = Annotated[bool, typer.Option("--never", help="No end, if the policy allows it.")]
_FallbackOption = Annotated[
    str,
    typer.Option(
        metavar="none|ancestors", help="Narrows the fallback that the policy has for the path; left out: the policy's."
    ),
]
_SplitOption = Annotated[
    bool, typer.Option("--split", help="A line without a location may come from several, if the policy allows it.")
]
_OwnerOption = Annotated[str, typer.Option(metavar="LABEL", help="A label for people and reports.")]


def add_commands(app: typer.Typer) -> None:
    """Adds the six commands."""
    client_command(app, "reserve", rich_help_panel=_PANEL)(reserve)
    client_command(app, "consume", rich_help_panel=_PANEL)(consume)
    client_command(app, "cancel", rich_help_panel=_PANEL)(cancel)
    client_command(app, "reassign", rich_help_panel=_PANEL)(reassign)
    client_command(app, "extend", rich_help_panel=_PANEL)(extend)
    client_command(app, "update", rich_help_panel=_PANEL)(update)


def reserve(
    session: Session,
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="SKU LOCATION QUANTITY",
            help="One line, or several. '-' as the location: wherever the policy's location order finds it.",
        ),
    ],
    path: PathOption = "",
    ttl: _TtlOption = None,
    until: _UntilOption = None,
    never: _NeverOption = False,
    owner: _OwnerOption = "",
    partial: Annotated[bool, typer.Option("--partial", help="Take what there is when it is less than asked.")] = False,
    split: _SplitOption = False,
    fallback: _FallbackOption = "",
    dimension: DimensionOption = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Write the reservation's id alone.")] = False,
    request_id: RequestIdOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tie units to an order under a lease.

    All lines or none, unless --partial. Without --ttl, --until or --never the policy's default lease.

    Example: ringfence reserve LAMP berlin 1 BULB berlin 2 --path web --ttl 15m --owner cart-7
    """
    wanted = inputs.lines(words, path=path, fixed=inputs.dimensions(dimension or ()), fallback=fallback, sourced=True)
    lease = _lease(ttl, until, never)
    with session.client() as client:
        result = client.reserve(
            wanted, owner=owner, allow_partial=partial, allow_split=split, request_id=request_id, **lease
        )
    if quiet and not as_json:
        print(result.reservation_id)
    elif not _as_json(result, as_json):
        from .output import write_note
        from .views import write_reservation

        if result.fill != "full":
            write_note("partial: some line got less than it asked for")
        write_reservation(result.reservation)


def consume(
    session: Session,
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="RESERVATION", help="The reservation's id; with --direct lines instead: SKU LOCATION QUANTITY..."
        ),
    ],
    line: _LineOption = None,
    release_rest: Annotated[bool, typer.Option("--release-rest", help="Give back what is not sold now.")] = False,
    revive: Annotated[
        bool | None,
        typer.Option("--revive/--no-revive", help="Whether a lease that is over may take its stock back."),
    ] = None,
    order_reference: Annotated[str, typer.Option(metavar="TEXT", help="The order number, unique per caller.")] = "",
    attributes: Annotated[str, typer.Option(metavar="TEXT", help="Handed on untouched to the till's adapter.")] = "",
    direct: Annotated[bool, typer.Option("--direct", help="Sell lines that nobody holds.")] = False,
    path: PathOption = "",
    owner: _OwnerOption = "",
    split: _SplitOption = False,
    fallback: _FallbackOption = "",
    dimension: DimensionOption = None,
    request_id: RequestIdOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make held units a sale, or with --direct sell units at once.

    Without --line everything that is held. What is not sold stays held under the same lease.

    Example: ringfence consume 0198c1f0-… --order-reference W-1001
    """
    _only_with(not direct, {"--line": line, "--release-rest": release_rest, "--revive": revive is not None}, "--direct")
    given = {"--path": path, "--owner": owner, "--split": split, "--fallback": fallback, "--dimension": dimension}
    if not direct and any(given.values()):
        names = ", ".join(name for name, value in given.items() if value)
        raise BadInput(f"{names}: only with --direct, which sells lines and not a reservation")
    order: dict[str, Any] = {"order_reference": order_reference, "attributes": attributes.encode()}
    if direct:
        wanted = inputs.lines(
            words, path=path, fixed=inputs.dimensions(dimension or ()), fallback=fallback, sourced=True
        )
        with session.client() as client:
            result = client.consume_directly(wanted, owner=owner, allow_split=split, request_id=request_id, **order)
    else:
        if len(words) != 1:
            raise BadInput(f"one reservation, or with --direct lines to sell; got {' '.join(words)!r}")
        lines = inputs.line_quantities(line) if line else None
        with session.client() as client:
            result = client.consume(
                words[0], lines=lines, release_rest=release_rest, revive=revive, request_id=request_id, **order
            )
    if not _as_json(result, as_json):
        from .output import Column, write_note, write_table

        if result.at_risk:
            write_note(_AT_RISK)
        print(f"reservation {result.reservation_id} is {result.reservation.state}")
        write_table([Column("line"), Column("consumed", numeric=True)], result.consumed.items())


def cancel(
    session: Session,
    reservation: _Reservation,
    line: _LineOption = None,
    reason: Annotated[
        str | None,
        typer.Option(metavar="REASON", help="customer, payment, fraud, out_of_stock, returned or other; for reports."),
    ] = None,
    reason_text: Annotated[str, typer.Option(metavar="TEXT", help="Why, in words.")] = "",
    request_id: RequestIdOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take back whatever is left of a reservation, in every state: a sale too.

    `restock` says when the units can be sold again.

    Example: ringfence cancel 0198c1f0-… --reason payment
    """
    from ringfence import CancelReason

    chosen = inputs.choice(CancelReason, reason, "--reason") if reason else None
    lines = inputs.line_quantities(line) if line else None
    with session.client() as client:
        result = client.cancel(reservation, lines=lines, reason=chosen, reason_text=reason_text, request_id=request_id)
    if not _as_json(result, as_json):
        from .output import Column, write_table

        print(f"reservation {result.reservation_id} is {result.reservation.state}")
        write_table(
            [Column("line"), Column("quantity", numeric=True), Column("restock")],
            ([cancelled.line_id, cancelled.quantity, cancelled.restock.value] for cancelled in result.lines),
        )


def reassign(
    session: Session,
    reservation: _Reservation,
    part: Annotated[int, typer.Argument(min=1, metavar="PART", help="The part's number, as `reservations` shows it.")],
    location: Annotated[str, typer.Argument(metavar="LOCATION", help="Where the units are to be sold instead.")],
    path: Annotated[
        str | None,
        typer.Option(
            metavar="PATH", help="The group path to take them from; '' is the common pool; left out: the line's."
        ),
    ] = None,
    fallback: _FallbackOption = "",
    quantity: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="How many of them; left out: all that may move.")
    ] = None,
    request_id: RequestIdOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sell units elsewhere that a till rejected, or has not been sent yet.

    One act: they are given back here and sold there, or nothing happens.

    Example: ringfence reassign 0198c1f0-… 1 warehouse
    """
    from ringfence import Fallback

    narrowed = inputs.choice(Fallback, fallback, "--fallback") if fallback else None
    with session.client() as client:
        result = client.reassign_part(
            reservation,
            part_number=part,
            location=inputs.located(location),
            path=path,
            fallback=narrowed,
            quantity=quantity,
            request_id=request_id,
        )
    if not _as_json(result, as_json):
        from .output import write_note
        from .views import write_reservation

        if result.at_risk:
            write_note(_AT_RISK)
        write_reservation(result.reservation)


def extend(
    session: Session,
    reservation: _Reservation,
    ttl: _TtlOption = None,
    until: _UntilOption = None,
    never: _NeverOption = False,
    request_id: RequestIdOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give a hold a new end.

    Example: ringfence extend 0198c1f0-… --ttl 30m
    """
    lease = _lease(ttl, until, never)
    if not lease:
        raise BadInput("say the new end: --ttl 30m, --until 2026-01-31T12:00:00Z or --never")
    with session.client() as client:
        result = client.update_reservation(reservation, request_id=request_id, **lease)
    _write_reservation(result, as_json)


def update(
    session: Session,
    reservation: _Reservation,
    line: Annotated[
        list[str] | None,
        typer.Option(
            "--line",
            "-l",
            metavar="LINE=QUANTITY",
            help="The whole quantity to be held, not a difference; 0 gives the line's hold back; repeatable.",
        ),
    ] = None,
    owner: Annotated[str | None, typer.Option(metavar="LABEL", help="The new owner label; '' takes it away.")] = None,
    ttl: _TtlOption = None,
    until: _UntilOption = None,
    never: _NeverOption = False,
    split: _SplitOption = False,
    revision: Annotated[
        int, typer.Option(min=0, metavar="N", help="Only if this is still its revision; 0: whatever it is.")
    ] = 0,
    request_id: RequestIdOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change a hold: quantities, owner, end. What is not named stays.

    Example: ringfence update 0198c1f0-… --line 1=7
    """
    lease = _lease(ttl, until, never)
    lines = inputs.held_quantities(line) if line else None
    if lines is None and owner is None and not lease:
        raise BadInput("nothing to change: give --line LINE=QUANTITY, --owner, or one of --ttl, --until and --never")
    with session.client() as client:
        result = client.update_reservation(
            reservation,
            lines=lines,
            owner=owner,
            allow_split=split,
            expected_revision=revision,
            request_id=request_id,
            **lease,
        )
    _write_reservation(result, as_json)


def _lease(ttl: str | None, until: str | None, never: bool) -> dict[str, Any]:
    """The one end of a lease that was given, as the client takes it; empty when none was."""
    if (ttl is not None) + (until is not None) + never > 1:
        raise BadInput("give only one of --ttl, --until and --never")
    if ttl is not None:
        return {"ttl": inputs.span(ttl, "--ttl")}
    if until is not None:
        return {"expire_time": inputs.instant(until, "--until")}
    return {"never": True} if never else {}


def _only_with(allowed: bool, given: dict[str, Any], other: str) -> None:
    names = ", ".join(name for name, value in given.items() if value)
    if names and not allowed:
        raise BadInput(f"{names}: of a reservation, not with {other}")


def _as_json(
    result: ReserveResult | ConsumeResult | CancelResult | ReassignPartResult | UpdateReservationResult, as_json: bool
) -> bool:
    """Writes the answer as JSON, if that is wanted; else only whether it is a repetition."""
    if as_json:
        from .output import write_json
        from .plain import plain

        write_json({"request_id": result.request_id, **plain(result.raw)})
    else:
        from .views import note_replay

        note_replay(result.replayed)
    return as_json


def _write_reservation(result: UpdateReservationResult, as_json: bool) -> None:
    if not _as_json(result, as_json):
        from .views import write_reservation

        write_reservation(result.reservation)
