"""Allocate, Unallocate, Reallocate: moving free units between the pools of a stock key."""

from __future__ import annotations

from collections.abc import Iterable

from .checks import located_stock, path_violation
from .commands import Allocate, Reallocate, Unallocate
from .journal import Batch
from .names import COMMON, MAX_INT64, StockKey
from .outcomes import (
    Insufficient,
    Invalid,
    Overflow,
    PoolsChanged,
    Refusal,
    Shortage,
    ShortageReason,
    StockNotFound,
    Violation,
)
from .policy import Policy
from .state import EntryKind, Place, Pool, Stock


class _Transfers:
    """Transfers of one request, tried in order on what earlier lines left; nothing moves before all are accepted."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._change: dict[tuple[int, str], int] = {}
        self.accepted: list[tuple[Stock, str, str, int]] = []
        self.short: list[Shortage] = []

    def free(self, stock: Stock, path: str) -> int:
        pool = stock.pools.get(path)
        return (pool.free if pool is not None else 0) + self._change.get((stock.stock_id, path), 0)

    def transfer(self, number: int, stock: Stock, giver: str, taker: str, asked_path: str, quantity: int) -> None:
        """Accepts one line, or notes why it is short: the giver's free units, or the taker's quota_cap."""
        free = max(0, self.free(stock, giver))
        room = self._room(stock, taker)
        if quantity > free or (room is not None and quantity > room):
            capped = room is not None and room < min(quantity, free)
            if capped:
                reason, bound = ShortageReason.CAP_REACHED, taker
            else:
                pool = stock.pools.get(giver)
                unknown = giver != COMMON and (pool is None or not pool.living)
                reason = ShortageReason.NO_QUOTA if unknown else ShortageReason.QUOTA_EXHAUSTED
                bound = giver
            available = free if room is None else min(free, room)
            cap = (self._policy.quota_cap(taker) or 0) if capped else 0
            self.short.append(
                Shortage(str(number + 1), stock.key, asked_path, quantity, available, reason, bound, available, cap)
            )
            # Later lines are judged by what this one would leave, so that every short line is named.
            quantity = available
        giver_key, taker_key = (stock.stock_id, giver), (stock.stock_id, taker)
        self._change[giver_key] = self._change.get(giver_key, 0) - quantity
        self._change[taker_key] = self._change.get(taker_key, 0) + quantity
        self.accepted.append((stock, giver, taker, quantity))

    def _room(self, stock: Stock, path: str) -> int | None:
        """Units the path may still get under its quota_cap (on free plus held); None: no cap."""
        cap = self._policy.quota_cap(path)
        if cap is None:
            return None
        pool = stock.pools.get(path)
        held = pool.held if pool is not None else 0
        return max(0, cap - held - self.free(stock, path))


def allocate(batch: Batch, organization: str, command: Allocate) -> PoolsChanged | Refusal:
    """common.a → p.a; refused when common.a < q or the quota_cap of p is reached."""
    policy = batch.policy(organization)
    transfers = _Transfers(policy)
    for number, line in enumerate(command.lines):
        stock = _stock_for(batch, policy, line.key, number, line.path, "path")
        if not isinstance(stock, Stock):
            return stock
        transfers.transfer(number, stock, COMMON, line.path, line.path, line.quantity)
    return _carry_out(batch, transfers, EntryKind.ALLOCATE)


def unallocate(batch: Batch, organization: str, command: Unallocate) -> PoolsChanged | Refusal:
    """p.a → common.a; ``None`` gives back all that is free at the moment of the decision, be it nothing."""
    policy = batch.policy(organization)
    transfers = _Transfers(policy)
    quantities: list[int] = []
    for number, line in enumerate(command.lines):
        stock = _stock_for(batch, policy, line.key, number, line.path, "path")
        if not isinstance(stock, Stock):
            return stock
        quantity = max(0, transfers.free(stock, line.path)) if line.quantity is None else line.quantity
        quantities.append(quantity)
        if quantity == 0:
            transfers.accepted.append((stock, line.path, COMMON, 0))
        else:
            transfers.transfer(number, stock, line.path, COMMON, line.path, quantity)
    return _carry_out(batch, transfers, EntryKind.UNALLOCATE, quantities)


def reallocate(batch: Batch, organization: str, command: Reallocate) -> PoolsChanged | Refusal:
    """p1.a → p2.a, lines in order; refused when p1.a < q or the quota_cap of p2 is reached."""
    policy = batch.policy(organization)
    transfers = _Transfers(policy)
    for number, line in enumerate(command.lines):
        stock = _stock_for(batch, policy, line.key, number, line.from_path, "from_path")
        if not isinstance(stock, Stock):
            return stock
        violation = path_violation(policy, line.to_path, f"lines[{number}].to_path")
        if violation is not None:
            return Invalid((violation,))
        transfers.transfer(number, stock, line.from_path, line.to_path, line.from_path, line.quantity)
    return _carry_out(batch, transfers, EntryKind.REALLOCATE)


def _stock_for(
    batch: Batch, policy: Policy, key: StockKey, number: int, path: str, field: str
) -> Stock | Invalid | StockNotFound:
    violation: Violation | None = path_violation(policy, path, f"lines[{number}].{field}")
    if violation is not None:
        return Invalid((violation,))
    return located_stock(batch, policy, key, f"lines[{number}].key")


def _carry_out(
    batch: Batch, transfers: _Transfers, kind: EntryKind, quantities: Iterable[int] | None = None
) -> PoolsChanged | Refusal:
    if transfers.short:
        return Insufficient(tuple(transfers.short))
    gained: dict[tuple[int, str], int] = {}
    for stock, _, taker, quantity in transfers.accepted:
        total = gained[stock.stock_id, taker] = gained.get((stock.stock_id, taker), 0) + quantity
        if stock.pool(taker).free + total > MAX_INT64:
            return Overflow("lines", f"the free units of pool {taker!r} would leave 64 bits")
    touched: dict[tuple[int, str], tuple[Stock, Pool]] = {}
    for stock, giver, taker, quantity in transfers.accepted:
        source, target = stock.pool(giver), stock.pool(taker)
        if quantity:
            batch.move(kind, stock, quantity, source, Place.FREE, target, Place.FREE)
            target.living = True
        _retire_if_empty(source)
        for pool in (source, target):
            touched[stock.stock_id, pool.path] = (stock, pool)
    moved = tuple(quantity for _, _, _, quantity in transfers.accepted) if quantities is None else tuple(quantities)
    return PoolsChanged(tuple(touched.values()), moved)


def _retire_if_empty(pool: Pool) -> None:
    """A pool that has given everything away and promised nothing is no quota any more: it answers NO_QUOTA."""
    if pool.path and pool.living and not (pool.free or pool.held or pool.unsettled):
        pool.living = False
        pool.changed = True
