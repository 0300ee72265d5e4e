# Written by scripts/generate from _async_reads.py: change it there.
"""The reading calls of Client, one method per RPC."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import TypeVar

from ringfence import _queries, _till_queries
from ringfence._balance_types import Balance, BalanceFilter, RollUp
from ringfence._build import id_of
from ringfence._calls import Call
from ringfence._commands import ReservationLike
from ringfence._enums import DiscrepancyKind, ReservationState, TillProgress
from ringfence._paging import Pager
from ringfence._policy_types import Policy
from ringfence._till_types import Discrepancy
from ringfence._types import Entry, Page, Reservation, Stock, StockKey, VerifyReport

T = TypeVar("T")


class Reads(abc.ABC):
    """One method per reading RPC. Each takes `timeout`, the deadline over all tries (of one page, for lists); None is
    the client's. Each raises Unavailable, Overloaded, RateLimited, DeadlineExceeded, InvalidArgument, Unauthenticated
    and PermissionDenied besides what it says itself."""

    @abc.abstractmethod
    def _call(self, call: Call[T], timeout: timedelta | None) -> T:
        """Sends a call."""

    @abc.abstractmethod
    def _last_answer(
        self, call: Call[VerifyReport], timeout: timedelta | None, progress: Callable[[VerifyReport], None] | None
    ) -> VerifyReport:
        """Sends a call that is answered by a stream of reports."""

    def get_reservation(self, reservation: ReservationLike, *, timeout: timedelta | None = None) -> Reservation:
        """One reservation as it stands now. Raises ReservationNotFound."""
        return self._call(_queries.get_reservation(id_of(reservation)), timeout)

    def list_reservations(
        self,
        *,
        states: Iterable[ReservationState] = (),
        owner: str = "",
        sku: str = "",
        location: str = "",
        order_reference: str = "",
        create_time_from: datetime | None = None,
        create_time_until: datetime | None = None,
        till_progress: TillProgress | None = None,
        stuck_for: timedelta | None = None,
        page_size: int = 0,
        page_token: str = "",
        timeout: timedelta | None = None,
    ) -> Pager[Reservation]:
        """Reservations, newest first. Filters that are left out match everything; `create_time_from` is included,
        `create_time_until` is not. `page_size` is 1 to 1,000; 0 is the service's 100.

        `till_progress` asks for those with a part (at `location`, if given) that stands there on its way into a till,
        and `stuck_for`, 0 to 365 days, for parts that have stood there for at least so long.
        """
        chosen = tuple(states)

        def fetch(token: str) -> Page[Reservation]:
            call = _queries.list_reservations(
                states=chosen,
                owner=owner,
                sku=sku,
                location=location,
                order_reference=order_reference,
                create_time_from=create_time_from,
                create_time_until=create_time_until,
                till_progress=till_progress,
                stuck_for=stuck_for,
                page_size=page_size,
                page_token=token,
            )
            return self._call(call, timeout)

        return Pager(fetch, page_token)

    def query_balance(
        self,
        filter: BalanceFilter | None = None,
        *,
        roll_up: RollUp | Iterable[RollUp] = (),
        read_time: datetime | None = None,
        min_revision: str = "",
        explain: bool = False,
        page_size: int = 0,
        page_token: str = "",
        timeout: timedelta | None = None,
    ) -> Pager[Balance]:
        """Balances per pool, or rolled up, in the order of SKU, location, dimensions and path.

        A key that no source ever posted is absent, not zero. With `read_time` they are what a read at that instant
        answered; `min_revision` is the token of a write that must be in them. `page_size` is 1 to 1,000, with `explain`
        at most 100; 0 is the service's 100.
        """
        kept = (roll_up,) if isinstance(roll_up, RollUp) else tuple(roll_up)

        def fetch(token: str) -> Page[Balance]:
            call = _queries.query_balance(
                filter,
                roll_up=kept,
                read_time=read_time,
                min_revision=min_revision,
                explain=explain,
                page_size=page_size,
                page_token=token,
            )
            return self._call(call, timeout)

        return Pager(fetch, page_token)

    def balance(
        self,
        sku: str,
        location: str,
        *,
        path: str = "",
        dimensions: Mapping[str, str] | None = None,
        read_time: datetime | None = None,
        min_revision: str = "",
        explain: bool = False,
        timeout: timedelta | None = None,
    ) -> Balance | None:
        """The balance of one pool of one stock key, by default of the common pool; None when no source ever posted the
        key or the path never had a pool on it. Dimensions that are left out are the empty value."""
        wanted = dict(dimensions or {})
        filter_ = BalanceFilter(skus=[sku], locations=[location], path=path, exact_path=True, dimensions=wanted)
        for found in self.query_balance(
            filter_, read_time=read_time, min_revision=min_revision, explain=explain, timeout=timeout
        ):
            if _queries.same_dimensions(found.key.dimensions, wanted):
                return found
        return None

    def get_stock(
        self,
        sku: str,
        location: str,
        *,
        dimensions: Mapping[str, str] | None = None,
        timeout: timedelta | None = None,
    ) -> Stock:
        """The measures of one stock key. Raises StockNotFound when no source ever posted it."""
        return self._call(_queries.get_stock(StockKey(sku, location, dict(dimensions or {}))), timeout)

    def list_stock(
        self,
        *,
        skus: Iterable[str] = (),
        locations: Iterable[str] = (),
        page_size: int = 0,
        page_token: str = "",
        timeout: timedelta | None = None,
    ) -> Pager[Stock]:
        """The measures of stock keys, in the order of SKU, location and dimensions. `page_size` is 1 to 1,000; 0 is the
        service's 100."""
        chosen_skus = _queries.strings(skus, "skus")
        chosen_locations = _queries.strings(locations, "locations")

        def fetch(token: str) -> Page[Stock]:
            call = _queries.list_stock(
                skus=chosen_skus, locations=chosen_locations, page_size=page_size, page_token=token
            )
            return self._call(call, timeout)

        return Pager(fetch, page_token)

    def list_discrepancies(
        self,
        *,
        locations: Iterable[str] = (),
        kinds: Iterable[DiscrepancyKind] = (),
        sku: str = "",
        record_time_from: datetime | None = None,
        record_time_until: datetime | None = None,
        page_size: int = 0,
        page_token: str = "",
        timeout: timedelta | None = None,
    ) -> Pager[Discrepancy]:
        """What did not fit between tills and the service, each with its evidence, newest first. Filters that are left
        out match everything; `record_time_from` is included, `record_time_until` is not. `page_size` is 1 to 1,000; 0
        is the service's 100."""
        chosen_locations = _queries.strings(locations, "locations")
        chosen_kinds = tuple(kinds)

        def fetch(token: str) -> Page[Discrepancy]:
            call = _till_queries.list_discrepancies(
                locations=chosen_locations,
                kinds=chosen_kinds,
                sku=sku,
                record_time_from=record_time_from,
                record_time_until=record_time_until,
                page_size=page_size,
                page_token=token,
            )
            return self._call(call, timeout)

        return Pager(fetch, page_token)

    def get_policy(self, *, revision: int = 0, timeout: timedelta | None = None) -> Policy:
        """The policy in force, or an earlier version. Raises NotFound for a version that never was."""
        return self._call(_queries.get_policy(revision), timeout)

    def list_entries(
        self,
        *,
        key: StockKey | None = None,
        reservation: ReservationLike = "",
        request_id: str = "",
        record_time_from: datetime | None = None,
        record_time_until: datetime | None = None,
        page_size: int = 0,
        page_token: str = "",
        timeout: timedelta | None = None,
    ) -> Pager[Entry]:
        """Ledger entries, newest first. Filters that are left out match everything; `record_time_from` is included,
        `record_time_until` is not. `page_size` is 1 to 1,000; 0 is the service's 100."""

        def fetch(token: str) -> Page[Entry]:
            call = _queries.list_entries(
                key=key,
                reservation_id=id_of(reservation),
                request_id=request_id,
                record_time_from=record_time_from,
                record_time_until=record_time_until,
                page_size=page_size,
                page_token=token,
            )
            return self._call(call, timeout)

        return Pager(fetch, page_token)

    def verify(
        self,
        sku: str = "",
        *,
        progress: Callable[[VerifyReport], None] | None = None,
        timeout: timedelta | None = None,
    ) -> VerifyReport:
        """Recomputes every balance from the ledger and checks conservation, of one SKU or of the whole organization.

        Every report, the last one too, goes to `progress` as it comes. There is no deadline unless `timeout` sets one:
        a large ledger takes its time.
        """
        return self._last_answer(_queries.verify(sku), timeout, progress)
