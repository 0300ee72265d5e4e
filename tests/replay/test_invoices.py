"""What the lines of an order file mean."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.replaying.invoices import CHARGES, Skip, Units, group_path, skip_of
from scripts.replaying.order_file import OrderFileError, Row
from tests.properties.profiles import searching
from tests.replay.builders import invoices_of, only_invoice, row


def test_an_invoice_that_spans_two_minutes_is_one_and_happens_when_it_is_complete() -> None:
    """It comes after what was complete before its last line, though that began later."""
    long = [row("1", "20000", 1, minute=0), row("1", "20001", 2, minute=1)]
    short = row("2", "20000", 3, minute=0, customer="777")
    invoices = list(invoices_of([long[0], short, long[1]]))
    assert [invoice.number for invoice in invoices] == ["2", "1"]
    assert invoices[1].sold == [Units("20000", 1), Units("20001", 2)]
    assert invoices[1].time == long[1].time


def test_codes_in_both_cases_are_one_item() -> None:
    """85123a and 85123A are one shelf; both lines stay, for the invoice has two."""
    assert only_invoice([row("1", "85123A", 6), row("1", "85123a", 4)]).sold == [Units("85123A", 6), Units("85123A", 4)]


def test_lines_below_zero_come_back_on_a_cancellation_and_are_lost_anywhere_else() -> None:
    """The sign alone does not tell a return from a write-off; the invoice's number does."""
    cancelled = only_invoice([row("C1", "20000", -4)])
    assert (cancelled.sold, cancelled.returned, cancelled.written_off) == ([], [Units("20000", 4)], [])
    lost = only_invoice([row("1", "20000", -4, customer="")])
    assert (lost.sold, lost.returned, lost.written_off) == ([], [], [Units("20000", 4)])


@pytest.mark.parametrize("code", [*sorted(CHARGES), "m", "post"])
def test_charges_are_no_stock(code: str) -> None:
    """Postage, fees and manual lines move nothing, whichever way they point."""
    invoices = invoices_of([row("1", code, 1), row("C1", code, -1)])
    assert [invoice.lines for invoice in invoices] == [0, 0]
    assert invoices.skipped == {Skip.CHARGE: 2}
    assert not invoices.skus


@pytest.mark.parametrize("code", ["85123A", "PADS", "DCGS0003", "gift_0001_20", "20000"])
def test_goods_are_stock_whatever_their_code_looks_like(code: str) -> None:
    """Some goods have codes without digits."""
    assert only_invoice([row("1", code, 1)]).sold == [Units(code.upper(), 1)]


def test_adjustments_and_lines_of_nothing_move_no_stock_and_are_counted() -> None:
    """Bad debt, 0 units, and a cancellation that brings nothing back."""
    invoices = invoices_of([row("A1", "20000", 1), row("1", "20000", 0), row("C1", "20000", 2)])
    assert [invoice.lines for invoice in invoices] == [0, 0, 0]
    assert invoices.skipped == {Skip.ADJUSTMENT: 1, Skip.ZERO: 1, Skip.POSITIVE_CANCELLATION: 1}
    assert invoices.lines == 3


@pytest.mark.parametrize(
    ("customer", "country", "path"),
    [
        ("", "United Kingdom", "guest/united-kingdom"),
        ("17850", "France", "customer/france"),
        ("17850", "Czech Republic / Ústí_nad Labem", "customer/czech-republic-ústí-nad-labem"),
        ("", "", "guest/unspecified"),
        ("1", "x" * 100, "customer/" + "x" * 64),
    ],
)
def test_who_asks_is_a_group_path(customer: str, country: str, path: str) -> None:
    """Channel and country, as two levels without blanks or slashes in them."""
    assert group_path(customer, country) == path


def test_a_file_that_is_not_in_time_order_is_refused() -> None:
    """Orders are replayed in the order in which they happened; the line is named."""
    with pytest.raises(OrderFileError, match="line 3"):
        invoices_of([row("1", "20000", 1, minute=5), row("2", "20000", 1, minute=4)])


def test_an_invoice_of_two_customers_is_refused() -> None:
    """It could not be told who bought, and who may cancel."""
    invoices = invoices_of([row("1", "20000", 1), row("1", "20001", 1, customer="99999")])
    with pytest.raises(OrderFileError, match="line 3"):
        list(invoices)


_rows = st.lists(
    st.builds(
        lambda number, code, quantity, minute: row(
            number, code, -abs(quantity) if number.startswith("C") else quantity, minute=minute
        ),
        st.sampled_from(["1", "2", "3", "C4", "A5"]),
        st.sampled_from(["20000", "20000A", "20000a", "POST", "pads"]),
        st.integers(-50, 50),
        st.integers(0, 30),
    ),
    max_size=40,
).map(lambda rows: sorted(rows, key=lambda each: each.time))


@searching(200)
@given(_rows)
def test_no_line_is_lost_or_counted_twice(rows: list[Row]) -> None:
    """Every line is in one invoice, every invoice comes once and in the order of its last line, and the units that move
    stock are the file's."""
    invoices = invoices_of(rows)
    found = list(invoices)
    assert sum(invoice.file_lines for invoice in found) == invoices.lines == len(rows)
    last = {each.invoice: number for number, each in enumerate(rows)}
    assert [invoice.number for invoice in found] == sorted(last, key=lambda number: last[number])
    net: Counter[str] = Counter()
    for invoice in found:
        for units, sign in ((invoice.sold, 1), (invoice.returned, -1), (invoice.written_off, -1)):
            for sku, quantity in units:
                assert quantity > 0
                net[sku] += sign * quantity
    wanted: Counter[str] = Counter()
    for each in rows:
        if skip_of(each) is None:
            wanted[each.stock_code.upper()] += each.quantity
    assert net == wanted
    assert invoices.skus == set(wanted)
    assert sum(invoice.lines for invoice in found) == len(rows) - sum(invoices.skipped.values())
