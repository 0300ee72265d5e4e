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

class RollUpBy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ROLL_UP_BY_UNSPECIFIED: _ClassVar[RollUpBy]
    ROLL_UP_BY_SKU: _ClassVar[RollUpBy]
    ROLL_UP_BY_LOCATION: _ClassVar[RollUpBy]
    ROLL_UP_BY_LOCATION_GROUP: _ClassVar[RollUpBy]
    ROLL_UP_BY_LEVEL: _ClassVar[RollUpBy]
    ROLL_UP_BY_DIMENSION: _ClassVar[RollUpBy]

class WatchEvent(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WATCH_EVENT_UNSPECIFIED: _ClassVar[WatchEvent]
    WATCH_EVENT_RESET: _ClassVar[WatchEvent]
    WATCH_EVENT_SNAPSHOT: _ClassVar[WatchEvent]
    WATCH_EVENT_SNAPSHOT_END: _ClassVar[WatchEvent]
    WATCH_EVENT_CHANGES: _ClassVar[WatchEvent]
    WATCH_EVENT_CHECKPOINT: _ClassVar[WatchEvent]
    WATCH_EVENT_RESUME: _ClassVar[WatchEvent]
ROLL_UP_BY_UNSPECIFIED: RollUpBy
ROLL_UP_BY_SKU: RollUpBy
ROLL_UP_BY_LOCATION: RollUpBy
ROLL_UP_BY_LOCATION_GROUP: RollUpBy
ROLL_UP_BY_LEVEL: RollUpBy
ROLL_UP_BY_DIMENSION: RollUpBy
WATCH_EVENT_UNSPECIFIED: WatchEvent
WATCH_EVENT_RESET: WatchEvent
WATCH_EVENT_SNAPSHOT: WatchEvent
WATCH_EVENT_SNAPSHOT_END: WatchEvent
WATCH_EVENT_CHANGES: WatchEvent
WATCH_EVENT_CHECKPOINT: WatchEvent
WATCH_EVENT_RESUME: WatchEvent

class BalanceFilter(_message.Message):
    __slots__ = ("skus", "locations", "location_groups", "path", "exact_path", "dimensions")
    class DimensionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    SKUS_FIELD_NUMBER: _ClassVar[int]
    LOCATIONS_FIELD_NUMBER: _ClassVar[int]
    LOCATION_GROUPS_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    EXACT_PATH_FIELD_NUMBER: _ClassVar[int]
    DIMENSIONS_FIELD_NUMBER: _ClassVar[int]
    skus: _containers.RepeatedScalarFieldContainer[str]
    locations: _containers.RepeatedScalarFieldContainer[str]
    location_groups: _containers.RepeatedScalarFieldContainer[str]
    path: str
    exact_path: bool
    dimensions: _containers.ScalarMap[str, str]
    def __init__(self, skus: _Optional[_Iterable[str]] = ..., locations: _Optional[_Iterable[str]] = ..., location_groups: _Optional[_Iterable[str]] = ..., path: _Optional[str] = ..., exact_path: _Optional[bool] = ..., dimensions: _Optional[_Mapping[str, str]] = ...) -> None: ...

class RollUp(_message.Message):
    __slots__ = ("by", "level", "dimension")
    BY_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    DIMENSION_FIELD_NUMBER: _ClassVar[int]
    by: RollUpBy
    level: int
    dimension: str
    def __init__(self, by: _Optional[_Union[RollUpBy, str]] = ..., level: _Optional[int] = ..., dimension: _Optional[str] = ...) -> None: ...

class Figures(_message.Message):
    __slots__ = ("allocated", "available", "held", "unsettled", "consumed", "shortfall")
    ALLOCATED_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    UNSETTLED_FIELD_NUMBER: _ClassVar[int]
    CONSUMED_FIELD_NUMBER: _ClassVar[int]
    SHORTFALL_FIELD_NUMBER: _ClassVar[int]
    allocated: int
    available: int
    held: int
    unsettled: int
    consumed: int
    shortfall: int
    def __init__(self, allocated: _Optional[int] = ..., available: _Optional[int] = ..., held: _Optional[int] = ..., unsettled: _Optional[int] = ..., consumed: _Optional[int] = ..., shortfall: _Optional[int] = ...) -> None: ...

class Freshness(_message.Message):
    __slots__ = ("count_time", "position", "measure", "age")
    COUNT_TIME_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    MEASURE_FIELD_NUMBER: _ClassVar[int]
    AGE_FIELD_NUMBER: _ClassVar[int]
    count_time: _timestamp_pb2.Timestamp
    position: int
    measure: str
    age: _duration_pb2.Duration
    def __init__(self, count_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., position: _Optional[int] = ..., measure: _Optional[str] = ..., age: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Balance(_message.Message):
    __slots__ = ("key", "path", "location_group", "own", "subtree", "available_to_allocate", "available_to_reserve", "supply", "net", "quotas_short", "promises_short", "freshness", "revision", "explanation", "key_count", "published")
    KEY_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    LOCATION_GROUP_FIELD_NUMBER: _ClassVar[int]
    OWN_FIELD_NUMBER: _ClassVar[int]
    SUBTREE_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_TO_ALLOCATE_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_TO_RESERVE_FIELD_NUMBER: _ClassVar[int]
    SUPPLY_FIELD_NUMBER: _ClassVar[int]
    NET_FIELD_NUMBER: _ClassVar[int]
    QUOTAS_SHORT_FIELD_NUMBER: _ClassVar[int]
    PROMISES_SHORT_FIELD_NUMBER: _ClassVar[int]
    FRESHNESS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    EXPLANATION_FIELD_NUMBER: _ClassVar[int]
    KEY_COUNT_FIELD_NUMBER: _ClassVar[int]
    PUBLISHED_FIELD_NUMBER: _ClassVar[int]
    key: _common_pb2.StockKey
    path: str
    location_group: str
    own: Figures
    subtree: Figures
    available_to_allocate: int
    available_to_reserve: int
    supply: int
    net: int
    quotas_short: int
    promises_short: int
    freshness: Freshness
    revision: str
    explanation: Explanation
    key_count: int
    published: _containers.RepeatedCompositeFieldContainer[_common_pb2.Published]
    def __init__(self, key: _Optional[_Union[_common_pb2.StockKey, _Mapping]] = ..., path: _Optional[str] = ..., location_group: _Optional[str] = ..., own: _Optional[_Union[Figures, _Mapping]] = ..., subtree: _Optional[_Union[Figures, _Mapping]] = ..., available_to_allocate: _Optional[int] = ..., available_to_reserve: _Optional[int] = ..., supply: _Optional[int] = ..., net: _Optional[int] = ..., quotas_short: _Optional[int] = ..., promises_short: _Optional[int] = ..., freshness: _Optional[_Union[Freshness, _Mapping]] = ..., revision: _Optional[str] = ..., explanation: _Optional[_Union[Explanation, _Mapping]] = ..., key_count: _Optional[int] = ..., published: _Optional[_Iterable[_Union[_common_pb2.Published, _Mapping]]] = ...) -> None: ...

class Explanation(_message.Message):
    __slots__ = ("terms", "pools", "holds", "bound", "policy_revision")
    TERMS_FIELD_NUMBER: _ClassVar[int]
    POOLS_FIELD_NUMBER: _ClassVar[int]
    HOLDS_FIELD_NUMBER: _ClassVar[int]
    BOUND_FIELD_NUMBER: _ClassVar[int]
    POLICY_REVISION_FIELD_NUMBER: _ClassVar[int]
    terms: _containers.RepeatedCompositeFieldContainer[FormulaTerm]
    pools: _containers.RepeatedCompositeFieldContainer[_common_pb2.PoolBalance]
    holds: _containers.RepeatedCompositeFieldContainer[Hold]
    bound: str
    policy_revision: int
    def __init__(self, terms: _Optional[_Iterable[_Union[FormulaTerm, _Mapping]]] = ..., pools: _Optional[_Iterable[_Union[_common_pb2.PoolBalance, _Mapping]]] = ..., holds: _Optional[_Iterable[_Union[Hold, _Mapping]]] = ..., bound: _Optional[str] = ..., policy_revision: _Optional[int] = ...) -> None: ...

class FormulaTerm(_message.Message):
    __slots__ = ("measure", "coefficient", "value")
    MEASURE_FIELD_NUMBER: _ClassVar[int]
    COEFFICIENT_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    measure: str
    coefficient: int
    value: int
    def __init__(self, measure: _Optional[str] = ..., coefficient: _Optional[int] = ..., value: _Optional[int] = ...) -> None: ...

class Hold(_message.Message):
    __slots__ = ("reservation_id", "owner", "quantity", "expire_time")
    RESERVATION_ID_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    reservation_id: str
    owner: str
    quantity: int
    expire_time: _timestamp_pb2.Timestamp
    def __init__(self, reservation_id: _Optional[str] = ..., owner: _Optional[str] = ..., quantity: _Optional[int] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class QueryBalanceRequest(_message.Message):
    __slots__ = ("filter", "roll_up", "read_time", "min_revision", "explain", "page_size", "page_token")
    FILTER_FIELD_NUMBER: _ClassVar[int]
    ROLL_UP_FIELD_NUMBER: _ClassVar[int]
    READ_TIME_FIELD_NUMBER: _ClassVar[int]
    MIN_REVISION_FIELD_NUMBER: _ClassVar[int]
    EXPLAIN_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    filter: BalanceFilter
    roll_up: _containers.RepeatedCompositeFieldContainer[RollUp]
    read_time: _timestamp_pb2.Timestamp
    min_revision: str
    explain: bool
    page_size: int
    page_token: str
    def __init__(self, filter: _Optional[_Union[BalanceFilter, _Mapping]] = ..., roll_up: _Optional[_Iterable[_Union[RollUp, _Mapping]]] = ..., read_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., min_revision: _Optional[str] = ..., explain: _Optional[bool] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class QueryBalanceResponse(_message.Message):
    __slots__ = ("balances", "next_page_token", "read_time", "revision")
    BALANCES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    READ_TIME_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    balances: _containers.RepeatedCompositeFieldContainer[Balance]
    next_page_token: str
    read_time: _timestamp_pb2.Timestamp
    revision: str
    def __init__(self, balances: _Optional[_Iterable[_Union[Balance, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., read_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., revision: _Optional[str] = ...) -> None: ...

class WatchBalancesRequest(_message.Message):
    __slots__ = ("filter", "roll_up", "min_interval", "resume_token", "checkpoint_interval")
    FILTER_FIELD_NUMBER: _ClassVar[int]
    ROLL_UP_FIELD_NUMBER: _ClassVar[int]
    MIN_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    RESUME_TOKEN_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    filter: BalanceFilter
    roll_up: _containers.RepeatedCompositeFieldContainer[RollUp]
    min_interval: _duration_pb2.Duration
    resume_token: str
    checkpoint_interval: _duration_pb2.Duration
    def __init__(self, filter: _Optional[_Union[BalanceFilter, _Mapping]] = ..., roll_up: _Optional[_Iterable[_Union[RollUp, _Mapping]]] = ..., min_interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., resume_token: _Optional[str] = ..., checkpoint_interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class WatchBalancesResponse(_message.Message):
    __slots__ = ("event", "balances", "removed", "resume_token", "server_time")
    EVENT_FIELD_NUMBER: _ClassVar[int]
    BALANCES_FIELD_NUMBER: _ClassVar[int]
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    RESUME_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SERVER_TIME_FIELD_NUMBER: _ClassVar[int]
    event: WatchEvent
    balances: _containers.RepeatedCompositeFieldContainer[Balance]
    removed: _containers.RepeatedCompositeFieldContainer[Balance]
    resume_token: str
    server_time: _timestamp_pb2.Timestamp
    def __init__(self, event: _Optional[_Union[WatchEvent, str]] = ..., balances: _Optional[_Iterable[_Union[Balance, _Mapping]]] = ..., removed: _Optional[_Iterable[_Union[Balance, _Mapping]]] = ..., resume_token: _Optional[str] = ..., server_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
