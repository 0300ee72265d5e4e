"""Protobuf answers to plain values. Pure, and shared by both clients."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ringfence import _types as t
from ringfence._balance_types import Balance, Explanation, Figures, FormulaTerm, Freshness, LiveHold, WatchEvent
from ringfence._policy_types import LeaseBounds, Level, Location, Measure, PathRule, Policy
from ringfence._wire import (
    CANCEL_REASON,
    ENTRY_KIND,
    FALLBACK,
    LOCATION_KIND,
    MEASURE_KIND,
    PLACE,
    RESERVATION_STATE,
    WATCH_EVENT,
    to_datetime,
    to_timedelta,
)
from ringfence.v1 import balance_pb2, common_pb2, ledger_service_pb2, policy_service_pb2, stock_service_pb2


def time_or_none(message: Any, field: str) -> datetime | None:
    """The instant in a field that may be unset."""
    return to_datetime(getattr(message, field)) if message.HasField(field) else None


def stock_key(message: common_pb2.StockKey) -> t.StockKey:
    """Reads a stock key."""
    # Most keys have no dimensions, and copying an empty map costs as much as all the rest.
    dimensions = message.dimensions
    return t.StockKey(message.sku, message.location, dict(dimensions) if dimensions else {})


def pool(message: common_pb2.PoolBalance) -> t.PoolBalance:
    """Reads a pool."""
    return t.PoolBalance(
        key=stock_key(message.key),
        path=message.path,
        allocated=message.allocated,
        available=message.available,
        held=message.held,
        unsettled=message.unsettled,
        consumed=message.consumed,
        raw=message,
    )


def _part(message: common_pb2.Part) -> t.Part:
    return t.Part(
        part_number=message.part_number,
        key=stock_key(message.key),
        path=message.path,
        granted=message.granted,
        held=message.held,
        unsettled=message.unsettled,
        settled=message.settled,
        cancelled=message.cancelled,
        expired=message.expired,
        sent_time=time_or_none(message, "sent_time"),
        received_time=time_or_none(message, "received_time"),
        settled_time=time_or_none(message, "settled_time"),
        document_number=message.document_number,
        booked=message.booked,
        owed=message.owed,
        rejected=message.rejected,
        rejected_reason=message.rejected_reason,
        cancelling=message.cancelling,
        cancellation_refused_reason=message.cancellation_refused_reason,
        closed=message.closed,
        attempts=message.attempts,
        last_error=message.last_error,
        moved_from=message.moved_from,
        raw=message,
    )


def _reservation_line(message: common_pb2.ReservationLine) -> t.ReservationLine:
    return t.ReservationLine(
        line_id=message.line_id,
        key=stock_key(message.key),
        path=message.path,
        requested=message.requested,
        granted=message.granted,
        fallback=FALLBACK[message.fallback],
        parts=tuple([_part(part) for part in message.parts]),
        raw=message,
    )


def reservation(message: common_pb2.Reservation) -> t.Reservation:
    """Reads a reservation."""
    return t.Reservation(
        reservation_id=message.reservation_id,
        state=RESERVATION_STATE[message.state],
        owner=message.owner,
        lines=tuple([_reservation_line(line) for line in message.lines]),
        expire_time=time_or_none(message, "expire_time"),
        create_time=time_or_none(message, "create_time"),
        consume_time=time_or_none(message, "consume_time"),
        revision=message.revision,
        order_reference=message.order_reference,
        attributes=message.attributes,
        cancel_reason=CANCEL_REASON[message.cancel_reason] if message.cancel_reason else None,
        cancel_reason_text=message.cancel_reason_text,
        raw=message,
    )


def published(message: common_pb2.Published) -> t.Published:
    """Reads what an adapter published."""
    return t.Published(
        publisher=message.publisher,
        path=message.path,
        quantity=message.quantity,
        publish_time=time_or_none(message, "publish_time"),
        record_time=time_or_none(message, "record_time"),
    )


def stock(message: stock_service_pb2.Stock) -> t.Stock:
    """Reads a stock key with its measures."""
    return t.Stock(
        key=stock_key(message.key),
        measures={
            value.measure: t.MeasureValue(
                measure=value.measure,
                value=value.value,
                position=value.position,
                source=value.source,
                count_time=time_or_none(value, "count_time"),
                record_time=time_or_none(value, "record_time"),
                epoch=value.epoch,
            )
            for value in message.measures
        },
        supply=message.supply,
        published=tuple([published(found) for found in message.published]),
        raw=message,
    )


def entry(message: ledger_service_pb2.Entry) -> t.Entry:
    """Reads a ledger entry."""
    return t.Entry(
        sequence=message.sequence,
        key=stock_key(message.key),
        kind=ENTRY_KIND[message.kind],
        quantity=message.quantity,
        from_place=PLACE[message.from_place],
        from_path=message.from_path,
        to_place=PLACE[message.to_place],
        to_path=message.to_path,
        reservation_id=message.reservation_id,
        part_number=message.part_number,
        request_id=message.request_id,
        measure=message.measure,
        record_time=time_or_none(message, "record_time"),
        effective_time=time_or_none(message, "effective_time"),
        raw=message,
    )


def verify_report(message: ledger_service_pb2.VerifyResponse) -> t.VerifyReport:
    """Reads progress or verdict of Verify."""
    return t.VerifyReport(
        keys_checked=message.keys_checked,
        entries_read=message.entries_read,
        keys_total=message.keys_total,
        done=message.done,
        violations=tuple(
            t.Violation(stock_key(found.key), found.path, found.rule, found.description) for found in message.violations
        ),
        raw=message,
    )


def _figures(message: balance_pb2.Figures) -> Figures:
    return Figures(
        allocated=message.allocated,
        available=message.available,
        held=message.held,
        unsettled=message.unsettled,
        consumed=message.consumed,
        shortfall=message.shortfall,
    )


def _freshness(message: balance_pb2.Freshness) -> Freshness:
    return Freshness(
        count_time=time_or_none(message, "count_time"),
        position=message.position,
        measure=message.measure,
        age=to_timedelta(message.age),
    )


def _explanation(message: balance_pb2.Explanation) -> Explanation:
    return Explanation(
        terms=tuple(FormulaTerm(term.measure, term.coefficient, term.value) for term in message.terms),
        pools=tuple(pool(found) for found in message.pools),
        holds=tuple(
            LiveHold(hold.reservation_id, hold.owner, hold.quantity, time_or_none(hold, "expire_time"))
            for hold in message.holds
        ),
        bound=message.bound,
        policy_revision=message.policy_revision,
    )


def balance(message: balance_pb2.Balance) -> Balance:
    """Reads a balance."""
    return Balance(
        key=stock_key(message.key),
        path=message.path,
        location_group=message.location_group,
        own=_figures(message.own),
        subtree=_figures(message.subtree),
        available_to_allocate=message.available_to_allocate,
        available_to_reserve=message.available_to_reserve,
        supply=message.supply,
        net=message.net,
        quotas_short=message.quotas_short,
        promises_short=message.promises_short,
        freshness=_freshness(message.freshness) if message.HasField("freshness") else None,
        revision=message.revision,
        explanation=_explanation(message.explanation) if message.HasField("explanation") else None,
        key_count=message.key_count,
        published=tuple([published(found) for found in message.published]),
        raw=message,
    )


def watch_event(message: balance_pb2.WatchBalancesResponse) -> WatchEvent:
    """Reads an event of a watch."""
    return WatchEvent(
        kind=WATCH_EVENT[message.event],
        balances=tuple([balance(found) for found in message.balances]),
        removed=tuple([balance(found) for found in message.removed]),
        resume_token=message.resume_token,
        server_time=time_or_none(message, "server_time"),
        raw=message,
    )


def _path_rule(message: policy_service_pb2.PathRule) -> PathRule:
    return PathRule(
        path=message.path,
        fallback=FALLBACK[message.fallback] if message.fallback != common_pb2.FALLBACK_UNSPECIFIED else None,
        quota_cap=message.quota_cap if message.HasField("quota_cap") else None,
        sales_cap=message.sales_cap if message.HasField("sales_cap") else None,
    )


def _lease_bounds(message: policy_service_pb2.LeaseBounds) -> LeaseBounds:
    return LeaseBounds(
        default_lease=to_timedelta(message.default_lease) if message.HasField("default_lease") else None,
        max_lease=to_timedelta(message.max_lease) if message.HasField("max_lease") else None,
        max_total_hold=to_timedelta(message.max_total_hold) if message.HasField("max_total_hold") else None,
        allow_never=message.allow_never,
        revive_by_default=message.revive_by_default,
    )


def policy(message: policy_service_pb2.Policy) -> Policy:
    """Reads a policy."""
    return Policy(
        revision=message.revision,
        levels=tuple(Level(level.name, tuple(level.values)) for level in message.levels),
        dimensions=tuple(message.dimensions),
        leases=_lease_bounds(message.leases),
        path_rules=tuple(_path_rule(rule) for rule in message.path_rules),
        locations=tuple(
            Location(place.name, LOCATION_KIND[place.kind], place.settlement_measure, tuple(place.groups), place.source)
            for place in message.locations
        ),
        location_order=tuple(message.location_order),
        allow_split=message.allow_split,
        measures=tuple(Measure(measure.name, MEASURE_KIND[measure.kind]) for measure in message.measures),
        supply={term.measure: term.coefficient for term in message.supply},
        full_count_confirm_share=(
            message.full_count_confirm_share if message.HasField("full_count_confirm_share") else None
        ),
        create_time=time_or_none(message, "create_time"),
        raw=message,
    )
