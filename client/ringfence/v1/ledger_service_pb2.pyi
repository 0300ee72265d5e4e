import datetime

from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from ringfence.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Place(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PLACE_UNSPECIFIED: _ClassVar[Place]
    PLACE_OUTSIDE: _ClassVar[Place]
    PLACE_FREE: _ClassVar[Place]
    PLACE_HELD: _ClassVar[Place]
    PLACE_UNSETTLED: _ClassVar[Place]
    PLACE_SOLD: _ClassVar[Place]

class EntryKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ENTRY_KIND_UNSPECIFIED: _ClassVar[EntryKind]
    ENTRY_KIND_SUPPLY: _ClassVar[EntryKind]
    ENTRY_KIND_ALLOCATE: _ClassVar[EntryKind]
    ENTRY_KIND_UNALLOCATE: _ClassVar[EntryKind]
    ENTRY_KIND_REALLOCATE: _ClassVar[EntryKind]
    ENTRY_KIND_RESERVE: _ClassVar[EntryKind]
    ENTRY_KIND_RELEASE: _ClassVar[EntryKind]
    ENTRY_KIND_CONSUME: _ClassVar[EntryKind]
    ENTRY_KIND_CANCEL: _ClassVar[EntryKind]
    ENTRY_KIND_EXPIRE: _ClassVar[EntryKind]
    ENTRY_KIND_REVIVE: _ClassVar[EntryKind]
    ENTRY_KIND_REVALUE: _ClassVar[EntryKind]
    ENTRY_KIND_SETTLE: _ClassVar[EntryKind]
PLACE_UNSPECIFIED: Place
PLACE_OUTSIDE: Place
PLACE_FREE: Place
PLACE_HELD: Place
PLACE_UNSETTLED: Place
PLACE_SOLD: Place
ENTRY_KIND_UNSPECIFIED: EntryKind
ENTRY_KIND_SUPPLY: EntryKind
ENTRY_KIND_ALLOCATE: EntryKind
ENTRY_KIND_UNALLOCATE: EntryKind
ENTRY_KIND_REALLOCATE: EntryKind
ENTRY_KIND_RESERVE: EntryKind
ENTRY_KIND_RELEASE: EntryKind
ENTRY_KIND_CONSUME: EntryKind
ENTRY_KIND_CANCEL: EntryKind
ENTRY_KIND_EXPIRE: EntryKind
ENTRY_KIND_REVIVE: EntryKind
ENTRY_KIND_REVALUE: EntryKind
ENTRY_KIND_SETTLE: EntryKind

class Entry(_message.Message):
    __slots__ = ("sequence", "key", "kind", "quantity", "from_place", "from_path", "to_place", "to_path", "reservation_id", "part_number", "request_id", "measure", "record_time", "effective_time")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    FROM_PLACE_FIELD_NUMBER: _ClassVar[int]
    FROM_PATH_FIELD_NUMBER: _ClassVar[int]
    TO_PLACE_FIELD_NUMBER: _ClassVar[int]
    TO_PATH_FIELD_NUMBER: _ClassVar[int]
    RESERVATION_ID_FIELD_NUMBER: _ClassVar[int]
    PART_NUMBER_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    MEASURE_FIELD_NUMBER: _ClassVar[int]
    RECORD_TIME_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_TIME_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    key: _common_pb2.StockKey
    kind: EntryKind
    quantity: int
    from_place: Place
    from_path: str
    to_place: Place
    to_path: str
    reservation_id: str
    part_number: int
    request_id: str
    measure: str
    record_time: _timestamp_pb2.Timestamp
    effective_time: _timestamp_pb2.Timestamp
    def __init__(self, sequence: _Optional[int] = ..., key: _Optional[_Union[_common_pb2.StockKey, _Mapping]] = ..., kind: _Optional[_Union[EntryKind, str]] = ..., quantity: _Optional[int] = ..., from_place: _Optional[_Union[Place, str]] = ..., from_path: _Optional[str] = ..., to_place: _Optional[_Union[Place, str]] = ..., to_path: _Optional[str] = ..., reservation_id: _Optional[str] = ..., part_number: _Optional[int] = ..., request_id: _Optional[str] = ..., measure: _Optional[str] = ..., record_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., effective_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListEntriesRequest(_message.Message):
    __slots__ = ("key", "reservation_id", "request_id", "record_time_from", "record_time_until", "page_size", "page_token")
    KEY_FIELD_NUMBER: _ClassVar[int]
    RESERVATION_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    RECORD_TIME_FROM_FIELD_NUMBER: _ClassVar[int]
    RECORD_TIME_UNTIL_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    key: _common_pb2.StockKey
    reservation_id: str
    request_id: str
    record_time_from: _timestamp_pb2.Timestamp
    record_time_until: _timestamp_pb2.Timestamp
    page_size: int
    page_token: str
    def __init__(self, key: _Optional[_Union[_common_pb2.StockKey, _Mapping]] = ..., reservation_id: _Optional[str] = ..., request_id: _Optional[str] = ..., record_time_from: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., record_time_until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListEntriesResponse(_message.Message):
    __slots__ = ("entries", "next_page_token")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[Entry]
    next_page_token: str
    def __init__(self, entries: _Optional[_Iterable[_Union[Entry, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class VerifyRequest(_message.Message):
    __slots__ = ("sku",)
    SKU_FIELD_NUMBER: _ClassVar[int]
    sku: str
    def __init__(self, sku: _Optional[str] = ...) -> None: ...

class Violation(_message.Message):
    __slots__ = ("key", "path", "rule", "description")
    KEY_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    key: _common_pb2.StockKey
    path: str
    rule: str
    description: str
    def __init__(self, key: _Optional[_Union[_common_pb2.StockKey, _Mapping]] = ..., path: _Optional[str] = ..., rule: _Optional[str] = ..., description: _Optional[str] = ...) -> None: ...

class VerifyResponse(_message.Message):
    __slots__ = ("keys_checked", "entries_read", "keys_total", "done", "violations")
    KEYS_CHECKED_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_READ_FIELD_NUMBER: _ClassVar[int]
    KEYS_TOTAL_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    VIOLATIONS_FIELD_NUMBER: _ClassVar[int]
    keys_checked: int
    entries_read: int
    keys_total: int
    done: bool
    violations: _containers.RepeatedCompositeFieldContainer[Violation]
    def __init__(self, keys_checked: _Optional[int] = ..., entries_read: _Optional[int] = ..., keys_total: _Optional[int] = ..., done: _Optional[bool] = ..., violations: _Optional[_Iterable[_Union[Violation, _Mapping]]] = ...) -> None: ...
