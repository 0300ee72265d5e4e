"""The service with its tills behind the project's own runner, each in a process that can be killed."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from ringfence import OrderEventKind
from ringfence.adapters import NotCancelled, Received, Rejected
from scripts.benchmarks.processes import helper_environment
from scripts.days.host import ServerProcess
from scripts.days.killing import Killer
from scripts.days.messages import Expected, Handed, Message, Reply
from scripts.days.plan import LOCATIONS
from scripts.days.service import ServiceFault, Shop

__all__ = ["ServiceByRunners"]

_MOST_STEPS = 300
_WAIT_MILLISECONDS = 100
_RIGHT = {"figure applied", "figure stale", "figure duplicate", "booking applied", "booking duplicate"}
_RIGHT_DELTAS = _RIGHT - {"figure duplicate"} | {"figure gap"}


class _Desk:
    """What lies between a till and its adapter: it outlives the adapter."""

    def __init__(self, location: str) -> None:
        self.location = location
        self.process: asyncio.subprocess.Process | None = None
        self.reads: list[Message] = []
        self.gaps = frozenset[str]()
        """Items of whose deltas one was missing, by the read that was posted last."""
        self.answers: dict[str, Reply] = {}
        self.seen: set[str] = set()
        self.events: list[Handed] = []
        self.missing: set[Expected] = set()
        """Events that must come before the day goes on."""
        self.away = False
        """Whether the till's way to its orders is down."""
        self.takes_orders = True
        """Whether the process takes orders."""

    @property
    def waiting(self) -> bool:
        return bool(self.reads or self.answers or self.missing)

    def tell(self, asked: dict[str, Any]) -> Any:
        """What the till says to its adapter."""
        match asked["ask"]:
            case "read":
                return _read(self.reads[0]) if self.reads else None
            case "more":
                return bool(self.reads)
            case "posted":
                for message in self.reads:
                    if message.number == asked["number"]:
                        self._take_results(message, asked)
                # A read that was posted before a crash is posted again.
                self.reads = [message for message in self.reads if message.number != asked["number"]]
            case "event":
                self._take(asked)
            case "answers":
                return [_answer(event_id, reply) for event_id, reply in self.answers.items()]
            case "answered":
                self.answers.pop(asked["event_id"], None)
            case _:
                raise ServiceFault(f"{self.location}: {asked}")
        return None

    def _take_results(self, message: Message, asked: dict[str, Any]) -> None:
        if wrong := set(asked["results"]) - (_RIGHT_DELTAS if message.deltas else _RIGHT):
            raise ServiceFault(f"a read of {self.location} came to {sorted(wrong)}")
        self.gaps = frozenset(asked["gaps"])

    def _take(self, asked: dict[str, Any]) -> None:
        if asked["event_id"] not in self.seen:
            self.seen.add(asked["event_id"])
            kind = OrderEventKind(asked["kind"])
            self.events.append(Handed(asked["event_id"], asked["reference"], kind, asked["quantity"]))
            self.missing.discard((asked["reference"], kind))


