"""Sourcing: which locations give the lines that name none, in the policy's location order.

1 the first location that fills all such lines from own pools; 2 the same with fallback; 3 each line by itself from the
first location that fills it; 4 split over locations, if policy and request allow it, own pools of all locations first.
"""

from __future__ import annotations

from .names import ancestors, depth
from .policy import Fallback
from .promise import Ask, Draft, fill_located
from .state import Stock


def fill_sourced(draft: Draft, asks: list[Ask], wanted: dict[int, int], *, split: bool) -> None:
    """Fills lines that name no location; ``wanted`` (by line number) is lowered by what each got."""
    if not asks:
        return
    for with_fallback in (False, True):
        for location in _common_locations(asks):
            if _fill_whole(draft, asks, location, with_fallback):
                for ask in asks:
                    wanted[ask.number] = 0
                return
    in_order = sorted(asks, key=lambda ask: ask.fallback is not Fallback.NONE)
    for ask in in_order:
        if any(
            _fill_whole(draft, [ask], stock.key.location, with_fallback)
            for with_fallback in (False, True)
            for stock in ask.stocks
        ):
            wanted[ask.number] = 0
    if split:
        _fill_split(draft, in_order, wanted)


def take_most_at_one(draft: Draft, ask: Ask, wanted: dict[int, int]) -> None:
    """For ALLOW_PARTIAL without a split: takes what the location that has most can give; the first of equals."""
    best: Stock | None = None
    most = 0
    for stock in ask.stocks:
        mark = len(draft.takes)
        left = {ask.number: wanted[ask.number]}
        fill_located(draft, [ask._replace(stocks=(stock,))], left)
        draft.undo(mark)
        got = wanted[ask.number] - left[ask.number]
        if got > most:
            best, most = stock, got
    if best is not None:
        fill_located(draft, [ask._replace(stocks=(best,))], wanted)


def _common_locations(asks: list[Ask]) -> list[str]:
    """Locations that know every line, in the order of the first line's candidates."""
    known = [{stock.key.location for stock in ask.stocks} for ask in asks]
    return [
        stock.key.location for stock in asks[0].stocks if all(stock.key.location in locations for locations in known)
    ]


def _fill_whole(draft: Draft, asks: list[Ask], location: str, with_fallback: bool) -> bool:
    """Fills all these lines at one location, or takes nothing."""
    mark = len(draft.takes)
    located = [
        ask._replace(
            stocks=tuple(stock for stock in ask.stocks if stock.key.location == location),
            fallback=ask.fallback if with_fallback else Fallback.NONE,
        )
        for ask in asks
    ]
    wanted = {ask.number: ask.quantity for ask in asks}
    fill_located(draft, located, wanted)
    if not any(wanted.values()):
        return True
    draft.undo(mark)
    return False


def _fill_split(draft: Draft, asks: list[Ask], wanted: dict[int, int]) -> None:
    """Own pools of all locations first; then, as within a location, pool by pool from the deepest up."""
    for ask in asks:
        for stock in ask.stocks:
            wanted[ask.number] -= draft.take(ask, stock, ask.path, wanted[ask.number])
    borrowers = [ask for ask in asks if ask.fallback is Fallback.ANCESTORS and wanted[ask.number]]
    for level in range(max((depth(ask.path) for ask in borrowers), default=0) - 1, -1, -1):
        for ask in borrowers:
            above = depth(ask.path) - level
            if above > 0:
                path = ancestors(ask.path)[above]
                for stock in ask.stocks:
                    wanted[ask.number] -= draft.take(ask, stock, path, wanted[ask.number])
