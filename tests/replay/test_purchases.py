"""Finding what a cancellation cancels."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from scripts.replaying.invoices import Units
from scripts.replaying.purchases import Purchases, Sale
from tests.properties.profiles import searching
from tests.replay.builders import only_invoice, row

EVERYTHING = frozenset(("12345", sku) for sku in ("20000", "20001"))


def sale(*lines: tuple[str, int], customer: str = "12345") -> Sale:
    """An order of one customer."""
    return Sale(only_invoice([row("1", sku, quantity, customer=customer) for sku, quantity in lines]))


def test_the_newest_purchase_is_taken_back_first_and_only_in_part_if_that_is_enough() -> None:
    """A return of 7 after purchases of 10, 2 and 3 takes the 3, the 2 and 2 of the 10; its rest is still there."""
    purchases = Purchases(EVERYTHING)
    (oldest,) = purchases.add(sale(("20000", 10)))
    second, third = purchases.add(sale(("20000", 2), ("20000", 3)))
    assert purchases.take_back("12345", Units("20000", 7)) == ([(third, 3), (second, 2), (oldest, 2)], 0)
    assert purchases.take_back("12345", Units("20000", 9)) == ([(oldest, 8)], 1)


def test_a_purchase_belongs_to_its_customer_and_its_item() -> None:
    """Nobody returns what somebody else bought, nor another item."""
    purchases = Purchases(EVERYTHING | {("777", "20000")})
    purchases.add(sale(("20000", 5)))
    assert purchases.take_back("777", Units("20000", 5)) == ([], 5)
    assert purchases.take_back("12345", Units("20001", 5)) == ([], 5)


def test_guests_are_not_known_from_one_another() -> None:
    """What a guest brings back is nobody's purchase."""
    purchases = Purchases(frozenset({("", "20000")}))
    assert purchases.add(sale(("20000", 5), customer="")) == []
    assert purchases.take_back("", Units("20000", 2)) == ([], 2)


def test_only_what_will_come_back_is_remembered() -> None:
    """Most of a year's purchases never come back and need no room; line_ids count all lines."""
    purchases = Purchases(frozenset({("12345", "20001")}))
    (kept,) = purchases.add(sale(("20000", 5), ("20001", 6)))
    assert (kept.line_id, kept.wanted) == ("2", 6)


def test_units_that_were_never_granted_do_not_come_back() -> None:
    """Of 10 ordered and 6 granted, a return of 4 and one of 6 bring back 6: stock is not made by cancelling."""
    (line,) = Purchases(EVERYTHING).add(sale(("20000", 10)))
    line.granted = 6
    assert [line.give_back(4), line.give_back(6), line.give_back(1)] == [4, 2, 0]


@searching(200)
@given(
    st.lists(
        st.one_of(
            st.lists(st.tuples(st.sampled_from(["20000", "20001"]), st.integers(1, 9)), min_size=1, max_size=4),
            st.builds(Units, st.sampled_from(["20000", "20001"]), st.integers(1, 12)),
        ),
        max_size=20,
    )
)
def test_no_unit_is_taken_back_twice(steps: list[list[tuple[str, int]] | Units]) -> None:
    """What is matched and what is left add up to what was asked, and no purchase gives more than it had."""
    purchases = Purchases(EVERYTHING)
    bought: Counter[str] = Counter()
    for step in steps:
        if isinstance(step, Units):
            matches, left = purchases.take_back("12345", step)
            assert all(match.quantity > 0 for match in matches)
            matched = sum(match.quantity for match in matches)
            assert matched + left == step.quantity
            assert matched == min(step.quantity, bought[step.sku])
            bought[step.sku] -= matched
        else:
            purchases.add(sale(*step))
            bought.update({sku: 0 for sku, _ in step})
            for sku, quantity in step:
                bought[sku] += quantity
