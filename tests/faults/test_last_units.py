"""More callers than units: what is there is given out to the last unit, and not one unit more."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Final

import pytest
from sqlalchemy import create_engine

from ringfence import InsufficientQuantity, Line, ReserveResult, StockFigure
from ringfence.testing import RingfenceServer
from ringfence_server.ledger.policy import Policy
from ringfence_server.ledger.state import EntryKind
from tests.store.audit import audit

CLIENTS: Final = 300
UNITS: Final = 100
NORTH: Final = "north"


class Shopper:
    """A client with a connection of its own that wants one unit, and asks as clients in trouble do."""

    def __init__(self, server: RingfenceServer, sku: str, random: Random) -> None:
        # A pool of its own: otherwise gRPC has all clients of a process share one connection.
        options = (("grpc.use_local_subchannel_pool", 1),)
        self._client = server.async_client(caller="shop", options=options, timeout=timedelta(seconds=60))
        self._request_id = self._client.config.request_ids()
        self._line = Line(sku, NORTH, 1)
        self._random = random
        self.reservations: set[str] = set()
        self.refusals: list[tuple[int, int]] = []
        self.answers = 0

    async def shop(self) -> None:
        """One request in many copies: one whose caller hangs up, two at once, and one after the answer."""
        async with self._client:
            given_up = asyncio.ensure_future(self._ask())
            for _ in range(self._random.randrange(6)):
                await asyncio.sleep(0)
            given_up.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await given_up
            await asyncio.gather(self._ask(), self._ask())
            await self._ask()

    async def _ask(self) -> None:
        try:
            result: ReserveResult = await self._client.reserve(
                self._line, ttl=timedelta(hours=1), request_id=self._request_id
            )
        except InsufficientQuantity as short:
            self.refusals += [(each.requested, each.available) for each in short.shortages]
        else:
            self.reservations.add(result.reservation.reservation_id)
        self.answers += 1


async def _rush(server: RingfenceServer, skus: list[str], seed: int) -> list[Shopper]:
    random = Random(seed)
    shoppers = [Shopper(server, skus[number % len(skus)], random) for number in range(CLIENTS)]
    random.shuffle(shoppers)
    await asyncio.gather(*(shopper.shop() for shopper in shoppers))
    return shoppers


@pytest.mark.parametrize("run", range(3))
@pytest.mark.parametrize("keys", [1, 20], ids=["hot", "spread"])
def test_three_hundred_clients_get_the_last_hundred_units(tmp_path: Path, keys: int, run: int) -> None:
    """Exactly a hundred of them, each one unit: on one key, and on twenty that have five each. Every request arrives
    several times, once of a caller that hangs up at some moment; all its copies have the same end."""
    database = tmp_path / "ringfence.db"
    skus = [f"BIKE-{number}" for number in range(keys)]
    with RingfenceServer(in_memory=False, database_url=f"sqlite:///{database}") as server:
        client = server.client()
        client.post_stock([StockFigure(sku, NORTH, UNITS // keys) for sku in skus])
        shoppers = asyncio.run(_rush(server, skus, run))
        balances = [client.balance(sku, NORTH) for sku in skus]
        report = client.verify()
        assert (report.done, report.violations) == (True, ())
    lucky = [shopper for shopper in shoppers if shopper.reservations]
    assert len(lucky) == UNITS
    assert all(len(shopper.reservations) == 1 and not shopper.refusals for shopper in lucky)
    assert {each for shopper in shoppers for each in shopper.refusals} == {(1, 0)}
    assert all(shopper.answers >= 3 for shopper in shoppers)
    assert len({each for shopper in lucky for each in shopper.reservations}) == UNITS
    for balance in balances:
        assert balance is not None
        assert (balance.available, balance.held) == (0, UNITS // keys)
    engine = create_engine(f"sqlite:///{database}")
    with engine.connect() as connection:
        found = audit(connection, Policy())
    engine.dispose()
    held = [entry for entry in found.entries if entry.kind == EntryKind.RESERVE]
    assert (len(held), sum(entry.quantity for entry in held)) == (UNITS, UNITS)
