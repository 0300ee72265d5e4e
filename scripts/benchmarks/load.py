"""Loads: closed loops of unary calls and of streams, and an open loop at a fixed rate, over a few connections."""

from __future__ import annotations

import gc
import select
import time
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from scripts.benchmarks.http2 import Connection, MessageReader, ProtocolFailure, readable
from scripts.benchmarks.messages import Bodies, count_outcomes

_now = time.perf_counter
_DRAIN_SECONDS = 30.0
# The status of every business refusal; any other that is not OK is a failure, not an outcome.
_FAILED_PRECONDITION = 9


# What only rises while a load runs, by name: CPU seconds of a process. Read at both ends of a measurement.
Meter = Callable[[], Mapping[str, float]]


@dataclass(slots=True)
class Tally:
    """What came back so far. `latencies` are seconds, one per unary call; streams record none."""

    accepted: int = 0
    refused: int = 0
    failed: int = 0
    # The first failure's trailers, for people.
    failure: bytes = b""
    latencies: array[float] = field(default_factory=lambda: array("d"))


@dataclass(frozen=True)
class Sample:
    """One measurement. Counts are of commands, shares are of one core, `latencies` are sorted seconds."""

    seconds: float
    accepted: int
    refused: int
    failed: int
    generator_share: float
    latencies: Sequence[float]
    # By how much each of the meter's readings rose.
    rise: Mapping[str, float]
    # What can be read of the first failed call; empty where there was none.
    failure: str = ""

    @property
    def rate(self) -> float:
        """Commands answered a second, accepted or refused."""
        return (self.accepted + self.refused) / self.seconds

    def cost(self, reading: str) -> float:
        """By how much a reading of the meter rose for each command answered."""
        return self.rise[reading] / (self.accepted + self.refused)

    def latency(self, share: float) -> float:
        """The latency in seconds that `share` (0 to 1) of the calls stayed within."""
        if not self.latencies:
            raise ValueError("this load recorded no latencies")
        return self.latencies[min(len(self.latencies) - 1, int(share * len(self.latencies)))]


class Caller(Protocol):
    """One connection's part of a load."""

    connection: Connection

    @property
    def in_flight(self) -> int:
        """Commands sent and not answered."""

    def start(self) -> None:
        """Sends the first messages."""

    def stop(self) -> None:
        """Sends nothing more; what is in flight is still awaited."""


class UnaryCaller:
    """Keeps `depth` unary calls in flight on a connection; with depth 0 it calls only when told to."""

    def __init__(self, connection: Connection, bodies: Bodies, tally: Tally, depth: int) -> None:
        if depth > connection.max_streams:
            raise ProtocolFailure(f"the server allows {connection.max_streams} calls a connection, {depth} are wanted")
        self.connection = connection
        connection.handler = self
        self._bodies = bodies
        self._tally = tally
        self._depth = depth
        self._running = False
        self._started: dict[int, float] = {}

    @property
    def in_flight(self) -> int:
        return len(self._started)

    def start(self) -> None:
        self._running = self._depth > 0
        for _ in range(self._depth):
            self.issue(_now())

    def stop(self) -> None:
        self._running = False

    def issue(self, began: float) -> None:
        """Sends one call whose latency counts from `began`."""
        self._started[self.connection.call(self._bodies())] = began

    def data(self, stream: int, buffer: bytes, start: int, end: int) -> None:
        """Nothing: what a unary call came to stands in its status."""

    def end(self, stream: int, status: int, trailers: bytes) -> None:
        now = _now()
        tally = self._tally
        tally.latencies.append(now - self._started.pop(stream))
        if status == 0:
            tally.accepted += 1
        elif status == _FAILED_PRECONDITION:
            tally.refused += 1
        else:
            tally.failed += 1
            tally.failure = tally.failure or trailers
        if self._running:
            self.issue(now)

    def reset(self, stream: int, code: int) -> None:
        # gRPC servers may follow their trailers with RST_STREAM(NO_ERROR): that call has been counted.
        if self._started.pop(stream, None) is not None:
            self._tally.failed += 1
            if self._running:
                self.issue(_now())


class StreamCaller:
    """Keeps `depth` commands in flight on each of `streams` bidirectional calls, `batch` commands a message."""

    def __init__(
        self, connection: Connection, bodies: Bodies, tally: Tally, *, streams: int, depth: int, batch: int
    ) -> None:
        self.connection = connection
        connection.handler = self
        self._bodies = bodies
        self._tally = tally
        self._streams = streams
        self._depth = max(depth, batch)
        self._batch = batch
        self._running = False
        self._outstanding: dict[int, int] = {}
        self._readers: dict[int, MessageReader] = {}

    @property
    def in_flight(self) -> int:
        # A stream that was half-closed is in flight until its trailers came: then it can be followed by another.
        return sum(self._outstanding.values()) + (0 if self._running else len(self._outstanding))

    def start(self) -> None:
        self._running = True
        for _ in range(self._streams):
            stream = self.connection.open()
            self._outstanding[stream] = 0
            self._readers[stream] = MessageReader()
            self._fill(stream)

    def stop(self) -> None:
        self._running = False
        for stream in self._outstanding:
            self.connection.half_close(stream)

    def _fill(self, stream: int) -> None:
        room = (self._depth - self._outstanding[stream]) // self._batch
        if room > 0:
            self._outstanding[stream] += room * self._batch
            bodies = self._bodies
            self.connection.send(stream, b"".join([bodies() for _ in range(room)]))

    def data(self, stream: int, buffer: bytes, start: int, end: int) -> None:
        accepted = refused = 0
        for source, first, last in self._readers[stream].feed(buffer, start, end):
            done, not_done = count_outcomes(source, first, last)
            accepted += done
            refused += not_done
        if accepted or refused:
            self._tally.accepted += accepted
            self._tally.refused += refused
            self._outstanding[stream] -= accepted + refused
            if self._running:
                self._fill(stream)

    def end(self, stream: int, status: int, trailers: bytes) -> None:
        lost = self._outstanding.pop(stream)
        self._tally.failed += lost
        if self._running or lost or status:
            raise ProtocolFailure(f"the server ended a stream of commands under load: {readable(trailers)}")

    def reset(self, stream: int, code: int) -> None:
        if stream in self._outstanding:
            raise ProtocolFailure(f"the server reset a stream of commands, code {code}")


