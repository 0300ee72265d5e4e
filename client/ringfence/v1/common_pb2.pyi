import datetime

from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Fallback(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FALLBACK_UNSPECIFIED: _ClassVar[Fallback]
    FALLBACK_NONE: _ClassVar[Fallback]
    FALLBACK_ANCESTORS: _ClassVar[Fallback]

class LocationKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LOCATION_KIND_UNSPECIFIED: _ClassVar[LocationKind]
    LOCATION_KIND_OWNED: _ClassVar[LocationKind]
    LOCATION_KIND_TILL: _ClassVar[LocationKind]

class ReservationState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RESERVATION_STATE_UNSPECIFIED: _ClassVar[ReservationState]
    RESERVATION_STATE_HELD: _ClassVar[ReservationState]
    RESERVATION_STATE_CONSUMED: _ClassVar[ReservationState]
    RESERVATION_STATE_SENT: _ClassVar[ReservationState]
    RESERVATION_STATE_RECEIVED: _ClassVar[ReservationState]
    RESERVATION_STATE_SETTLED: _ClassVar[ReservationState]
    RESERVATION_STATE_EXPIRED: _ClassVar[ReservationState]
    RESERVATION_STATE_CANCELLED: _ClassVar[ReservationState]
    RESERVATION_STATE_CANCELLING: _ClassVar[ReservationState]
    RESERVATION_STATE_REJECTED: _ClassVar[ReservationState]

class CancelReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CANCEL_REASON_UNSPECIFIED: _ClassVar[CancelReason]
    CANCEL_REASON_CUSTOMER: _ClassVar[CancelReason]
    CANCEL_REASON_PAYMENT: _ClassVar[CancelReason]
    CANCEL_REASON_FRAUD: _ClassVar[CancelReason]
    CANCEL_REASON_OUT_OF_STOCK: _ClassVar[CancelReason]
    CANCEL_REASON_RETURNED: _ClassVar[CancelReason]
    CANCEL_REASON_OTHER: _ClassVar[CancelReason]

class Fill(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FILL_UNSPECIFIED: _ClassVar[Fill]
    FILL_FULL: _ClassVar[Fill]
    FILL_PARTIAL: _ClassVar[Fill]
FALLBACK_UNSPECIFIED: Fallback
FALLBACK_NONE: Fallback
FALLBACK_ANCESTORS: Fallback
LOCATION_KIND_UNSPECIFIED: LocationKind
LOCATION_KIND_OWNED: LocationKind
LOCATION_KIND_TILL: LocationKind
RESERVATION_STATE_UNSPECIFIED: ReservationState
RESERVATION_STATE_HELD: ReservationState
RESERVATION_STATE_CONSUMED: ReservationState
RESERVATION_STATE_SENT: ReservationState
RESERVATION_STATE_RECEIVED: ReservationState
RESERVATION_STATE_SETTLED: ReservationState
RESERVATION_STATE_EXPIRED: ReservationState
RESERVATION_STATE_CANCELLED: ReservationState
RESERVATION_STATE_CANCELLING: ReservationState
RESERVATION_STATE_REJECTED: ReservationState
CANCEL_REASON_UNSPECIFIED: CancelReason
CANCEL_REASON_CUSTOMER: CancelReason
CANCEL_REASON_PAYMENT: CancelReason
CANCEL_REASON_FRAUD: CancelReason
CANCEL_REASON_OUT_OF_STOCK: CancelReason
CANCEL_REASON_RETURNED: CancelReason
CANCEL_REASON_OTHER: CancelReason
FILL_UNSPECIFIED: Fill
FILL_FULL: Fill
FILL_PARTIAL: Fill

class StockKey(_message.Message):
    __slots__ = ("sku", "location", "dimensions")
    class DimensionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    SKU_FIELD_NUMBER: _ClassVar[int]
    LOCATION_FIELD_NUMBER: _ClassVar[int]
    DIMENSIONS_FIELD_NUMBER: _ClassVar[int]
    sku: str
    location: str
    dimensions: _containers.ScalarMap[str, str]
    def __init__(self, sku: _Optional[str] = ..., location: _Optional[str] = ..., dimensions: _Optional[_Mapping[str, str]] = ...) -> None: ...

class Published(_message.Message):
    __slots__ = ("publisher", "path", "quantity", "publish_time", "record_time")
    PUBLISHER_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    PUBLISH_TIME_FIELD_NUMBER: _ClassVar[int]
    RECORD_TIME_FIELD_NUMBER: _ClassVar[int]
    publisher: str
    path: str
    quantity: int
    publish_time: _timestamp_pb2.Timestamp
    record_time: _timestamp_pb2.Timestamp
    def __init__(self, publisher: _Optional[str] = ..., path: _Optional[str] = ..., quantity: _Optional[int] = ..., publish_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., record_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class PoolBalance(_message.Message):
    __slots__ = ("key", "path", "allocated", "available", "held", "unsettled", "consumed")
    KEY_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    ALLOCATED_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    UNSETTLED_FIELD_NUMBER: _ClassVar[int]
    CONSUMED_FIELD_NUMBER: _ClassVar[int]
    key: StockKey
    path: str
    allocated: int
    available: int
    held: int
    unsettled: int
    consumed: int
    def __init__(self, key: _Optional[_Union[StockKey, _Mapping]] = ..., path: _Optional[str] = ..., allocated: _Optional[int] = ..., available: _Optional[int] = ..., held: _Optional[int] = ..., unsettled: _Optional[int] = ..., consumed: _Optional[int] = ...) -> None: ...

class Part(_message.Message):
    __slots__ = ("part_number", "key", "path", "granted", "held", "unsettled", "settled", "cancelled", "expired", "sent_time", "received_time", "settled_time", "document_number", "booked", "owed", "rejected", "rejected_reason", "cancelling", "cancellation_refused_reason", "closed", "attempts", "last_error", "moved_from")
    PART_NUMBER_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    GRANTED_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    UNSETTLED_FIELD_NUMBER: _ClassVar[int]
    SETTLED_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_FIELD_NUMBER: _ClassVar[int]
    EXPIRED_FIELD_NUMBER: _ClassVar[int]
    SENT_TIME_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_TIME_FIELD_NUMBER: _ClassVar[int]
    SETTLED_TIME_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_NUMBER_FIELD_NUMBER: _ClassVar[int]
    BOOKED_FIELD_NUMBER: _ClassVar[int]
    OWED_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    REJECTED_REASON_FIELD_NUMBER: _ClassVar[int]
    CANCELLING_FIELD_NUMBER: _ClassVar[int]
    CANCELLATION_REFUSED_REASON_FIELD_NUMBER: _ClassVar[int]
    CLOSED_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    LAST_ERROR_FIELD_NUMBER: _ClassVar[int]
    MOVED_FROM_FIELD_NUMBER: _ClassVar[int]
    part_number: int
    key: StockKey
    path: str
    granted: int
    held: int
    unsettled: int
    settled: int
    cancelled: int
    expired: int
    sent_time: _timestamp_pb2.Timestamp
    received_time: _timestamp_pb2.Timestamp
    settled_time: _timestamp_pb2.Timestamp
    document_number: str
    booked: int
    owed: int
    rejected: int
    rejected_reason: str
    cancelling: int
    cancellation_refused_reason: str
    closed: bool
    attempts: int
    last_error: str
    moved_from: int
    def __init__(self, part_number: _Optional[int] = ..., key: _Optional[_Union[StockKey, _Mapping]] = ..., path: _Optional[str] = ..., granted: _Optional[int] = ..., held: _Optional[int] = ..., unsettled: _Optional[int] = ..., settled: _Optional[int] = ..., cancelled: _Optional[int] = ..., expired: _Optional[int] = ..., sent_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., received_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., settled_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., document_number: _Optional[str] = ..., booked: _Optional[int] = ..., owed: _Optional[int] = ..., rejected: _Optional[int] = ..., rejected_reason: _Optional[str] = ..., cancelling: _Optional[int] = ..., cancellation_refused_reason: _Optional[str] = ..., closed: _Optional[bool] = ..., attempts: _Optional[int] = ..., last_error: _Optional[str] = ..., moved_from: _Optional[int] = ...) -> None: ...

class ReservationLine(_message.Message):
    __slots__ = ("line_id", "key", "path", "requested", "granted", "fallback", "parts")
    LINE_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_FIELD_NUMBER: _ClassVar[int]
    GRANTED_FIELD_NUMBER: _ClassVar[int]
    FALLBACK_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    line_id: str
    key: StockKey
    path: str
    requested: int
    granted: int
    fallback: Fallback
    parts: _containers.RepeatedCompositeFieldContainer[Part]
    def __init__(self, line_id: _Optional[str] = ..., key: _Optional[_Union[StockKey, _Mapping]] = ..., path: _Optional[str] = ..., requested: _Optional[int] = ..., granted: _Optional[int] = ..., fallback: _Optional[_Union[Fallback, str]] = ..., parts: _Optional[_Iterable[_Union[Part, _Mapping]]] = ...) -> None: ...

class Reservation(_message.Message):
    __slots__ = ("reservation_id", "state", "owner", "lines", "expire_time", "create_time", "consume_time", "revision", "order_reference", "attributes", "cancel_reason", "cancel_reason_text")
    RESERVATION_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    CONSUME_TIME_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    ORDER_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    CANCEL_REASON_FIELD_NUMBER: _ClassVar[int]
    CANCEL_REASON_TEXT_FIELD_NUMBER: _ClassVar[int]
    reservation_id: str
    state: ReservationState
    owner: str
    lines: _containers.RepeatedCompositeFieldContainer[ReservationLine]
    expire_time: _timestamp_pb2.Timestamp
    create_time: _timestamp_pb2.Timestamp
    consume_time: _timestamp_pb2.Timestamp
    revision: int
    order_reference: str
    attributes: bytes
    cancel_reason: CancelReason
    cancel_reason_text: str
    def __init__(self, reservation_id: _Optional[str] = ..., state: _Optional[_Union[ReservationState, str]] = ..., owner: _Optional[str] = ..., lines: _Optional[_Iterable[_Union[ReservationLine, _Mapping]]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., consume_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., revision: _Optional[int] = ..., order_reference: _Optional[str] = ..., attributes: _Optional[bytes] = ..., cancel_reason: _Optional[_Union[CancelReason, str]] = ..., cancel_reason_text: _Optional[str] = ...) -> None: ...

class LineQuantity(_message.Message):
    __slots__ = ("line_id", "quantity")
    LINE_ID_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    line_id: str
    quantity: int
    def __init__(self, line_id: _Optional[str] = ..., quantity: _Optional[int] = ...) -> None: ...
