"""Sourcing: which locations give the lines that name none, in the policy's location order.

1 the first location that fills all such lines from own pools; 2 the same with fallback; 3 each line by itself from the
first location that fills it; 4 split over locations, if policy and request allow it, own pools of all locations first.
Where that leaves a line short, ``sourcing_anew`` looks for a way that does not.
"""

from __future__ import annotations

from collections.abc import Sequence

from .names import ancestors, depth
from .policy import Fallback
from .promise import Ask, Draft, fill_located, within_reach
from .state import Stock


def fill_sourced(draft: Draft, asks: list[Ask], wanted: dict[int, int], *, split: bool) -> None:
    """Fills lines that name no location; ``wanted`` (by line number) is lowered by what each got."""
    if not asks:
        return
    places = [{stock.key.location: stock for stock in ask.stocks} for ask in asks]
    ways = (False, True) if any(ask.fallback is not Fallback.NONE for ask in asks) else (False,)
    for with_fallback in ways:
        # In the order of the first line's candidates; a location that does not know every line fills none.
        for location in places[0]:
            if _fill_whole(draft, asks, [known.get(location) for known in places], with_fallback):
                for ask in asks:
                    wanted[ask.number] = 0
                return
    in_order = without_fallback_first(asks)
    for ask in in_order:
        if any(_fill_whole(draft, [ask], [stock], with_fallback) for with_fallback in ways for stock in ask.stocks):
            wanted[ask.number] = 0
    if split:
        put_together(draft, in_order, wanted)


def take_most_at_one(draft: Draft, asks: list[Ask], wanted: dict[int, int]) -> None:
    """For ALLOW_PARTIAL without a split: a short line takes what the location that has most can give, the first of
    equals; lines without fallback first."""
    for ask in without_fallback_first(asks):
        if wanted[ask.number]:
            reach = {stock.stock_id: within_reach(draft, ask, stock, ask.fallback) for stock in ask.stocks}
            best = max(ask.stocks, key=lambda stock: min(wanted[ask.number], reach[stock.stock_id]))
            fill_located(draft, [ask._replace(stocks=(best,))], wanted)


def without_fallback_first(asks: list[Ask]) -> list[Ask]:
    """Lines without fallback, then those that may borrow, each in request order."""
    return sorted(asks, key=lambda ask: ask.fallback is not Fallback.NONE)


def _fill_whole(draft: Draft, asks: list[Ask], stocks: Sequence[Stock | None], with_fallback: bool) -> bool:
    """Fills all these lines, each from its stock, or takes nothing."""
    located: list[Ask] = []
    for ask, stock in zip(asks, stocks, strict=True):
        fallback = ask.fallback if with_fallback else Fallback.NONE
        # Most locations fail here, at the first line that would not even fit alone: a large order asks very many.
        if stock is None or ask.quantity > within_reach(draft, ask, stock, fallback):
            return False
        located.append(ask._replace(stocks=(stock,), fallback=fallback))
    mark = len(draft.takes)
    wanted = {ask.number: ask.quantity for ask in asks}
    fill_located(draft, located, wanted)
    if not any(wanted.values()):
        return True
    draft.undo(mark)
    return False


def put_together(draft: Draft, asks: list[Ask], wanted: dict[int, int]) -> None:
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
