"""The order file that the project makes itself."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from fractions import Fraction

from scripts.replaying.invoices import Invoices, Skip
from scripts.replaying.plan import make_plan
from scripts.replaying.purchases import Purchases, Sale
from scripts.replaying.sample import sample_rows

ROWS = sample_rows()
INVOICES = Invoices(lambda: ROWS)


def test_it_is_the_same_everywhere() -> None:
    """On every machine and Python, so that figures of two replays can be compared. A change of the sample changes this
    digest, and every figure that was ever noted with it."""
    assert sample_rows() == ROWS
    text = "\n".join(",".join(map(str, row)) for row in ROWS)
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "53c54c8160fd3872"


def test_it_has_the_traps_of_a_real_file() -> None:
    """What made replays of the real file go wrong is there in small."""
    invoices = {invoice.number: invoice for invoice in INVOICES}
    minutes = defaultdict(set)
    for row in ROWS:
        minutes[row.invoice].add(row.time)
    assert any(len(times) == 2 for times in minutes.values()), "an invoice that spans two minutes"
    assert any(
        before.invoice == after.invoice != between.invoice
        for before, between, after in zip(ROWS, ROWS[1:], ROWS[2:], strict=False)
    ), "two invoices that stand mixed"
    assert max(len(invoice.sold) for invoice in invoices.values()) == 1_114
    assert any(len({sku for sku, _ in invoice.sold}) < len(invoice.sold) <= 40 for invoice in invoices.values()), (
        "an item twice on an ordinary invoice"
    )
    codes = {row.stock_code for row in ROWS}
    assert any(code.lower() in codes for code in codes if code.lower() != code), "codes in both cases"
    assert any(invoice.written_off for invoice in invoices.values())
    assert {invoice.path.partition("/")[0] for invoice in invoices.values()} == {"guest", "customer"}
    countries = defaultdict(set)
    for row in ROWS:
        countries[row.customer].add(row.country)
    assert any(customer and len(names) > 1 for customer, names in countries.items()), "a customer in two countries"
    assert set(INVOICES.skipped) == {Skip.ADJUSTMENT, Skip.CHARGE, Skip.ZERO}
    assert any(not invoice.lines and invoice.number[0] != "A" for invoice in invoices.values()), "nothing but charges"


def test_it_has_an_order_of_80995_units_cancelled_minutes_later() -> None:
    """And a smaller one of 74,215, as the real file has."""
    huge = {quantity: row for row in ROWS if abs(quantity := row.quantity) > 10_000}
    assert set(huge) == {74_215, -74_215, 80_995, -80_995}
    for quantity in (74_215, 80_995):
        assert 0 < (huge[-quantity].time - huge[quantity].time).total_seconds() < 20 * 60


def test_its_cancellations_are_of_every_kind() -> None:
    """Of a whole purchase, of a part, of several at once, of something never bought, and of a guest."""
    purchases = Purchases(make_plan(INVOICES, Fraction(1), Fraction(0)).brought_back)
    kinds: Counter[str] = Counter()
    for invoice in INVOICES:
        purchases.add(Sale(invoice))
        for units in invoice.returned:
            matches, left = purchases.take_back(invoice.customer, units)
            kinds["a guest"] += not invoice.customer
            kinds["never bought"] += bool(left) and not matches
            kinds["more than bought"] += bool(left) and bool(matches)
            kinds["several purchases"] += len({match.line.sale for match in matches}) > 1
            kinds["in part"] += any(match.line.wanted for match in matches)
            kinds["whole"] += len(matches) == 1 and not left and not matches[0].line.wanted
    assert all(kinds.values()), kinds
    assert len(kinds) == 6
