"""Two days in a shop, told from the first command to the last."""

from ringfence_server.ledger.names import COMMON
from ringfence_server.ledger.outcomes import Insufficient, Restock, ShortageReason
from tests.ledger.world import BIKE, NORTH, World, line, quota, refusal


def test_the_lamp_story() -> None:
    """10 lamps: an order holds one, is cancelled, is placed again and consumed: 9 are on hand and nothing is held."""
    world = World(LAMP=10)

    order = world.hold(COMMON, 1, sku="LAMP")
    assert world.pool(COMMON, "LAMP") == (9, 1, 0)

    (line_back,) = world.cancel(order).lines
    assert (line_back.quantity, line_back.restock) == (1, Restock.AT_ONCE)
    assert world.pool(COMMON, "LAMP") == (10, 0, 0)

    second = world.hold(COMMON, 1, sku="LAMP")
    assert world.consume(second, order="web-2").quantities == (("1", 1),)
    assert world.on_hand("LAMP") == 9
    assert world.pool(COMMON, "LAMP") == (9, 0, 0)
    assert world.consumed(COMMON, "LAMP") == 1


def test_the_red_bikes_story() -> None:
    """Of 500 red bikes 200 are for web/london/vip: vip reserves 200, the 201st is refused with what fallback gives."""
    world = World(BIKE=500)
    world.allocate(quota("web/london/vip", 200))

    world.hold("web/london/vip", 200)
    with refusal(Insufficient) as refused:
        world.reserve(line("web/london/vip", 1))

    (short,) = refused.value.shortages
    assert short.reason is ShortageReason.QUOTA_EXHAUSTED
    assert (short.requested, short.available, short.bound_path) == (1, 0, "web/london/vip")
    assert short.available_with_fallback == 1
    assert world.pool(COMMON) == (300, 0, 0)
    assert world.pool("web/london/vip") == (0, 200, 0)
    subtree = [pool for path, pool in world[BIKE, NORTH].pools.items() if path.split("/")[0] == "web"]
    assert sum(pool.free + pool.held for pool in subtree) == 200
