"""Where a reservation stands: the state of the part that is furthest behind."""

from ringfence_server.ledger.names import COMMON
from ringfence_server.ledger.policy import Location, LocationKind, Policy
from ringfence_server.ledger.state import Reservation, ReservationState, Stock, reservation_state
from tests.ledger.world import NORTH, SOUTH, World, figure, key, line

MIXED = Policy(locations=(Location(NORTH, LocationKind.TILL),))


def _sold_at_two_places() -> tuple[World, Reservation]:
    """One line at a till, another at a location that the service counts itself."""
    world = World(MIXED)
    world.post(figure(10, position=1), figure(10, location=SOUTH))
    order = world.reserve(line(COMMON, 2), line(COMMON, 2, location=SOUTH)).reservation
    return world, order


def test_as_long_as_anything_is_held_the_order_is_held() -> None:
    """Though another line is sold and settled."""
    world, order = _sold_at_two_places()
    world.consume(order, {"2": 2})
    assert reservation_state(order) is ReservationState.HELD


def test_a_sold_order_goes_from_consumed_over_sent_and_received_to_settled() -> None:
    """A part at a till sets the pace; one that is settled already does not hurry it."""
    world, order = _sold_at_two_places()
    world.consume(order)
    till, owned = order.parts
    assert (till.unsettled, owned.settled) == (2, 2)
    states = [order.state]
    till.sent_time = 1
    states.append(order.state)
    till.received_time = 2
    states.append(order.state)
    till.unsettled, till.settled = 0, 2
    states.append(order.state)
    assert states == [
        ReservationState.CONSUMED,
        ReservationState.SENT,
        ReservationState.RECEIVED,
        ReservationState.SETTLED,
    ]


def test_the_part_furthest_behind_decides() -> None:
    """One part not sent, the others received: the order is CONSUMED; one only sent: SENT."""
    world, order = _sold_at_two_places()
    world.stock("LAMP", SOUTH, on_hand=1)
    other = world.reserve(line(COMMON, 1), line(COMMON, 1)).reservation
    world.consume(other)
    (part,) = [part for part in other.parts if part.line_id == "2"]
    part.sent_time, part.received_time = 1, 2
    assert reservation_state(other) is ReservationState.CONSUMED
    other.parts[0].sent_time = 1
    assert reservation_state(other) is ReservationState.SENT
    assert reservation_state(order) is ReservationState.HELD


def test_the_state_does_not_depend_on_the_order_of_parts() -> None:
    """Read forwards or backwards."""
    world, _ = _sold_at_two_places()
    order = world.reserve(line(COMMON, 1), line(COMMON, 1)).reservation
    world.consume(order)
    order.parts[0].sent_time = order.parts[0].received_time = 1
    order.parts[1].sent_time = 1
    assert reservation_state(order) is ReservationState.SENT
    order.parts.reverse()
    assert reservation_state(order) is ReservationState.SENT


def test_lines_keep_the_callers_order() -> None:
    """However the parts were granted."""
    world = World(BIKE=10)
    order = world.reserve(line(COMMON, 1, line_id="b"), line(COMMON, 1, line_id="a")).reservation
    order.parts.reverse()
    assert [parts[0].line_id for parts in order.lines().values()] == ["b", "a"]


def test_the_living_pool_is_the_own_or_the_nearest_ancestors() -> None:
    """A pool without quota is passed over; the common pool always lives."""
    stock = Stock(1, key())
    assert stock.living_pool("web/london").path == COMMON
    stock.pool("web").living = True
    assert stock.living_pool("web/london").path == "web"
    stock.pool("web/london").living = True
    assert stock.living_pool("web/london").path == "web/london"
