"""Promises: what may still be promised, tried in a draft before anything moves.

``net = supply − Σ (h + c) = Σ a``; a promise of q from pool p needs ``a(p) >= q`` and ``net >= q``.
"""

from __future__ import annotations

from typing import NamedTuple

from .names import COMMON, StockKey, ancestors, depth
from .outcomes import Shortage, ShortageReason
from .policy import Fallback, Policy
from .state import Pool, Stock


def sellable(stock: Stock, pool: Pool) -> int:
    """What one pool can promise now: max(0, min(a(p), net))."""
    return max(0, min(pool.free, stock.net))


class Ask(NamedTuple):
    """A line as the ledger judges it: fallback settled, candidates found."""

    number: int
    """Its place in the request, from 0."""
    line_id: str
    path: str
    quantity: int
    fallback: Fallback
    located: bool
    key: StockKey
    """As asked; the location may be empty."""
    stocks: tuple[Stock, ...]
    """The stock to take from, or in the policy's order those that may give to a line without a location."""


class Take(NamedTuple):
    """Units that a pool would give to a line."""

    ask: Ask
    stock: Stock
    path: str
    quantity: int


class Draft:
    """A trial: what pools, nets and caps have left after the takes so far. Nothing in the state changes."""

    __slots__ = ("_caps", "_free", "_net", "policy", "takes")

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._free: dict[tuple[int, str], int] = {}
        self._net: dict[int, int] = {}
        self._caps: dict[tuple[int, str], int] = {}
        self.takes: list[Take] = []

    def free(self, stock: Stock, path: str) -> int:
        """Free units of a pool that are left; a path without quota has none."""
        left = self._free.get((stock.stock_id, path))
        if left is None:
            pool = stock.pools.get(path)
            left = pool.free if pool is not None else 0
        return left

    def net(self, stock: Stock) -> int:
        """Units of the key that can still be promised."""
        left = self._net.get(stock.stock_id)
        return stock.supply - stock.promised if left is None else left

    def cap(self, stock: Stock, path: str) -> int | None:
        """Units the asking path may still take under its sales_cap; None: no cap."""
        left = self._caps.get((stock.stock_id, path))
        if left is not None:
            return left
        cap = self.policy.sales_cap(path)
        if cap is None:
            return None
        pool = stock.pools.get(path)
        return cap - (pool.taken if pool is not None else 0)

    def take(self, ask: Ask, stock: Stock, path: str, wanted: int) -> int:
        """Takes up to ``wanted`` units of one pool for a line; answers how many it got."""
        free = self.free(stock, path)
        net = self.net(stock)
        got = min(wanted, free, net)
        cap = self.cap(stock, ask.path) if self.policy.has_sales_caps else None
        if cap is not None and cap < got:
            got = cap
        if got <= 0:
            return 0
        stock_id = stock.stock_id
        self._free[stock_id, path] = free - got
        self._net[stock_id] = net - got
        if cap is not None:
            self._caps[stock.stock_id, ask.path] = cap - got
        self.takes.append(Take(ask, stock, path, got))
        return got

    def credit(self, stock: Stock, path: str, asked_path: str, quantity: int) -> None:
        """Counts units as free that the same request gives back to a pool before it asks."""
        self._free[(stock.stock_id, path)] = self.free(stock, path) + quantity
        self._net[stock.stock_id] = self.net(stock) + quantity
        cap = self.cap(stock, asked_path)
        if cap is not None:
            self._caps[(stock.stock_id, asked_path)] = cap + quantity

    def undo(self, mark: int) -> None:
        """Gives back every take after the first ``mark``."""
        while len(self.takes) > mark:
            take = self.takes.pop()
            stock_id = take.stock.stock_id
            self._free[(stock_id, take.path)] += take.quantity
            self._net[stock_id] += take.quantity
            if (stock_id, take.ask.path) in self._caps:
                self._caps[(stock_id, take.ask.path)] += take.quantity


