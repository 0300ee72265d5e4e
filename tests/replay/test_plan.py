"""Opening stock and quotas."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.replaying.order_file import Row
from scripts.replaying.plan import make_plan
from tests.properties.profiles import searching
from tests.replay.builders import invoices_of, row

ONE, HALF, NONE = Fraction(1), Fraction(1, 2), Fraction(0)


def test_opening_stock_is_the_most_that_is_ever_gone() -> None:
    """What came back can be sold again; what is cancelled after the peak lowers nothing."""
    rows = [
        row("1", "20000", 10, minute=0),
        row("C2", "20000", -4, minute=1),
        row("3", "20000", 7, minute=2),
        row("C4", "20000", -13, minute=3),
    ]
    assert make_plan(invoices_of(rows), ONE, NONE).opening == {"20000": 13}


def test_what_is_written_off_is_gone_too() -> None:
    """A write-off is a negative line, but takes stock like a sale; a cancellation is one as well and brings it."""
    rows = [
        row("1", "20000", 10, minute=0),
        row("2", "20000", -3, minute=1, customer=""),
        row("3", "20000", 1, minute=2),
    ]
    assert make_plan(invoices_of(rows), ONE, NONE).opening == {"20000": 14}


def test_lines_of_one_invoice_are_one_step() -> None:
    """An item twice on an invoice needs the sum."""
    assert make_plan(invoices_of([row("1", "20000", 2), row("1", "20000", 3)]), ONE, NONE).opening == {"20000": 5}


def test_every_item_is_known_to_the_service_even_one_that_only_comes_back() -> None:
    """With nothing in stock, so that a return is a fact about a known item."""
    assert make_plan(invoices_of([row("C1", "20000", -2)]), ONE, HALF).opening == {"20000": 0}


@pytest.mark.parametrize(("share", "opening"), [("1", 10), ("0.5", 5), ("0.55", 5), ("0.1", 1), ("0", 0), ("2", 20)])
def test_a_share_is_rounded_down(share: str, opening: int) -> None:
    """Exactly: a tenth of ten is one."""
    plan = make_plan(invoices_of([row("1", "20000", 10)]), Fraction(share), NONE)
    assert plan.opening == {"20000": opening}
    assert (plan.peak_units, plan.peak_skus) == (10, 1)


def test_quotas_follow_who_had_drawn_the_item_at_its_peak() -> None:
    """Half of what a path had drawn is fenced: half of that for itself, half for its channel. The rest stays common."""
    rows = [
        row("1", "20000", 40, minute=0),
        row("2", "20000", 24, minute=1, country="Germany"),
        row("3", "20000", 16, minute=2, customer=""),
        row("C4", "20000", -8, minute=3),
        row("5", "20000", 8, minute=4, customer=""),
        row("6", "20000", 20, minute=5),
        row("C7", "20000", -50, minute=6),
        row("8", "20000", 1, minute=7, country="EIRE"),
    ]
    plan = make_plan(invoices_of(rows), ONE, HALF)
    assert plan.opening == {"20000": 100}
    assert plan.quotas == {
        "20000": {
            "customer": 19,
            "customer/france": 13,
            "customer/germany": 6,
            "guest": 6,
            "guest/france": 6,
        }
    }


def test_nothing_is_fenced_for_what_is_lost() -> None:
    """Write-offs are facts of the common pool: their part is left there."""
    rows = [row("1", "20000", 40), row("2", "20000", -60, minute=1, customer="")]
    assert make_plan(invoices_of(rows), ONE, ONE).quotas == {"20000": {"customer": 20, "customer/france": 20}}


def test_what_will_come_back_is_known() -> None:
    """Purchases of anything else need not be remembered, and a guest's cannot be."""
    rows = [
        row("1", "20000", 1),
        row("1", "20001", 1),
        row("C2", "20000", -1, minute=1),
        row("C3", "20001", -1, minute=2, customer=""),
    ]
    assert make_plan(invoices_of(rows), ONE, NONE).brought_back == {("12345", "20000")}


_rows = st.lists(
    st.builds(
        lambda kind, number, code, quantity, customer, country, minute: row(
            f"{kind[0]}{number}-{customer}-{country}",
            code,
            kind[1] * quantity,
            minute=minute,
            customer=customer,
            country=country,
        ),
        st.sampled_from([("", 1), ("", 1), ("C", -1), ("W", -1)]),
        st.integers(1, 9),
        st.sampled_from(["20000", "20001"]),
        st.integers(1, 40),
        st.sampled_from(["", "1", "2"]),
        st.sampled_from(["France", "Germany"]),
        st.integers(0, 99),
    ),
    min_size=1,
    max_size=40,
).map(lambda rows: sorted(rows, key=lambda each: each.time))


@searching(200)
@given(_rows, st.fractions(0, 2, max_denominator=20), st.fractions(0, 1, max_denominator=20))
def test_the_peak_suffices_and_not_a_unit_less(rows: list[Row], share: Fraction, fenced: Fraction) -> None:
    """With all of it nothing ever runs out; one unit fewer would; and quotas never exceed the fenced part."""
    whole = make_plan(invoices_of(rows), ONE, fenced)
    lowest = dict(whole.opening)
    stock = Counter(whole.opening)
    for invoice in invoices_of(rows):
        for units, sign in ((invoice.sold, -1), (invoice.returned, 1), (invoice.written_off, -1)):
            for sku, quantity in units:
                stock[sku] += sign * quantity
        for sku in stock:
            lowest[sku] = min(lowest[sku], stock[sku])
    for sku, opening in whole.opening.items():
        assert lowest[sku] == 0 if opening else lowest[sku] >= 0
    part = make_plan(invoices_of(rows), share, fenced)
    for sku, opening in part.opening.items():
        assert opening <= whole.opening[sku] * share < opening + 1
        quotas = part.quotas.get(sku, {})
        assert all(quota > 0 for quota in quotas.values())
        assert sum(quotas.values()) <= opening * fenced
