"""`watch`: balances as they change. A live table on a terminal, lines in a pipe, JSON lines for programs."""

from __future__ import annotations

import contextlib
import queue
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, Final, Protocol

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
    named_dimensions,
    rolled_up_words,
)
from .session import Session, client_command

if TYPE_CHECKING:
    from ringfence import Balance, WatchEvent

    from .views import BalanceView

_REMOVED: Final = "removed"
_PATIENT_PRESSES: Final = 2
"""Of Ctrl-C, that a watch ends upon by itself."""


class Closing(Protocol):
    """What can be closed from another thread, as a watch can."""

    def close(self) -> None:
        """Ends it."""


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
        from .views import BalanceView, dimension_names

        named = named_dimensions(wanted, kept)
        dimensions = () if as_json and not named else dimension_names(client, named)
        events = client.watch(wanted, roll_up=kept, min_interval=least, resume_token=resume)
        view = BalanceView(dimensions, rolled_up=rolled_up_words(kept), wide=wide)
        with _ended_by_ctrl_c(events):
            if as_json:
                _write_json_lines(events)
            elif sys.stdout.isatty():
                _show_live(events, view)
            else:
                _write_lines(events, view)


@contextlib.contextmanager
def _ended_by_ctrl_c(events: Closing) -> Iterator[None]:
    """Ctrl-C closes the watch, which ends the block in good order; the third one interrupts it.

    A KeyboardInterrupt may fall between any two steps of gRPC's own, and one in a thousand left a lock that is not held
    or a thread's traceback on stderr. The handler itself does next to nothing, for it runs between the same steps: a
    thread closes the watch. What is pressed while the program then ends is ignored.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN or threading.current_thread() is not threading.main_thread():
        # Started in the background, or not ours to handle.
        yield
        return
    # A put may interrupt another one in the same thread; setting an Event may not.
    asked: queue.SimpleQueue[None] = queue.SimpleQueue()
    pressed = 0

    def ask(_number: int, _frame: object) -> None:
        nonlocal pressed
        pressed += 1
        if pressed > _PATIENT_PRESSES:
            raise KeyboardInterrupt
        asked.put(None)

    def close() -> None:
        asked.get()
        events.close()

    closer = threading.Thread(target=close, name="ringfence-watch-end", daemon=True)
    closer.start()
    signal.signal(signal.SIGINT, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN if pressed else before)
        asked.put(None)
        closer.join()


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
        waiting += ([stamp, *_removed_cells(view, gone)] for gone in event.removed)
        for row in waiting:
            layout.grow(row)
        for row in waiting:
            print(layout.line(row, numeric))
        waiting.clear()
        sys.stdout.flush()


def _removed_cells(view: BalanceView, gone: Balance) -> Iterator[str]:
    """What ceased to match: its key, and the word in place of its first figure."""
    from .output import NOTHING, cell_text

    figures = iter((_REMOVED,))
    for column, cell in zip(view.columns, view.cells(gone), strict=True):
        yield next(figures, NOTHING) if column.numeric else cell_text(cell)


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
                # Below and above the rows there are the heading, its line and the notes.
                stamp = time_text(event.server_time)
                live.update(table.render(stamp, console.height - 6, console.width), refresh=True)


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

    def render(self, stamp: str, most: int, width: int) -> Any:
        """At most `most` rows, those that changed last always among them, and the columns that fit into the width."""
        from rich.console import Group
        from rich.text import Text

        from .output import fitting, rich_table

        shown = list(self._shown(max(most, 1)))
        rows = [self._rows[key] for key in shown]
        columns = self._view.columns
        # Lines that the terminal had to break would spoil the picture: what does not fit is left out, and said.
        count = fitting(columns, rows, width)
        table, _ = rich_table(columns[:count], [row[:count] for row in rows])
        for number, key in enumerate(shown):
            if key in self._changed:
                table.rows[number].style = "bold"
        notes = [f"as of {stamp}", "Ctrl-C ends it"]
        if hidden := len(self._rows) - len(shown):
            notes.insert(0, f"{hidden} more rows do not fit")
        if hidden := len(columns) - count:
            notes.insert(0, f"{hidden} more columns do not fit")
        if not rows:
            notes.insert(0, "nothing matches yet")
        return Group(table, Text(" · ".join(notes), style="dim"))

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
