"""The replay's own check finds what is wrong, were the service to do it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ringfence import AsyncClient, StockKey
from ringfence.v1 import common_pb2
from ringfence.v1 import ledger_service_pb2 as ledger
from scripts.replaying.audit import Audit
from scripts.replaying.replay import LOCATION
from scripts.replaying.tally import Movements, Tally

FREE, HELD, OUTSIDE, SOLD = ledger.PLACE_FREE, ledger.PLACE_HELD, ledger.PLACE_OUTSIDE, ledger.PLACE_SOLD
DAY = datetime(2011, 5, 2, tzinfo=UTC)


def entry(kind: int, quantity: int, start: int, end: int, *, path: str = "", to_path: str = "") -> ledger.Entry:
    """A movement of item A."""
    return ledger.Entry(
        key=common_pb2.StockKey(sku="A", location=LOCATION),
        kind=cast(Any, kind),
        quantity=quantity,
        from_place=cast(Any, start),
        from_path=path,
        to_place=cast(Any, end),
        to_path=to_path,
    )


POSTED = entry(ledger.ENTRY_KIND_SUPPLY, 10, OUTSIDE, FREE)
FENCED = entry(ledger.ENTRY_KIND_ALLOCATE, 4, FREE, FREE, to_path="web")
HELD_6 = entry(ledger.ENTRY_KIND_RESERVE, 6, FREE, HELD)
HELD_3_FENCED = entry(ledger.ENTRY_KIND_RESERVE, 3, FREE, HELD, path="web")
SOLD_6 = entry(ledger.ENTRY_KIND_CONSUME, 6, HELD, SOLD)


class Service:
    """What AsyncClient would answer, of one item A: the state of its pools, and a ledger, oldest entry first."""

    def __init__(
        self,
        *entries: ledger.Entry,
        fenced: int = 4,
        on_hand: int = 4,
        supply: int = 4,
        held: int = 0,
        consumed: int = 6,
    ) -> None:
        self.free = {"": 0, "web": fenced}
        self.entries = entries
        self.on_hand, self.supply, self.held, self.consumed = on_hand, supply, held, consumed

    async def list_stock(self, **_: object) -> AsyncIterator[Any]:
        on_hand = SimpleNamespace(value=self.on_hand)
        yield SimpleNamespace(key=StockKey("A", LOCATION), measures={"on_hand": on_hand}, supply=self.supply)

    async def query_balance(self, *_: object, **__: object) -> AsyncIterator[Any]:
        for path, free in self.free.items():
            yield SimpleNamespace(
                key=StockKey("A", LOCATION),
                path=path,
                allocated=free + self.held,
                held=self.held,
                unsettled=0,
                consumed=self.consumed if not path else 0,
                supply=self.supply,
            )

    def list_entries(self, **_: object) -> Any:
        async def pages() -> AsyncIterator[Any]:
            for each in reversed(self.entries):
                yield SimpleNamespace(raw=ledger.ListEntriesResponse(entries=[each]))

        return SimpleNamespace(pages=pages)


def counted(**movements: int) -> Tally:
    """What was counted on this side: 10 posted and 6 sold, but for what is given."""
    return Tally(movements={"A": Movements(**{"opening": 10, "sold": 6, **movements})})


async def audited(service: Service, tally: Tally) -> Audit:
    """The whole audit."""
    audit, client = Audit(), cast(AsyncClient, service)
    await audit.compare_stock(client, tally)
    await audit.compare_balances(client, tally)
    await audit.walk_ledger(client, lambda _: None)
    return audit


async def test_books_that_agree_are_accepted() -> None:
    """10 came in, 4 of them are fenced, 6 were sold, 4 are left."""
    audit = await audited(Service(POSTED, FENCED, HELD_6, SOLD_6), counted())
    assert audit.violations == []
    assert audit.ok
    assert (audit.skus, audit.entries, audit.promises, audit.below_zero) == (1, 4, 1, 0)


@pytest.mark.parametrize(
    ("service", "tally", "complaint"),
    [
        (Service(POSTED, FENCED, HELD_6, SOLD_6, on_hand=5), counted(), "on hand 5"),
        (Service(POSTED, FENCED, HELD_6, SOLD_6, supply=5), counted(), "supply 5"),
        (Service(POSTED, FENCED, HELD_6, SOLD_6), counted(sold=7), "own count 3"),
        (Service(POSTED, FENCED, HELD_6, SOLD_6), counted(opening=4, written_off=-6), "6 sold of 4"),
        (Service(POSTED, FENCED, HELD_6, SOLD_6, held=1), counted(), "still held"),
        (Service(POSTED, FENCED, HELD_6, SOLD_6, consumed=5), counted(), "5 consumed"),
        (Service(FENCED, HELD_6, SOLD_6), counted(), "begins with 10 free"),
        (Service(HELD_6, SOLD_6, POSTED, FENCED), counted(), "oversold by 6"),
        (
            Service(POSTED, HELD_3_FENCED, FENCED, HELD_6, SOLD_6, fenced=1),
            counted(),
            "A, web: -3 free after",
        ),
    ],
)
async def test_books_that_do_not_agree_are_told(service: Service, tally: Tally, complaint: str) -> None:
    """A wrong count, a wrong pool, a lost entry, a promise of what was not there: each is said with its figures."""
    audit = await audited(service, tally)
    assert not audit.ok
    assert any(complaint in violation for violation in audit.violations), audit.violations


async def test_an_item_that_the_service_does_not_know_is_missed() -> None:
    """Nothing that was counted may vanish."""
    tally = counted()
    tally.of("B").opening = 1
    assert any("1 SKUs are missing" in violation for violation in (await audited(Service(), tally)).violations)


async def test_a_negative_count_is_a_fact_and_not_a_violation() -> None:
    """More was written off than was left: no promise did that."""
    lost = entry(ledger.ENTRY_KIND_SUPPLY, 7, FREE, OUTSIDE)
    service = Service(POSTED, FENCED, HELD_6, SOLD_6, lost, on_hand=-3, supply=-3)
    service.free[""] = -7
    audit = await audited(service, counted(written_off=7))
    assert audit.violations == []
    assert audit.below_zero == 1


def test_an_audit_that_was_not_finished_is_not_passed() -> None:
    """A service that went away before the end proves nothing."""
    assert not Audit().ok