def fill_located(draft: Draft, asks: list[Ask], wanted: dict[int, int]) -> None:
    """Fills lines that name their location; ``wanted`` (by line number) is lowered by what each got.

    Lines without fallback first, then pool by pool from the deepest up, in request order within a pool. The pools that
    lines may draw on are chains of one tree, so this order refuses nothing that could be filled.
    """
    borrowers: list[Ask] = []
    for ask in asks:
        if ask.fallback is Fallback.NONE:
            wanted[ask.number] -= draft.take(ask, ask.stocks[0], ask.path, wanted[ask.number])
        else:
            borrowers.append(ask)
    if not borrowers:
        return
    for level in range(max(depth(ask.path) for ask in borrowers), -1, -1):
        for ask in borrowers:
            above = depth(ask.path) - level
            if above >= 0 and wanted[ask.number]:
                path = ancestors(ask.path)[above]
                wanted[ask.number] -= draft.take(ask, ask.stocks[0], path, wanted[ask.number])


def shortage_of(draft: Draft, ask: Ask, missing: int, *, split: bool = False) -> Shortage:
    """Why a line is short by ``missing`` after all others of the request were tried, and what fallback would give.

    A line with several candidates is explained by the one that comes nearest; ``split`` says whether it may be added
    up over all of them.
    """
    stock = best_stock(draft, ask)
    got = ask.quantity - missing
    net = max(0, draft.net(stock))
    cap_left = draft.cap(stock, ask.path)
    chain = _chain(ask.path, ask.fallback)
    free_in_chain = sum(max(0, draft.free(stock, path)) for path in chain)
    taken = _taken_at(draft, ask, got)
    within = [taken.get(each.stock_id, 0) + within_reach(draft, ask, each, Fallback.ANCESTORS) for each in ask.stocks]
    with_fallback = min(ask.quantity, sum(within) if split else max(within))
    bound_path = chain[-1]
    cap = 0
    if cap_left is not None and cap_left <= 0:
        reason, bound_path = ShortageReason.CAP_REACHED, ask.path
        cap = draft.policy.sales_cap(ask.path) or 0
    elif net < min(missing, free_in_chain):
        reason, bound_path = ShortageReason.NET_SHORT, COMMON
    elif ask.path and ask.fallback is Fallback.NONE and not any(_has_quota(each, ask.path) for each in ask.stocks):
        reason = ShortageReason.NO_QUOTA
    else:
        reason = ShortageReason.QUOTA_EXHAUSTED
    return Shortage(ask.line_id, ask.key, ask.path, ask.quantity, got, reason, bound_path, with_fallback, cap)


def best_stock(draft: Draft, ask: Ask) -> Stock:
    """The candidate that can give most to a line, what it gave already included; the first of equals."""
    if len(ask.stocks) == 1:
        return ask.stocks[0]
    taken = _taken_at(draft, ask, 0)
    return max(
        ask.stocks,
        key=lambda stock: taken.get(stock.stock_id, 0) + within_reach(draft, ask, stock, ask.fallback),
    )


def within_reach(draft: Draft, ask: Ask, stock: Stock, fallback: Fallback) -> int:
    """Units that a line, with this fallback, could still take of one stock if it were the only one to ask."""
    net = draft.net(stock)
    if net <= 0:
        return 0
    more = 0
    for path in _chain(ask.path, fallback):
        free = draft.free(stock, path)
        if free > 0:
            more += free
    cap = draft.cap(stock, ask.path)
    return min(more, net) if cap is None else min(more, net, max(0, cap))


def _chain(path: str, fallback: Fallback) -> tuple[str, ...]:
    """The pools that a line may draw on, its own first."""
    return ancestors(path) if fallback is Fallback.ANCESTORS else (path,)


def _taken_at(draft: Draft, ask: Ask, got: int) -> dict[int, int]:
    """What a line took so far, by stock. ``got`` is its sum, which spares a line with one candidate the search."""
    if len(ask.stocks) == 1:
        return {ask.stocks[0].stock_id: got}
    taken: dict[int, int] = {}
    for take in draft.takes:
        if take.ask.number == ask.number:
            taken[take.stock.stock_id] = taken.get(take.stock.stock_id, 0) + take.quantity
    return taken


def _has_quota(stock: Stock, path: str) -> bool:
    pool = stock.pools.get(path)
    return pool is not None and pool.living
