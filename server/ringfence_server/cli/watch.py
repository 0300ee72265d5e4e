"""`watch`: balances as they change. A live table on a terminal, lines in a pipe, JSON lines for programs."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from . import inputs
from .balances import (
    DimensionFilterOption,
    ExactOption,
    GroupsOption,
    LocationsOption,
    PathFilterOption,
    RollUpOption,
    SkusArgument,
    WideOption,
    rolled_up_words,
)
from .session import Session, client_command

if TYPE_CHECKING:
    from ringfence import Balance, WatchEvent

    from .views import BalanceView

_REMOVED: Final = "removed"


def add_commands(app: typer.Typer) -> None:
    """Adds the command."""
    client_command(app, "watch", rich_help_panel="Stock")(watch)


def watch(
    session: Session,
    skus: SkusArgument = None,
    location: LocationsOption = None,
    group: GroupsOption = None,
    path: PathFilterOption = None,
    exact: ExactOption = False,
    dimension: DimensionFilterOption = None,
    rollup: RollUpOption = None,
    interval: Annotated[
        str | None, typer.Option(metavar="SPAN", help="Least time between two deliveries, such as 2s or 15m.")
    ] = None,
    wide: WideOption = False,
    resume: Annotated[
        str,
        typer.Option(metavar="TOKEN", help="Go on after the event with this resume_token; nothing is missed."),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="An event a line, as JSON, with its resume_token.")] = False,
) -> None:
    """Show balances, then every change of them, until Ctrl-C.

    It reconnects by itself. With --json an event is one line: {"event": "changes", "balances": […], "removed": […],
    "resume_token": …, "server_time": …}; after "reset" forget what you have.

    Example: ringfence watch LAMP --path web
    """
    wanted = inputs.balance_filter(
        skus or (), locations=location or (), groups=group or (), path=path, exact=exact, pairs=dimension or ()
    )
    kept = inputs.roll_ups(rollup or ())
    least = inputs.span(interval, "--interval", bare_seconds=True) if interval else None
    with session.client() as client, contextlib.suppress(KeyboardInterrupt):
        events = client.watch(wanted, roll_up=kept, min_interval=least, resume_token=resume)
        if as_json:
            _write_json_lines(events)
            return
        from .views import BalanceView, dimension_names

        view = BalanceView(dimension_names(client), rolled_up=rolled_up_words(kept), wide=wide)
        if sys.stdout.isatty():
            _show_live(events, view)
        else:
            _write_lines(events, view)


def _write_json_lines(events: Iterable[WatchEvent]) -> None:
    from .output import write_json_line
    from .plain import plain

    for event in events:
        write_json_line(plain(event.raw))


def _write_lines(events: Iterable[WatchEvent], view: BalanceView) -> None:
    """A line per balance that is or became, behind the time of its event. What ceased to match is `removed`."""
    from .output import Layout, cell_text, time_text

    layout = Layout()
    columns = view.columns
    numeric = [False, *(column.numeric for column in columns)]
    waiting = [["server time", *(column.heading for column in columns)]]
    for event in events:
        stamp = time_text(event.server_time)
        if event.kind == "reset":
            waiting.append([stamp, "(reset: forget what stands above)"])
        waiting += ([stamp, *map(cell_text, view.cells(found))] for found in event.balances)
        for gone in event.removed:
            cells = zip(columns, view.cells(gone), strict=True)
            waiting.append([stamp, *(_REMOVED if column.numeric else cell_text(cell) for column, cell in cells)])
        for row in waiting:
            layout.grow(row)
        for row in waiting:
            print(layout.line(row, numeric))
        waiting.clear()
        sys.stdout.flush()


def _show_live(events: Iterable[WatchEvent], view: BalanceView) -> None:
    """A table that follows; what changed last is bold."""
    from rich.console import Console
    from rich.live import Live

    from .output import time_text

    console = Console()
    table = _Table(view)
    with Live(console=console, auto_refresh=False, screen=False, vertical_overflow="crop") as live:
        for event in events:
            table.take(event)
            if event.kind not in {"snapshot", "reset"}:
                stamp = time_text(event.server_time)
                live.update(table.render(f"as of {stamp} · Ctrl-C ends it", console.height - 4), refresh=True)


class _Table:
    """The newest state of what is watched, and what changed last."""

    def __init__(self, view: BalanceView) -> None:
        self._view = view
        self._rows: dict[tuple[Any, ...], list[str]] = {}
        self._changed: set[tuple[Any, ...]] = set()
        self._began = False

    def take(self, event: WatchEvent) -> None:
        """Takes an event in."""
        from .output import cell_text

        if event.kind == "reset":
            self._rows.clear()
            self._began = False
        if event.balances or event.removed:
            self._changed = {_identity(found) for found in event.balances} if self._began else set()
        self._began = self._began or event.kind == "snapshot_end"
        for found in event.balances:
            self._rows[_identity(found)] = [cell_text(cell) for cell in self._view.cells(found)]
        for gone in event.removed:
            self._rows.pop(_identity(gone), None)

    def render(self, caption: str, most: int) -> Any:
        """At most `most` rows: those that changed last are always among them."""
        from rich.text import Text

        from .output import rich_table

        shown = list(self._shown(max(most, 1)))
        table = rich_table(self._view.columns, [self._rows[key] for key in shown])
        for number, key in enumerate(shown):
            if key in self._changed:
                table.rows[number].style = "bold"
        hidden = len(self._rows) - len(shown)
        more = f"{hidden} more rows do not fit: filters or --rollup make them fewer · " if hidden else ""
        table.caption = Text(f"{more}{caption}" if self._rows else f"nothing matches yet · {caption}")
        table.caption_justify = "left"
        return table

    def _shown(self, most: int) -> Iterator[tuple[Any, ...]]:
        keys = sorted(self._rows)
        if len(keys) > most:
            changed = sorted(self._changed & self._rows.keys())[:most]
            others = [key for key in keys if key not in self._changed][: most - len(changed)]
            keys = sorted([*changed, *others])
        yield from keys


def _identity(balance: Balance) -> tuple[Any, ...]:
    """What makes two balances the same row."""
    key = balance.key
    return (key.sku, key.location, tuple(sorted(key.dimensions.items())), balance.location_group, balance.path)
