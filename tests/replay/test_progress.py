"""What a replay shows of itself while it goes on."""

from __future__ import annotations

import io

from rich.console import Console

from scripts.replaying.progress import Display


class Seconds:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_a_log_gets_a_line_every_half_minute() -> None:
    """Where no terminal is: what is done, of how much, how fast since the line before, and the remark."""
    log, seconds = io.StringIO(), Seconds()
    with Display(Console(file=log, width=20), now=seconds) as display, display.bar("replaying", 500_000) as bar:
        for done in range(0, 70_001, 1_000):
            bar.at(done, f"{done // 1_000} refused")
            seconds.now += 1
        bar.finish(500_000, "71 refused")
    assert log.getvalue().splitlines() == [
        "replaying: 30,000 of 500,000, 1,000/s, 30 refused",
        "replaying: 60,000 of 500,000, 1,000/s, 60 refused",
        "replaying: 500,000 of 500,000, after 71 s, 71 refused",
    ]


def test_what_is_quick_leaves_a_log_alone() -> None:
    """Nothing is told of what is over within half a minute, nor of what nobody can count."""
    log, seconds = io.StringIO(), Seconds()
    with Display(Console(file=log), now=seconds) as display:
        with display.bar("planning"):
            seconds.now += 100
        with display.bar("Verify") as bar:
            bar.at(1, total=2)
            seconds.now += 29
            bar.at(2, total=2)
            bar.finish(2)
    assert log.getvalue() == ""


def test_a_terminal_gets_a_bar() -> None:
    """It is drawn anew in its place, at the end with all that was done."""
    screen = io.StringIO()
    with (
        Display(Console(file=screen, force_terminal=True, width=100)) as display,
        display.bar("replaying", 500) as bar,
    ):
        bar.at(10)
        bar.finish(500, "3 refused")
    assert "500/500" in screen.getvalue()
    assert "3 refused" in screen.getvalue()
