import datetime

from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from ringfence.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class OrderEventKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ORDER_EVENT_KIND_UNSPECIFIED: _ClassVar[OrderEventKind]
    ORDER_EVENT_KIND_ORDER: _ClassVar[OrderEventKind]
    ORDER_EVENT_KIND_CANCELLATION: _ClassVar[OrderEventKind]

class OrderReplyResult(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ORDER_REPLY_RESULT_UNSPECIFIED: _ClassVar[OrderReplyResult]
    ORDER_REPLY_RESULT_RECORDED: _ClassVar[OrderReplyResult]
    ORDER_REPLY_RESULT_DUPLICATE: _ClassVar[OrderReplyResult]
    ORDER_REPLY_RESULT_UNKNOWN_EVENT: _ClassVar[OrderReplyResult]
    ORDER_REPLY_RESULT_REFUSED: _ClassVar[OrderReplyResult]
ORDER_EVENT_KIND_UNSPECIFIED: OrderEventKind
ORDER_EVENT_KIND_ORDER: OrderEventKind
ORDER_EVENT_KIND_CANCELLATION: OrderEventKind
ORDER_REPLY_RESULT_UNSPECIFIED: OrderReplyResult
ORDER_REPLY_RESULT_RECORDED: OrderReplyResult
ORDER_REPLY_RESULT_DUPLICATE: OrderReplyResult
ORDER_REPLY_RESULT_UNKNOWN_EVENT: OrderReplyResult
ORDER_REPLY_RESULT_REFUSED: OrderReplyResult

class StreamOrdersRequest(_message.Message):
    __slots__ = ("subscribe", "replies")
    SUBSCRIBE_FIELD_NUMBER: _ClassVar[int]
    REPLIES_FIELD_NUMBER: _ClassVar[int]
    subscribe: OrderSubscription
    replies: _containers.RepeatedCompositeFieldContainer[OrderReply]
    def __init__(self, subscribe: _Optional[_Union[OrderSubscription, _Mapping]] = ..., replies: _Optional[_Iterable[_Union[OrderReply, _Mapping]]] = ...) -> None: ...

class OrderSubscription(_message.Message):
    __slots__ = ("adapter", "source", "locations", "max_in_flight", "lease")
    ADAPTER_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    LOCATIONS_FIELD_NUMBER: _ClassVar[int]
    MAX_IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    adapter: str
    source: str
    locations: _containers.RepeatedScalarFieldContainer[str]
    max_in_flight: int
    lease: _duration_pb2.Duration
    def __init__(self, adapter: _Optional[str] = ..., source: _Optional[str] = ..., locations: _Optional[_Iterable[str]] = ..., max_in_flight: _Optional[int] = ..., lease: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class OrderEvent(_message.Message):
    __slots__ = ("event_id", "kind", "reservation_id", "part_number", "line_id", "key", "quantity", "order_reference", "channel", "attributes", "consume_time", "attempt", "lease_expire_time", "document_number", "cancel_reason", "cancel_reason_text")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    RESERVATION_ID_FIELD_NUMBER: _ClassVar[int]
    PART_NUMBER_FIELD_NUMBER: _ClassVar[int]
    LINE_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    ORDER_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    CONSUME_TIME_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    LEASE_EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_NUMBER_FIELD_NUMBER: _ClassVar[int]
    CANCEL_REASON_FIELD_NUMBER: _ClassVar[int]
    CANCEL_REASON_TEXT_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    kind: OrderEventKind
    reservation_id: str
    part_number: int
    line_id: str
    key: _common_pb2.StockKey
    quantity: int
    order_reference: str
    channel: str
    attributes: bytes
    consume_time: _timestamp_pb2.Timestamp
    attempt: int
    lease_expire_time: _timestamp_pb2.Timestamp
    document_number: str
    cancel_reason: _common_pb2.CancelReason
    cancel_reason_text: str
    def __init__(self, event_id: _Optional[str] = ..., kind: _Optional[_Union[OrderEventKind, str]] = ..., reservation_id: _Optional[str] = ..., part_number: _Optional[int] = ..., line_id: _Optional[str] = ..., key: _Optional[_Union[_common_pb2.StockKey, _Mapping]] = ..., quantity: _Optional[int] = ..., order_reference: _Optional[str] = ..., channel: _Optional[str] = ..., attributes: _Optional[bytes] = ..., consume_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., attempt: _Optional[int] = ..., lease_expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., document_number: _Optional[str] = ..., cancel_reason: _Optional[_Union[_common_pb2.CancelReason, str]] = ..., cancel_reason_text: _Optional[str] = ...) -> None: ...

class OrderReply(_message.Message):
    __slots__ = ("event_id", "received", "rejected", "confirm_cancellation", "refuse_cancellation", "failed", "postponed")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    CONFIRM_CANCELLATION_FIELD_NUMBER: _ClassVar[int]
    REFUSE_CANCELLATION_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    POSTPONED_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    received: OrderReceived
    rejected: OrderRejected
    confirm_cancellation: CancellationConfirmed
    refuse_cancellation: CancellationRefused
    failed: OrderFailed
    postponed: OrderPostponed
    def __init__(self, event_id: _Optional[str] = ..., received: _Optional[_Union[OrderReceived, _Mapping]] = ..., rejected: _Optional[_Union[OrderRejected, _Mapping]] = ..., confirm_cancellation: _Optional[_Union[CancellationConfirmed, _Mapping]] = ..., refuse_cancellation: _Optional[_Union[CancellationRefused, _Mapping]] = ..., failed: _Optional[_Union[OrderFailed, _Mapping]] = ..., postponed: _Optional[_Union[OrderPostponed, _Mapping]] = ...) -> None: ...

class OrderReceived(_message.Message):
    __slots__ = ("document_number", "time")
    DOCUMENT_NUMBER_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    document_number: str
    time: _timestamp_pb2.Timestamp
    def __init__(self, document_number: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class OrderRejected(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class CancellationConfirmed(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CancellationRefused(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class OrderFailed(_message.Message):
    __slots__ = ("error", "retry_after")
    ERROR_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_FIELD_NUMBER: _ClassVar[int]
    error: str
    retry_after: _duration_pb2.Duration
    def __init__(self, error: _Optional[str] = ..., retry_after: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class OrderPostponed(_message.Message):
    __slots__ = ("retry_after",)
    RETRY_AFTER_FIELD_NUMBER: _ClassVar[int]
    retry_after: _duration_pb2.Duration
    def __init__(self, retry_after: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class OrderAck(_message.Message):
    __slots__ = ("event_id", "result", "error")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    result: OrderReplyResult
    error: str
    def __init__(self, event_id: _Optional[str] = ..., result: _Optional[_Union[OrderReplyResult, str]] = ..., error: _Optional[str] = ...) -> None: ...

class StreamOrdersResponse(_message.Message):
    __slots__ = ("events", "acks", "server_time")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    ACKS_FIELD_NUMBER: _ClassVar[int]
    SERVER_TIME_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[OrderEvent]
    acks: _containers.RepeatedCompositeFieldContainer[OrderAck]
    server_time: _timestamp_pb2.Timestamp
    def __init__(self, events: _Optional[_Iterable[_Union[OrderEvent, _Mapping]]] = ..., acks: _Optional[_Iterable[_Union[OrderAck, _Mapping]]] = ..., server_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
