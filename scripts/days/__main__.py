"""`scripts/day`: a day of three stores and a web shop in virtual time, every count judged by the tills' own journals.

Exits with 0 when the service was right, 1 when it was not, 2 when the day could not be run.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from ringfence import RingfenceError, VerifyReport
from scripts.days.day import Day, run_day
from scripts.days.ending import Ending, differences, ending_of
from scripts.days.host import ServerProcess
from scripts.days.judge import Verdict
from scripts.days.killing import Killer
from scripts.days.messages import Rules
from scripts.days.plan import DAY, READ_EVERY, Plan
from scripts.days.rivals import CountOverwrites, SettledOnAcknowledgement
from scripts.days.runners import ServiceByRunners
from scripts.days.service import Service, ServiceFault, organization_of
from scripts.days.show import described, show_faults, table, told
from scripts.replaying.progress import Display

_ORDERS = 10_000
_ORDERS_TO_KILL = 1_000
_MOST_DIFFERENCES = 10


def main(arguments: list[str] | None = None) -> int:
    """Runs the command with these arguments, or the process's, and gives its exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.minutes < READ_EVERY:
        parser.error(f"--minutes is at least {READ_EVERY}: the tills are counted once an hour")
    orders = options.orders or (_ORDERS_TO_KILL if options.kill else _ORDERS)
    plan = Plan(seed=options.seed, days=options.days, orders=orders, skus=options.skus, minutes_a_day=options.minutes)
    try:
        with Display(Console(stderr=True)) as display:
            right = _kill(plan, options, display) if options.kill else _compare(plan, options, display)
    except (RingfenceError, RuntimeError, ServiceFault, OSError) as error:
        print(f"scripts/day: {type(error).__name__}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("scripts/day: interrupted", file=sys.stderr)
        return 130
    return 0 if right else 1


def _compare(plan: Plan, options: argparse.Namespace, display: Display) -> bool:
    """The same day under three sets of rules."""
    rivals: list[Rules] = [CountOverwrites(), SettledOnAcknowledgement()]
    verdicts = []
    for rules in rivals:
        with display.bar(rules.name, plan.minutes) as bar:
            verdicts.append(asyncio.run(run_day(plan, rules, progress=bar.at)).verdict)
    ours, report = asyncio.run(_ours(plan, options, display))
    verdicts.append(ours.verdict)
    print(described(plan))
    print(table(verdicts))
    print(told(ours.verdict))
    return _judged(ours.verdict, report)


async def _ours(plan: Plan, options: argparse.Namespace, display: Display) -> tuple[Day, VerifyReport]:
    with (
        tempfile.TemporaryDirectory(prefix="ringfence-day-", dir=_memory()) as directory,
        ServerProcess(options.database) as server,
    ):
        organization = organization_of(plan.seed)
        service: Service | ServiceByRunners = (
            ServiceByRunners(server, organization, Path(directory), Killer(server, seed=0, minutes=1, kills=0))
            if options.runner
            else Service(server, organization)
        )
        async with service:
            with display.bar(service.name, plan.minutes) as bar:
                day = await run_day(plan, service, progress=bar.at)
            return day, await service.client.verify()


def _kill(plan: Plan, options: argparse.Namespace, display: Display) -> bool:
    """The same day undisturbed, and with the server and the adapters killed in it."""
    undisturbed, report, expected, _ = asyncio.run(_killed(plan, 0, "undisturbed", display))
    if not _judged(undisturbed, report):
        return False
    verdict, report, ending, killed = asyncio.run(_killed(plan, options.kill, "with kills", display))
    print(described(plan))
    print(table([undisturbed, verdict]))
    print(told(verdict))
    print(f"kill -9 of the server {killed['server']} times, of an adapter {killed['adapter']} times")
    found = differences(expected, ending)
    for difference in found[:_MOST_DIFFERENCES]:
        print(f"  {difference}")
    compared = ", ".join(f"{len(values):,} {kind}" for kind, values in expected.items())
    print(f"the end is {'another: ' + str(len(found)) + ' differences' if found else 'the same'}: {compared}")
    reached = killed["server"] > 0 and killed["adapter"] > 0
    if not reached:
        print("nothing was killed: the day was too short")
    return _judged(verdict, report) and not found and reached


async def _killed(
    plan: Plan, kills: int, name: str, display: Display
) -> tuple[Verdict, VerifyReport, Ending, dict[str, int]]:
    with tempfile.TemporaryDirectory(prefix="ringfence-day-", dir=_memory()) as directory:
        place = Path(directory)
        with ServerProcess(place / "ringfence.db") as server:
            killer = Killer(server, seed=plan.seed, minutes=plan.minutes, kills=kills)
            service = ServiceByRunners(server, organization_of(plan.seed), place / "state", killer)
            async with service:
                with display.bar(name, plan.minutes) as bar:
                    day = await run_day(plan, service, progress=bar.at)
                await killer.settled()
                day.verdict.name = name
                return day.verdict, await service.client.verify(), await ending_of(service.client), killer.killed


def _judged(verdict: Verdict, report: VerifyReport) -> bool:
    show_faults(verdict, report)
    return verdict.right and report.done and not report.violations


def _memory() -> str | None:
    """A place in memory, where there is one: programs are ended here, not the power."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/day",
        description="Runs a day of three stores and a web shop in virtual time against a server of its own, by the "
        "client: late orders, acknowledgements up to two hours late, messages doubled, lost and out of order, "
        "walk-ins, returns, partial bookings, rejections and cancellations; one till tells its movements between "
        "counts, one is replaced, some orders are booked in another store. Every count is judged by the tills' own "
        "journals, and two other ways of keeping count have the same day beside it.",
    )
    parser.add_argument("--days", type=_count, default=1, metavar="N", help="days in a row (default: 1)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="another seed is another day (default: 1)")
    parser.add_argument(
        "--orders", type=_count, metavar="N", help=f"for each day ({_ORDERS:,}; {_ORDERS_TO_KILL:,} with --kill)"
    )
    parser.add_argument("--skus", type=_count, default=40, metavar="N", help="items of each store (default: 40)")
    parser.add_argument(
        "--minutes", type=_count, default=DAY, metavar="N", help="length of a day, at least 60 (default: 1,440)"
    )
    parser.add_argument("--database", type=Path, help="keep the ledger in this SQLite file (default: in memory)")
    parser.add_argument(
        "--runner",
        action="store_true",
        help="have the project's own runner in between, a process for each till, and not the bare streams",
    )
    parser.add_argument(
        "--kill",
        type=_count,
        nargs="?",
        const=5,
        metavar="N",
        help="kill -9 of the server, of an adapter and of both, N times each (5), at moments of the seed, and compare "
        "the end with the undisturbed day's; always with --runner and a SQLite file of its own",
    )
    return parser


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is below 1")
    return number


if __name__ == "__main__":
    sys.exit(main())
