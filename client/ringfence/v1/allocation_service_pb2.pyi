import datetime

from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.rpc import status_pb2 as _status_pb2
from ringfence.v1 import balance_pb2 as _balance_pb2
from ringfence.v1 import common_pb2 as _common_pb2
from ringfence.v1 import stock_service_pb2 as _stock_service_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Revive(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REVIVE_UNSPECIFIED: _ClassVar[Revive]
    REVIVE_NO: _ClassVar[Revive]
    REVIVE_YES: _ClassVar[Revive]

class Restock(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RESTOCK_UNSPECIFIED: _ClassVar[Restock]
    RESTOCK_AT_ONCE: _ClassVar[Restock]
    RESTOCK_WHEN_TILL_CONFIRMS: _ClassVar[Restock]
    RESTOCK_NONE: _ClassVar[Restock]

class TillProgress(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TILL_PROGRESS_UNSPECIFIED: _ClassVar[TillProgress]
    TILL_PROGRESS_NOT_SENT: _ClassVar[TillProgress]
    TILL_PROGRESS_NOT_RECEIVED: _ClassVar[TillProgress]
    TILL_PROGRESS_NOT_SETTLED: _ClassVar[TillProgress]
    TILL_PROGRESS_REJECTED: _ClassVar[TillProgress]
    TILL_PROGRESS_CANCELLING: _ClassVar[TillProgress]
REVIVE_UNSPECIFIED: Revive
REVIVE_NO: Revive
REVIVE_YES: Revive
RESTOCK_UNSPECIFIED: Restock
RESTOCK_AT_ONCE: Restock
RESTOCK_WHEN_TILL_CONFIRMS: Restock
RESTOCK_NONE: Restock
TILL_PROGRESS_UNSPECIFIED: TillProgress
TILL_PROGRESS_NOT_SENT: TillProgress
TILL_PROGRESS_NOT_RECEIVED: TillProgress
TILL_PROGRESS_NOT_SETTLED: TillProgress
TILL_PROGRESS_REJECTED: TillProgress
TILL_PROGRESS_CANCELLING: TillProgress

class AllocationLine(_message.Message):
    __slots__ = ("key", "path", "quantity")
    KEY_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    key: _common_pb2.StockKey
    path: str
    quantity: int
    def __init__(self, key: _Optional[_Union[_common_pb2.StockKey, _Mapping]] = ..., path: _Optional[str] = ..., quantity: _Optional[int] = ...) -> None: ...

class AllocateRequest(_message.Message):
    __slots__ = ("request_id", "lines")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    lines: _containers.RepeatedCompositeFieldContainer[AllocationLine]
    def __init__(self, request_id: _Optional[str] = ..., lines: _Optional[_Iterable[_Union[AllocationLine, _Mapping]]] = ...) -> None: ...

class AllocateResponse(_message.Message):
    __slots__ = ("pools", "revision", "server_time", "replayed")
    POOLS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    SERVER_TIME_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    pools: _containers.RepeatedCompositeFieldContainer[_common_pb2.PoolBalance]
    revision: str
    server_time: _timestamp_pb2.Timestamp
    replayed: bool
    def __init__(self, pools: _Optional[_Iterable[_Union[_common_pb2.PoolBalance, _Mapping]]] = ..., revision: _Optional[str] = ..., server_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., replayed: _Optional[bool] = ...) -> None: ...

class UnallocationLine(_message.Message):
    __slots__ = ("key", "path", "quantity", "all_free")
    KEY_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    ALL_FREE_FIELD_NUMBER: _ClassVar[int]
    key: _common_pb2.StockKey
    path: str
    quantity: int
    all_free: bool
    def __init__(self, key: _Optional[_Union[_common_pb2.StockKey, _Mapping]] = ..., path: _Optional[str] = ..., quantity: _Optional[int] = ..., all_free: _Optional[bool] = ...) -> None: ...

class UnallocateRequest(_message.Message):
    __slots__ = ("request_id", "lines")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    lines: _containers.RepeatedCompositeFieldContainer[UnallocationLine]
    def __init__(self, request_id: _Optional[str] = ..., lines: _Optional[_Iterable[_Union[UnallocationLine, _Mapping]]] = ...) -> None: ...

class UnallocateResponse(_message.Message):
    __slots__ = ("pools", "revision", "server_time", "replayed", "quantities")
    POOLS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    SERVER_TIME_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    QUANTITIES_FIELD_NUMBER: _ClassVar[int]
    pools: _containers.RepeatedCompositeFieldContainer[_common_pb2.PoolBalance]
    revision: str
    server_time: _timestamp_pb2.Timestamp
    replayed: bool
    quantities: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, pools: _Optional[_Iterable[_Union[_common_pb2.PoolBalance, _Mapping]]] = ..., revision: _Optional[str] = ..., server_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., replayed: _Optional[bool] = ..., quantities: _Optional[_Iterable[int]] = ...) -> None: ...

class ReallocationLine(_message.Message):
    __slots__ = ("key", "from_path", "to_path", "quantity")
    KEY_FIELD_NUMBER: _ClassVar[int]
    FROM_PATH_FIELD_NUMBER: _ClassVar[int]
    TO_PATH_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    key: _common_pb2.StockKey
    from_path: str
    to_path: str
    quantity: int
    def __init__(self, key: _Optional[_Union[_common_pb2.StockKey, _Mapping]] = ..., from_path: _Optional[str] = ..., to_path: _Optional[str] = ..., quantity: _Optional[int] = ...) -> None: ...

class ReallocateRequest(_message.Message):
    __slots__ = ("request_id", "lines")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    lines: _containers.RepeatedCompositeFieldContainer[ReallocationLine]
    def __init__(self, request_id: _Optional[str] = ..., lines: _Optional[_Iterable[_Union[ReallocationLine, _Mapping]]] = ...) -> None: ...

class ReallocateResponse(_message.Message):
    __slots__ = ("pools", "revision", "server_time", "replayed")
    POOLS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    SERVER_TIME_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    pools: _containers.RepeatedCompositeFieldContainer[_common_pb2.PoolBalance]
    revision: str
    server_time: _timestamp_pb2.Timestamp
    replayed: bool
    def __init__(self, pools: _Optional[_Iterable[_Union[_common_pb2.PoolBalance, _Mapping]]] = ..., revision: _Optional[str] = ..., server_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., replayed: _Optional[bool] = ...) -> None: ...

class ReserveLine(_message.Message):
    __slots__ = ("line_id", "key", "path", "quantity", "fallback")
    LINE_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    FALLBACK_FIELD_NUMBER: _ClassVar[int]
    line_id: str
    key: _common_pb2.StockKey
    path: str
    quantity: int
    fallback: _common_pb2.Fallback
    def __init__(self, line_id: _Optional[str] = ..., key: _Optional[_Union[_common_pb2.StockKey, _Mapping]] = ..., path: _Optional[str] = ..., quantity: _Optional[int] = ..., fallback: _Optional[_Union[_common_pb2.Fallback, str]] = ...) -> None: ...

class ReserveRequest(_message.Message):
    __slots__ = ("request_id", "lines", "owner", "expire_time", "ttl", "never", "allow_partial", "allow_split")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    NEVER_FIELD_NUMBER: _ClassVar[int]
    ALLOW_PARTIAL_FIELD_NUMBER: _ClassVar[int]
    ALLOW_SPLIT_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    lines: _containers.RepeatedCompositeFieldContainer[ReserveLine]
    owner: str
    expire_time: _timestamp_pb2.Timestamp
    ttl: _duration_pb2.Duration
    never: bool
    allow_partial: bool
    allow_split: bool
    def __init__(self, request_id: _Optional[str] = ..., lines: _Optional[_Iterable[_Union[ReserveLine, _Mapping]]] = ..., owner: _Optional[str] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., never: _Optional[bool] = ..., allow_partial: _Optional[bool] = ..., allow_split: _Optional[bool] = ...) -> None: ...

class ReserveResponse(_message.Message):
    __slots__ = ("reservation", "fill", "revision", "server_time", "replayed")
    RESERVATION_FIELD_NUMBER: _ClassVar[int]
    FILL_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    SERVER_TIME_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    reservation: _common_pb2.Reservation
    fill: _common_pb2.Fill
    revision: str
    server_time: _timestamp_pb2.Timestamp
    replayed: bool
    def __init__(self, reservation: _Optional[_Union[_common_pb2.Reservation, _Mapping]] = ..., fill: _Optional[_Union[_common_pb2.Fill, str]] = ..., revision: _Optional[str] = ..., server_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., replayed: _Optional[bool] = ...) -> None: ...

class UpdateReservationRequest(_message.Message):
    __slots__ = ("request_id", "reservation_id", "update_mask", "expected_revision", "lines", "expire_time", "ttl", "never", "owner", "allow_split")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    RESERVATION_ID_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_REVISION_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    NEVER_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    ALLOW_SPLIT_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    reservation_id: str
    update_mask: _field_mask_pb2.FieldMask
    expected_revision: int
    lines: _containers.RepeatedCompositeFieldContainer[_common_pb2.LineQuantity]
    expire_time: _timestamp_pb2.Timestamp
    ttl: _duration_pb2.Duration
    never: bool
    owner: str
    allow_split: bool
    def __init__(self, request_id: _Optional[str] = ..., reservation_id: _Optional[str] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., expected_revision: _Optional[int] = ..., lines: _Optional[_Iterable[_Union[_common_pb2.LineQuantity, _Mapping]]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., never: _Optional[bool] = ..., owner: _Optional[str] = ..., allow_split: _Optional[bool] = ...) -> None: ...

class UpdateReservationResponse(_message.Message):
    __slots__ = ("reservation", "revision", "server_time", "replayed")
    RESERVATION_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    SERVER_TIME_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    reservation: _common_pb2.Reservation
    revision: str
    server_time: _timestamp_pb2.Timestamp
    replayed: bool
    def __init__(self, reservation: _Optional[_Union[_common_pb2.Reservation, _Mapping]] = ..., revision: _Optional[str] = ..., server_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., replayed: _Optional[bool] = ...) -> None: ...

class DirectSale(_message.Message):
    __slots__ = ("lines", "owner", "allow_split")
    LINES_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    ALLOW_SPLIT_FIELD_NUMBER: _ClassVar[int]
    lines: _containers.RepeatedCompositeFieldContainer[ReserveLine]
    owner: str
    allow_split: bool
    def __init__(self, lines: _Optional[_Iterable[_Union[ReserveLine, _Mapping]]] = ..., owner: _Optional[str] = ..., allow_split: _Optional[bool] = ...) -> None: ...

class ConsumeRequest(_message.Message):
    __slots__ = ("request_id", "reservation_id", "direct", "lines", "release_rest", "revive", "order_reference", "attributes")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    RESERVATION_ID_FIELD_NUMBER: _ClassVar[int]
    DIRECT_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    RELEASE_REST_FIELD_NUMBER: _ClassVar[int]
    REVIVE_FIELD_NUMBER: _ClassVar[int]
    ORDER_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    reservation_id: str
    direct: DirectSale
    lines: _containers.RepeatedCompositeFieldContainer[_common_pb2.LineQuantity]
    release_rest: bool
    revive: Revive
    order_reference: str
    attributes: bytes
    def __init__(self, request_id: _Optional[str] = ..., reservation_id: _Optional[str] = ..., direct: _Optional[_Union[DirectSale, _Mapping]] = ..., lines: _Optional[_Iterable[_Union[_common_pb2.LineQuantity, _Mapping]]] = ..., release_rest: _Optional[bool] = ..., revive: _Optional[_Union[Revive, str]] = ..., order_reference: _Optional[str] = ..., attributes: _Optional[bytes] = ...) -> None: ...

class ConsumeResponse(_message.Message):
    __slots__ = ("reservation", "at_risk", "consumed", "revision", "server_time", "replayed")
    RESERVATION_FIELD_NUMBER: _ClassVar[int]
    AT_RISK_FIELD_NUMBER: _ClassVar[int]
    CONSUMED_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    SERVER_TIME_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    reservation: _common_pb2.Reservation
    at_risk: bool
    consumed: _containers.RepeatedCompositeFieldContainer[_common_pb2.LineQuantity]
    revision: str
    server_time: _timestamp_pb2.Timestamp
    replayed: bool
    def __init__(self, reservation: _Optional[_Union[_common_pb2.Reservation, _Mapping]] = ..., at_risk: _Optional[bool] = ..., consumed: _Optional[_Iterable[_Union[_common_pb2.LineQuantity, _Mapping]]] = ..., revision: _Optional[str] = ..., server_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., replayed: _Optional[bool] = ...) -> None: ...

class CancelRequest(_message.Message):
    __slots__ = ("request_id", "reservation_id", "lines", "reason", "reason_text")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    RESERVATION_ID_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REASON_TEXT_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    reservation_id: str
    lines: _containers.RepeatedCompositeFieldContainer[_common_pb2.LineQuantity]
    reason: _common_pb2.CancelReason
    reason_text: str
    def __init__(self, request_id: _Optional[str] = ..., reservation_id: _Optional[str] = ..., lines: _Optional[_Iterable[_Union[_common_pb2.LineQuantity, _Mapping]]] = ..., reason: _Optional[_Union[_common_pb2.CancelReason, str]] = ..., reason_text: _Optional[str] = ...) -> None: ...

class CancelledLine(_message.Message):
    __slots__ = ("line_id", "quantity", "restock")
    LINE_ID_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    RESTOCK_FIELD_NUMBER: _ClassVar[int]
    line_id: str
    quantity: int
    restock: Restock
    def __init__(self, line_id: _Optional[str] = ..., quantity: _Optional[int] = ..., restock: _Optional[_Union[Restock, str]] = ...) -> None: ...

class CancelResponse(_message.Message):
    __slots__ = ("reservation", "lines", "revision", "server_time", "replayed")
    RESERVATION_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    SERVER_TIME_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    reservation: _common_pb2.Reservation
    lines: _containers.RepeatedCompositeFieldContainer[CancelledLine]
    revision: str
    server_time: _timestamp_pb2.Timestamp
    replayed: bool
    def __init__(self, reservation: _Optional[_Union[_common_pb2.Reservation, _Mapping]] = ..., lines: _Optional[_Iterable[_Union[CancelledLine, _Mapping]]] = ..., revision: _Optional[str] = ..., server_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., replayed: _Optional[bool] = ...) -> None: ...

class ReassignPartRequest(_message.Message):
    __slots__ = ("request_id", "reservation_id", "part_number", "location", "path", "fallback", "quantity")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    RESERVATION_ID_FIELD_NUMBER: _ClassVar[int]
    PART_NUMBER_FIELD_NUMBER: _ClassVar[int]
    LOCATION_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    FALLBACK_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    reservation_id: str
    part_number: int
    location: str
    path: str
    fallback: _common_pb2.Fallback
    quantity: int
    def __init__(self, request_id: _Optional[str] = ..., reservation_id: _Optional[str] = ..., part_number: _Optional[int] = ..., location: _Optional[str] = ..., path: _Optional[str] = ..., fallback: _Optional[_Union[_common_pb2.Fallback, str]] = ..., quantity: _Optional[int] = ...) -> None: ...

class ReassignPartResponse(_message.Message):
    __slots__ = ("reservation", "part_numbers", "at_risk", "revision", "server_time", "replayed")
    RESERVATION_FIELD_NUMBER: _ClassVar[int]
    PART_NUMBERS_FIELD_NUMBER: _ClassVar[int]
    AT_RISK_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    SERVER_TIME_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    reservation: _common_pb2.Reservation
    part_numbers: _containers.RepeatedScalarFieldContainer[int]
    at_risk: bool
    revision: str
    server_time: _timestamp_pb2.Timestamp
    replayed: bool
    def __init__(self, reservation: _Optional[_Union[_common_pb2.Reservation, _Mapping]] = ..., part_numbers: _Optional[_Iterable[int]] = ..., at_risk: _Optional[bool] = ..., revision: _Optional[str] = ..., server_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., replayed: _Optional[bool] = ...) -> None: ...

class GetReservationRequest(_message.Message):
    __slots__ = ("reservation_id",)
    RESERVATION_ID_FIELD_NUMBER: _ClassVar[int]
    reservation_id: str
    def __init__(self, reservation_id: _Optional[str] = ...) -> None: ...

class GetReservationResponse(_message.Message):
    __slots__ = ("reservation", "server_time")
    RESERVATION_FIELD_NUMBER: _ClassVar[int]
    SERVER_TIME_FIELD_NUMBER: _ClassVar[int]
    reservation: _common_pb2.Reservation
    server_time: _timestamp_pb2.Timestamp
    def __init__(self, reservation: _Optional[_Union[_common_pb2.Reservation, _Mapping]] = ..., server_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListReservationsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "states", "owner", "sku", "location", "order_reference", "create_time_from", "create_time_until", "till_progress", "stuck_for")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    SKU_FIELD_NUMBER: _ClassVar[int]
    LOCATION_FIELD_NUMBER: _ClassVar[int]
    ORDER_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FROM_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_UNTIL_FIELD_NUMBER: _ClassVar[int]
    TILL_PROGRESS_FIELD_NUMBER: _ClassVar[int]
    STUCK_FOR_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    states: _containers.RepeatedScalarFieldContainer[_common_pb2.ReservationState]
    owner: str
    sku: str
    location: str
    order_reference: str
    create_time_from: _timestamp_pb2.Timestamp
    create_time_until: _timestamp_pb2.Timestamp
    till_progress: TillProgress
    stuck_for: _duration_pb2.Duration
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., states: _Optional[_Iterable[_Union[_common_pb2.ReservationState, str]]] = ..., owner: _Optional[str] = ..., sku: _Optional[str] = ..., location: _Optional[str] = ..., order_reference: _Optional[str] = ..., create_time_from: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., create_time_until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., till_progress: _Optional[_Union[TillProgress, str]] = ..., stuck_for: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class ListReservationsResponse(_message.Message):
    __slots__ = ("reservations", "next_page_token", "server_time")
    RESERVATIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SERVER_TIME_FIELD_NUMBER: _ClassVar[int]
    reservations: _containers.RepeatedCompositeFieldContainer[_common_pb2.Reservation]
    next_page_token: str
    server_time: _timestamp_pb2.Timestamp
    def __init__(self, reservations: _Optional[_Iterable[_Union[_common_pb2.Reservation, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., server_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Command(_message.Message):
    __slots__ = ("allocate", "unallocate", "reallocate", "reserve", "update_reservation", "consume", "cancel", "post_stock", "reassign_part")
    ALLOCATE_FIELD_NUMBER: _ClassVar[int]
    UNALLOCATE_FIELD_NUMBER: _ClassVar[int]
    REALLOCATE_FIELD_NUMBER: _ClassVar[int]
    RESERVE_FIELD_NUMBER: _ClassVar[int]
    UPDATE_RESERVATION_FIELD_NUMBER: _ClassVar[int]
    CONSUME_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    POST_STOCK_FIELD_NUMBER: _ClassVar[int]
    REASSIGN_PART_FIELD_NUMBER: _ClassVar[int]
    allocate: AllocateRequest
    unallocate: UnallocateRequest
    reallocate: ReallocateRequest
    reserve: ReserveRequest
    update_reservation: UpdateReservationRequest
    consume: ConsumeRequest
    cancel: CancelRequest
    post_stock: _stock_service_pb2.PostStockRequest
    reassign_part: ReassignPartRequest
    def __init__(self, allocate: _Optional[_Union[AllocateRequest, _Mapping]] = ..., unallocate: _Optional[_Union[UnallocateRequest, _Mapping]] = ..., reallocate: _Optional[_Union[ReallocateRequest, _Mapping]] = ..., reserve: _Optional[_Union[ReserveRequest, _Mapping]] = ..., update_reservation: _Optional[_Union[UpdateReservationRequest, _Mapping]] = ..., consume: _Optional[_Union[ConsumeRequest, _Mapping]] = ..., cancel: _Optional[_Union[CancelRequest, _Mapping]] = ..., post_stock: _Optional[_Union[_stock_service_pb2.PostStockRequest, _Mapping]] = ..., reassign_part: _Optional[_Union[ReassignPartRequest, _Mapping]] = ...) -> None: ...

class ExecuteRequest(_message.Message):
    __slots__ = ("commands",)
    COMMANDS_FIELD_NUMBER: _ClassVar[int]
    commands: _containers.RepeatedCompositeFieldContainer[Command]
    def __init__(self, commands: _Optional[_Iterable[_Union[Command, _Mapping]]] = ...) -> None: ...

class Outcome(_message.Message):
    __slots__ = ("request_id", "error", "allocate", "unallocate", "reallocate", "reserve", "update_reservation", "consume", "cancel", "post_stock", "reassign_part")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    ALLOCATE_FIELD_NUMBER: _ClassVar[int]
    UNALLOCATE_FIELD_NUMBER: _ClassVar[int]
    REALLOCATE_FIELD_NUMBER: _ClassVar[int]
    RESERVE_FIELD_NUMBER: _ClassVar[int]
    UPDATE_RESERVATION_FIELD_NUMBER: _ClassVar[int]
    CONSUME_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    POST_STOCK_FIELD_NUMBER: _ClassVar[int]
    REASSIGN_PART_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    error: _status_pb2.Status
    allocate: AllocateResponse
    unallocate: UnallocateResponse
    reallocate: ReallocateResponse
    reserve: ReserveResponse
    update_reservation: UpdateReservationResponse
    consume: ConsumeResponse
    cancel: CancelResponse
    post_stock: _stock_service_pb2.PostStockResponse
    reassign_part: ReassignPartResponse
    def __init__(self, request_id: _Optional[str] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., allocate: _Optional[_Union[AllocateResponse, _Mapping]] = ..., unallocate: _Optional[_Union[UnallocateResponse, _Mapping]] = ..., reallocate: _Optional[_Union[ReallocateResponse, _Mapping]] = ..., reserve: _Optional[_Union[ReserveResponse, _Mapping]] = ..., update_reservation: _Optional[_Union[UpdateReservationResponse, _Mapping]] = ..., consume: _Optional[_Union[ConsumeResponse, _Mapping]] = ..., cancel: _Optional[_Union[CancelResponse, _Mapping]] = ..., post_stock: _Optional[_Union[_stock_service_pb2.PostStockResponse, _Mapping]] = ..., reassign_part: _Optional[_Union[ReassignPartResponse, _Mapping]] = ...) -> None: ...

class ExecuteResponse(_message.Message):
    __slots__ = ("outcomes",)
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    outcomes: _containers.RepeatedCompositeFieldContainer[Outcome]
    def __init__(self, outcomes: _Optional[_Iterable[_Union[Outcome, _Mapping]]] = ...) -> None: ...
