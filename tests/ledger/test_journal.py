"""The ledger: every movement is an entry that says from where, to where, why and when."""

import pytest

from ringfence_server.ledger.journal import Batch
from ringfence_server.ledger.names import COMMON, ancestors, depth, is_within, pool_id
from ringfence_server.ledger.state import EntryKind, MeasureValue, Place, Stock
from tests.ledger.world import BIKE, BORROWING, NORTH, TILLS, World, back, figure, key, line, quota, shift

OUT = (Place.OUTSIDE, 0)


def _free(path: str) -> tuple[Place, int]:
    return Place.FREE, pool_id(path)


def _held(path: str) -> tuple[Place, int]:
    return Place.HELD, pool_id(path)


def _movements(world: World, since: int = 0) -> list[tuple[EntryKind, int, tuple[Place, int], tuple[Place, int]]]:
    return [
        (
            EntryKind(entry.kind),
            entry.quantity,
            (Place(entry.from_place), entry.from_pool),
            (Place(entry.to_place), entry.to_pool),
        )
        for entry in world.journal.entries[since:]
    ]


def test_every_command_writes_what_it_moved() -> None:
    """Kind, quantity and both ends of each movement, in order."""
    world = World(BORROWING, BIKE=10)
    world.allocate(quota("web", 4))
    world.reallocate(shift("web", "app", 1))
    world.unallocate(back("app"))
    order = world.hold("web", 5)
    world.update(order, {"1": 4})
    world.consume(order, {"1": 1})
    world.advance(minutes=15)
    world.consume(order, {"1": 1}, revive=True)
    world.cancel(order)
    world.stock(on_hand=3)
    assert _movements(world) == [
        (EntryKind.SUPPLY, 10, OUT, _free(COMMON)),
        (EntryKind.ALLOCATE, 4, _free(COMMON), _free("web")),
        (EntryKind.REALLOCATE, 1, _free("web"), _free("app")),
        (EntryKind.UNALLOCATE, 1, _free("app"), _free(COMMON)),
        (EntryKind.RESERVE, 3, _free("web"), _held("web")),
        (EntryKind.RESERVE, 2, _free(COMMON), _held(COMMON)),
        (EntryKind.RELEASE, 1, _held(COMMON), _free(COMMON)),
        (EntryKind.CONSUME, 1, _held("web"), (Place.SOLD, 0)),
        (EntryKind.EXPIRE, 2, _held("web"), _free("web")),
        (EntryKind.EXPIRE, 1, _held(COMMON), _free(COMMON)),
        (EntryKind.REVIVE, 1, _free("web"), _held("web")),
        (EntryKind.CONSUME, 1, _held("web"), (Place.SOLD, 0)),
        (EntryKind.CANCEL, 2, (Place.SOLD, 0), _free("web")),
        (EntryKind.SUPPLY, 7, _free(COMMON), OUT),
    ]


def test_a_sale_at_a_till_moves_to_unsettled_and_back() -> None:
    """The units stay in the pool's books until a count contains them."""
    world = World(TILLS)
    world.post(figure(10, position=1))
    world.cancel(world.sell(line(COMMON, 3)).reservation)
    assert _movements(world, 1) == [
        (EntryKind.CONSUME, 3, _free(COMMON), (Place.UNSETTLED, 0)),
        (EntryKind.CANCEL, 3, (Place.UNSETTLED, 0), _free(COMMON)),
    ]


def test_an_entry_names_its_order_part_and_measure() -> None:
    """An OWNED sale's entry carries the measure that it lowers: its history needs no fact of its own."""
    world = World(BORROWING, BIKE=10)
    world.allocate(quota("web", 1))
    order = world.sell(line("web", 2)).reservation
    first, second = world.journal.entries[-2:]
    assert (first.reservation_id, first.part_number, first.measure) == (order.reservation_id, 1, "on_hand")
    assert (second.reservation_id, second.part_number, second.reservation_previous) == (
        order.reservation_id,
        2,
        first.sequence,
    )
    assert (order.last_sequence, world[BIKE, NORTH].last_sequence) == (second.sequence, second.sequence)
    assert len(world.journal.facts) == 1


