"""Stock settlement: what of a sale the till's figure contains, what it still owes, and rule S that moves c accordingly.

Pure arithmetic over facts: whatever order the facts came in, ``standing_of`` says the same of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .journal import Batch
from .lease import release_cap
from .names import COMMON
from .policy import Policy
from .state import EntryKind, MeasureValue, Part, Place, Reservation, Stock
from .till_state import Booking, Mark, TillSale


class Standing(NamedTuple):
    """How one part stands against the figure in force, in units."""

    contained: int
    """Of the n sold, what the figure contains."""
    owed: int
    """What c has to be: by this the figure has still to fall, or the channel has to decide."""
    undecided: int
    """Of ``owed``, what the till will not book: rejected, or closed short."""
    booked: int
    """Booked in all, reversals taken off, whether or not the figure contains it."""
    awaiting: bool
    """Whether a later figure may change this."""


def rule_s(batch: Batch, policy: Policy, reservation: Reservation, parts: Sequence[Part]) -> None:
    """Rule S for the parts of one line at one stock key (``line_parts``): brings c of each to what is owed.

    As far as contained rose: c → common.a. The rest that falls: c → the giving pool. What rises, as when an open part's
    contained fell (an undone booking): common.a → c.
    """
    stock = parts[0].stock
    figure = figure_in_force(policy, stock)
    for part, bookings in spread(parts):
        assert part.till is not None
        standing = standing_of(part.till, bookings, figure)
        _bring(batch, reservation, part, part.till, standing)


def figure_in_force(policy: Policy, stock: Stock) -> MeasureValue:
    """The settlement measure's figure (V, P) of a stock key; one that was never posted contains nothing."""
    name = policy.location(stock.key.location).settlement_measure
    return stock.measures.get(name) or MeasureValue(name)


def line_parts(reservation: Reservation, part: Part) -> list[Part]:
    """The parts that a till sees as one order line: those of the line at the same stock key, own units first. Each has
    its sale, if the till has to do with the line at all."""
    found = [each for each in reservation.parts if each.line_number == part.line_number and each.stock is part.stock]
    if len(found) > 1:
        found.sort(key=own_first)
    return [each for each in found if each.till is not None]


def spread(parts: Sequence[Part]) -> list[tuple[Part, list[Booking]]]:
    """Each part's bookings, by mark. A till knows nothing of pools: what it books for one part beyond what was sold of
    it counts for the line's other parts, own units first; what nobody sold stays where it was reported."""
    if len(parts) == 1:
        till = parts[0].till
        assert till is not None
        return [(parts[0], [Booking(*mark, quantity) for mark, quantity in sorted(till.bookings.items())])]
    sales = [part.till for part in parts if part.till is not None]
    shares: list[list[Booking]] = [[] for _ in sales]
    totals = [0] * len(sales)
    movements = sorted(
        (mark, number, quantity) for number, sale in enumerate(sales) for mark, quantity in sale.bookings.items()
    )
    epoch = movements[0][0].epoch if movements else 0
    for mark, number, quantity in movements:
        if mark.epoch != epoch:
            # Each epoch tells the whole state anew.
            epoch, totals = mark.epoch, [0] * len(sales)
        left = quantity
        others = [other for other in range(len(sales)) if other != number]
        for target in (number, *others):
            room = sales[target].ordered - totals[target] if left > 0 else -totals[target]
            share = max(0, min(left, room)) if left > 0 else min(0, max(left, room))
            if share:
                shares[target].append(Booking(*mark, share))
                totals[target] += share
                left -= share
        if left:
            shares[number].append(Booking(*mark, left))
            totals[number] += left
    return list(zip(parts, shares, strict=True))


def contained_of(ordered: int, inside: Sequence[Booking]) -> int:
    """Of n, Σ bookings that the figure in force contains: what is booked beyond n is no sale of ours."""
    return min(max(sum(booking.quantity for booking in inside), 0), ordered)


def owed_of(ordered: int, contained: int, to_come: int, given_up: int) -> int:
    """What an open part owes: n − contained, less what was reversed while its cancellation is asked for; but never less
    than the bookings that are known to come."""
    return max(to_come, ordered - contained - given_up)


def standing_of(till: TillSale, bookings: Sequence[Booking], figure: MeasureValue) -> Standing:
    """How a part stands: a function of the facts alone, whatever order they came in.

    Once closed, a part owes the bookings that are known to come and what is undecided; what was reversed it does not
    owe again, so that its c does not rise when contained falls.
    """
    ordered = till.ordered
    inside, beyond, later = _split(bookings, figure)
    total = peak_inside = 0
    for booking in inside:
        total += booking.quantity
        peak_inside = max(peak_inside, total)
    contained = contained_of(ordered, inside)
    peak_beyond = 0
    for booking in beyond:
        total += booking.quantity
        peak_beyond = max(peak_beyond, total)
    epoch, repeated = figure.epoch, 0
    for booking in later:
        if booking.epoch != epoch:
            # Each epoch tells the whole state anew.
            epoch, total = booking.epoch, 0
            repeated = _repeated(inside, [each for each in later if each.epoch == epoch])
        total += booking.quantity
        if repeated:
            repeated -= 1
        else:
            peak_beyond = max(peak_beyond, total)
    to_come = max(0, min(peak_beyond, ordered) - contained)
    awaits = bool(beyond or later)
    if not till.closed:
        reversed_units = max(0, min(peak_inside, ordered) - contained)
        owed = owed_of(ordered, contained, to_come, min(till.cancelling, reversed_units))
        return Standing(contained, owed, 0, total, bool(owed) or awaits)
    booked_ever = min(ordered, max(peak_inside, peak_beyond))
    undecided = 0
    if till.rejected or total > 0:
        undecided = max(0, ordered - booked_ever - till.cancelling)
    owed = to_come + undecided
    return Standing(contained, owed, undecided, total, bool(owed) or awaits)


