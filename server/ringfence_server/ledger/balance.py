"""What a query answers about a stock key: figures of its pools, what can be promised, what is short, and how fresh.

Pure functions over a stock that holds all its pools and measures. ``bring_to`` comes first: it applies to a loaded
stock what is due and what a newer formula changes, as the next write would, without writing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple

from .journal import Batch
from .lease import apply_due
from .names import COMMON, StockKey, ancestors, is_within
from .policy import Fallback, Policy
from .promise import sellable
from .reading import KeyFilter
from .revisions import Revisions, revisions_of_slot
from .state import Part, Pool, Reservation, Stock
from .supply import revalue


class BalanceFilter(NamedTuple):
    """Which balances are meant; everything that is set must match."""

    skus: tuple[str, ...] = ()
    locations: tuple[str, ...] = ()
    location_groups: tuple[str, ...] = ()
    path: str = COMMON
    """This path and everything below it."""
    exact_path: bool = False
    """Only the path itself; with the empty path the common pool alone."""
    dimensions: tuple[tuple[str, str], ...] = ()

    def keys(self, organization: str, policy: Policy) -> KeyFilter:
        """The stock keys that are meant; location groups are the policy's."""
        locations: tuple[str, ...] | None = self.locations or None
        if self.location_groups:
            wanted = set(self.location_groups)
            grouped = {location.name for location in policy.locations if wanted.intersection(location.groups)}
            locations = tuple(sorted(grouped if locations is None else grouped.intersection(locations)))
        return KeyFilter(organization, self.skus, locations, self.dimensions)

    def has_path(self, path: str) -> bool:
        """Whether a pool's path is meant."""
        return path == self.path if self.exact_path else is_within(path, self.path)


class Figures(NamedTuple):
    """Quantities of a pool or a sum of pools."""

    allocated: int
    """a + h. In a sum every summand is floored at zero; of a single pool it is as it is."""
    available: int
    held: int
    unsettled: int
    consumed: int
    shortfall: int
    """What flooring cut off ``allocated``."""


NOTHING = Figures(0, 0, 0, 0, 0, 0)


class Freshness(NamedTuple):
    """The oldest figure behind a balance."""

    since: int
    """What its age counts from: count_time, or when it was recorded if its source did not say."""
    count_time: int | None
    position: int
    measure: str


class KeyFigures(NamedTuple):
    """What a stock key says as a whole."""

    available_to_allocate: int
    supply: int
    net: int
    quotas_short: int
    promises_short: int
    freshness: Freshness | None
    """None when no measure of the formula was ever posted."""


class Balance(NamedTuple):
    """The balance of one pool, or one row of a roll-up."""

    key: StockKey
    """In a roll-up only what is kept apart is set."""
    path: str
    location_group: str
    own: Figures
    subtree: Figures
    available_to_reserve: int
    whole: KeyFigures
    revisions: Revisions
    """The key's newest write; in a roll-up of every key."""
    key_count: int
    """0 where nothing was rolled up."""


class Bound(StrEnum):
    """What bounds a Reserve; the texts are those of the contract."""

    POOL = "POOL"
    """The pools' free units."""
    NET = "NET"
    """More is promised than is there."""
    CAP = "CAP"
    """The path's sales_cap leaves less than both."""


class HowMuch(NamedTuple):
    """What one Reserve of a path would get, and what bounds it."""

    quantity: int
    bound: Bound


def bring_to(
    policy: Policy,
    stocks: Sequence[Stock],
    due: Sequence[tuple[Reservation, Part]],
    instant: int,
    *,
    value_all: bool = False,
) -> None:
    """Applies to loaded stocks all that is due at the instant, in the order of its instants, and the formula in force.

    The same rules as before a decision, on a scratch batch that nobody writes. ``value_all`` values every key anew:
    for the past, whose keys do not tell by which policy they were valued.
    """
    stale = [stock for stock in stocks if value_all or stock.policy_revision < policy.formula_revision]
    if not due and not stale:
        return
    scratch = scratch_batch(instant)
    apply_due(scratch, due)
    for stock in stale:
        revalue(scratch, policy, stock)


def scratch_batch(instant: int) -> Batch:
    """A batch that nobody writes, to look at what the rules would do at an instant."""
    return Batch(
        now=instant,
        record_time=instant,
        revision=0,
        last_sequence=0,
        new_reservation_id=_no_id,
        new_stock_id=_no_number,
    )


def _no_id(_stock: Stock) -> bytes:
    raise AssertionError("a look makes no reservation")


def _no_number(_key: StockKey) -> int:
    raise AssertionError("a look makes no stock key")


def is_shown(pool: Pool) -> bool:
    """Whether a pool is worth a row: the common pool always, another when it has any figure.

    A pool that lives but has no figure does not exist: it is emptied by a transfer, which ends its life, or by sales,
    which stay counted as consumed.
    """
    return not pool.path or bool(pool.free or pool.held or pool.unsettled or pool.consumed)


def own_figures(stock: Stock, pool: Pool) -> Figures:
    """One pool as it is: a common pool that facts made negative shows it."""
    return Figures(pool.free + pool.held, sellable(stock, pool), pool.held, pool.unsettled, pool.consumed, shortfall=0)


