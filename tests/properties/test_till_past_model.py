"""What a store with tills answered once, it answers again when it is asked for that instant."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis.stateful import run_state_machine_as_test

from ringfence_server.ledger.commands import Command
from ringfence_server.ledger.outcomes import Decision
from ringfence_server.ledger.policy import Policy
from ringfence_server.ledger.reading import KeyFilter
from ringfence_server.store.reader import Reader, sqlite_reader
from tests.ledger.engine import CALLER, ORGANIZATION
from tests.ledger.world import TILLS
from tests.properties.profiles import TIMEOUT_SECONDS, searching
from tests.properties.till_machine import TillMachine
from tests.store.past_system import Seen, seen
from tests.store.stored_world import StoredWorld


class PastWorld(StoredWorld):
    """Looks after every command, at a moment of its own, and in the end looks back."""

    def __init__(self, policy: Policy) -> None:
        self.remembered: dict[int, dict[str, Seen]] = {}
        super().__init__(policy)

    def _prepare(self) -> None:
        begin = self.desk.store.moments.begin
        super()._prepare()
        self.desk.store.moments.begin = begin  # type: ignore[method-assign]

    def decide(self, command: Command, *, caller: str = CALLER) -> Decision:
        # Twice: what is due is written at one moment, the command at the next.
        super().advance(microseconds=500)
        super().advance(microseconds=500)
        decision = super().decide(command, caller=caller)
        self._run(self._look())
        return decision

    async def _look(self) -> None:
        reader = sqlite_reader(self.desk.store.url, self.desk.clock, self.desk.store.moments)
        await reader.open()
        try:
            instant, found = await _read(reader, None)
            self.remembered[instant] = found
        finally:
            await reader.close()

    def look_back(self) -> None:
        """Every instant that was read answers what it answered then."""
        self._run(self._look_back())

    async def _look_back(self) -> None:
        reader = sqlite_reader(self.desk.store.url, self.desk.clock, self.desk.store.moments)
        await reader.open()
        try:
            for instant, before in self.remembered.items():
                assert await _read(reader, instant) == (instant, before), f"at {instant}"
        finally:
            await reader.close()


async def _read(reader: Reader, read_time: int | None) -> tuple[int, dict[str, Seen]]:
    async with reader.snapshot(ORGANIZATION, read_time) as snapshot:
        read = await snapshot.keys(KeyFilter(ORGANIZATION), None, 100)
        found = {str(stock.key): seen(snapshot.policy, stock) for stock in read.stocks}
        return snapshot.moment.instant, found


class PastTillMachine(TillMachine):
    """The two tills, and reads."""

    world: Any

    def __init__(self) -> None:
        super().__init__()
        self.world = PastWorld(TILLS)

    def teardown(self) -> None:
        try:
            self.world.look_back()
        finally:
            StoredWorld.close_all()


@pytest.mark.timeout(TIMEOUT_SECONDS)
def test_the_past_of_tills_stays_what_it_was() -> None:
    """Settlements, cancellations, moved sales and undone bookings are taken back from the present, exactly: free, held,
    unsettled and consumed units, and the figures with their positions and epochs."""
    run_state_machine_as_test(PastTillMachine, settings=searching(6, steps=25))
