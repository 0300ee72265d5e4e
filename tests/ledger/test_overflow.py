"""A total that would leave 64 bits is OUT_OF_RANGE, never wrapped; totals just below it are counted exactly."""

from ringfence_server.ledger.allocate import allocate
from ringfence_server.ledger.commands import Allocate
from ringfence_server.ledger.journal import Batch
from ringfence_server.ledger.names import COMMON, MAX_INT64
from ringfence_server.ledger.outcomes import Overflow, PoolsChanged
from ringfence_server.ledger.policy import Policy
from ringfence_server.ledger.state import Stock
from tests.ledger.engine import ORGANIZATION
from tests.ledger.world import BORROWING, World, key, line, quota, refusal


def test_sales_of_a_pool_do_not_leave_64_bits() -> None:
    """Consume is refused while the hold stands, and succeeds for what still fits."""
    world = World(BIKE=10)
    order = world.hold(COMMON, 5)
    world.give_history(COMMON, consumed=MAX_INT64 - 4)
    with refusal(Overflow) as refused:
        world.consume(order)
    assert refused.value.field == "reservation_id"
    world.give_history(COMMON, consumed=MAX_INT64 - 5)
    world.consume(order)
    assert world.consumed(COMMON) == MAX_INT64


def test_lines_of_one_sale_are_summed_before_64_bits_are_judged() -> None:
    """Two lines that would fit alone leave 64 bits together."""
    world = World(BIKE=10)
    order = world.reserve(line(COMMON, 4), line(COMMON, 4)).reservation
    world.give_history(COMMON, consumed=MAX_INT64 - 7)
    with refusal(Overflow):
        world.consume(order)


def test_a_revived_sale_is_judged_where_it_takes_its_units() -> None:
    """Also where that is another pool than the one that had given them."""
    world = World(BORROWING, BIKE=10)
    world.allocate(quota("web", 4))
    order = world.hold("web", 4)
    world.advance(minutes=15)
    world.sell(line("web", 4))
    world.give_history(COMMON, consumed=MAX_INT64)
    with refusal(Overflow):
        world.consume(order, revive=True)


def test_a_direct_sale_does_not_leave_64_bits() -> None:
    """Judged before anything moves, by what one request can at most sell."""
    world = World(BIKE=10)
    world.give_history(COMMON, consumed=MAX_INT64 - 1)
    with refusal(Overflow):
        world.sell(line(COMMON, 2))


def test_what_a_path_has_taken_does_not_leave_64_bits() -> None:
    """The figure that sales_cap bounds is a total, too."""
    world = World(BIKE=10)
    world.give_history(COMMON, taken=MAX_INT64 - 1)
    with refusal(Overflow) as refused:
        world.reserve(line(COMMON, 2))
    assert refused.value.field == "lines"


def test_free_units_of_a_pool_do_not_leave_64_bits() -> None:
    """Allocate is refused before it moves; a total just at the limit is exact."""
    batch = Batch(
        now=0,
        record_time=0,
        revision=1,
        last_sequence=0,
        new_reservation_id=lambda _: b"",
        new_stock_id=lambda _: 1,
    )
    batch.policies[ORGANIZATION] = Policy()
    stock = batch.stocks[key()] = Stock(1, key())
    stock.pool(COMMON).free = 10
    stock.pool("web").free = MAX_INT64 - 4
    refused = allocate(batch, ORGANIZATION, Allocate((quota("web", 3), quota("web", 2))))
    assert isinstance(refused, Overflow)
    assert stock.pool(COMMON).free == 10
    assert isinstance(allocate(batch, ORGANIZATION, Allocate((quota("web", 4),))), PoolsChanged)
    assert stock.pool("web").free == MAX_INT64
