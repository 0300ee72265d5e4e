"""What a refusal says is true, what can be filled is filled, and what is taken back leaves nothing behind."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from tests.properties.duel import with_units
from tests.properties.ledger_system import LedgerSystem
from tests.properties.profiles import TIMEOUT_SECONDS, searching
from tests.properties.promises import can_be_filled, chain
from tests.properties.system import (
    DEFAULT_LEASE,
    LOCATIONS,
    PATHS,
    SKUS,
    Allocate,
    Cancel,
    Consume,
    Done,
    Figure,
    Line,
    Post,
    Quota,
    Refused,
    Reserve,
    Rules,
    Short,
)

pytestmark = pytest.mark.timeout(TIMEOUT_SECONDS)

EVERYONE_MAY_BORROW = (("", True),)
_some_rules = st.builds(
    Rules,
    fallback=st.sampled_from([EVERYONE_MAY_BORROW, EVERYONE_MAY_BORROW, (), (("web", True),)]),
    sales_caps=st.sampled_from([(), (), (), (("web", 4),), (("", 6), ("web/eu", 2))]),
    allow_split=st.booleans(),
)


@st.composite
def _shops(draw: st.DrawFn, rules: SearchStrategy[Rules] = _some_rules) -> tuple[LedgerSystem, Rules]:
    """A ledger with quotas at two locations, some holds, and counts that may have fallen below them since."""
    system, policy = LedgerSystem(), draw(rules)
    system.start(policy)
    keys = [(sku, location) for sku in SKUS for location in LOCATIONS]
    _post(system, {key: 25 for key in keys})
    system.apply(Allocate(tuple(Quota(*key, path, draw(st.integers(1, 5))) for key in keys for path in PATHS[1:])))
    for lines in draw(st.lists(_orders(), max_size=3)):
        system.apply(Reserve(lines, ttl=3_600))
    _post(system, {key: draw(st.sampled_from([25, 20, 16, 12, 8, 30])) for key in keys})
    return system, policy


def _post(system: LedgerSystem, counts: dict[tuple[str, str], int]) -> None:
    system.apply(Post(tuple(Figure(*key, "on_hand", units, False, 0, None) for key, units in counts.items())))


def _lines(places: tuple[str, ...] = LOCATIONS) -> SearchStrategy[Line]:
    fallback = st.sampled_from([None, None, False])
    return st.builds(
        Line, st.sampled_from(SKUS), st.sampled_from(places), st.sampled_from(PATHS), st.integers(1, 7), fallback
    )


def _orders(places: tuple[str, ...] = LOCATIONS) -> SearchStrategy[tuple[Line, ...]]:
    return st.lists(_lines(places), min_size=1, max_size=4).map(tuple)


def _without(system: LedgerSystem, line: Line, *, split: bool) -> Done | Refused:
    """Reserves one line alone and takes it back, so that the next question finds the same state."""
    answer = system.apply(Reserve((line,), split=split))
    if isinstance(answer, Done):
        system.apply(Cancel(system.orders - 1))
    return answer


@given(shop=_shops(), lines=_orders())
@searching(100)
def test_nothing_that_can_be_filled_is_refused(shop: tuple[LedgerSystem, Rules], lines: tuple[Line, ...]) -> None:
    """Lines that name their location are refused exactly when no assignment of units to pools could serve them."""
    system, rules = shop
    possible = _can_be_filled(system, rules, lines)
    answer = system.apply(Reserve(lines))
    assert isinstance(answer, Done) is possible


@given(shop=_shops(), lines=_orders((*LOCATIONS, "", "", "")))
@searching(100)
def test_lines_to_be_sourced_are_refused_only_where_no_choice_of_locations_fills_them(
    shop: tuple[LedgerSystem, Rules], lines: tuple[Line, ...]
) -> None:
    """Beside lines that name theirs, and each in one parcel."""
    system, rules = shop
    choices = product(*([line.location] if line.location else LOCATIONS for line in lines))
    possible = any(
        _can_be_filled(
            system, rules, [line._replace(location=place) for line, place in zip(lines, choice, strict=True)]
        )
        for choice in choices
    )
    answer = system.apply(Reserve(lines))
    assert isinstance(answer, Done) is possible


@given(shop=_shops(), line=_lines(("",)), split=st.booleans())
@searching(100)
def test_a_line_to_be_sourced_is_filled_where_any_way_of_filling_it_exists(
    shop: tuple[LedgerSystem, Rules], line: Line, split: bool
) -> None:
    """Alone in its request: at one location, or added up over all of them if policy and request let it be split."""
    system, rules = shop
    within = [_within_reach(system, rules, line._replace(location=location)) for location in LOCATIONS]
    most = sum(within) if split and rules.allow_split else max(within)
    answer = system.apply(Reserve((line,), split=split))
    assert isinstance(answer, Done) is (line.quantity <= most)
    if isinstance(answer, Refused):
        assert answer.shortages[0].available == most


@given(shop=_shops(), lines=_orders((*LOCATIONS, "")), split=st.booleans())
@searching(100)
def test_asking_what_was_available_succeeds(
    shop: tuple[LedgerSystem, Rules], lines: tuple[Line, ...], split: bool
) -> None:
    """Each short line of a refused request, alone, gets exactly what the refusal said it would have got."""
    system, _ = shop
    answer = system.apply(Reserve(lines, split=split))
    assume(isinstance(answer, Refused))
    assert isinstance(answer, Refused)
    for short in answer.shortages:
        assert 0 <= short.available < short.requested == lines[short.number].quantity
        if short.available:
            line = lines[short.number]._replace(quantity=short.available)
            assert isinstance(_without(system, line, split=split), Done)


@given(shop=_shops(), lines=_orders())
@searching(100)
def test_a_request_that_asks_what_was_available_succeeds(
    shop: tuple[LedgerSystem, Rules], lines: tuple[Line, ...]
) -> None:
    """With every short line brought down to what it would have got, the request as a whole is filled; it is what
    ALLOW_PARTIAL would have granted."""
    system, _ = shop
    answer = system.apply(Reserve(lines))
    assume(isinstance(answer, Refused))
    assert isinstance(answer, Refused)
    fitting = _fitting(lines, answer.shortages)
    assume(fitting)
    again = system.apply(Reserve(fitting))
    assert isinstance(again, Done)
    after = with_units(system.balances())
    system.apply(Cancel(system.orders - 1))
    partial = system.apply(Reserve(lines, partial=True))
    assert isinstance(partial, Done)
    assert not partial.full
    assert with_units(system.balances()) == after


@given(shop=_shops(st.just(Rules(fallback=EVERYONE_MAY_BORROW))), lines=_orders((*LOCATIONS, "")))
@searching(100)
def test_what_fallback_would_give_is_given(shop: tuple[LedgerSystem, Rules], lines: tuple[Line, ...]) -> None:
    """A line that narrowed its fallback and is short gets, alone and with fallback, what the refusal said."""
    system, _ = shop
    narrow = tuple(line._replace(fallback=False) for line in lines)
    answer = system.apply(Reserve(narrow))
    assume(isinstance(answer, Refused))
    assert isinstance(answer, Refused)
    for short in answer.shortages:
        assert short.available <= short.with_fallback <= short.requested
        if short.with_fallback:
            line = narrow[short.number]._replace(quantity=short.with_fallback, fallback=True)
            assert isinstance(_without(system, line, split=False), Done)


@given(
    shop=_shops(),
    quotas=st.lists(
        st.builds(
            Quota,
            st.sampled_from(SKUS),
            st.sampled_from(LOCATIONS),
            st.sampled_from(PATHS[1:]),
            st.integers(1, 9),
        ),
        min_size=1,
        max_size=5,
    ),
)
@searching(100)
def test_an_allocate_that_asks_what_was_available_succeeds(
    shop: tuple[LedgerSystem, Rules], quotas: list[Quota]
) -> None:
    """Every short line of an Allocate is named, so the request brought down to what was said is carried out."""
    system, _ = shop
    answer = system.apply(Allocate(tuple(quotas)))
    assume(isinstance(answer, Refused))
    assert isinstance(answer, Refused)
    said = {short.number: short.available for short in answer.shortages}
    fitting = [quota._replace(quantity=said.get(number, quota.quantity)) for number, quota in enumerate(quotas)]
    fitting = [quota for quota in fitting if quota.quantity]
    if fitting:
        assert isinstance(system.apply(Allocate(tuple(fitting))), Done)


@given(shop=_shops(), lines=_orders((*LOCATIONS, "")), end=st.sampled_from(["cancel", "expire", "sell and cancel"]))
@searching(100)
def test_what_is_reserved_and_taken_back_restores_every_balance(
    shop: tuple[LedgerSystem, Rules], lines: tuple[Line, ...], end: str
) -> None:
    """Exactly, pool by pool: by Cancel, by the end of the lease, and by Cancel after the sale."""
    system, _ = shop
    before, measures = with_units(system.balances()), system.measures()
    answer = system.apply(Reserve(lines, partial=True, split=True))
    assume(isinstance(answer, Done))
    order = system.orders - 1
    if end == "expire":
        system.advance(DEFAULT_LEASE)
    if end == "sell and cancel":
        assert isinstance(system.apply(Consume(order)), Done)
    if end != "expire":
        assert isinstance(system.apply(Cancel(order)), Done)
    assert with_units(system.balances()) == before
    assert system.measures() == measures


def _fitting(lines: tuple[Line, ...], shortages: tuple[Short, ...]) -> tuple[Line, ...]:
    said = {short.number: short.available for short in shortages}
    fitted = [line._replace(quantity=said.get(number, line.quantity)) for number, line in enumerate(lines)]
    return tuple(line for line in fitted if line.quantity)


def _can_be_filled(system: LedgerSystem, rules: Rules, lines: Sequence[Line]) -> bool:
    """Whether some assignment of units to pools serves lines that name their location, within nets and caps."""
    balances = system.balances()
    caps, taken = dict(rules.sales_caps), system.taken()
    for key in {(line.sku, line.location) for line in lines}:
        here = [line for line in lines if (line.sku, line.location) == key]
        free = {path: balance.free for (*owner, path), balance in balances.items() if tuple(owner) == key}
        if not can_be_filled([(_pools(rules, line), line.quantity) for line in here], free, sum(free.values())):
            return False
        for path in {line.path for line in here} & caps.keys():
            wanted = sum(line.quantity for line in here if line.path == path)
            if wanted + taken.get((*key, path), 0) > caps[path]:
                return False
    return True


def _pools(rules: Rules, line: Line) -> list[str]:
    """The pools that a line may draw on."""
    widest = next((may for path in chain(line.path) for rule, may in rules.fallback if rule == path), False)
    return chain(line.path) if widest and line.fallback is not False else [line.path]


def _within_reach(system: LedgerSystem, rules: Rules, line: Line) -> int:
    """What a line alone could have at its location."""
    key = (line.sku, line.location)
    free = {path: balance.free for (*owner, path), balance in system.balances().items() if tuple(owner) == key}
    reach = min(sum(max(0, free.get(path, 0)) for path in _pools(rules, line)), max(0, sum(free.values())))
    cap = dict(rules.sales_caps).get(line.path)
    room = reach if cap is None else max(0, cap - system.taken().get((*key, line.path), 0))
    return min(line.quantity, reach, room)
