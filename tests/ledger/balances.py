"""The balances of a world, as a query reads them."""

from __future__ import annotations

from ringfence_server.ledger.balance import (
    Balance,
    BalanceFilter,
    balances_of,
)
from tests.ledger.world import BIKE, NORTH, World

EVERYTHING = BalanceFilter()


def balances(world: World, wanted: BalanceFilter = EVERYTHING, *, location: str = NORTH) -> dict[str, Balance]:
    """The balances of the bikes, by path."""
    return {found.path: found for found in balances_of(world.policy, world[BIKE, location], wanted)}


def only(path: str) -> BalanceFilter:
    return BalanceFilter(path=path, exact_path=True)
