"""QueryBalance: balances of pools or roll-ups, now or as a read at an earlier instant answered them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from ringfence.v1 import balance_pb2 as pb
from ringfence_server.ledger.balance import Balance, BalanceFilter, balances_of, shown_pools, to_reserve
from ringfence_server.ledger.names import StockKey
from ringfence_server.ledger.outcomes import Invalid, Violation
from ringfence_server.ledger.policy import Policy
from ringfence_server.ledger.reading import KeyPosition, LaterThanNow, LiveHold, Moment, PointsRead, Reader, Snapshot
from ringfence_server.ledger.rollup import RollUp, RollUps
from ringfence_server.ledger.state import Stock

from .balance_messages import balance_fields, check_named, filter_of, roll_up_of
from .errors import Refused, invalid
from .identity import Identity
from .pages import bound, key_items, key_of_items, page_size
from .render import Fields, pool_fields, published_fields, uuid_text
from .services import Services
from .times import time_fields
from .tokens import page_position, page_token, revision_of, revision_token

_MOST_POINTS: Final = 100
"""Stock keys named exactly that are read together with those of other requests."""
_MOST_EXPLAINED: Final = 100
_MOST_HOLDS: Final = 100
_MOST_PUBLISHED: Final = 16
_KEYS_A_READ: Final = 256
"""Keys of a scan that are read and summed at a time: about three milliseconds of the event loop."""

Response = pb.QueryBalanceResponse


class _Query(NamedTuple):
    """A QueryBalanceRequest, parsed."""

    organization: str
    request: pb.QueryBalanceRequest
    wanted: BalanceFilter
    by: RollUp | None
    size: int
    read_time: int | None
    min_revision: int
    explain: bool


class QueryBalance:
    """The behaviour of QueryBalance."""

    def __init__(self, services: Services) -> None:
        self._reader: Reader = services.reader

    async def __call__(self, request: pb.QueryBalanceRequest, identity: Identity, context: Any) -> Response:
        """Answers one page."""
        query = _query_of(request, identity.organization)
        points = _points_of(query)
        if points:
            read = await self._reader.points(query.organization, points)
            check_named(read.policy, request.filter, request.roll_up)
            if _are_all(query, read.policy):
                _check_revision(query, read.moment)
                return _answer_points(query, read, points)
        try:
            async with self._reader.snapshot(query.organization, query.read_time, long=_is_long(query)) as snapshot:
                check_named(snapshot.policy, request.filter, request.roll_up)
                _check_revision(query, snapshot.moment)
                if query.by is not None:
                    return await _roll_up(query, query.by, snapshot)
                return await _list(query, snapshot)
        except LaterThanNow:
            raise invalid("read_time", "LATER_THAN_NOW", "an instant that is over; leave it out for now") from None


def _query_of(request: pb.QueryBalanceRequest, organization: str) -> _Query:
    faults: list[Violation] = []
    wanted = filter_of(request.filter, faults)
    by = roll_up_of(request.roll_up, faults) if request.roll_up else None
    explain = request.explain
    if explain and by is not None:
        text = "single balances are explained; leave roll_up out"
        faults.append(Violation("explain", "EXPLAIN_OF_ROLL_UP", text))
    size = page_size(request.page_size, faults, most=_MOST_EXPLAINED if explain else 1_000)
    read_time = bound(request, "read_time", faults)
    if faults:
        raise Refused(Invalid(tuple(faults)))
    token = request.min_revision
    min_revision = revision_of(token, "min_revision") if token else 0
    return _Query(organization, request, wanted, by, size, read_time, min_revision, explain)


def _points_of(query: _Query) -> list[StockKey]:
    """The keys that the filter names one by one; none when it does not, or when a single read does not answer it."""
    wanted = query.wanted
    skus, locations = wanted.skus, wanted.locations
    if not skus or not locations or wanted.location_groups or query.read_time is not None or query.explain:
        return []
    if len(skus) * len(locations) > _MOST_POINTS:
        return []
    organization = query.organization
    dimensions = tuple(item for item in wanted.dimensions if item[1])
    return [StockKey(organization, sku, location, dimensions) for sku in skus for location in locations]


def _are_all(query: _Query, policy: Policy) -> bool:
    """Whether the points are all keys that match: a filter that leaves a dimension open means every value of it."""
    return not policy.dimensions or {name for name, _ in query.wanted.dimensions}.issuperset(policy.dimensions)


def _is_long(query: _Query) -> bool:
    """Whether a query may have to look at far more keys or entries than it answers."""
    wanted = query.wanted
    return query.by is not None or query.read_time is not None or (not wanted.skus and wanted != BalanceFilter())


def _check_revision(query: _Query, moment: Moment) -> None:
    """A commit is visible at once, so a token that is newer than the snapshot is none of this database."""
    if query.min_revision > moment.revision and (query.read_time is None or moment.revision):
        text = "a revision that this service answered"
        if query.read_time is not None:
            text += ", not newer than read_time"
        raise invalid("min_revision", "REVISION_UNKNOWN", text)


# --- pools -----------------------------------------------------------------------------------------------------------


class _Page:
    """Collects the balances of one page, in the order of their keys and paths."""

    def __init__(self, query: _Query) -> None:
        self._query = query
        self.items: list[tuple[Stock, Balance]] = []
        self.is_full = False
        """There is at least one balance behind the last of the page."""
        self.start: KeyPosition | None = None
        self._path = ""
        position = page_position(query.organization, query.request, (str, str, str, str))
        if position is not None:
            sku, location, dimensions, self._path = position
            self.start = key_of_items(sku, location, dimensions)

    def add(self, policy: Policy, stocks: Sequence[Stock]) -> None:
        """Adds keys, none of which lies before ``start``, until the page is full."""
        for stock in stocks:
            key = stock.key
            begun = self.start is not None and self.start == (key.sku, key.location, key.dimensions)
            for balance in balances_of(policy, stock, self._query.wanted, self._path if begun else None):
                if len(self.items) == self._query.size:
                    self.is_full = True
                    return
                self.items.append((stock, balance))

    def response(self, moment: Moment, explanations: Sequence[Fields] = ()) -> Response:
        """The page as a message."""
        query = self._query
        balances = [self._fields(stock, balance, moment) for stock, balance in self.items]
        for fields, explanation in zip(balances, explanations, strict=False):
            fields["explanation"] = explanation
        token = ""
        if self.is_full:
            last = self.items[-1][1]
            token = page_token(query.organization, query.request, (*key_items(last.key), last.path))
        return _response(balances, token, moment)

    def _fields(self, stock: Stock, balance: Balance, moment: Moment) -> dict[str, Any]:
        fields = balance_fields(balance, moment.instant)
        if stock.published and self._query.read_time is None:
            fields["published"] = _published_of(stock, balance.path)
        return fields


def _published_of(stock: Stock, path: str) -> list[Fields]:
    """What adapters last published for one pool, by publisher."""
    reports = [report for report in (stock.published or {}).values() if report.path == path]
    reports.sort(key=lambda report: report.publisher)
    return [published_fields(report) for report in reports[:_MOST_PUBLISHED]]


def _answer_points(query: _Query, read: PointsRead, points: Sequence[StockKey]) -> Response:
    stocks = [read.stocks[key] for key in points if key in read.stocks]
    if query.by is not None:
        sums = _sums(query, query.by, read.policy)
        for stock in stocks:
            sums.add(stock)
        return _rows_of(query, read.moment, sums)
    page = _Page(query)
    start = page.start
    if start is not None:
        stocks = [stock for stock in stocks if (stock.key.sku, stock.key.location) >= (start.sku, start.location)]
    page.add(read.policy, stocks)
    return page.response(read.moment)


async def _list(query: _Query, snapshot: Snapshot) -> Response:
    page = _Page(query)
    policy, moment = snapshot.policy, snapshot.moment
    wanted = query.wanted.keys(query.organization, policy)
    start = page.start
    while True:
        read = await snapshot.keys(wanted, start, min(_KEYS_A_READ, query.size + 1))
        page.add(policy, read.stocks)
        start = read.last
        if page.is_full or start is None:
            break
    if not query.explain:
        return page.response(moment)
    explanations: list[Fields] = []
    for stock, balance in page.items:
        holds = await snapshot.holds(stock, balance.path, _MOST_HOLDS)
        explanations.append(_explanation(policy, stock, balance, holds))
    return page.response(moment, explanations)


def _explanation(policy: Policy, stock: Stock, balance: Balance, holds: Sequence[LiveHold]) -> Fields:
    """Why a balance is what it is."""
    measures = stock.measures
    return {
        "terms": [
            {
                "measure": term.measure,
                "coefficient": term.coefficient,
                "value": measures[term.measure].value if term.measure in measures else 0,
            }
            for term in policy.supply
        ],
        "pools": [pool_fields(stock, pool) for pool in shown_pools(stock)],
        "holds": [_hold_fields(hold) for hold in holds],
        "bound": to_reserve(policy, stock, balance.path).bound,
        "policy_revision": policy.revision,
    }


def _hold_fields(hold: LiveHold) -> Fields:
    fields: dict[str, Any] = {
        "reservation_id": uuid_text(hold.reservation_id),
        "owner": hold.owner,
        "quantity": hold.quantity,
    }
    if hold.expire_time is not None:
        fields["expire_time"] = time_fields(hold.expire_time)
    return fields


# --- roll-ups --------------------------------------------------------------------------------------------------------


async def _roll_up(query: _Query, by: RollUp, snapshot: Snapshot) -> Response:
    """Sums over all keys that match, a piece at a time: memory is bounded by the page, whatever the number of keys."""
    sums = _sums(query, by, snapshot.policy)
    wanted = query.wanted.keys(query.organization, snapshot.policy)
    start: KeyPosition | None = None
    if by.sku and sums.after is not None:
        start = KeyPosition(sums.after[0])
    while True:
        read = await snapshot.keys(wanted, start, _KEYS_A_READ)
        for stock in read.stocks:
            sums.add(stock)
        start = read.last
        if start is None or sums.complete_before(start.sku):
            return _rows_of(query, snapshot.moment, sums)


def _sums(query: _Query, by: RollUp, policy: Policy) -> RollUps:
    position = page_position(query.organization, query.request, (str,) * (4 + len(by.dimensions)))
    return RollUps(policy, query.wanted, by, after=position, most=query.size)


def _rows_of(query: _Query, moment: Moment, sums: RollUps) -> Response:
    rows = sums.rows()
    token = ""
    if len(rows) > query.size:
        rows = rows[: query.size]
        token = page_token(query.organization, query.request, sums.key_of(rows[-1]))
    return _response([balance_fields(row, moment.instant) for row in rows], token, moment)


def _response(balances: Sequence[Fields], token: str, moment: Moment) -> Response:
    return Response(
        balances=balances,
        next_page_token=token,
        read_time=time_fields(moment.instant),
        revision=revision_token(moment.revision),
    )
