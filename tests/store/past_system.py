"""A store whose every state is read and remembered, to be asked for again later."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, NamedTuple

from ringfence_server.ledger.balance import Balance, BalanceFilter, balances_of
from ringfence_server.ledger.policy import Policy
from ringfence_server.ledger.reading import KeyFilter
from ringfence_server.ledger.state import Stock
from ringfence_server.store.reader import Reader
from tests.ledger.engine import ORGANIZATION
from tests.properties.ledger_system import policy_of
from tests.properties.store_system import StoreEngine, StoreSystem
from tests.properties.system import Rules

_KEYS_A_READ = 3


class Seen(NamedTuple):
    """Everything that a read says of a stock key."""

    balances: list[Balance]
    supply: int
    promised: int
    pools: dict[str, tuple[int, ...]]
    measures: dict[str, tuple[Any, ...]]


class PastEngine(StoreEngine):
    """Looks after every decision, and on the way to every later moment, before anything that is due is written."""

    def __init__(self, policy: Policy) -> None:
        super().__init__(policy)
        self.remembered: dict[int, dict[str, Seen]] = {}
        self._open()

    def _open(self) -> None:
        self._reader = Reader(self._desk.store.url, self._desk.clock, self._desk.store.moments)
        self._run(self._reader.open())

    def decide(self, *arguments: Any, **options: Any) -> Any:
        decision = super().decide(*arguments, **options)
        self.look()
        return decision

    def advance(self, *, minutes: int = 0, seconds: int = 0, microseconds: int = 0) -> None:
        whole = timedelta(minutes=minutes, seconds=seconds, microseconds=microseconds)
        for step in (whole // 2, whole - whole // 2):
            self._desk.clock.advance(step)
            self.look()

    def restart(self) -> None:
        self._run(self._reader.close())
        super().restart()
        self._open()
        # A start takes longer than a microsecond; with a clock that stands, reads and writes of one instant would lie
        # on both sides of it.
        now = self._desk.clock.now()
        self.remembered = {instant: seen for instant, seen in self.remembered.items() if instant < now}

    def look(self) -> None:
        """Reads everything as it is now and remembers it."""
        instant, found = self._run(self._read(None))
        before = self.remembered.setdefault(instant, found)
        assert before == found, "two reads of one instant differ"

    def look_back(self) -> None:
        """Every instant that was read answers what it answered then."""
        for instant, seen in self.remembered.items():
            again, found = self._run(self._read(instant))
            assert again == instant
            assert found == seen, f"at {instant}"

    def close(self) -> None:
        self._run(self._reader.close())
        super().close()

    async def _read(self, read_time: int | None) -> tuple[int, dict[str, Seen]]:
        found: dict[str, Seen] = {}
        async with self._reader.snapshot(ORGANIZATION, read_time) as snapshot:
            start = None
            while True:
                read = await snapshot.keys(KeyFilter(ORGANIZATION), start, _KEYS_A_READ)
                for stock in read.stocks:
                    found[f"{stock.key.sku} {stock.key.location}"] = seen(snapshot.policy, stock)
                start = read.last
                if start is None:
                    return snapshot.moment.instant, found


def seen(policy: Policy, stock: Stock) -> Seen:
    """What is remembered of a stock key."""
    return Seen(
        # A token of a past state need not be the same, only cover as much.
        [balance._replace(revision=0) for balance in balances_of(policy, stock, BalanceFilter())],
        stock.supply,
        stock.promised,
        {
            pool.path: figures
            for pool in stock.pools.values()
            if any(figures := (pool.free, pool.held, pool.unsettled, pool.consumed, pool.taken))
        },
        {
            value.measure: (value.value, value.mark, value.source, value.count_time, value.record_time)
            for value in stock.measures.values()
        },
    )


class PastSystem(StoreSystem):
    """Remembers what reads answer; asks again before it closes."""

    engine: PastEngine

    def start(self, rules: Rules) -> None:
        self.engine = PastEngine(policy_of(rules))
        self._orders = []

    def close(self) -> None:
        try:
            self.engine.look_back()
        finally:
            super().close()
