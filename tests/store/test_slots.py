"""Slots: how many, what lies in which, and sets of them as bitmaps."""

from __future__ import annotations

from collections import Counter
from uuid import UUID

import pytest

from ringfence_server.ledger.names import StockKey
from ringfence_server.store.ids import Ids
from ringfence_server.store.slots import ONE_SLOT, Slots, bits_of, column_of, slots_of

NOW = 1_772_442_000_123_456


@pytest.mark.parametrize("count", [-1, 0, 3, 63, 65, 128])
def test_their_number_is_a_power_of_two(count: int) -> None:
    """Up to 64, for a set of them is a 64-bit number."""
    with pytest.raises(ValueError, match="a store has a power of two, at most 64"):
        Slots(count)


def test_all_keys_of_a_sku_lie_in_one() -> None:
    """Whatever the location and the dimensions: an order without a location is sourced within it."""
    slots = Slots(64)
    for number in range(200):
        of = {
            slots.of_key(StockKey("default", f"SKU-{number}", location, dimensions))
            for location in ("north", "south")
            for dimensions in ((), (("colour", "red"),))
        }
        assert of == {slots.of_sku("default", f"SKU-{number}")}
        assert of == {slots.of_identity(("default", f"SKU-{number}", "west", ""))}


def test_skus_and_organizations_are_spread() -> None:
    """Evenly, so that no machine has most of them."""
    found = Counter(Slots(64).of_sku(f"shop-{number % 3}", f"SKU-{number}") for number in range(6_400))
    assert set(found) == set(range(64))
    assert max(found.values()) < 200


def test_what_lies_where_never_changes() -> None:
    """Rows that were written lie there: these numbers are part of the format."""
    slots = Slots(64)
    assert [slots.of_sku("default", name) for name in ("BIKE", "LAMP")] == [12, 37]
    assert slots.of_reference(("default", "webshop", "O-1")) == 19
    assert Slots(16).of_sku("default", "BIKE") == 12
    assert slots.of_stock(64 * 7 + 5) == slots.of_sequence(64 * 9 + 5) == slots.of_pool((64 * 7 + 5, 3)) == 5
    assert slots.of_id(bytes(15) + b"\xc7") == 7
    assert slots.of_scope(-1) == 63


def test_one_slot_has_everything() -> None:
    """SQLite's."""
    assert ONE_SLOT.all == (0,)
    assert ONE_SLOT.of_sku("default", "BIKE") == ONE_SLOT.of_id(b"\xff" * 16) == ONE_SLOT.of_scope(-1) == 0
    assert ONE_SLOT.of_reference(("default", "webshop", "O-1")) == ONE_SLOT.of_stock(12_345) == 0


@pytest.mark.parametrize("found", [(), (0,), (63,), (0, 5, 63), tuple(range(64))])
def test_a_set_is_a_bitmap_that_fits_a_column(found: tuple[int, ...]) -> None:
    """Also with the 64th: the column's number is negative then."""
    column = column_of(bits_of(found))
    assert -(2**63) <= column < 2**63
    assert slots_of(column) == slots_of(bits_of(found)) == found


def test_a_reservation_id_carries_its_slot_and_rises() -> None:
    """In the lowest bits; ids of different slots rise together, and stay UUIDv7."""
    ids, slots = Ids(slot_count=64), Slots(64)
    ids.now = NOW
    made = [ids.reservation_id(number % 64) for number in range(1_000)]
    assert made == sorted(set(made))
    assert [slots.of_id(each) for each in made] == [number % 64 for number in range(1_000)]
    assert {(UUID(bytes=each).version, UUID(bytes=each).variant) for each in made} == {(7, "specified in RFC 4122")}
