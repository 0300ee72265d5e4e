"""Reads, and SetPolicy, as calls. Pure, and shared by both clients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from ringfence import _parse, _parse_results, _rpcs
from ringfence._balance_types import Balance, BalanceFilter, RollUp
from ringfence._build import fill_key
from ringfence._calls import Call
from ringfence._enums import ReservationState, TillProgress
from ringfence._policy_types import Policy
from ringfence._results import SetPolicyResult
from ringfence._types import Entry, Page, Reservation, Stock, StockKey, VerifyReport
from ringfence._wire import (
    FALLBACK,
    LOCATION_KIND,
    MEASURE_KIND,
    RESERVATION_STATE,
    ROLL_UP_BY,
    TILL_PROGRESS,
    fill_duration,
    fill_timestamp,
    to_datetime,
)
from ringfence.v1 import allocation_service_pb2 as allocation_pb2
from ringfence.v1 import balance_pb2, ledger_service_pb2, policy_service_pb2, stock_service_pb2


def get_reservation(reservation_id: str) -> Call[Reservation]:
    """GetReservation."""
    return Call(
        _rpcs.GET_RESERVATION,
        allocation_pb2.GetReservationRequest(reservation_id=reservation_id),
        lambda answer: _parse.reservation(answer.reservation),
    )


def list_reservations(
    *,
    states: Iterable[ReservationState],
    owner: str,
    sku: str,
    location: str,
    order_reference: str,
    create_time_from: datetime | None,
    create_time_until: datetime | None,
    till_progress: TillProgress | None,
    stuck_for: timedelta | None,
    page_size: int,
    page_token: str,
) -> Call[Page[Reservation]]:
    """ListReservations."""
    message = allocation_pb2.ListReservationsRequest(
        page_size=page_size,
        page_token=page_token,
        states=[RESERVATION_STATE.number(state) for state in states],
        owner=owner,
        sku=sku,
        location=location,
        order_reference=order_reference,
    )
    _fill_instant(message, "create_time_from", create_time_from)
    _fill_instant(message, "create_time_until", create_time_until)
    if till_progress is not None:
        message.till_progress = TILL_PROGRESS.number(till_progress)
    if stuck_for is not None:
        fill_duration(message.stuck_for, stuck_for)
    return Call(
        _rpcs.LIST_RESERVATIONS,
        message,
        lambda answer: Page(
            items=tuple([_parse.reservation(found) for found in answer.reservations]),
            next_page_token=answer.next_page_token,
            server_time=to_datetime(answer.server_time),
            raw=answer,
        ),
    )


def query_balance(
    filter_: BalanceFilter | None,
    *,
    roll_up: RollUp | Iterable[RollUp],
    read_time: datetime | None,
    min_revision: str,
    explain: bool,
    page_size: int,
    page_token: str,
) -> Call[Page[Balance]]:
    """QueryBalance."""
    message = balance_pb2.QueryBalanceRequest(
        min_revision=min_revision, explain=explain, page_size=page_size, page_token=page_token
    )
    _fill_selection(message, filter_, roll_up)
    _fill_instant(message, "read_time", read_time)
    return Call(
        _rpcs.QUERY_BALANCE,
        message,
        lambda answer: Page(
            items=tuple([_parse.balance(found) for found in answer.balances]),
            next_page_token=answer.next_page_token,
            read_time=to_datetime(answer.read_time),
            revision=answer.revision,
            raw=answer,
        ),
    )


def watch_balances(
    filter_: BalanceFilter | None,
    *,
    roll_up: RollUp | Iterable[RollUp],
    min_interval: timedelta | None,
    checkpoint_interval: timedelta | None,
) -> balance_pb2.WatchBalancesRequest:
    """The request of WatchBalances, without its resume token."""
    message = balance_pb2.WatchBalancesRequest()
    _fill_selection(message, filter_, roll_up)
    if min_interval is not None:
        fill_duration(message.min_interval, min_interval)
    if checkpoint_interval is not None:
        fill_duration(message.checkpoint_interval, checkpoint_interval)
    return message


def get_stock(key: StockKey) -> Call[Stock]:
    """GetStock."""
    message = stock_service_pb2.GetStockRequest()
    fill_key(message.key, key)
    return Call(_rpcs.GET_STOCK, message, lambda answer: _parse.stock(answer.stock))


def list_stock(*, skus: Iterable[str], locations: Iterable[str], page_size: int, page_token: str) -> Call[Page[Stock]]:
    """ListStock."""
    return Call(
        _rpcs.LIST_STOCK,
        stock_service_pb2.ListStockRequest(
            skus=strings(skus, "skus"),
            locations=strings(locations, "locations"),
            page_size=page_size,
            page_token=page_token,
        ),
        lambda answer: Page(
            items=tuple([_parse.stock(found) for found in answer.stocks]),
            next_page_token=answer.next_page_token,
            server_time=to_datetime(answer.server_time),
            raw=answer,
        ),
    )


def get_policy(revision: int) -> Call[Policy]:
    """GetPolicy."""
    return Call(
        _rpcs.GET_POLICY,
        policy_service_pb2.GetPolicyRequest(revision=revision),
        lambda answer: _parse.policy(answer.policy),
    )


def set_policy(policy: Policy, expected_revision: int | None, request_id: str) -> Call[SetPolicyResult]:
    """SetPolicy; without an expected revision the one that the policy was read as."""
    if expected_revision is None:
        if not policy.revision:
            raise ValueError("this policy was never read: give expected_revision, or change the one get_policy gives")
        expected_revision = policy.revision
    message = policy_service_pb2.SetPolicyRequest(request_id=request_id, expected_revision=expected_revision)
    message.policy.SetInParent()
    _fill_policy(message.policy, policy)
    return Call(_rpcs.SET_POLICY, message, lambda answer: _parse_results.set_policy(answer, request_id), request_id)


def list_entries(
    *,
    key: StockKey | None,
    reservation_id: str,
    request_id: str,
    record_time_from: datetime | None,
    record_time_until: datetime | None,
    page_size: int,
    page_token: str,
) -> Call[Page[Entry]]:
    """ListEntries."""
    message = ledger_service_pb2.ListEntriesRequest(
        reservation_id=reservation_id, request_id=request_id, page_size=page_size, page_token=page_token
    )
    if key is not None:
        fill_key(message.key, key)
    _fill_instant(message, "record_time_from", record_time_from)
    _fill_instant(message, "record_time_until", record_time_until)
    return Call(
        _rpcs.LIST_ENTRIES,
        message,
        lambda answer: Page(
            items=tuple([_parse.entry(found) for found in answer.entries]),
            next_page_token=answer.next_page_token,
            raw=answer,
        ),
    )


def verify(sku: str) -> Call[VerifyReport]:
    """Verify, whose answers are a stream of reports."""
    return Call(_rpcs.VERIFY, ledger_service_pb2.VerifyRequest(sku=sku), _parse.verify_report)


def same_dimensions(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Whether two keys name the same dimensions: an empty value and a missing one are the same."""
    return {name: value for name, value in one.items() if value} == {
        name: value for name, value in other.items() if value
    }


