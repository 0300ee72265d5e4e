"""`adapter run` and `adapter check`: between a till and the service."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .failures import AWAY, BadInput, tell

if TYPE_CHECKING:
    from ringfence.adapters import PosRunner
    from ringfence.adapters._config import AdapterSetup

ConfigArgument = Annotated[Path, typer.Argument(metavar="CONFIG.toml", help="The adapter's configuration.")]


def add_commands(app: typer.Typer) -> None:
    """Adds the group `adapter`."""
    adapter = typer.Typer(no_args_is_help=True, help="Run an adapter between a till and the service.")
    adapter.command("run")(run)
    adapter.command("check")(check)
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


def _once(runner: PosRunner) -> None:
    from datetime import timedelta

    try:
        runner.step(wait=timedelta(seconds=1))
        failed = runner.counters.reads_failed + runner.counters.feed_failures + runner.counters.publish_failures
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


def _log_to_stderr() -> None:
    import logging

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
