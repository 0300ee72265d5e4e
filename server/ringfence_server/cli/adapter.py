"""`adapter run`, `adapter check` and `adapter certify`: between a till and the service."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .failures import AWAY, REFUSED, BadInput, tell

if TYPE_CHECKING:
    from ringfence.adapters import PosRunner
    from ringfence.adapters._config import AdapterSetup
    from ringfence.adapters.certify import Verdict

ConfigArgument = Annotated[Path, typer.Argument(metavar="CONFIG.toml", help="The adapter's configuration.")]


def add_commands(app: typer.Typer) -> None:
    """Adds the group `adapter`."""
    adapter = typer.Typer(no_args_is_help=True, help="Adapters between a till and the service.")
    adapter.command("run")(run)
    adapter.command("check")(check)
    adapter.command("certify")(certify)
    app.add_typer(adapter, name="adapter", rich_help_panel="Adapters")


def run(
    config: ConfigArgument,
    once: Annotated[bool, typer.Option("--once", help="Do what is due once, and end.")] = False,
    start_anew: Annotated[
        bool,
        typer.Option(
            "--start-anew",
            help="Begin without a state though the service has figures of this source: only after going live "
            "anew (stop selling, drain, post).",
        ),
    ] = False,
) -> None:
    """Run an adapter until SIGTERM or Ctrl-C.

    Exit codes are those of the other commands; a service or a till that is away does not end it.

    Example: ringfence adapter run till.toml
    """
    _log_to_stderr()
    with _told():
        setup = _load(config, start_anew=start_anew)
        with setup.client() as client, _told(client.config.target):
            runner = setup.runner(client)
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: runner.stop())
            if once:
                _once(runner)
            else:
                runner.run()


def check(config: ConfigArgument) -> None:
    """Check a configuration without running it: nothing is opened and nothing is sent.

    Example: ringfence adapter check till.toml
    """
    with _told():
        setup = _load(config, start_anew=False)
    run_config = setup.config
    print(f"{config}: {run_config.name} for {', '.join(run_config.locations)}, state in {run_config.state}")


def certify(
    till: Annotated[
        str,
        typer.Argument(
            metavar="TILL", help="live, csv_folder, sql_tables, or your own as package.module:TillUnderTest."
        ),
    ],
    scenario: Annotated[
        list[str] | None, typer.Option("--scenario", metavar="NAME", help="Only this one; may be given again.")
    ] = None,
    hours: Annotated[int, typer.Option(min=1, max=48, help="How long a day is, in virtual hours.")] = 8,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="The same number is the same day.")] = 1,
) -> None:
    """Put an adapter through simulated days and judge every count against the till's own journal.

    A service in memory is started for it; its clock is moved by hand, so a day takes seconds. Exit code 1 when the
    adapter fails: when anything was counted twice, lost, or oversold by the rule.

    Example: ringfence adapter certify csv_folder
    """
    from dataclasses import replace

    from ringfence.adapters.certify import SCENARIOS, table, till_named
    from ringfence.adapters.certify import certify as certified
    from ringfence.adapters.certify._host import ServerHost

    known = {found.name: found for found in SCENARIOS}
    if unknown := [name for name in scenario or () if name not in known]:
        raise typer.Exit(tell(BadInput(f"there is no scenario {unknown[0]!r}; there are: {', '.join(known)}")) or AWAY)
    chosen = [replace(known[name], hours=hours) for name in scenario or known]
    verdicts: list[Verdict] = []
    with _told(), _unlogged(), ServerHost() as host:
        make = till_named(till)

        def run() -> Iterator[Verdict]:
            for verdict in certified(make, host, scenarios=chosen, seed=seed):
                verdicts.append(verdict)
                yield verdict

        for line in table(run()):
            print(line, flush=True)
    if not all(verdict.passed for verdict in verdicts):
        raise typer.Exit(REFUSED)


def _once(runner: PosRunner) -> None:
    from datetime import timedelta

    try:
        runner.step(wait=timedelta(seconds=1))
        counters = runner.counters
        failed = counters.reads_failed + counters.feed_failures + counters.publish_failures + counters.events_failed
    finally:
        runner.close()
    if failed:
        raise typer.Exit(AWAY)


def _load(path: Path, *, start_anew: bool) -> AdapterSetup:
    from ringfence.adapters._config import load_setup

    return load_setup(path, start_anew=start_anew)


@contextlib.contextmanager
def _told(target: str = "") -> Iterator[None]:
    """What goes wrong as one line, and the exit code for it."""
    from ringfence import RingfenceError
    from ringfence.adapters import AdapterError

    try:
        yield
    except AdapterError as error:
        raise typer.Exit(tell(BadInput(str(error))) or AWAY) from None
    except RingfenceError as error:
        raise typer.Exit(tell(error, target=target) or AWAY) from None


@contextlib.contextmanager
def _unlogged() -> Iterator[None]:
    """Failures are the bench's own doing: they are in its table."""
    import logging

    log = logging.getLogger("ringfence.adapters")
    before = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(before)


def _log_to_stderr() -> None:
    import logging

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
