"""What is checked at the end, beside the service's own Verify: does what it says agree with what was counted here?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ringfence import AsyncClient, BalanceFilter
from ringfence.v1 import ledger_service_pb2 as ledger
from scripts.replaying.replay import LOCATION
from scripts.replaying.tally import Tally

_PAGE_SIZE = 1_000
_PROMISES = frozenset({ledger.ENTRY_KIND_RESERVE, ledger.ENTRY_KIND_CONSUME, ledger.ENTRY_KIND_REVIVE})


@dataclass
class Audit:
    """What was found."""

    skus: int = 0
    """SKUs compared."""
    below_zero: int = 0
    """SKUs of which more was written off than was left: facts, not promises."""
    free: dict[tuple[str, str], int] = field(default_factory=dict)
    """Free units by SKU and path, at the end."""
    sold_by_pool: dict[str, int] = field(default_factory=dict)
    """Units sold less units cancelled, by the path of the pool that gave them."""
    entries: int = 0
    """Ledger entries walked."""
    promises: int = 0
    """Of them those that took free units."""
    violations: list[str] = field(default_factory=list)
    """What does not add up, in words."""
    complete: bool = False
    """Whether the ledger was walked to its beginning."""

    @property
    def ok(self) -> bool:
        """Whether all was looked at and everything adds up."""
        return self.complete and not self.violations

    def _expect(self, holds: bool, violation: str) -> None:
        if not holds:
            self.violations.append(violation)

    async def compare_stock(self, client: AsyncClient, tally: Tally) -> None:
        """Compares each SKU's count with what was posted, sold and taken back; and asks that no more was sold than ever
        came in."""
        found = set()
        async for stock in client.list_stock(locations=[LOCATION], page_size=_PAGE_SIZE):
            sku = stock.key.sku
            found.add(sku)
            counted = tally.of(sku)
            on_hand = stock.measures["on_hand"].value
            self._expect(
                on_hand == stock.supply == counted.on_hand,
                f"{sku}: on hand {on_hand}, supply {stock.supply}, by our own count {counted.on_hand}",
            )
            kept, came_in = counted.sold - counted.cancelled, counted.opening + counted.returned
            self._expect(0 <= kept <= came_in, f"{sku}: {kept} sold of {came_in} that ever were there")
            self.below_zero += on_hand < 0
        self.skus = len(found)
        unknown = tally.movements.keys() - found
        self._expect(not unknown, f"{len(unknown)} SKUs are missing, such as {', '.join(sorted(unknown)[:5])}")

    async def compare_balances(self, client: AsyncClient, tally: Tally) -> None:
        """Asks that nothing is held any more, and that the pools of each SKU add up to its supply and its sales."""
        supply: dict[str, int] = {}
        free: dict[str, int] = {}
        consumed: dict[str, int] = {}
        async for balance in client.query_balance(BalanceFilter(locations=[LOCATION]), page_size=_PAGE_SIZE):
            sku, path = balance.key.sku, balance.path
            own = balance.allocated - balance.held
            self._expect(
                not balance.held and not balance.unsettled, f"{sku}, {path or 'common pool'}: something is still held"
            )
            self._expect(not path or own >= 0, f"{sku}, {path}: {own} free")
            supply[sku] = balance.supply
            free[sku] = free.get(sku, 0) + own
            consumed[sku] = consumed.get(sku, 0) + balance.consumed
            self.free[sku, path] = own
            self.sold_by_pool[path] = self.sold_by_pool.get(path, 0) + balance.consumed
        for sku, counted in tally.movements.items():
            kept = counted.sold - counted.cancelled
            self._expect(free.get(sku) == supply.get(sku), f"{sku}: {free.get(sku)} free, supply {supply.get(sku)}")
            self._expect(consumed.get(sku) == kept, f"{sku}: {consumed.get(sku)} consumed, by our own count {kept}")

    async def walk_ledger(self, client: AsyncClient, progress: Callable[[int], None]) -> None:
        """Walks the ledger back from the balances to the beginning, and asks that no promise ever took what was not
        there: after each one the free units of its SKU, over all pools, are not below zero, and neither are those of a
        ring-fence. At the beginning there must be nothing.

        After `compare_balances`. `progress` gets the entries walked so far.
        """
        free = dict(self.free)
        total: dict[str, int] = {}
        for (sku, _), units in free.items():
            total[sku] = total.get(sku, 0) + units
        async for page in client.list_entries(page_size=_PAGE_SIZE).pages():
            answer = page.raw
            if not isinstance(answer, ledger.ListEntriesResponse):
                raise TypeError(f"ListEntries answered {type(answer).__name__}")
            for entry in answer.entries:
                self._undo(entry, free, total)
            self.entries += len(answer.entries)
            progress(self.entries)
        for (sku, path), units in free.items():
            self._expect(not units, f"{sku}, {path or 'common pool'}: the ledger begins with {units} free")
        self.complete = True

    def _undo(self, entry: ledger.Entry, free: dict[tuple[str, str], int], total: dict[str, int]) -> None:
        sku, quantity = entry.key.sku, entry.quantity
        if entry.from_place == ledger.PLACE_FREE:
            pool = (sku, entry.from_path)
            if entry.kind in _PROMISES:
                self.promises += 1
                self._expect(total[sku] >= 0, f"{sku}: oversold by {-total[sku]} in ledger entry {entry.sequence}")
            self._expect(
                not entry.from_path or free[pool] >= 0,
                f"{sku}, {entry.from_path}: {free[pool]} free after ledger entry {entry.sequence}",
            )
            free[pool] = free.get(pool, 0) + quantity
            total[sku] = total.get(sku, 0) + quantity
        if entry.to_place == ledger.PLACE_FREE:
            pool = (sku, entry.to_path)
            free[pool] = free.get(pool, 0) - quantity
            total[sku] = total.get(sku, 0) - quantity
