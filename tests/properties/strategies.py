"""Hypothesis strategies for the operations of ``system``: small numbers, so that pools run dry and leases end often."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from tests.properties.system import (
    LOCATIONS,
    NEVER,
    PATHS,
    SKUS,
    Allocate,
    Cancel,
    Consume,
    Decree,
    Figure,
    Line,
    Post,
    Quota,
    Reallocate,
    Reserve,
    Rules,
    Sell,
    Shift,
    Unallocate,
    Update,
)

_skus = st.sampled_from(SKUS)
_locations = st.sampled_from(LOCATIONS)
_fenced = st.sampled_from([path for number, path in enumerate(PATHS[1:]) for _ in range(4 - number)])
_paths = st.just("") | _fenced | _fenced
_units = st.sampled_from([1, 1, 2, 2, 3, 4, 6, 9])
_ttl = st.sampled_from([None, None, None, None, 60, 300, 900, 900, 3_600, 3_600, 3_600, 3_601, NEVER])
_references = st.sampled_from([""] * 14 + ["A", "B"])


def rules(*, tills: bool) -> SearchStrategy[Rules]:
    """Policies; with ``tills`` a location may keep its own count."""
    caps = st.dictionaries(_fenced, st.integers(0, 9), max_size=2).map(lambda caps: tuple(sorted(caps.items())))
    return st.builds(
        Rules,
        fallback=st.just((("", True),))
        | st.dictionaries(_paths, st.booleans(), max_size=3).map(lambda found: tuple(sorted(found.items()))),
        quota_caps=caps,
        sales_caps=caps,
        allow_split=st.sampled_from([True, True, False]),
        revive_by_default=st.booleans(),
        allow_never=st.booleans(),
        tills=st.sampled_from([frozenset[str](), frozenset({LOCATIONS[0]})]) if tills else st.just(frozenset[str]()),
    )


def stocked() -> SearchStrategy[tuple[Post | Allocate, ...]]:
    """A first count of most keys and first quotas: what a run begins with."""
    counts = st.lists(st.sampled_from([0, 5, 9, 14, 20, 30]), min_size=4, max_size=4)
    keys = [(sku, location) for sku in SKUS for location in LOCATIONS]
    quotas = st.lists(st.builds(Quota, _skus, _locations, _fenced, st.integers(1, 9)), min_size=3, max_size=9)

    def operations(counts: list[int], quotas: list[Quota], unknown: int) -> tuple[Post | Allocate, ...]:
        first = [
            Figure(sku, location, "on_hand", units, False, 1, None)
            for number, ((sku, location), units) in enumerate(zip(keys, counts, strict=True))
            if number != unknown
        ]
        return Post(tuple(first)), *(Allocate((quota,)) for quota in quotas)

    return st.builds(operations, counts, quotas, st.sampled_from([0, 1, 2, 3, 9, 9, 9, 9, 9, 9]))


def posts() -> SearchStrategy[Post]:
    """Figures with and without position, of both measures, and differences."""
    value = st.builds(
        Figure,
        _skus,
        _locations,
        st.sampled_from(["on_hand", "on_hand", "safety_stock"]),
        st.sampled_from([0, 1, 3, 6, 10, 15, 25]),
        st.just(False),
        st.sampled_from([0, 1, 2, 3, 4, 5, 6]),
        st.sampled_from([None, None, None, None, None, None, 0, 3, 10]),
    )
    delta = st.builds(
        Figure,
        _skus,
        _locations,
        st.sampled_from(["on_hand", "on_hand", "on_hand", "on_hand", "safety_stock"]),
        st.integers(-8, 12),
        st.just(True),
        st.just(0),
        st.none(),
    )
    return st.lists(value | delta, min_size=1, max_size=3).map(lambda figures: Post(tuple(figures)))


def allocates() -> SearchStrategy[Allocate]:
    lines = st.builds(Quota, _skus, _locations, _fenced, _units)
    return st.lists(lines, min_size=1, max_size=3).map(lambda found: Allocate(tuple(found)))


def unallocates() -> SearchStrategy[Unallocate]:
    lines = st.builds(Quota, _skus, _locations, _fenced, st.none() | _units)
    return st.lists(lines, min_size=1, max_size=3).map(lambda found: Unallocate(tuple(found)))


def reallocates() -> SearchStrategy[Reallocate]:
    lines = st.builds(Shift, _skus, _locations, _paths, _paths, _units).filter(lambda each: each.source != each.target)
    return st.lists(lines, min_size=1, max_size=3).map(lambda found: Reallocate(tuple(found)))


def order_lines(*, sourced: bool = True) -> SearchStrategy[tuple[Line, ...]]:
    """1 to 4 lines; with ``sourced`` some name no location."""
    places = st.sampled_from([*LOCATIONS, "", ""]) if sourced else _locations
    fallback = st.sampled_from([None] * 10 + [False, False, True])
    lines = st.builds(Line, _skus, places, _paths, _units, fallback)
    return st.sampled_from([1, 1, 1, 2, 3, 4]).flatmap(
        lambda count: st.lists(lines, min_size=count, max_size=count).map(tuple)
    )


def reserves(*, sourced: bool = True) -> SearchStrategy[Reserve]:
    split = st.sampled_from([True, True, False])
    return st.builds(Reserve, order_lines(sourced=sourced), _ttl, st.booleans(), split)


def sells() -> SearchStrategy[Sell]:
    return st.builds(Sell, order_lines(), st.sampled_from([True, True, False]), _references)


def _amounts(least: int) -> SearchStrategy[tuple[tuple[int, int], ...]]:
    """Quantities of some lines of an order, each line once; line 9 never exists, others are taken modulo its lines."""
    numbers = st.sampled_from([0, 0, 0, 1, 1, 2, 3, 9])
    lines = st.dictionaries(numbers, st.sampled_from([0, 1, 1, 2, 3, 4, 6][least:]), min_size=1, max_size=2)
    return lines.map(lambda found: tuple(found.items()))


_some_order = st.sampled_from([0, 0, 0, 1, 1, 2, 3, 4, 5, 7, 11])
"""Taken modulo the number of orders there are, counted from the newest."""


def updates() -> SearchStrategy[Update]:
    both = st.builds(Update, _some_order, st.none() | _amounts(0), _ttl, st.booleans())
    return both.filter(lambda update: update.lines is not None or update.ttl is not None)


def consumes() -> SearchStrategy[Consume]:
    revive = st.sampled_from([True, None, False])
    release_rest = st.sampled_from([False, False, True])
    return st.builds(Consume, _some_order, st.just(()) | _amounts(0), release_rest, revive, _references)


def decrees() -> SearchStrategy[Decree]:
    """Half of them let nobody borrow any more."""
    nobody = st.builds(Decree, st.builds(Rules, allow_split=st.booleans(), allow_never=st.booleans()))
    return nobody | st.builds(Decree, rules(tills=False))


def cancels() -> SearchStrategy[Cancel]:
    return st.builds(Cancel, _some_order, st.just(()) | _amounts(0))


def seconds() -> SearchStrategy[int]:
    return st.sampled_from([1, 59, 60, 300, 840, 900, 3_600])
