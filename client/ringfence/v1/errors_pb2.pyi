from ringfence.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ShortageReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SHORTAGE_REASON_UNSPECIFIED: _ClassVar[ShortageReason]
    SHORTAGE_REASON_NO_QUOTA: _ClassVar[ShortageReason]
    SHORTAGE_REASON_QUOTA_EXHAUSTED: _ClassVar[ShortageReason]
    SHORTAGE_REASON_NET_SHORT: _ClassVar[ShortageReason]
    SHORTAGE_REASON_CAP_REACHED: _ClassVar[ShortageReason]
SHORTAGE_REASON_UNSPECIFIED: ShortageReason
SHORTAGE_REASON_NO_QUOTA: ShortageReason
SHORTAGE_REASON_QUOTA_EXHAUSTED: ShortageReason
SHORTAGE_REASON_NET_SHORT: ShortageReason
SHORTAGE_REASON_CAP_REACHED: ShortageReason

class Shortage(_message.Message):
    __slots__ = ("line_id", "key", "path", "requested", "available", "reason", "bound_path", "available_with_fallback", "cap")
    LINE_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    BOUND_PATH_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_WITH_FALLBACK_FIELD_NUMBER: _ClassVar[int]
    CAP_FIELD_NUMBER: _ClassVar[int]
    line_id: str
    key: _common_pb2.StockKey
    path: str
    requested: int
    available: int
    reason: ShortageReason
    bound_path: str
    available_with_fallback: int
    cap: int
    def __init__(self, line_id: _Optional[str] = ..., key: _Optional[_Union[_common_pb2.StockKey, _Mapping]] = ..., path: _Optional[str] = ..., requested: _Optional[int] = ..., available: _Optional[int] = ..., reason: _Optional[_Union[ShortageReason, str]] = ..., bound_path: _Optional[str] = ..., available_with_fallback: _Optional[int] = ..., cap: _Optional[int] = ...) -> None: ...

class InsufficientQuantity(_message.Message):
    __slots__ = ("shortages",)
    SHORTAGES_FIELD_NUMBER: _ClassVar[int]
    shortages: _containers.RepeatedCompositeFieldContainer[Shortage]
    def __init__(self, shortages: _Optional[_Iterable[_Union[Shortage, _Mapping]]] = ...) -> None: ...

class ReservationRefusal(_message.Message):
    __slots__ = ("reservation", "line_id", "requested", "available")
    RESERVATION_FIELD_NUMBER: _ClassVar[int]
    LINE_ID_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    reservation: _common_pb2.Reservation
    line_id: str
    requested: int
    available: int
    def __init__(self, reservation: _Optional[_Union[_common_pb2.Reservation, _Mapping]] = ..., line_id: _Optional[str] = ..., requested: _Optional[int] = ..., available: _Optional[int] = ...) -> None: ...

class QuotaInUse(_message.Message):
    __slots__ = ("key", "path", "allocated", "held", "unsettled")
    KEY_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    ALLOCATED_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    UNSETTLED_FIELD_NUMBER: _ClassVar[int]
    key: _common_pb2.StockKey
    path: str
    allocated: int
    held: int
    unsettled: int
    def __init__(self, key: _Optional[_Union[_common_pb2.StockKey, _Mapping]] = ..., path: _Optional[str] = ..., allocated: _Optional[int] = ..., held: _Optional[int] = ..., unsettled: _Optional[int] = ...) -> None: ...

class QuotasInUse(_message.Message):
    __slots__ = ("quotas",)
    QUOTAS_FIELD_NUMBER: _ClassVar[int]
    quotas: _containers.RepeatedCompositeFieldContainer[QuotaInUse]
    def __init__(self, quotas: _Optional[_Iterable[_Union[QuotaInUse, _Mapping]]] = ...) -> None: ...

class Mismatch(_message.Message):
    __slots__ = ("field", "expected", "current")
    FIELD_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_FIELD_NUMBER: _ClassVar[int]
    CURRENT_FIELD_NUMBER: _ClassVar[int]
    field: str
    expected: int
    current: int
    def __init__(self, field: _Optional[str] = ..., expected: _Optional[int] = ..., current: _Optional[int] = ...) -> None: ...

class SettlementInUse(_message.Message):
    __slots__ = ("location", "unsettled", "keys", "sales", "kind", "settlement_measure", "source")
    LOCATION_FIELD_NUMBER: _ClassVar[int]
    UNSETTLED_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    SALES_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    SETTLEMENT_MEASURE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    location: str
    unsettled: int
    keys: int
    sales: int
    kind: _common_pb2.LocationKind
    settlement_measure: str
    source: str
    def __init__(self, location: _Optional[str] = ..., unsettled: _Optional[int] = ..., keys: _Optional[int] = ..., sales: _Optional[int] = ..., kind: _Optional[_Union[_common_pb2.LocationKind, str]] = ..., settlement_measure: _Optional[str] = ..., source: _Optional[str] = ...) -> None: ...

class SettlementsInUse(_message.Message):
    __slots__ = ("locations",)
    LOCATIONS_FIELD_NUMBER: _ClassVar[int]
    locations: _containers.RepeatedCompositeFieldContainer[SettlementInUse]
    def __init__(self, locations: _Optional[_Iterable[_Union[SettlementInUse, _Mapping]]] = ...) -> None: ...
