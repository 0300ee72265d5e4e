"""Roll-ups: balances summed by SKU, location, location group, dimension and level of the group path.

Every summand, one key's pools in one row, is floored at zero before it is added, and what was cut off stands beside:
a store that is short must not hide what another one has.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple, TypeAlias

from .balance import (
    NOTHING,
    Balance,
    BalanceFilter,
    Figures,
    Freshness,
    KeyFigures,
    key_figures,
    paths_of,
    sum_figures,
    to_reserve,
)
from .names import COMMON, MAX_INT64, StockKey, ancestors, is_within
from .outcomes import Overflow
from .policy import Policy
from .state import Pool, Stock

RowKey: TypeAlias = tuple[str, ...]
"""(SKU, location, location group, dimension values in the order of the roll-up, path): also the order of the rows."""
_SLACK: Final = 1_024


class RollUp(NamedTuple):
    """What is kept apart; all else is summed."""

    sku: bool = False
    location: bool = False
    location_group: bool = False
    dimensions: tuple[str, ...] = ()
    level: int = 0
    """Depth of the path prefixes to keep apart; 0 sums over paths."""


class _Row:
    """Sums of one row."""

    __slots__ = (
        "available_to_allocate",
        "available_to_reserve",
        "freshness",
        "key_count",
        "net",
        "own",
        "promises_short",
        "quotas_short",
        "revisions",
        "subtree",
        "supply",
    )

    def __init__(self) -> None:
        self.own = NOTHING
        self.subtree = NOTHING
        self.available_to_allocate = 0
        self.available_to_reserve = 0
        self.supply = 0
        self.net = 0
        self.quotas_short = 0
        self.promises_short = 0
        self.freshness: Freshness | None = None
        self.revisions: dict[int, int] = {}
        """By slot."""
        self.key_count = 0

    def add(self, own: Figures, reserve: int, whole: KeyFigures, stock: Stock) -> None:
        """Adds one key."""
        self.key_count += 1
        self.own = _added(self.own, own)
        self.available_to_allocate += whole.available_to_allocate
        self.available_to_reserve += reserve
        self.supply += max(0, whole.supply)
        self.net += max(0, whole.net)
        self.quotas_short += whole.quotas_short
        self.promises_short += whole.promises_short
        if stock.revision > self.revisions.get(stock.slot, 0):
            self.revisions[stock.slot] = stock.revision
        fresh = whole.freshness
        if fresh is not None and (self.freshness is None or fresh.since < self.freshness.since):
            self.freshness = fresh


class RollUps:
    """Takes stock keys one by one and keeps the first ``most`` rows behind ``after``, whatever the number of keys.

    Rows are answered in the order of their keys, so a row behind the last one of a page is never needed: once there are
    more than enough, the later ones are dropped and no longer summed.
    """

    def __init__(
        self, policy: Policy, wanted: BalanceFilter, by: RollUp, *, after: RowKey | None = None, most: int
    ) -> None:
        self._policy = policy
        self._wanted = wanted
        self._by = by
        self.after = after
        """Rows up to this one are not answered."""
        self._most = most
        self._rows: dict[RowKey, _Row] = {}
        self._cutoff: RowKey | None = None

    def add(self, stock: Stock) -> None:
        """Adds one key, brought up to date, with all its pools."""
        policy, wanted, by = self._policy, self._wanted, self._by
        paths = paths_of(policy, stock, wanted)
        if not paths:
            return
        whole = key_figures(policy, stock)
        key = stock.key
        values = dict(key.dimensions)
        dimensions = tuple(values.get(name, "") for name in by.dimensions)
        by_row: dict[str, list[Pool]] = {}
        for path in paths:
            pools = by_row.setdefault(self._row_path(path), [])
            pool = stock.pools.get(path)
            if pool is not None:
                pools.append(pool)
        summands = [
            (path, sum_figures(stock, pools), to_reserve(policy, stock, path).quantity)
            for path, pools in by_row.items()
        ]
        subtrees = self._subtrees(stock, by_row)
        for group in self._groups(key.location):
            head = (key.sku if by.sku else "", key.location if by.location else "", group, *dimensions)
            for path, own, reserve in summands:
                row = self._row((*head, path))
                if row is not None:
                    row.add(own, reserve, whole, stock)
            for path, subtree in subtrees:
                row = self._row((*head, path))
                if row is not None:
                    row.subtree = _added(row.subtree, subtree)
        if len(self._rows) > 8 * self._most + _SLACK:
            self._drop_late_rows()

    def complete_before(self, sku: str) -> bool:
        """Whether the page is full when no more keys of SKUs before ``sku`` come: only where SKUs are kept apart."""
        if not self._by.sku or len(self._rows) <= self._most:
            return False
        return sum(row.key_count > 0 and key[0] < sku for key, row in self._rows.items()) > self._most

    def rows(self) -> list[Balance]:
        """The rows so far, at most ``most``; and one more when there are more."""
        found = sorted(key for key, row in self._rows.items() if row.key_count)
        return [self._balance(key, self._rows[key]) for key in found[: self._most + 1]]

    def key_of(self, row: Balance) -> RowKey:
        """The key of an answered row: what ``after`` takes."""
        values = dict(row.key.dimensions)
        dimensions = tuple(values.get(name, "") for name in self._by.dimensions)
        return (row.key.sku, row.key.location, row.location_group, *dimensions, self._place(row.path))

    def _row_path(self, path: str) -> str:
        """The path of the row that a pool counts in."""
        if not self._by.level:
            return self._wanted.path
        return "/".join(path.split("/")[: self._by.level]) if path else COMMON

    def _place(self, path: str) -> str:
        return path if self._by.level else self._wanted.path

    def _groups(self, location: str) -> Iterable[str]:
        if not self._by.location_group:
            return ("",)
        groups = self._policy.location(location).groups
        if self._wanted.location_groups:
            groups = tuple(group for group in groups if group in self._wanted.location_groups)
        return groups or ("",)

    def _row(self, key: RowKey) -> _Row | None:
        row = self._rows.get(key)
        if row is None:
            if (self.after is not None and key <= self.after) or (self._cutoff is not None and key > self._cutoff):
                return None
            row = self._rows[key] = _Row()
        return row

    def _subtrees(self, stock: Stock, rows: Iterable[str]) -> list[tuple[str, Figures]]:
        """What the key adds to the subtree of its rows, and of rows above them that other keys may have."""
        top = self._wanted.path
        paths = dict.fromkeys(rows)
        if self._by.level:
            paths.update((above, None) for path in rows for above in ancestors(path)[1:] if is_within(above, top))
        pools = [pool for pool in stock.pools.values() if is_within(pool.path, top)]
        return [(path, sum_figures(stock, (pool for pool in pools if is_within(pool.path, path)))) for path in paths]

    def _drop_late_rows(self) -> None:
        found = sorted(key for key, row in self._rows.items() if row.key_count)
        if len(found) > self._most + 1:
            cutoff = self._cutoff = found[self._most]
            self._rows = {key: row for key, row in self._rows.items() if key <= cutoff}

    def _balance(self, key: RowKey, row: _Row) -> Balance:
        sku, location, group, *rest = key
        by = self._by
        path = rest[-1] if by.level or self._wanted.exact_path else COMMON
        dimensions = tuple((name, value) for name, value in zip(by.dimensions, rest[:-1], strict=True) if value)
        return Balance(
            StockKey("", sku, location, dimensions),
            path,
            group,
            row.own,
            row.subtree,
            row.available_to_reserve,
            KeyFigures(
                row.available_to_allocate, row.supply, row.net, row.quotas_short, row.promises_short, row.freshness
            ),
            tuple([row.revisions.get(slot, 0) for slot in range(max(row.revisions, default=0) + 1)]),
            row.key_count,
        )


def overflow_of(row: Balance) -> Overflow | None:
    """A sum over very many keys may leave 64 bits, where no figure of a single key does: it is refused, never
    wrapped."""
    whole = row.whole
    sums = (
        *row.own,
        *row.subtree,
        row.available_to_reserve,
        whole.available_to_allocate,
        whole.supply,
        whole.net,
        whole.quotas_short,
        whole.promises_short,
    )
    if max(sums) <= MAX_INT64:
        return None
    text = f"sums over {row.key_count} stock keys leave 64 bits: keep more apart, or narrow the filter"
    return Overflow("roll_up", text)


def _added(total: Figures, summand: Figures) -> Figures:
    return Figures(
        total.allocated + summand.allocated,
        total.available + summand.available,
        total.held + summand.held,
        total.unsettled + summand.unsettled,
        total.consumed + summand.consumed,
        total.shortfall + summand.shortfall,
    )