def sum_figures(stock: Stock, pools: Iterable[Pool]) -> Figures:
    """Pools of one key together, each floored at zero before it is added; never more available than the key has."""
    allocated = free = held = unsettled = consumed = shortfall = 0
    for pool in pools:
        quota = pool.free + pool.held
        if quota >= 0:
            allocated += quota
        else:
            shortfall -= quota
        if pool.free > 0:
            free += pool.free
        held += pool.held
        unsettled += pool.unsettled
        consumed += pool.consumed
    return Figures(allocated, max(0, min(free, stock.net)), held, unsettled, consumed, shortfall)


def subtree_figures(stock: Stock, path: str) -> Figures:
    """The path and everything below it."""
    return sum_figures(stock, (pool for pool in stock.pools.values() if is_within(pool.path, path)))


def to_reserve(policy: Policy, stock: Stock, path: str) -> HowMuch:
    """What one Reserve of the path would get now with the policy's widest fallback."""
    chain: tuple[str, ...] = (path,)
    if policy.widest_fallback(path) is Fallback.ANCESTORS:
        chain = ancestors(path)
    free = 0
    for giver in chain:
        pool = stock.pools.get(giver)
        if pool is not None and pool.free > 0:
            free += pool.free
    net = max(0, stock.net)
    quantity, bound = (net, Bound.NET) if net < free else (free, Bound.POOL)
    cap = policy.sales_cap(path)
    if cap is not None:
        own = stock.pools.get(path)
        room = max(0, cap - (own.taken if own is not None else 0))
        if room < quantity:
            return HowMuch(room, Bound.CAP)
    return HowMuch(quantity, bound)


def key_figures(policy: Policy, stock: Stock) -> KeyFigures:
    """What the key says as a whole; of what is short, quotas come first: they are no promise to anyone yet."""
    common = stock.pools.get(COMMON)
    free = common.free if common is not None else 0
    quotas_short = promises_short = 0
    if free < 0:
        # net = Σ a, so what the other pools have free is net less the common pool's.
        quotas_short = min(-free, stock.net - free)
        promises_short = min(-free - quotas_short, stock.promised)
    return KeyFigures(max(0, free), stock.supply, stock.net, quotas_short, promises_short, oldest_figure(policy, stock))


def oldest_figure(policy: Policy, stock: Stock) -> Freshness | None:
    """The oldest of the figures that the supply formula adds up."""
    oldest: Freshness | None = None
    for term in policy.supply:
        value = stock.measures.get(term.measure)
        if value is None or not value.record_time:
            continue
        since = value.record_time if value.count_time is None else value.count_time
        if oldest is None or since < oldest.since:
            oldest = Freshness(since, value.count_time, value.position, term.measure)
    return oldest


def paths_of(policy: Policy, stock: Stock, wanted: BalanceFilter) -> list[str]:
    """The paths of a key to be answered, in their order: pools with a figure, and the path that the filter names where
    it has nothing of its own but something lies below it or fallback would give it something."""
    if wanted.exact_path:
        pool = stock.pools.get(wanted.path)
        if (pool is not None and is_shown(pool)) or not wanted.path:
            return [wanted.path]
        return [wanted.path] if _could_matter(policy, stock, wanted.path) else []
    top = wanted.path
    paths = [pool.path for pool in stock.pools.values() if is_shown(pool) and is_within(pool.path, top)]
    if top not in paths and _could_matter(policy, stock, top):
        paths.append(top)
    if len(paths) > 1:
        paths.sort()
    return paths


def ceased(policy: Policy, stock: Stock, wanted: BalanceFilter, answered: Collection[str]) -> list[str]:
    """The paths of a key that may have been answered before and are not in ``answered``: pools without a figure, and
    the path that the filter names, once nothing lies below it and fallback would give it nothing."""
    gone = [path for path in stock.pools if path not in answered and wanted.has_path(path)]
    top = wanted.path
    if top and top not in answered and top not in stock.pools:
        below = any(is_within(path, top) for path in stock.pools)
        if below or policy.widest_fallback(top) is Fallback.ANCESTORS:
            gone.append(top)
    return gone


def _could_matter(policy: Policy, stock: Stock, path: str) -> bool:
    if not path:
        return True
    return subtree_figures(stock, path) != NOTHING or to_reserve(policy, stock, path).quantity > 0


def balances_of(
    policy: Policy, stock: Stock, wanted: BalanceFilter, after_path: str | None = None
) -> Iterator[Balance]:
    """The balances of one key that are meant, by path; with ``after_path`` only what comes behind it."""
    paths = paths_of(policy, stock, wanted)
    if after_path is not None:
        paths = [path for path in paths if path > after_path]
    if not paths:
        return
    whole = key_figures(policy, stock)
    for path in paths:
        pool = stock.pools.get(path)
        yield Balance(
            stock.key,
            path,
            "",
            NOTHING if pool is None else own_figures(stock, pool),
            subtree_figures(stock, path),
            to_reserve(policy, stock, path).quantity,
            whole,
            revisions_of_slot(stock.slot, stock.revision),
            0,
        )


def shown_pools(stock: Stock) -> list[Pool]:
    """The pools of a key that have anything to say, by path."""
    return sorted((pool for pool in stock.pools.values() if is_shown(pool)), key=_path_of)


def _path_of(pool: Pool) -> str:
    return pool.path
