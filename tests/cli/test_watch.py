"""watch: balances as they change, in a pipe and on a terminal."""

from __future__ import annotations

import io
import json
import os
import pty
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from rich.console import Console

from ringfence import WatchEvent
from ringfence._parse import watch_event
from ringfence.testing import assert_eventually
from ringfence.v1 import balance_pb2, common_pb2
from ringfence_server.cli import watch
from ringfence_server.cli.views import BalanceView
from tests.cli.run import PROGRAM, Cli


@contextmanager
def watching(cli: Cli, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A running watch, ended by Ctrl-C; it then ends in good order."""
    process = cli.process("watch", *arguments)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")


def next_event(process: subprocess.Popen[str]) -> Any:
    """The next JSON line that is not a checkpoint."""
    assert process.stdout is not None
    while (event := json.loads(process.stdout.readline()))["event"] == "checkpoint":
        pass
    return event


def until_snapshot_end(process: subprocess.Popen[str]) -> list[Any]:
    """The balances of the first state."""
    found = []
    while (event := next_event(process))["event"] != "snapshot_end":
        assert event["event"] in {"snapshot", "reset"}
        found += event["balances"]
    return found


def test_json_lines_in_a_pipe(cli: Cli) -> None:
    """An event a line, at once: the first state, then every change of what matches."""
    cli("stock", "post", "LAMP", "berlin", "10")
    cli("stock", "post", "BULB", "berlin", "10")
    with watching(cli, "LAMP", "--json") as process:
        (first,) = until_snapshot_end(process)
        assert (first["key"]["sku"], first["own"]["available"]) == ("LAMP", 10)
        cli("reserve", "BULB", "berlin", "1")
        cli("reserve", "LAMP", "berlin", "3")
        event = next_event(process)
        (changed,) = event["balances"]
        assert (event["event"], event["removed"], changed["own"]["held"]) == ("changes", [], 3)
        assert event["resume_token"]


def test_a_token_goes_on_where_another_watch_stopped(cli: Cli) -> None:
    """What happened in between is not missed, and what was seen is not repeated."""
    cli("stock", "post", "LAMP", "berlin", "10")
    with watching(cli, "--json") as process:
        until_snapshot_end(process)
        cli("reserve", "LAMP", "berlin", "1")
        token = next_event(process)["resume_token"]
    cli("reserve", "LAMP", "berlin", "2")
    with watching(cli, "--json", "--resume", token) as process:
        event = next_event(process)
        assert event["event"] == "changes"
        assert [balance["own"]["held"] for balance in event["balances"]] == [3]


def test_lines_in_a_pipe(cli: Cli) -> None:
    """A heading, then a line per balance behind the time of its event; roll-ups have their own columns."""
    cli("stock", "post", "LAMP", "berlin", "10")
    cli("stock", "post", "LAMP", "paris", "5")
    with watching(cli, "--rollup", "sku") as process:
        assert process.stdout is not None
        heading, first = process.stdout.readline(), process.stdout.readline()
        assert heading.split()[:4] == ["server", "time", "sku", "allocated"]
        assert first.split()[1:3] == ["LAMP", "15"]
        cli("stock", "post", "LAMP", "paris", "6")
        assert process.stdout.readline().split()[1:3] == ["LAMP", "16"]


def test_what_ceases_to_match_is_removed(cli: Cli) -> None:
    """Its line says so instead of figures."""
    cli("stock", "post", "LAMP", "berlin", "10")
    cli("allocate", "LAMP", "berlin", "4", "--path", "web")
    with watching(cli, "--path", "web", "--exact") as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert "web" in process.stdout.readline()
        cli("unallocate", "LAMP", "berlin", "--all", "--path", "web")
        line = process.stdout.readline().split()
        assert line[1:5] == ["LAMP", "berlin", "web", "removed"]
        assert set(line[5:]) == {"-"}


def event(kind: int, *available: int) -> WatchEvent:
    """An event with balances of SKU-0, SKU-1 …"""
    message = balance_pb2.WatchBalancesResponse(event=kind)  # type: ignore[arg-type]  # any of the enumeration
    message.server_time.FromSeconds(0)
    for number, units in enumerate(available):
        message.balances.add(key=common_pb2.StockKey(sku=f"SKU-{number}"), own=balance_pb2.Figures(available=units))
    return watch_event(message)


AFRESH = [
    event(balance_pb2.WATCH_EVENT_SNAPSHOT, 1, 2),
    event(balance_pb2.WATCH_EVENT_SNAPSHOT_END),
    event(balance_pb2.WATCH_EVENT_RESET),
    event(balance_pb2.WATCH_EVENT_SNAPSHOT, 7),
    event(balance_pb2.WATCH_EVENT_SNAPSHOT_END),
]


def test_a_reset_is_told_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever reads the lines must forget those above."""
    watch._write_lines(AFRESH, BalanceView(()))
    lines = [" ".join(line.split()[1:3]) for line in capsys.readouterr().out.splitlines()]
    assert lines == ["time sku", "SKU-0 -", "SKU-1 -", "(reset: forget", "SKU-0 -"]


def test_a_reset_empties_the_live_table() -> None:
    """What is gone in the fresh snapshot does not stay on the screen, and nothing of it counts as a change."""
    table = watch._Table(BalanceView(()))
    for one in AFRESH:
        table.take(one)
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(table.render("now", 10, 200))
    text = console.export_text(styles=False)
    assert "SKU-0" in text
    assert "SKU-1" not in text


class Interrupted:
    """Events whose reader gets a Ctrl-C in the middle of a step of gRPC's own."""

    def __init__(self) -> None:
        self.closed = threading.Event()
        self.steps: list[str] = []

    def __iter__(self) -> Iterator[WatchEvent]:
        yield AFRESH[0]
        self.steps.append("began")
        os.kill(os.getpid(), signal.SIGINT)
        self.closed.wait(timeout=60)
        os.kill(os.getpid(), signal.SIGINT)
        self.steps.append("finished")

    def close(self) -> None:
        """As of a watch, from another thread."""
        self.steps.append("closed")
        self.closed.set()


def test_ctrl_c_falls_into_no_step_of_grpc(capsys: pytest.CaptureFixture[str]) -> None:
    """It closes the watch from beside: interrupted, gRPC now and then left a lock unheld, and the program said that it
    was at fault. What else is pressed while it ends changes nothing, unless the watch does not end: the third time
    interrupts."""
    before = signal.getsignal(signal.SIGINT)
    events = Interrupted()
    try:
        with watch._ended_by_ctrl_c(events):
            watch._write_lines(events, BalanceView(()))
        os.kill(os.getpid(), signal.SIGINT)
        signal.signal(signal.SIGINT, before)
        with watch._ended_by_ctrl_c(events):
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
    assert events.steps[:3] == ["began", "closed", "finished"]
    assert "SKU-0" in capsys.readouterr().out


class Screen:
    """What a program writes to a terminal of its own."""

    def __init__(self, cli: Cli, *arguments: str) -> None:
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [*PROGRAM, *arguments],
            env={**os.environ, **cli.environment, "COLUMNS": "200", "LINES": "20", "TERM": "xterm-256color"},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        self.text = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                content = os.read(self._master, 65_536)
            except OSError:  # the program has ended
                return
            self.text += content.decode(errors="replace")

    def end(self) -> int:
        """Presses Ctrl-C and gives the exit code."""
        os.write(self._master, b"\x03") if self.process.poll() is None else None
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(timeout=60)
        self._reader.join(timeout=60)
        os.close(self._master)
        return code


def test_a_live_table_on_a_terminal(cli: Cli) -> None:
    """It follows every change, with what changed last in bold, until Ctrl-C."""
    cli("stock", "post", "LAMP", "berlin", "10")
    cli("stock", "post", "BULB", "berlin", "77")
    screen = Screen(cli, "watch")
    try:
        assert_eventually(lambda: "LAMP" in screen.text and "Ctrl-C ends it" in screen.text)
        shown = len(screen.text)
        cli("stock", "post", "LAMP", "berlin", "1234")
        assert_eventually(lambda: "1234" in screen.text[shown:])
        newest = screen.text[shown:]
        lamp = next(line for line in newest.splitlines() if "LAMP" in line)
        bulb = next(line for line in newest.splitlines() if "BULB" in line)
        assert "\x1b[1m" in lamp
        assert "\x1b[1m" not in bulb
    finally:
        assert screen.end() == 0
    assert "Traceback" not in screen.text


def test_more_rows_than_the_terminal_has(cli: Cli) -> None:
    """What changed is always among the rows that fit, and the rest is counted."""
    cli("stock", "import", "-", input="sku,location,quantity\n" + "".join(f"S-{n:03},x,1\n" for n in range(100)))
    screen = Screen(cli, "watch")
    try:
        assert_eventually(lambda: "more rows do not fit" in screen.text)
        shown = len(screen.text)
        assert "S-099" not in screen.text
        cli("stock", "post", "S-099", "x", "5")
        assert_eventually(lambda: "S-099" in screen.text[shown:])
    finally:
        assert screen.end() == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--rollup", "colour"), "--rollup is sku, location, group, level:N"),
        (("-d", "size=L"), "the policy has no dimension 'size', it has none"),
        (("--interval", "often"), "--interval is a span with units"),
        (("--path", "web//x"), "path"),
    ],
)
def test_what_cannot_be_meant_is_bad_input(cli: Cli, arguments: tuple[str, ...], told: str) -> None:
    """Exit code 2, with what would be right."""
    assert told in cli.fails(2, "watch", *arguments)


@pytest.mark.usefixtures("one_try")
def test_a_service_that_is_away(cli: Cli) -> None:
    """A wrong target does not look like a quiet day: exit code 3."""
    ran = cli.run("--target", "localhost:1", "watch", "--json")
    assert ran.exit_code == 3
    assert ran.err.startswith("ringfence: no service answers at localhost:1 ")
    assert json.loads(ran.out)["error"]["code"] == "UNAVAILABLE"