class Load:
    """Drives callers from one thread. The sockets are few, so plain select does, and it waits in microseconds."""

    def __init__(self, callers: Sequence[Caller], tally: Tally, meter: Meter) -> None:
        self._callers = callers
        self._connections = [caller.connection for caller in callers]
        self._tally = tally
        self._meter = meter

    @property
    def answered(self) -> int:
        """Commands answered since the beginning, in warm-up and while draining too."""
        return self._tally.accepted + self._tally.refused

    @property
    def failed(self) -> int:
        """Calls since the beginning that came to nothing of the kind."""
        return self._tally.failed

    def measure(self, seconds: float, warm_up: float) -> Sample:
        """Runs the callers' closed loops; counts what is answered after `warm_up`, then drains what is in flight."""
        return self._measured(self._run, seconds, warm_up)

    def measure_at(self, rate: float, seconds: float, warm_up: float) -> Sample:
        """Makes unary calls at `rate` a second whatever the answers do, and times each from when it was due: a server
        that stalls is charged for the calls that had to wait (no coordinated omission)."""
        callers = [caller for caller in self._callers if isinstance(caller, UnaryCaller)]
        due = _now()
        turn = 0

        def run(until: float) -> None:
            nonlocal due, turn
            while (now := _now()) < until:
                while due <= now:
                    callers[turn % len(callers)].issue(due)
                    turn += 1
                    due += 1 / rate
                self._step(max(0.0, min(due, until) - _now()))

        return self._measured(run, seconds, warm_up)

    def close(self) -> None:
        """Closes the connections."""
        for connection in self._connections:
            connection.close()

    def _measured(self, run: Callable[[float], None], seconds: float, warm_up: float) -> Sample:
        gc.collect()
        gc.disable()
        try:
            for caller in self._callers:
                caller.start()
            run(_now() + warm_up)
            tally = self._tally
            before = (tally.accepted, tally.refused, tally.failed, len(tally.latencies))
            own, readings, began = time.process_time(), self._meter(), _now()
            run(began + seconds)
            took = _now() - began
            own = time.process_time() - own
            rise = {name: reading - readings[name] for name, reading in self._meter().items()}
            after = (tally.accepted, tally.refused, tally.failed, len(tally.latencies))
            for caller in self._callers:
                caller.stop()
            self._drain()
        finally:
            gc.enable()
        return Sample(
            seconds=took,
            accepted=after[0] - before[0],
            refused=after[1] - before[1],
            failed=after[2] - before[2],
            generator_share=own / took,
            latencies=sorted(tally.latencies[before[3] : after[3]]),
            rise=rise,
            failure=readable(tally.failure) if tally.failure else "",
        )

    def _run(self, until: float) -> None:
        while (left := until - _now()) > 0:
            self._step(left)

    def _drain(self) -> None:
        until = _now() + _DRAIN_SECONDS
        while any(caller.in_flight for caller in self._callers):
            if _now() > until:
                raise ProtocolFailure(f"calls in flight were not answered within {_DRAIN_SECONDS:.0f} s")
            self._step(0.1)

    def _step(self, timeout: float) -> None:
        waiting = [connection for connection in self._connections if connection.wants_write]
        for connection in waiting:
            connection.flush()
        waiting = [connection for connection in waiting if connection.wants_write]
        readable, writable, _ = select.select(self._connections, waiting, (), timeout)
        for connection in readable:
            connection.receive()
            connection.flush()
        for connection in writable:
            connection.flush()


def unary(
    host: str,
    ports: Sequence[int],
    method: str,
    metadata: dict[str, str],
    bodies: Bodies,
    meter: Meter,
    *,
    in_flight: int,
    connections: int,
) -> Load:
    """A load of unary calls: `in_flight` of them over `connections`, which the servers at `ports` share evenly; with 0
    in flight for `Load.measure_at`."""
    tally = Tally()
    callers = [
        UnaryCaller(
            Connection(host, ports[n % len(ports)], method, metadata),
            bodies,
            tally,
            in_flight // connections + (n < in_flight % connections),
        )
        for n in range(connections)
    ]
    return Load(callers, tally, meter)


def streams(
    host: str,
    ports: Sequence[int],
    method: str,
    metadata: dict[str, str],
    bodies: Bodies,
    meter: Meter,
    *,
    in_flight: int,
    batch: int,
    connections: int,
) -> Load:
    """A load of one bidirectional stream on each connection: `in_flight` commands over all, `batch` a message. The
    servers at `ports` share the connections evenly."""
    tally = Tally()
    callers = [
        StreamCaller(
            Connection(host, ports[n % len(ports)], method, metadata),
            bodies,
            tally,
            streams=1,
            depth=in_flight // connections,
            batch=batch,
        )
        for n in range(connections)
    ]
    return Load(callers, tally, meter)
