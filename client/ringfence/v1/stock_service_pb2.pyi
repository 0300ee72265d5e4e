import datetime

from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.rpc import status_pb2 as _status_pb2
from ringfence.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FigureResult(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FIGURE_RESULT_UNSPECIFIED: _ClassVar[FigureResult]
    FIGURE_RESULT_APPLIED: _ClassVar[FigureResult]
    FIGURE_RESULT_DUPLICATE: _ClassVar[FigureResult]
    FIGURE_RESULT_STALE: _ClassVar[FigureResult]
    FIGURE_RESULT_CONFLICT: _ClassVar[FigureResult]
    FIGURE_RESULT_GAP: _ClassVar[FigureResult]

class BookingResult(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BOOKING_RESULT_UNSPECIFIED: _ClassVar[BookingResult]
    BOOKING_RESULT_APPLIED: _ClassVar[BookingResult]
    BOOKING_RESULT_DUPLICATE: _ClassVar[BookingResult]
    BOOKING_RESULT_CONFLICT: _ClassVar[BookingResult]
    BOOKING_RESULT_UNKNOWN_ORDER: _ClassVar[BookingResult]

class CountResult(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COUNT_RESULT_UNSPECIFIED: _ClassVar[CountResult]
    COUNT_RESULT_BEGUN: _ClassVar[CountResult]
    COUNT_RESULT_APPLIED: _ClassVar[CountResult]
    COUNT_RESULT_DUPLICATE: _ClassVar[CountResult]
    COUNT_RESULT_INCOMPLETE: _ClassVar[CountResult]
    COUNT_RESULT_NEEDS_CONFIRMATION: _ClassVar[CountResult]
    COUNT_RESULT_CONTINUE: _ClassVar[CountResult]
    COUNT_RESULT_CONFLICT: _ClassVar[CountResult]

class DiscrepancyKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DISCREPANCY_KIND_UNSPECIFIED: _ClassVar[DiscrepancyKind]
    DISCREPANCY_KIND_SURPLUS_BOOKING: _ClassVar[DiscrepancyKind]
    DISCREPANCY_KIND_BOOKED_AFTER_END: _ClassVar[DiscrepancyKind]
    DISCREPANCY_KIND_BOOKED_WHILE_HELD: _ClassVar[DiscrepancyKind]
    DISCREPANCY_KIND_POSITION_CONFLICT: _ClassVar[DiscrepancyKind]
    DISCREPANCY_KIND_BOOKING_CONFLICT: _ClassVar[DiscrepancyKind]
    DISCREPANCY_KIND_UNKNOWN_ORDER: _ClassVar[DiscrepancyKind]
    DISCREPANCY_KIND_SHORTFALL: _ClassVar[DiscrepancyKind]
    DISCREPANCY_KIND_MOVED_STORE: _ClassVar[DiscrepancyKind]
FIGURE_RESULT_UNSPECIFIED: FigureResult
FIGURE_RESULT_APPLIED: FigureResult
FIGURE_RESULT_DUPLICATE: FigureResult
FIGURE_RESULT_STALE: FigureResult
FIGURE_RESULT_CONFLICT: FigureResult
FIGURE_RESULT_GAP: FigureResult
BOOKING_RESULT_UNSPECIFIED: BookingResult
BOOKING_RESULT_APPLIED: BookingResult
BOOKING_RESULT_DUPLICATE: BookingResult
BOOKING_RESULT_CONFLICT: BookingResult
BOOKING_RESULT_UNKNOWN_ORDER: BookingResult
COUNT_RESULT_UNSPECIFIED: CountResult
COUNT_RESULT_BEGUN: CountResult
COUNT_RESULT_APPLIED: CountResult
COUNT_RESULT_DUPLICATE: CountResult
COUNT_RESULT_INCOMPLETE: CountResult
COUNT_RESULT_NEEDS_CONFIRMATION: CountResult
COUNT_RESULT_CONTINUE: CountResult
COUNT_RESULT_CONFLICT: CountResult
DISCREPANCY_KIND_UNSPECIFIED: DiscrepancyKind
DISCREPANCY_KIND_SURPLUS_BOOKING: DiscrepancyKind
DISCREPANCY_KIND_BOOKED_AFTER_END: DiscrepancyKind
DISCREPANCY_KIND_BOOKED_WHILE_HELD: DiscrepancyKind
DISCREPANCY_KIND_POSITION_CONFLICT: DiscrepancyKind
DISCREPANCY_KIND_BOOKING_CONFLICT: DiscrepancyKind
DISCREPANCY_KIND_UNKNOWN_ORDER: DiscrepancyKind
DISCREPANCY_KIND_SHORTFALL: DiscrepancyKind
DISCREPANCY_KIND_MOVED_STORE: DiscrepancyKind

class StockFigure(_message.Message):
    __slots__ = ("key", "measure", "value", "delta", "position", "count_time", "expected_value", "previous_position", "epoch")
    KEY_FIELD_NUMBER: _ClassVar[int]
    MEASURE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    DELTA_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    COUNT_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VALUE_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_POSITION_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    key: _common_pb2.StockKey
    measure: str
    value: int
    delta: int
    position: int
    count_time: _timestamp_pb2.Timestamp
    expected_value: int
    previous_position: int
    epoch: int
    def __init__(self, key: _Optional[_Union[_common_pb2.StockKey, _Mapping]] = ..., measure: _Optional[str] = ..., value: _Optional[int] = ..., delta: _Optional[int] = ..., position: _Optional[int] = ..., count_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expected_value: _Optional[int] = ..., previous_position: _Optional[int] = ..., epoch: _Optional[int] = ...) -> None: ...

class Booking(_message.Message):
    __slots__ = ("position", "quantity", "epoch")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    position: int
    quantity: int
    epoch: int
    def __init__(self, position: _Optional[int] = ..., quantity: _Optional[int] = ..., epoch: _Optional[int] = ...) -> None: ...

class SaleBooking(_message.Message):
    __slots__ = ("part", "order", "location", "bookings", "closed", "reject_reason")
    PART_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    LOCATION_FIELD_NUMBER: _ClassVar[int]
    BOOKINGS_FIELD_NUMBER: _ClassVar[int]
    CLOSED_FIELD_NUMBER: _ClassVar[int]
    REJECT_REASON_FIELD_NUMBER: _ClassVar[int]
    part: BookedPart
    order: BookedOrder
    location: str
    bookings: _containers.RepeatedCompositeFieldContainer[Booking]
    closed: bool
    reject_reason: str
    def __init__(self, part: _Optional[_Union[BookedPart, _Mapping]] = ..., order: _Optional[_Union[BookedOrder, _Mapping]] = ..., location: _Optional[str] = ..., bookings: _Optional[_Iterable[_Union[Booking, _Mapping]]] = ..., closed: _Optional[bool] = ..., reject_reason: _Optional[str] = ...) -> None: ...

class BookedPart(_message.Message):
    __slots__ = ("reservation_id", "part_number")
    RESERVATION_ID_FIELD_NUMBER: _ClassVar[int]
    PART_NUMBER_FIELD_NUMBER: _ClassVar[int]
    reservation_id: str
    part_number: int
    def __init__(self, reservation_id: _Optional[str] = ..., part_number: _Optional[int] = ...) -> None: ...

class BookedOrder(_message.Message):
    __slots__ = ("order_reference", "channel", "line_id", "sku", "dimensions")
    class DimensionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ORDER_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    LINE_ID_FIELD_NUMBER: _ClassVar[int]
    SKU_FIELD_NUMBER: _ClassVar[int]
    DIMENSIONS_FIELD_NUMBER: _ClassVar[int]
    order_reference: str
    channel: str
    line_id: str
    sku: str
    dimensions: _containers.ScalarMap[str, str]
    def __init__(self, order_reference: _Optional[str] = ..., channel: _Optional[str] = ..., line_id: _Optional[str] = ..., sku: _Optional[str] = ..., dimensions: _Optional[_Mapping[str, str]] = ...) -> None: ...

class CountBegin(_message.Message):
    __slots__ = ("location", "measure", "position", "epoch")
    LOCATION_FIELD_NUMBER: _ClassVar[int]
    MEASURE_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    location: str
    measure: str
    position: int
    epoch: int
    def __init__(self, location: _Optional[str] = ..., measure: _Optional[str] = ..., position: _Optional[int] = ..., epoch: _Optional[int] = ...) -> None: ...

class CountEnd(_message.Message):
    __slots__ = ("key_count", "confirmed")
    KEY_COUNT_FIELD_NUMBER: _ClassVar[int]
    CONFIRMED_FIELD_NUMBER: _ClassVar[int]
    key_count: int
    confirmed: bool
    def __init__(self, key_count: _Optional[int] = ..., confirmed: _Optional[bool] = ...) -> None: ...

class PostStockRequest(_message.Message):
    __slots__ = ("request_id", "source", "figures", "bookings", "count_id", "begin_count", "end_count")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    FIGURES_FIELD_NUMBER: _ClassVar[int]
    BOOKINGS_FIELD_NUMBER: _ClassVar[int]
    COUNT_ID_FIELD_NUMBER: _ClassVar[int]
    BEGIN_COUNT_FIELD_NUMBER: _ClassVar[int]
    END_COUNT_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    source: str
    figures: _containers.RepeatedCompositeFieldContainer[StockFigure]
    bookings: _containers.RepeatedCompositeFieldContainer[SaleBooking]
    count_id: str
    begin_count: CountBegin
    end_count: CountEnd
    def __init__(self, request_id: _Optional[str] = ..., source: _Optional[str] = ..., figures: _Optional[_Iterable[_Union[StockFigure, _Mapping]]] = ..., bookings: _Optional[_Iterable[_Union[SaleBooking, _Mapping]]] = ..., count_id: _Optional[str] = ..., begin_count: _Optional[_Union[CountBegin, _Mapping]] = ..., end_count: _Optional[_Union[CountEnd, _Mapping]] = ...) -> None: ...

class FigureOutcome(_message.Message):
    __slots__ = ("key", "measure", "result", "value", "position", "supply", "epoch", "common", "unsettled")
    KEY_FIELD_NUMBER: _ClassVar[int]
    MEASURE_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    SUPPLY_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    COMMON_FIELD_NUMBER: _ClassVar[int]
    UNSETTLED_FIELD_NUMBER: _ClassVar[int]
    key: _common_pb2.StockKey
    measure: str
    result: FigureResult
    value: int
    position: int
    supply: int
    epoch: int
    common: _common_pb2.PoolBalance
    unsettled: int
    def __init__(self, key: _Optional[_Union[_common_pb2.StockKey, _Mapping]] = ..., measure: _Optional[str] = ..., result: _Optional[_Union[FigureResult, str]] = ..., value: _Optional[int] = ..., position: _Optional[int] = ..., supply: _Optional[int] = ..., epoch: _Optional[int] = ..., common: _Optional[_Union[_common_pb2.PoolBalance, _Mapping]] = ..., unsettled: _Optional[int] = ...) -> None: ...

class BookingOutcome(_message.Message):
    __slots__ = ("result", "reservation_id", "part_number", "key", "contained", "owed", "surplus")
    RESULT_FIELD_NUMBER: _ClassVar[int]
    RESERVATION_ID_FIELD_NUMBER: _ClassVar[int]
    PART_NUMBER_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    CONTAINED_FIELD_NUMBER: _ClassVar[int]
    OWED_FIELD_NUMBER: _ClassVar[int]
    SURPLUS_FIELD_NUMBER: _ClassVar[int]
    result: BookingResult
    reservation_id: str
    part_number: int
    key: _common_pb2.StockKey
    contained: int
    owed: int
    surplus: int
    def __init__(self, result: _Optional[_Union[BookingResult, str]] = ..., reservation_id: _Optional[str] = ..., part_number: _Optional[int] = ..., key: _Optional[_Union[_common_pb2.StockKey, _Mapping]] = ..., contained: _Optional[int] = ..., owed: _Optional[int] = ..., surplus: _Optional[int] = ...) -> None: ...

class CountOutcome(_message.Message):
    __slots__ = ("result", "mentioned_keys", "unmentioned_keys", "zeroed_units", "remaining_keys")
    RESULT_FIELD_NUMBER: _ClassVar[int]
    MENTIONED_KEYS_FIELD_NUMBER: _ClassVar[int]
    UNMENTIONED_KEYS_FIELD_NUMBER: _ClassVar[int]
    ZEROED_UNITS_FIELD_NUMBER: _ClassVar[int]
    REMAINING_KEYS_FIELD_NUMBER: _ClassVar[int]
    result: CountResult
    mentioned_keys: int
    unmentioned_keys: int
    zeroed_units: int
    remaining_keys: int
    def __init__(self, result: _Optional[_Union[CountResult, str]] = ..., mentioned_keys: _Optional[int] = ..., unmentioned_keys: _Optional[int] = ..., zeroed_units: _Optional[int] = ..., remaining_keys: _Optional[int] = ...) -> None: ...

class PostStockResponse(_message.Message):
    __slots__ = ("outcomes", "revision", "server_time", "replayed", "booking_outcomes", "begin_outcome", "end_outcome")
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    SERVER_TIME_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    BOOKING_OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    BEGIN_OUTCOME_FIELD_NUMBER: _ClassVar[int]
    END_OUTCOME_FIELD_NUMBER: _ClassVar[int]
    outcomes: _containers.RepeatedCompositeFieldContainer[FigureOutcome]
    revision: str
    server_time: _timestamp_pb2.Timestamp
    replayed: bool
    booking_outcomes: _containers.RepeatedCompositeFieldContainer[BookingOutcome]
    begin_outcome: CountOutcome
    end_outcome: CountOutcome
    def __init__(self, outcomes: _Optional[_Iterable[_Union[FigureOutcome, _Mapping]]] = ..., revision: _Optional[str] = ..., server_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., replayed: _Optional[bool] = ..., booking_outcomes: _Optional[_Iterable[_Union[BookingOutcome, _Mapping]]] = ..., begin_outcome: _Optional[_Union[CountOutcome, _Mapping]] = ..., end_outcome: _Optional[_Union[CountOutcome, _Mapping]] = ...) -> None: ...

class SyncStockRequest(_message.Message):
    __slots__ = ("posts",)
    POSTS_FIELD_NUMBER: _ClassVar[int]
    posts: _containers.RepeatedCompositeFieldContainer[PostStockRequest]
    def __init__(self, posts: _Optional[_Iterable[_Union[PostStockRequest, _Mapping]]] = ...) -> None: ...

class SyncStockOutcome(_message.Message):
    __slots__ = ("request_id", "error", "post_stock")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    POST_STOCK_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    error: _status_pb2.Status
    post_stock: PostStockResponse
    def __init__(self, request_id: _Optional[str] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., post_stock: _Optional[_Union[PostStockResponse, _Mapping]] = ...) -> None: ...

class SyncStockResponse(_message.Message):
    __slots__ = ("outcomes",)
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    outcomes: _containers.RepeatedCompositeFieldContainer[SyncStockOutcome]
    def __init__(self, outcomes: _Optional[_Iterable[_Union[SyncStockOutcome, _Mapping]]] = ...) -> None: ...

class MeasureValue(_message.Message):
    __slots__ = ("measure", "value", "position", "source", "count_time", "record_time", "epoch")
    MEASURE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    COUNT_TIME_FIELD_NUMBER: _ClassVar[int]
    RECORD_TIME_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    measure: str
    value: int
    position: int
    source: str
    count_time: _timestamp_pb2.Timestamp
    record_time: _timestamp_pb2.Timestamp
    epoch: int
    def __init__(self, measure: _Optional[str] = ..., value: _Optional[int] = ..., position: _Optional[int] = ..., source: _Optional[str] = ..., count_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., record_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., epoch: _Optional[int] = ...) -> None: ...

class Stock(_message.Message):
    __slots__ = ("key", "measures", "supply", "published")
    KEY_FIELD_NUMBER: _ClassVar[int]
    MEASURES_FIELD_NUMBER: _ClassVar[int]
    SUPPLY_FIELD_NUMBER: _ClassVar[int]
    PUBLISHED_FIELD_NUMBER: _ClassVar[int]
    key: _common_pb2.StockKey
    measures: _containers.RepeatedCompositeFieldContainer[MeasureValue]
    supply: int
    published: _containers.RepeatedCompositeFieldContainer[_common_pb2.Published]
    def __init__(self, key: _Optional[_Union[_common_pb2.StockKey, _Mapping]] = ..., measures: _Optional[_Iterable[_Union[MeasureValue, _Mapping]]] = ..., supply: _Optional[int] = ..., published: _Optional[_Iterable[_Union[_common_pb2.Published, _Mapping]]] = ...) -> None: ...

class GetStockRequest(_message.Message):
    __slots__ = ("key",)
    KEY_FIELD_NUMBER: _ClassVar[int]
    key: _common_pb2.StockKey
    def __init__(self, key: _Optional[_Union[_common_pb2.StockKey, _Mapping]] = ...) -> None: ...

class GetStockResponse(_message.Message):
    __slots__ = ("stock", "server_time")
    STOCK_FIELD_NUMBER: _ClassVar[int]
    SERVER_TIME_FIELD_NUMBER: _ClassVar[int]
    stock: Stock
    server_time: _timestamp_pb2.Timestamp
    def __init__(self, stock: _Optional[_Union[Stock, _Mapping]] = ..., server_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListStockRequest(_message.Message):
    __slots__ = ("skus", "locations", "page_size", "page_token")
    SKUS_FIELD_NUMBER: _ClassVar[int]
    LOCATIONS_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    skus: _containers.RepeatedScalarFieldContainer[str]
    locations: _containers.RepeatedScalarFieldContainer[str]
    page_size: int
    page_token: str
    def __init__(self, skus: _Optional[_Iterable[str]] = ..., locations: _Optional[_Iterable[str]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListStockResponse(_message.Message):
    __slots__ = ("stocks", "next_page_token", "server_time")
    STOCKS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SERVER_TIME_FIELD_NUMBER: _ClassVar[int]
    stocks: _containers.RepeatedCompositeFieldContainer[Stock]
    next_page_token: str
    server_time: _timestamp_pb2.Timestamp
    def __init__(self, stocks: _Optional[_Iterable[_Union[Stock, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., server_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Discrepancy(_message.Message):
    __slots__ = ("sequence", "kind", "record_time", "key", "quantity", "source", "measure", "position", "epoch", "known", "reported", "reservation_id", "part_number", "order_reference", "request_id")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    RECORD_TIME_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    MEASURE_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    KNOWN_FIELD_NUMBER: _ClassVar[int]
    REPORTED_FIELD_NUMBER: _ClassVar[int]
    RESERVATION_ID_FIELD_NUMBER: _ClassVar[int]
    PART_NUMBER_FIELD_NUMBER: _ClassVar[int]
    ORDER_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    kind: DiscrepancyKind
    record_time: _timestamp_pb2.Timestamp
    key: _common_pb2.StockKey
    quantity: int
    source: str
    measure: str
    position: int
    epoch: int
    known: int
    reported: int
    reservation_id: str
    part_number: int
    order_reference: str
    request_id: str
    def __init__(self, sequence: _Optional[int] = ..., kind: _Optional[_Union[DiscrepancyKind, str]] = ..., record_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., key: _Optional[_Union[_common_pb2.StockKey, _Mapping]] = ..., quantity: _Optional[int] = ..., source: _Optional[str] = ..., measure: _Optional[str] = ..., position: _Optional[int] = ..., epoch: _Optional[int] = ..., known: _Optional[int] = ..., reported: _Optional[int] = ..., reservation_id: _Optional[str] = ..., part_number: _Optional[int] = ..., order_reference: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class ListDiscrepanciesRequest(_message.Message):
    __slots__ = ("locations", "kinds", "sku", "record_time_from", "record_time_until", "page_size", "page_token")
    LOCATIONS_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    SKU_FIELD_NUMBER: _ClassVar[int]
    RECORD_TIME_FROM_FIELD_NUMBER: _ClassVar[int]
    RECORD_TIME_UNTIL_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    locations: _containers.RepeatedScalarFieldContainer[str]
    kinds: _containers.RepeatedScalarFieldContainer[DiscrepancyKind]
    sku: str
    record_time_from: _timestamp_pb2.Timestamp
    record_time_until: _timestamp_pb2.Timestamp
    page_size: int
    page_token: str
    def __init__(self, locations: _Optional[_Iterable[str]] = ..., kinds: _Optional[_Iterable[_Union[DiscrepancyKind, str]]] = ..., sku: _Optional[str] = ..., record_time_from: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., record_time_until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListDiscrepanciesResponse(_message.Message):
    __slots__ = ("discrepancies", "next_page_token", "server_time")
    DISCREPANCIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SERVER_TIME_FIELD_NUMBER: _ClassVar[int]
    discrepancies: _containers.RepeatedCompositeFieldContainer[Discrepancy]
    next_page_token: str
    server_time: _timestamp_pb2.Timestamp
    def __init__(self, discrepancies: _Optional[_Iterable[_Union[Discrepancy, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., server_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class PublishedQuantity(_message.Message):
    __slots__ = ("key", "path", "quantity", "publish_time")
    KEY_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    PUBLISH_TIME_FIELD_NUMBER: _ClassVar[int]
    key: _common_pb2.StockKey
    path: str
    quantity: int
    publish_time: _timestamp_pb2.Timestamp
    def __init__(self, key: _Optional[_Union[_common_pb2.StockKey, _Mapping]] = ..., path: _Optional[str] = ..., quantity: _Optional[int] = ..., publish_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ReportPublishedRequest(_message.Message):
    __slots__ = ("request_id", "publisher", "quantities")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    PUBLISHER_FIELD_NUMBER: _ClassVar[int]
    QUANTITIES_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    publisher: str
    quantities: _containers.RepeatedCompositeFieldContainer[PublishedQuantity]
    def __init__(self, request_id: _Optional[str] = ..., publisher: _Optional[str] = ..., quantities: _Optional[_Iterable[_Union[PublishedQuantity, _Mapping]]] = ...) -> None: ...

class ReportPublishedResponse(_message.Message):
    __slots__ = ("applied", "revision", "server_time", "replayed")
    APPLIED_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    SERVER_TIME_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    applied: int
    revision: str
    server_time: _timestamp_pb2.Timestamp
    replayed: bool
    def __init__(self, applied: _Optional[int] = ..., revision: _Optional[str] = ..., server_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., replayed: _Optional[bool] = ...) -> None: ...
