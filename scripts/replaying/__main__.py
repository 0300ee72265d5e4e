"""`scripts/replay`: replays an order file against a server. Exits with 0 when everything adds up, 1 when something does
not or went wrong, 2 when it could not run."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import tempfile
from datetime import timedelta
from fractions import Fraction
from pathlib import Path

from rich.console import Console

from ringfence import AsyncClient, RingfenceError, VerifyReport, uuid7
from scripts.replaying.audit import Audit
from scripts.replaying.invoices import Invoices
from scripts.replaying.order_file import OrderFileError, read_rows
from scripts.replaying.plan import make_plan
from scripts.replaying.progress import Display
from scripts.replaying.replay import Replay, Stopped
from scripts.replaying.report import Outcome
from scripts.replaying.sample import sample_rows
from scripts.replaying.server import OwnServer, ServerFailed
from scripts.replaying.several import Killer, SeveralServers
from scripts.replaying.show import show
from scripts.replaying.tally import Tally


class NotRun(Exception):
    """The replay could not run; its text says why."""


def main(arguments: list[str] | None = None) -> int:
    """Runs the command with these arguments, or the process's, and gives its exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if (options.servers > 1 or options.kill) and (options.target or options.database):
        parser.error("--servers and --kill are for servers of its own, on a database that is thrown away")
    if options.kill and options.servers < 2:
        parser.error("--kill needs --servers 2 or more: somebody must serve meanwhile")
    try:
        outcome = _replay(options)
    except (NotRun, OrderFileError, ServerFailed, OSError) as error:
        print(f"scripts/replay: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("scripts/replay: interrupted", file=sys.stderr)
        return 130
    if options.json is not None:
        text = json.dumps(outcome.as_json(options.top), indent=2, ensure_ascii=False) + "\n"
        if options.json == Path("-"):
            sys.stdout.write(text)
        else:
            options.json.write_text(text, encoding="utf-8")
    if options.json != Path("-"):
        show(outcome, Console(highlight=False), options.top)
    return 0 if outcome.ok else 1


def _replay(options: argparse.Namespace) -> Outcome:
    with contextlib.ExitStack() as stack:
        display = stack.enter_context(Display(Console(stderr=True)))
        with display.bar("reading"):
            invoices = _read(options.file, options.limit)
        target = options.target
        killer = None
        if target is None:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ringfence-replay-")))
            if options.servers > 1:
                with display.bar(f"starting PostgreSQL and {options.servers} servers"):
                    several = stack.enter_context(SeveralServers(directory, options.servers))
                target = several.target
                killer = Killer(several, options.kill, sum(1 for _ in invoices))
            else:
                database = (options.database or directory / "ringfence.db").resolve()
                with display.bar("starting a server"):
                    target = stack.enter_context(OwnServer(directory, f"sqlite:///{database}")).target
        return asyncio.run(_replay_against(target, invoices, options, display, killer))


def _read(file: Path | None, limit: int | None) -> Invoices:
    if file is None:
        sample = sample_rows()[:limit]
        invoices = Invoices(lambda: sample)
    else:
        invoices = Invoices(lambda: read_rows(file, limit))
    if not invoices.skus:
        raise NotRun(f"{file or 'the sample'}: no line moves any stock")
    return invoices


async def _replay_against(
    target: str, invoices: Invoices, options: argparse.Namespace, display: Display, killer: Killer | None
) -> Outcome:
    organization = options.organization or f"replay-{uuid7()}"
    tally, audit = Tally(), Audit()
    verify: VerifyReport | None = None
    with display.bar("planning"):
        plan = make_plan(invoices, options.share, options.fenced)
    async with AsyncClient(target, organization=organization, caller="replay", timeout=options.timeout) as client:
        replay = Replay(
            client,
            plan,
            tally,
            partial=options.partial,
            lines_in_flight=options.lines_in_flight,
            timeout=options.timeout,
        )
        with display.bar("opening stock"):
            try:
                if (await client.list_stock(page_size=1).page()).items:
                    raise NotRun(f"organization {organization} has stock already: choose another one, or name none")
                await replay.set_up()
            except RingfenceError as error:
                raise NotRun(f"{target}: {type(error).__name__}: {error}") from error
        try:
            await _run(replay, invoices, tally, display, killer)
            if killer is not None:
                target = f"{options.servers} servers on PostgreSQL, killed {killer.done} times"
                print(f"scripts/replay: {target}", file=sys.stderr)
                if killer.fault is not None:
                    tally.error("server", str(killer.fault))
            await _check(client, tally, audit, display)
            with display.bar("Verify") as bar:
                verify = await client.verify(
                    progress=lambda report: bar.at(report.keys_checked, total=report.keys_total)
                )
        except Stopped as stopped:
            tally.error("stopped", str(stopped))
        except RingfenceError as error:
            tally.error(error, "checking")
    return Outcome(
        source=str(options.file or "sample"),
        target=target,
        organization=organization,
        share=float(options.share),
        fenced=float(options.fenced),
        invoices=invoices,
        plan=plan,
        tally=tally,
        audit=audit,
        verify=verify,
        seconds=replay.seconds,
    )


async def _run(replay: Replay, invoices: Invoices, tally: Tally, display: Display, killer: Killer | None) -> None:
    with display.bar("replaying", invoices.lines) as bar, killer or contextlib.nullcontext():

        def remark() -> str:
            kills = "" if killer is None else f", {killer.done} kills"
            return f"{tally.refused:,} refused{kills}"

        def progress() -> None:
            bar.at(tally.file_lines, remark())
            if killer is not None:
                killer.at(tally.invoices)

        await replay.run(invoices, progress)
        bar.finish(tally.file_lines, remark())


async def _check(client: AsyncClient, tally: Tally, audit: Audit, display: Display) -> None:
    with display.bar("comparing stock"):
        await audit.compare_stock(client, tally)
        await audit.compare_balances(client, tally)
    with display.bar("walking the ledger") as bar:
        await audit.walk_ledger(client, bar.at)
        bar.finish(audit.entries, total=audit.entries)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/replay",
        description="Replays an order file through the client: stocks a warehouse, ring-fences a part of it, reserves "
        "and consumes every invoice in order, cancels and returns what comes back, and checks that it all adds up.",
        epilog="The file's columns: InvoiceNo, StockCode, Quantity, InvoiceDate, CustomerID, Country; in time order.",
    )
    parser.add_argument("file", type=Path, nargs="?", help="CSV, plain or gzip (default: a small sample made here)")
    parser.add_argument("--target", help="a running server, host:port (default: one of its own on a free port)")
    parser.add_argument("--organization", help="must have no stock (default: a new one for each replay)")
    parser.add_argument("--database", type=Path, help="keep the own server's database here (default: thrown away)")
    parser.add_argument(
        "--servers",
        type=_count,
        default=1,
        metavar="N",
        help="so many servers of its own, on a PostgreSQL of their own (default: one, on SQLite)",
    )
    parser.add_argument(
        "--kill", type=_count, default=0, metavar="TIMES", help="kill the servers in turn, so often, while it goes on"
    )
    parser.add_argument(
        "--share",
        type=_share,
        default=Fraction(1),
        help="opening stock, as a share of what would serve every order (default: 1.0)",
    )
    parser.add_argument(
        "--fenced",
        type=_part,
        default=Fraction(1, 2),
        help="how much of the opening stock is ring-fenced for groups, 0 to 1 (default: 0.5)",
    )
    parser.add_argument("--partial", action="store_true", help="grant what there is of an order that is short")
    parser.add_argument("--limit", type=_count, metavar="LINES", help="only the first lines of the file")
    parser.add_argument("--top", type=_count, default=10, help="rows of each list (default: %(default)s)")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="also write the report to FILE; -: only that, on the output"
    )
    parser.add_argument(
        "--lines-in-flight", type=_count, default=8_192, metavar="LINES", help="on their way at once (%(default)s)"
    )
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=timedelta(seconds=60),
        metavar="SECONDS",
        help="how long to wait for an answer before the server counts as gone (60)",
    )
    return parser


def _seconds(text: str) -> timedelta:
    return timedelta(seconds=_count(text))


def _share(text: str) -> Fraction:
    number = Fraction(text)  # exactly as written: 0.1 is a tenth
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is below 0")
    return number


def _part(text: str) -> Fraction:
    number = _share(text)
    if number > 1:
        raise argparse.ArgumentTypeError(f"{text} is above 1")
    return number


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is below 1")
    return number


if __name__ == "__main__":
    sys.exit(main())