def test_record_time_and_effective_time() -> None:
    """A movement counts from its record_time unless the batch says that it counts from another instant."""
    batch = _batch(record_time=50)
    stock = Stock(1, key())
    common = stock.pool(COMMON)
    batch.move(EntryKind.SUPPLY, stock, 3, None, Place.OUTSIDE, common, Place.FREE)
    batch.effective_time = 40
    batch.move(EntryKind.SUPPLY, stock, 1, common, Place.FREE, None, Place.OUTSIDE)
    assert [(entry.record_time, entry.effective_time) for entry in batch.entries] == [(50, 50), (50, 40)]
    assert [(entry.sequence, entry.previous_sequence) for entry in batch.entries] == [(8, 0), (9, 8)]
    assert (stock.supply, common.free) == (2, 2)


@pytest.mark.parametrize("place", [Place.FREE, Place.HELD, Place.UNSETTLED])
def test_promised_counts_what_is_held_and_unsettled(place: Place) -> None:
    """Units that enter a promise raise it, units that leave lower it, free units do neither."""
    batch, stock = _batch(), Stock(1, key())
    common, pool = stock.pool(COMMON), stock.pool("web")
    batch.move(EntryKind.SUPPLY, stock, 5, None, Place.OUTSIDE, common, Place.FREE)
    batch.move(EntryKind.RESERVE, stock, 3, common, Place.FREE, pool, place)
    promised = 0 if place is Place.FREE else 3
    assert (stock.supply, stock.promised, stock.net) == (5, promised, 5 - promised)
    batch.move(EntryKind.CANCEL, stock, 3, pool, place, common, Place.FREE)
    assert (stock.promised, common.free, pool.free + pool.held + pool.unsettled) == (0, 5, 0)
    assert stock.changed
    assert pool.changed


def test_a_fact_takes_its_place_in_the_sequence() -> None:
    """Facts and entries share one sequence, so a batch's order is kept."""
    batch = _batch()
    value = MeasureValue("on_hand", value=7, position=3, source="wms", count_time=1)
    batch.record_fact(Stock(1, key()), value, 7)
    (fact,) = batch.facts
    assert (fact.sequence, batch.sequence, fact.delta, fact.value, fact.source) == (8, 8, 7, 7, "wms")


def test_paths_know_their_ancestors() -> None:
    """The path itself, each parent, last the common pool; web does not lie within webshop."""
    assert ancestors("web/london/vip") == ("web/london/vip", "web/london", "web", "")
    assert ancestors("") == ("",)
    assert [depth(path) for path in ("", "web", "web/london")] == [0, 1, 2]
    assert is_within("web/london", "web")
    assert is_within("web", "")
    assert not is_within("webshop", "web")


def test_a_paths_number_is_its_own_and_never_that_of_the_common_pool() -> None:
    """0 is the common pool; a path's number is the same in every process and release."""
    assert pool_id(COMMON) == 0
    assert pool_id("web") == 5_800_646_647_749_121_652
    assert len({pool_id(path) for path in ("web", "app", "web/london", "london/web")}) == 4


def _batch(record_time: int = 0) -> Batch:
    return Batch(
        now=0,
        record_time=record_time,
        revision=1,
        last_sequence=7,
        new_reservation_id=lambda _: b"",
        new_stock_id=lambda _: 1,
    )


def test_numbers_carry_the_slot_of_their_stock() -> None:
    """Where rows lie in many slots each step counts for all of them, so that numbers rise across slots, and a number
    tells where to look."""
    batch = Batch(
        now=0,
        record_time=0,
        revision=1,
        last_sequence=640,
        new_reservation_id=lambda _: b"",
        new_stock_id=lambda _: 1,
        slot_count=64,
    )
    assert batch.newest_sequence == 640 + 63
    stocks = [Stock(64 * 3 + slot, key(f"SKU-{slot}")) for slot in (63, 0, 7)]
    for stock in stocks:
        batch.move(EntryKind.SUPPLY, stock, 1, None, Place.OUTSIDE, stock.pool(COMMON), Place.FREE)
    assert [entry.sequence for entry in batch.entries] == [704 + 63, 768, 832 + 7]
    assert batch.next_number(5) == 896 + 5
    assert batch.newest_sequence == 896 + 63
