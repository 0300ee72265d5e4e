"""`balance`: what is there, for whom, now or then, and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import inputs
from .failures import BadInput
from .session import JsonOption, Session, client_command

if TYPE_CHECKING:
    from ringfence import Balance, BalanceFilter, Page, Pager, RollUp

    from .views import BalanceView

SkusArgument = Annotated[list[str] | None, typer.Argument(metavar="SKU", help="These SKUs; none: all.")]
LocationsOption = Annotated[
    list[str] | None, typer.Option("--location", metavar="NAME", help="Only this location; repeatable.")
]
GroupsOption = Annotated[
    list[str] | None,
    typer.Option("--group", metavar="NAME", help="Only locations of this group of the policy; repeatable."),
]
PathFilterOption = Annotated[
    str | None,
    typer.Option(metavar="PATH", help="This path and everything below it; '' is the common pool alone."),
]
ExactOption = Annotated[bool, typer.Option("--exact", help="Only the path itself, not what lies below it.")]
DimensionFilterOption = Annotated[
    list[str] | None,
    typer.Option(
        "--dimension", "-d", metavar="NAME=VALUE", help="Only this value; '' is \"does not apply\"; repeatable."
    ),
]
RollUpOption = Annotated[
    list[str] | None,
    typer.Option(
        "--rollup",
        metavar="BY",
        help="Sum all but this: sku, location, group, level:N, dimension:NAME; several by comma.",
    ),
]
WideOption = Annotated[
    bool,
    typer.Option(
        "--wide", "-w", help="More columns: subtree, supply, net, what is short, what was published, the figures' age."
    ),
]
_BOUNDS = {
    "POOL": "the free units of its pools",
    "NET": "net: more is promised than is there",
    "CAP": "the path's sales_cap",
}
_EXPLAINED_PAGE = 100
_NOTHING = "nothing matches; a key that no source ever posted is absent, not zero"


def add_commands(app: typer.Typer) -> None:
    """Adds the command."""
    client_command(app, "balance", rich_help_panel="Stock")(balance)


def balance(
    session: Session,
    skus: SkusArgument = None,
    location: LocationsOption = None,
    group: GroupsOption = None,
    path: PathFilterOption = None,
    exact: ExactOption = False,
    dimension: DimensionFilterOption = None,
    rollup: RollUpOption = None,
    at: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="What a read at that instant answered: 2026-01-31T12:00:00Z, or 2h ago: 2h."),
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Say why: supply, pools, holds, what bound.")] = False,
    wide: WideOption = False,
    limit: Annotated[int, typer.Option(min=0, metavar="N", help="At most N balances; 0: all.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Balances per pool, or rolled up.

    Pools are not nested: `web` does not contain `web/london`; its subtree (--wide, or --rollup level:1) does. A key
    that no source ever posted is absent, not zero.

    Example: ringfence balance BIKE-RED --path web
    """
    wanted = inputs.balance_filter(
        skus or (), locations=location or (), groups=group or (), path=path, exact=exact, pairs=dimension or ()
    )
    from .views import BalanceView, dimension_names

    kept = inputs.roll_ups(rollup or ())
    if explain and kept:
        raise BadInput("--explain is of single balances: leave --rollup out")
    read_time = inputs.past_instant(at, "--at") if at is not None else None
    named = named_dimensions(wanted, kept)
    with session.client() as client:
        dimensions = () if as_json and not named else dimension_names(client, named)
        size = inputs.page_size(limit, _EXPLAINED_PAGE) if explain else inputs.page_size(limit)
        pager = client.query_balance(wanted, roll_up=kept, read_time=read_time, explain=explain, page_size=size)
        if as_json:
            _write_json(pager, limit)
        elif explain:
            _write_explained(pager, BalanceView(dimensions, wide=wide), limit)
        else:
            view = BalanceView(dimensions, rolled_up=rolled_up_words(kept), wide=wide)
            _write_table(pager, view, limit, wide=wide)


def rolled_up_words(kept: Iterable[RollUp]) -> list[str]:
    """What a roll-up keeps apart, as BalanceView takes it."""
    return [f"dimension:{one.dimension}" if one.by == "dimension" else one.by.value for one in kept]


