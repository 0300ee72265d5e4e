"""PostStock and ReportPublished as frozen commands; what of a PostStock concerns tills is in ``parse_till``."""

from __future__ import annotations

from typing import Final

from ringfence.v1 import stock_service_pb2 as pb
from ringfence_server.ledger.commands import Figure, PostStock, PublishedQuantity, ReportPublished
from ringfence_server.ledger.names import MAX_INT64, MAX_LINES, MAX_QUANTITY
from ringfence_server.ledger.outcomes import Violation

from . import forms
from .identity import Identity
from .parse_till import count_begin, count_end, epoch_of, sale_booking
from .times import instant_of

_NOTHING_POSTED: Final = f"1 to {MAX_LINES:,} figures and bookings, or begin_count or end_count"


def post_stock(request: pb.PostStockRequest, identity: Identity, faults: list[Violation]) -> PostStock:
    """A PostStock; its source is the caller unless it names one."""
    organization, posted, booked = identity.organization, request.figures, request.bookings
    source, count_id = request.source, request.count_id
    if source:
        forms.name(source, "source", faults)
    if count_id:
        forms.name(count_id, "count_id", faults)
    begin = count_begin(request.begin_count, faults) if request.HasField("begin_count") else None
    end = count_end(request.end_count, faults) if request.HasField("end_count") else None
    if (begin is not None or end is not None) and not count_id:
        text = "the source's own name for the full count, never used twice by one source"
        faults.append(Violation("count_id", "REQUIRED", text))
    # Facts of tills, as the lines of orders, are bounded together: they are one transaction.
    items = len(posted) + len(booked)
    field = "figures" if posted or not booked else "bookings"
    at_least = 0 if begin is not None or end is not None else 1
    if not forms.line_count(items, field, faults, at_least=at_least, lacking=_NOTHING_POSTED):
        return PostStock(source, ())
    figures = [
        _plain_figure(figure, organization) or _figure(figure, organization, f"figures[{n}]", faults)
        for n, figure in enumerate(posted)
    ]
    bookings = (
        tuple([sale_booking(booking, organization, f"bookings[{n}]", faults) for n, booking in enumerate(booked)])
        if booked
        else ()
    )
    return PostStock(source or identity.caller, tuple(figures), bookings, count_id, begin, end)


def _plain_figure(figure: pb.StockFigure, organization: str) -> Figure | None:
    """The commonest figure, an absolute value of a key without dimensions, at no more than a look at each field; None
    when it is another one, or wrong."""
    key = figure.key
    location, measure, value = key.location, figure.measure, figure.value
    position, epoch = figure.position, figure.epoch
    if (
        key.dimensions
        or not location
        or not figure.HasField("value")
        or not -MAX_QUANTITY <= value <= MAX_QUANTITY
        or position < 0
        or epoch < 0
        or figure.HasField("expected_value")
        or figure.HasField("previous_position")
        or not (not measure or forms.is_name(measure))
    ):
        return None
    known = forms.plain_key(organization, key.sku, location)
    count_time = instant_of(figure.count_time) if figure.HasField("count_time") else None
    if known is None or (count_time is None and figure.HasField("count_time")):
        return None
    return Figure(known, measure, value, False, position, count_time, None, None, epoch)


def _figure(figure: pb.StockFigure, organization: str, field: str, faults: list[Violation]) -> Figure:
    key = forms.stock_key(figure.key, organization, f"{field}.key", faults)
    measure = figure.measure
    if measure:
        forms.name(measure, f"{field}.measure", faults)
    change = figure.WhichOneof("change")
    units = 0
    if change is None:
        text = "a value (absolute) or a delta (a difference); 0 is set explicitly"
        faults.append(Violation(f"{field}.change", "REQUIRED", text))
    else:
        units = figure.value if change == "value" else figure.delta
        if abs(units) > MAX_QUANTITY:
            forms.amount(units, f"{field}.{change}", faults)
    position = figure.position
    if position < 0:
        text = f"1 to 2^63-1, or 0 where the location is OWNED; got {position}"
        faults.append(Violation(f"{field}.position", "OUT_OF_RANGE", text))
    count_time = expected = previous = None
    if figure.HasField("count_time"):
        count_time = forms.instant(figure.count_time, f"{field}.count_time", faults)
    if figure.HasField("expected_value"):
        expected = forms.amount(figure.expected_value, f"{field}.expected_value", faults)
    if figure.HasField("previous_position"):
        previous = forms.number(
            figure.previous_position, 0, MAX_INT64, "0 to 2^63-1", f"{field}.previous_position", faults
        )
    epoch = figure.epoch
    if epoch < 0:
        epoch_of(epoch, field, faults)
    return Figure(key, measure, units, change == "delta", position, count_time, expected, previous, epoch)


def report_published(
    request: pb.ReportPublishedRequest, identity: Identity, faults: list[Violation]
) -> ReportPublished:
    """A ReportPublished; the publisher is the caller unless it names one."""
    publisher = forms.name(request.publisher, "publisher", faults, required=False) or identity.caller
    quantities: list[PublishedQuantity] = []
    if forms.line_count(len(request.quantities), "quantities", faults):
        seen: dict[tuple[object, str], int] = {}
        for number, each in enumerate(request.quantities):
            field = f"quantities[{number}]"
            key = forms.stock_key(each.key, identity.organization, f"{field}.key", faults)
            path = forms.group_path(each.path, f"{field}.path", faults)
            first = seen.setdefault((key, path), number)
            if first != number:
                text = f"each key and path once; quantities[{first}] is of the same"
                faults.append(Violation(field, "NAMED_TWICE", text))
            units = forms.amount(each.quantity, f"{field}.quantity", faults)
            published = 0
            if each.HasField("publish_time"):
                published = forms.instant(each.publish_time, f"{field}.publish_time", faults)
            else:
                text = "when it was published, by the adapter's clock: the newest report is the one that is kept"
                faults.append(Violation(f"{field}.publish_time", "REQUIRED", text))
            quantities.append(PublishedQuantity(key, path, units, published))
    return ReportPublished(publisher, tuple(quantities))
