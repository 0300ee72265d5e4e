"""A server that is killed: what it answered stands, what it did not answer happened once or not at all."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from random import Random
from threading import Event, Lock

import pytest

from ringfence import Client as RingfenceClient
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
        assert self._reached.wait(100), "the server answers no more"


@pytest.mark.timeout(60 + 60 * ROUNDS)
def test_a_killed_server_loses_nothing_and_does_nothing_twice(tmp_path: Path) -> None:
    """SIGKILL in the midst of traffic, again and again on one file. Afterwards whatever had no answer is asked again
    under its id, and then: every request has one outcome and moved what its caller was told, once; every answer ever
    given comes again, byte by byte; all balances are the sums of the ledger."""
    random = Random(SEED)
    paths: list[Path] = []
    server = ServerProcess(tmp_path)
    server.start()
    with Journal(tmp_path / "opening.journal") as journal:
        paths.append(journal.path)
        commands = opening()
        journal.sent(commands)
        journal.answered(list(ask_again(server.target, commands).values()))
    for number in range(ROUNDS):
        moment = Moment(random.randint(1, 4_000))
        journals = [Journal(tmp_path / f"client-{number}-{client}.journal") for client in range(CONNECTIONS)]
        paths += [journal.path for journal in journals]
        clients = [Client(server.target, journal, random.randrange(2**32), moment.answered) for journal in journals]
        for client in clients:
            client.start()
        moment.wait()
        server.kill()
        for client in clients:
            client.stop()
        server.start()
        record = Record(paths)
        lost = record.unanswered
        answers = ask_again(server.target, lost)
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
    again = ask_again(server.target, list(record.commands.values()))
    for request_id, answer in again.items():
        assert is_replay(answer), f"carried out a second time: {record.commands[request_id]}"
        assert told(answer) == told(record.outcomes[request_id]) or not is_kept(answer)
    with RingfenceClient(server.target) as client_of_all:
        report = client_of_all.verify()
        assert (report.done, report.violations) == (True, ())
    server.stop()
    assert reckon(server.database, record) > 0
