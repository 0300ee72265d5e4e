"""ListDiscrepancies and ReportPublished, as calls. Pure, and shared by both clients."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from ringfence import _parse_results, _parse_till, _rpcs
from ringfence._build import fill_key
from ringfence._calls import Call
from ringfence._enums import DiscrepancyKind
from ringfence._facts import PublishedQuantity
from ringfence._queries import strings
from ringfence._results import ReportPublishedResult
from ringfence._till_types import Discrepancy
from ringfence._types import Page
from ringfence._wire import DISCREPANCY_KIND, fill_timestamp, to_datetime
from ringfence.v1 import stock_service_pb2


def list_discrepancies(
    *,
    locations: Iterable[str],
    kinds: Iterable[DiscrepancyKind],
    sku: str,
    record_time_from: datetime | None,
    record_time_until: datetime | None,
    page_size: int,
    page_token: str,
) -> Call[Page[Discrepancy]]:
    """ListDiscrepancies."""
    message = stock_service_pb2.ListDiscrepanciesRequest(
        locations=strings(locations, "locations"),
        kinds=[DISCREPANCY_KIND.number(kind) for kind in kinds],
        sku=sku,
        page_size=page_size,
        page_token=page_token,
    )
    if record_time_from is not None:
        fill_timestamp(message.record_time_from, record_time_from, "record_time_from")
    if record_time_until is not None:
        fill_timestamp(message.record_time_until, record_time_until, "record_time_until")
    return Call(
        _rpcs.LIST_DISCREPANCIES,
        message,
        lambda answer: Page(
            items=tuple([_parse_till.discrepancy(found) for found in answer.discrepancies]),
            next_page_token=answer.next_page_token,
            server_time=to_datetime(answer.server_time),
            raw=answer,
        ),
    )


def report_published(
    quantities: PublishedQuantity | Iterable[PublishedQuantity], publisher: str, request_id: str
) -> Call[ReportPublishedResult]:
    """ReportPublished."""
    message = stock_service_pb2.ReportPublishedRequest(request_id=request_id, publisher=publisher)
    for quantity in (quantities,) if isinstance(quantities, PublishedQuantity) else quantities:
        added = message.quantities.add(path=quantity.path, quantity=quantity.quantity)
        fill_key(added.key, quantity)
        fill_timestamp(added.publish_time, quantity.publish_time, "publish_time")
    return Call(
        _rpcs.REPORT_PUBLISHED,
        message,
        lambda answer: _parse_results.report_published(answer, request_id),
        request_id,
    )
