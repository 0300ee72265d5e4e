"""Several servers of one PostgreSQL database, which are killed in turn while a replay goes on."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

from ringfence.testing import PostgresNotFound, PostgresServer
from scripts.replaying.server import OwnServer, ServerFailed


class SeveralServers:
    """Servers, and a PostgreSQL of their own that is gone afterwards, for `with`."""

    def __init__(self, directory: Path, count: int) -> None:
        """`directory` takes the servers' logs. Raises ServerFailed when there is no PostgreSQL on this machine."""
        self._directory = directory
        self._count = count
        self._stack = contextlib.ExitStack()
        self._servers: list[OwnServer] = []
        self.target = ""
        """All of them, as gRPC writes it: a client uses one, and goes to the next when it is gone."""

    def __enter__(self) -> SeveralServers:
        with contextlib.ExitStack() as stack:
            try:
                postgres = stack.enter_context(PostgresServer())
            except PostgresNotFound as absent:
                raise ServerFailed(str(absent)) from None
            url = postgres.create_database("replay")
            for number in range(self._count):
                server = OwnServer(self._directory, url, f"server-{number}")
                self._servers.append(stack.enter_context(server))
            self._stack = stack.pop_all()
        self.target = "ipv4:" + ",".join(server.target for server in self._servers)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def kill(self, number: int) -> None:
        """Kills one, counted round, and starts it again."""
        self._servers[number % self._count].kill_and_start()


class Killer:
    """Kills so many times, evenly over the lines of a replay; a thread, for `with`."""

    def __init__(self, servers: SeveralServers, kills: int, lines: int) -> None:
        self._servers = servers
        self._marks = [lines * (number + 1) // (kills + 1) for number in range(kills)]
        self._at = 0
        self._ended = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="killer")
        self.done = 0
        """How often it has killed."""
        self.fault: BaseException | None = None
        """A server that did not start again."""

    def at(self, lines: int) -> None:
        """The replay has come so far."""
        with self._changed:
            self._at = lines
            self._changed.notify_all()

    def __enter__(self) -> Killer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._thread.join()

    def _run(self) -> None:
        try:
            for number, mark in enumerate(self._marks):
                with self._changed:
                    self._changed.wait_for(lambda mark=mark: self._ended or self._at >= mark)  # type: ignore[misc]
                    if self._ended:
                        return
                self._servers.kill(number)
                self.done += 1
        except BaseException as fault:
            self.fault = fault