def strings(values: Iterable[str], name: str) -> list[str]:
    """A list of strings; TypeError for a lone string, whose characters nobody means."""
    if isinstance(values, str):
        raise TypeError(f"{name} is a list of strings, not the string {values!r}")
    return list(values)


def _fill_instant(message: Any, field: str, instant: datetime | None) -> None:
    if instant is not None:
        fill_timestamp(getattr(message, field), instant, field)


def _fill_selection(message: Any, filter_: BalanceFilter | None, roll_up: RollUp | Iterable[RollUp]) -> None:
    if filter_ is not None:
        message.filter.skus.extend(strings(filter_.skus, "skus"))
        message.filter.locations.extend(strings(filter_.locations, "locations"))
        message.filter.location_groups.extend(strings(filter_.location_groups, "location_groups"))
        message.filter.path = filter_.path
        message.filter.exact_path = filter_.exact_path
        message.filter.dimensions.update(filter_.dimensions)
    for kept in (roll_up,) if isinstance(roll_up, RollUp) else roll_up:
        message.roll_up.add(by=ROLL_UP_BY.number(kept.by), level=kept.level, dimension=kept.dimension)


def _fill_policy(message: policy_service_pb2.Policy, policy: Policy) -> None:
    for level in policy.levels:
        message.levels.add(name=level.name, values=strings(level.values, "values"))
    message.dimensions.extend(strings(policy.dimensions, "dimensions"))
    for name in ("default_lease", "max_lease", "max_total_hold"):
        span = getattr(policy.leases, name)
        if span is not None:
            fill_duration(getattr(message.leases, name), span)
    message.leases.allow_never = policy.leases.allow_never
    message.leases.revive_by_default = policy.leases.revive_by_default
    for rule in policy.path_rules:
        added = message.path_rules.add(path=rule.path, quota_cap=rule.quota_cap, sales_cap=rule.sales_cap)
        if rule.fallback is not None:
            added.fallback = FALLBACK.number(rule.fallback)
    for place in policy.locations:
        message.locations.add(
            name=place.name,
            kind=LOCATION_KIND.number(place.kind),
            settlement_measure=place.settlement_measure,
            groups=strings(place.groups, "groups"),
            source=place.source,
        )
    message.location_order.extend(strings(policy.location_order, "location_order"))
    message.allow_split = policy.allow_split
    for measure in policy.measures:
        message.measures.add(name=measure.name, kind=MEASURE_KIND.number(measure.kind))
    for name, coefficient in policy.supply.items():
        message.supply.add(measure=name, coefficient=coefficient)
    if policy.full_count_confirm_share is not None:
        message.full_count_confirm_share = policy.full_count_confirm_share
