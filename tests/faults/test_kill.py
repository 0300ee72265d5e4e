"""Servers that are killed: what they answered stands, what they did not answer happened once or not at all."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from threading import Event, Lock

import pytest

from ringfence import Client as RingfenceClient
from ringfence.testing import PostgresServer
from tests.faults.journal import Journal, Record
from tests.faults.reckoning import is_kept, is_replay, reckon, told
from tests.faults.serving import ServerProcess
from tests.faults.traffic import Client, ask_again, opening

ROUNDS = int(os.environ.get("RINGFENCE_CRASH_ROUNDS", "3"))
SEED = int(os.environ.get("RINGFENCE_CRASH_SEED", "1"))
CONNECTIONS = 6


class Moment:
    """When enough was answered."""

    def __init__(self, answers: int) -> None:
        self._left = answers
        self._lock = Lock()
        self._reached = Event()

    def answered(self, count: int) -> None:
        with self._lock:
            self._left -= count
            if self._left <= 0:
                self._reached.set()

    def wait(self) -> None:
        assert self._reached.wait(300), "the servers answer no more"


@pytest.mark.timeout(600 + 300 * ROUNDS)
def test_a_killed_server_loses_nothing_and_does_nothing_twice(tmp_path: Path) -> None:
    """SIGKILL in the midst of traffic, again and again on one file. Afterwards whatever had no answer is asked again
    under its id, and then: every request has one outcome and moved what its caller was told, once; every answer ever
    given comes again, byte by byte; all balances are the sums of the ledger."""
    server = ServerProcess(tmp_path)
    server.start()

    def crash(_number: int, stop_clients: Callable[[], None]) -> None:
        server.kill()
        stop_clients()
        server.start()

    crash_again_and_again(tmp_path, [server], crash)


@pytest.mark.postgres
@pytest.mark.timeout(600 + 300 * ROUNDS)
def test_killed_servers_and_a_killed_database_lose_nothing_and_do_nothing_twice(tmp_path: Path) -> None:
    """The same with two servers of one PostgreSQL database: one of the servers is killed, then PostgreSQL, then both,
    and so on. Answers that one server gave, the other repeats byte by byte."""
    with PostgresServer() as postgres:
        url = postgres.create_database()
        servers = [ServerProcess(tmp_path, url, name=f"server-{number}") for number in range(2)]
        for server in servers:
            server.start()

        def crash(number: int, stop_clients: Callable[[], None]) -> None:
            victim = servers[number // 3 % 2] if number % 3 != 1 else None
            if victim is not None:
                victim.kill()
            if number % 3 != 0:
                postgres.kill()
            stop_clients()
            if number % 3 != 0:
                postgres.start()
            if victim is not None:
                victim.start()

        crash_again_and_again(tmp_path, servers, crash)


def crash_again_and_again(
    tmp_path: Path, servers: list[ServerProcess], crash: Callable[[int, Callable[[], None]], None]
) -> None:
    """Traffic on all servers, and a crash in its midst, in many rounds; then the reckoning. ``crash`` is given the
    round and what ends the clients, and leaves all servers running."""
    random = Random(SEED)
    paths: list[Path] = []
    targets = [server.target for server in servers]
    with Journal(tmp_path / "opening.journal") as journal:
        paths.append(journal.path)
        commands = opening()
        journal.sent(commands)
        journal.answered(list(ask_again(targets[0], commands).values()))
    for number in range(ROUNDS):
        moment = Moment(random.randint(1, 4_000))
        journals = [Journal(tmp_path / f"client-{number}-{client}.journal") for client in range(CONNECTIONS)]
        paths += [journal.path for journal in journals]
        clients = [
            Client(targets[client % len(targets)], journal, random.randrange(2**32), moment.answered)
            for client, journal in enumerate(journals)
        ]
        for client in clients:
            client.start()

        def stop_clients(clients: list[Client] = clients) -> None:
            for client in clients:
                client.stop()

        moment.wait()
        crash(number, stop_clients)
        record = Record(paths)
        lost = record.unanswered
        answers = ask_again(targets[number % len(targets)], lost)
        with journals[0] as journal:
            journal.answered(list(answers.values()))
        for journal in journals[1:]:
            journal.close()
        done = sum(is_replay(answer) and not answer.HasField("error") for answer in answers.values())
        print(
            f"round {number + 1}: {len(record.outcomes)} answered so far; {len(lost)} had no answer, of which {done} "
            "had been carried out",
            file=sys.stderr,
        )
        assert lost, "the kill hit nothing"
    record = Record(paths)
    for target in targets:
        again = ask_again(target, list(record.commands.values()))
        for request_id, answer in again.items():
            assert is_replay(answer), f"carried out a second time: {record.commands[request_id]}"
            assert told(answer) == told(record.outcomes[request_id]) or not is_kept(answer)
        with RingfenceClient(target) as client_of_all:
            report = client_of_all.verify()
            assert (report.done, report.violations) == (True, ())
    for server in servers:
        server.stop()
    assert reckon(servers[0].database_url, record) > 0