def named_dimensions(wanted: BalanceFilter, kept: Iterable[RollUp]) -> list[str]:
    """The dimensions that a filter and a roll-up name."""
    return [*wanted.dimensions, *(one.dimension for one in kept if one.dimension)]


def _write_table(pager: Pager[Balance], view: BalanceView, limit: int, *, wide: bool) -> None:
    from .output import Limited, write_cut, write_note, write_table

    short = _Short()
    items = Limited(pager, limit)
    if not write_table(view.columns, (view.cells(found) for found in short.counted(items))):
        write_note(_NOTHING)
    write_cut(items, f"first {limit}")
    short.tell(wide)


class _Short:
    """Notices balances whose promises or quotas exceed what is there: a table without --wide does not show it."""

    def __init__(self) -> None:
        self.promises = 0
        self.quotas = 0

    def counted(self, balances: Iterable[Balance]) -> Iterator[Balance]:
        for found in balances:
            self.promises += found.promises_short > 0
            self.quotas += found.quotas_short > 0
            yield found

    def tell(self, wide: bool) -> None:
        from .output import write_note

        for count, what in ((self.promises, "promises to customers"), (self.quotas, "quotas")):
            if count and not wide:
                write_note(f"{what} exceed what is there in {count} of these rows: --wide shows by how much")


def _write_json(pager: Pager[Balance], limit: int) -> None:
    from .output import Limited, write_json_list
    from .plain import plain

    last: dict[str, Any] = {}

    def items() -> Iterator[Balance]:
        for page in pager.pages():
            last.update(_state(page))
            yield from page

    write_json_list("balances", Limited(items(), limit), lambda found: plain(found.raw), last)


def _state(page: Page[Balance]) -> dict[str, Any]:
    from .output import exact_time_text

    return {"read_time": exact_time_text(page.read_time), "revision": page.revision}


def _write_explained(pager: Pager[Balance], view: BalanceView, limit: int) -> None:
    from .output import Limited, write_cut, write_note, write_table

    count = 0
    items = Limited(pager, limit)
    for found in items:
        if count:
            print()
        count += 1
        write_table(view.columns, [view.cells(found)])
        _write_why(found)
    if not count:
        write_note(_NOTHING)
    else:
        write_cut(items, f"first {limit}")


def _write_why(found: Balance) -> None:
    from .output import Column, age_text, path_text, time_text, write_table
    from .views import write_pools

    why = found.explanation
    if why is None:
        return
    formula = " ".join(
        f"{'-' if term.coefficient < 0 else '+'} {_times(term.coefficient)}{term.measure} {term.value}"
        for term in why.terms
    )
    print(f"\nsupply {found.supply} = {formula.removeprefix('+ ') or '0'}  (policy {why.policy_revision})")
    print(f"net {found.net} = supply less all that is held and unsettled")
    bound = _BOUNDS.get(why.bound, why.bound or "nothing")
    print(f"available to reserve {found.available_to_reserve}, bound by {bound}")
    if found.freshness is not None:
        fresh = found.freshness
        counted = f", counted {time_text(fresh.count_time)}" if fresh.count_time else ""
        print(f"oldest figure {fresh.measure}, position {fresh.position}, {age_text(fresh.age)} old{counted}")
    if found.unsettled:
        print(f"unsettled {found.unsettled}: promised to orders that the till has not booked in its figure yet")
    for report in found.published:
        print(f"published {report.quantity} by {report.publisher}, {time_text(report.publish_time)}")
    print("\npools")
    write_pools(why.pools)
    if why.holds:
        print("\nlive holds of this pool")
        write_table(
            [Column("reservation"), Column("owner"), Column("quantity", numeric=True), Column("expire time")],
            (
                [hold.reservation_id, hold.owner, hold.quantity, time_text(hold.expire_time, "never")]
                for hold in why.holds
            ),
        )
    path = path_text(found.path)
    print(f"\nthe subtree of {path}: allocated {found.subtree.allocated}, available {found.subtree.available}")


def _times(coefficient: int) -> str:
    return "" if abs(coefficient) == 1 else f"{abs(coefficient)} × "