def booked_of(till: TillSale) -> int:
    """Units booked in all, reversals taken off: by the newest epoch that told of the sale, for each tells the whole
    state."""
    if not till.bookings:
        return 0
    newest = max(mark.epoch for mark in till.bookings)
    return sum(quantity for mark, quantity in till.bookings.items() if mark.epoch == newest)


def _split(bookings: Sequence[Booking], figure: MeasureValue) -> tuple[list[Booking], list[Booking], list[Booking]]:
    """Bookings that the figure contains, those of its epoch or an earlier one that it does not, and those of later
    epochs, each by mark.

    A till that was replaced tells the whole state of a line anew, in its own positions. So of the epochs up to the
    figure's only the newest that told of the line counts; where that one is over, what its last figure contained stays
    contained, and the rest is owed until it is told anew.
    """
    inside: list[Booking] = []
    beyond: list[Booking] = []
    later: list[Booking] = []
    current = max((booking.epoch for booking in bookings if booking.epoch <= figure.epoch), default=0)
    for booking in bookings:
        if booking.epoch > figure.epoch:
            later.append(booking)
        elif booking.epoch == current:
            contained = figure.contains(Mark(booking.epoch, booking.position))
            (inside if contained else beyond).append(booking)
    return inside, beyond, later


def _repeated(inside: Sequence[Booking], anew: Sequence[Booking]) -> int:
    """How many bookings of an epoch tell anew what the figure contains: all of that comes first, or it was summed up.
    They are not to come once more, nor is what was undone between them."""
    told = zip((booking.quantity for booking in inside), (booking.quantity for booking in anew), strict=False)
    return len(inside) if len(anew) >= len(inside) and all(one == other for one, other in told) else 0


def _bring(batch: Batch, reservation: Reservation, part: Part, till: TillSale, standing: Standing) -> None:
    """Moves c to what is owed, and books on the part what settled and what is given up by that."""
    rose = standing.contained - part.settled
    change = standing.owed - part.unsettled
    # Units that leave the sale (given up) or come back to it: n less what is settled or owed.
    given_up = -rose - change
    if change < 0:
        to_common = min(-change, max(0, rose))
        _leave(batch, EntryKind.SETTLE, reservation, part, to_common, COMMON)
        _leave(batch, EntryKind.CANCEL, reservation, part, -change - to_common, part.path)
        unmoved = given_up - (-change - to_common)
    else:
        undone = min(change, max(0, -rose))
        _return(batch, EntryKind.SETTLE, reservation, part, undone)
        _return(batch, EntryKind.CONSUME, reservation, part, change - undone)
        unmoved = given_up + (change - undone)
    _note(batch, reservation, part, unmoved)
    pool = part.stock.pool(part.path)
    if given_up:
        part.cancelled += given_up
        pool.consumed -= given_up
        pool.changed = True
        release_cap(part, given_up)
    if rose or change:
        part.settled = standing.contained
        part.unsettled = standing.owed
        part.settled_time = batch.record_time if part.settled and not part.unsettled else None
        part.changed = reservation.changed = True
    shown = (standing.undecided, standing.booked, standing.awaiting)
    if shown != (till.undecided, till.booked, till.awaiting):
        till.undecided, till.booked, till.awaiting = shown
        till.changed = reservation.changed = True


def _leave(batch: Batch, kind: EntryKind, reservation: Reservation, part: Part, quantity: int, path: str) -> None:
    """c → free units of the path's pool, or of its nearest living ancestor."""
    if quantity:
        stock = part.stock
        source, target = stock.pool(part.path), stock.living_pool(path)
        batch.move(kind, stock, quantity, source, Place.UNSETTLED, target, Place.FREE, reservation, part)


def _return(batch: Batch, kind: EntryKind, reservation: Reservation, part: Part, quantity: int) -> None:
    """common.a → c"""
    if quantity:
        stock = part.stock
        pool = stock.pool(part.path)
        pool.living = True
        batch.move(kind, stock, quantity, stock.pool(COMMON), Place.FREE, pool, Place.UNSETTLED, reservation, part)


def _note(batch: Batch, reservation: Reservation, part: Part, given_up: int) -> None:
    """A settled sale that is given up, or comes back, moves nothing by itself: the till's figure does. The ledger still
    says so, in the common pool where that figure moves, because totals of sales are read back from it."""
    if given_up:
        kind = EntryKind.CANCEL if given_up > 0 else EntryKind.CONSUME
        common = part.stock.pool(COMMON)
        batch.move(kind, part.stock, abs(given_up), common, Place.FREE, common, Place.FREE, reservation, part)


def own_first(part: Part) -> tuple[bool, int]:
    """The order in which a line's parts are served: own units, then borrowed ones, as they were granted."""
    return part.borrowed, part.number
