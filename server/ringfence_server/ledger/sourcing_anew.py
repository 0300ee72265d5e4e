"""Sourcing anew: what the four steps left short, because another line took first what it could have had elsewhere.

Items share nothing, so each is tried by itself, with all lines of the request that ask for it. An item that none of the
ways fills keeps what the four steps gave. Without a split nothing is refused that could be filled, as far as the search
goes; with one, where more is promised than is there, an odd division over locations may be missed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TypeAlias

from .names import StockKey
from .policy import Fallback
from .promise import Ask, Draft, Take, fill_located, within_reach
from .sourcing import fill_sourced, put_together, without_fallback_first

_MOST_JUDGED: Final = 2_000
"""Lines judged in the search of one request, so that no order can keep the ledger busy: 4 lines of one item at 2
locations, or 3 at 3, are always searched to the end."""


class _Item(NamedTuple):
    """The lines of a request that ask for one item, wherever it lies."""

    located: list[Ask]
    sourced: list[Ask]


_Way: TypeAlias = Callable[[Draft, _Item, dict[int, int]], None]
"""Fills an item's lines; what each still wants, by line number, is lowered by what it got."""


def fill_anew(draft: Draft, asks: Sequence[Ask], wanted: dict[int, int], *, split: bool) -> None:
    """Fills the lines of items of which some line is short, if there is a way that leaves none of the item short."""
    items: dict[StockKey, _Item] = {}
    for ask in asks:
        item = items.setdefault(ask.key._replace(location=""), _Item([], []))
        (item.located if ask.located else item.sourced).append(ask)
    short = [
        item
        for item in items.values()
        # A line alone has been offered all there is.
        if item.sourced and len(_lines(item)) > 1 and any(wanted[ask.number] for ask in _lines(item))
    ]
    if not short:
        return
    item_of = {ask.number: place for place, item in enumerate(short) for ask in _lines(item)}
    given: list[list[Take]] = [[] for _ in short]
    others: list[Take] = []
    for take in draft.takes:
        place = item_of.get(take.ask.number)
        (others if place is None else given[place]).append(take)
    draft.undo(0)
    _take_again(draft, others)
    search = _Search()
    ways: list[_Way] = [search.fill]
    if split:
        # A line without fallback has no other pool, a line that borrows has; and a line that is whole at one location
        # may borrow there what it has of its own at another.
        ways += [_narrow_first, _all_split]
    for item, before in zip(short, given, strict=True):
        if not _filled(draft, item, ways, wanted):
            _take_again(draft, before)


def _filled(draft: Draft, item: _Item, ways: Sequence[_Way], wanted: dict[int, int]) -> bool:
    """Whether some way fills all lines of the item; if not, nothing is taken."""
    mark = len(draft.takes)
    for way in ways:
        left = {ask.number: ask.quantity for ask in _lines(item)}
        way(draft, item, left)
        if not any(left.values()):
            wanted.update(left)
            return True
        draft.undo(mark)
    return False


class _Search:
    """Each line whole at one location, from its own pool or with its fallback: of all choices that fill every line the
    first, where lines without fallback choose first, then in request order, and each as in the four steps."""

    def __init__(self) -> None:
        self._left = _MOST_JUDGED

    def fill(self, draft: Draft, item: _Item, wanted: dict[int, int]) -> None:
        """Fills the item's lines, or takes nothing."""
        chosen: dict[int, list[Ask]] = {}
        for ask in item.located:
            chosen.setdefault(ask.stocks[0].stock_id, []).append(ask)
        choices: list[list[Ask]] = []
        for ask in without_fallback_first(item.sourced):
            choices.append(_choices(draft, ask))
            if not choices[-1]:
                return
        if all(self._fit(draft, here) for here in chosen.values()) and self._choose(draft, choices, 0, chosen):
            for here in chosen.values():
                fill_located(draft, here, wanted)

    def _choose(self, draft: Draft, choices: list[list[Ask]], line: int, chosen: dict[int, list[Ask]]) -> bool:
        """Chooses for a line and those behind it. Each level judges, so what is left to judge bounds its depth too."""
        if line == len(choices):
            return True
        for ask in choices[line]:
            here = chosen.setdefault(ask.stocks[0].stock_id, [])
            here.append(ask)
            if self._fit(draft, here) and self._choose(draft, choices, line + 1, chosen):
                return True
            here.pop()
        return False

    def _fit(self, draft: Draft, asks: list[Ask]) -> bool:
        """Whether one stock fills these lines."""
        self._left -= len(asks)
        if self._left < 0:
            return False
        mark = len(draft.takes)
        left = {ask.number: ask.quantity for ask in asks}
        fill_located(draft, asks, left)
        draft.undo(mark)
        return not any(left.values())


def _choices(draft: Draft, ask: Ask) -> list[Ask]:
    """The line at each location that could fill it alone: from its own pool, then with fallback."""
    ways = (Fallback.NONE,) if ask.fallback is Fallback.NONE else (Fallback.NONE, ask.fallback)
    return [
        ask._replace(stocks=(stock,), fallback=fallback)
        for fallback in ways
        for stock in ask.stocks
        if ask.quantity <= within_reach(draft, ask, stock, fallback)
    ]


def _narrow_first(draft: Draft, item: _Item, wanted: dict[int, int]) -> None:
    for narrow in (True, False):
        located, sourced = ([ask for ask in lines if (ask.fallback is Fallback.NONE) is narrow] for lines in item)
        fill_located(draft, located, wanted)
        fill_sourced(draft, sourced, wanted, split=True)


def _all_split(draft: Draft, item: _Item, wanted: dict[int, int]) -> None:
    fill_located(draft, item.located, wanted)
    put_together(draft, without_fallback_first(item.sourced), wanted)


def _lines(item: _Item) -> list[Ask]:
    return item.located + item.sourced


def _take_again(draft: Draft, takes: Sequence[Take]) -> None:
    for take in takes:
        draft.take(take.ask, take.stock, take.path, take.quantity)