class ServiceByRunners(Shop):
    """The whole service, its tills connected by `ringfence.adapters.PosRunner`."""

    name = "ringfence"

    def __init__(self, server: ServerProcess, organization: str, state: Path, killer: Killer) -> None:
        super().__init__(server, organization)
        self._state = state
        self._killer = killer
        self._desks = {location: _Desk(location) for location in LOCATIONS}

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        await self._killer.settled()
        for location in LOCATIONS:
            await self.leave(location)
        await super().__aexit__(kind, error, traceback)

    async def at(self, minute: int) -> None:
        """The server may be killed at any moment of a minute."""
        await super().at(minute)
        self._killer.at(minute)

    async def hand_over(self, location: str, expected: Collection[Expected]) -> list[Handed]:
        """Has the adapter step until all that are expected are with the till."""
        desk = await self._back(location)
        have = {(event.reference, event.kind) for event in desk.events}
        desk.missing = set(expected) - have
        await self._work_off(desk)
        found, desk.events = desk.events, []
        return found

    async def leave(self, location: str) -> None:
        """Ends the adapter in good order: until the way to its orders is up again it only posts."""
        self._desks[location].away = True
        await self._stop(self._desks[location])

    async def _stop(self, desk: _Desk) -> None:
        process, desk.process = desk.process, None
        if process is not None and process.stdin is not None:
            process.stdin.close()
            await process.wait()

    async def reply(self, location: str, replies: Sequence[Reply]) -> None:
        """Has the adapter step until every answer is durable."""
        desk = await self._back(location)
        desk.answers |= {reply.event.event_id: reply for reply in replies}
        await self._work_off(desk)

    async def post(self, message: Message) -> frozenset[str]:
        """Has the adapter step until the read is durable."""
        if not message.skus and not message.lines:
            return frozenset()
        desk = self._desks[message.location]
        desk.reads.append(message)
        await self._work_off(desk)
        return desk.gaps

    async def _back(self, location: str) -> _Desk:
        """The desk of a till whose way to its orders is up."""
        desk = self._desks[location]
        desk.away = False
        if not desk.takes_orders:
            await self._stop(desk)
        return desk

    async def _work_off(self, desk: _Desk) -> None:
        again = False
        for _ in range(_MOST_STEPS):
            clean = await self._step(desk, again=again)
            if clean and not desk.waiting:
                return
            again = not clean
        raise ServiceFault(f"{desk.location}: the adapter does not get on: {len(desk.missing)} events are missing")

    async def _step(self, desk: _Desk, *, again: bool) -> bool:
        """One step of the adapter; False when something failed, or it was killed."""
        if desk.process is None:
            desk.process = await self._start(desk)
        process = desk.process
        assert process.stdin is not None
        assert process.stdout is not None
        wait = _WAIT_MILLISECONDS if desk.missing else 0
        now = int(self.now.timestamp() * 1_000)
        told: Any = {"now": now, "again": again, "wait": wait, "die_after": self._killer.adapter_dies_after()}
        while True:
            try:
                process.stdin.write(json.dumps(told).encode() + b"\n")
                await process.stdin.drain()
                line = await process.stdout.readline()
            except (BrokenPipeError, ConnectionResetError):
                line = b""
            if not line:
                code = await process.wait()
                desk.process = None
                if code == -signal.SIGKILL:
                    self._killer.killed["adapter"] += 1
                else:
                    raise ServiceFault(f"{desk.location}: the adapter ended with {code}")
                return False
            asked = json.loads(line)
            if "done" in asked:
                return not asked["failed"]
            told = desk.tell(asked)

    async def _start(self, desk: _Desk) -> asyncio.subprocess.Process:
        desk.takes_orders = not desk.away
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "scripts.days.adapter",
            *("--target", self._server.target),
            *("--organization", self._organization),
            *("--location", desk.location),
            *("--state", str(self._state / desk.location)),
            *("--start", str(int(self.now.timestamp() * 1_000))),
            *(() if desk.takes_orders else ("--no-orders",)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=1 << 24,
            env=helper_environment(),
        )


def _read(message: Message) -> dict[str, Any]:
    return {
        "number": message.number,
        "position": message.mark.position,
        "epoch": message.mark.epoch,
        "figures": dict(message.figures),
        "deltas": [[delta.sku, delta.change, delta.mark.position, delta.previous] for delta in message.deltas],
        "lines": [
            {
                "line": line.line,
                "bookings": [[mark.position, quantity] for mark, quantity in line.bookings],
                "closed": line.closed,
                "reject_reason": line.reject_reason,
            }
            for line in message.lines
        ],
    }


def _answer(event_id: str, reply: Reply) -> dict[str, str]:
    answer, text = reply.answer, ""
    if isinstance(answer, Received):
        text = answer.document_number
    elif isinstance(answer, (Rejected, NotCancelled)):
        text = answer.reason
    return {"event_id": event_id, "answer": type(answer).__name__, "text": text}
