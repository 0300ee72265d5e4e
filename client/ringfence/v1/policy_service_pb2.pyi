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

class MeasureKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MEASURE_KIND_UNSPECIFIED: _ClassVar[MeasureKind]
    MEASURE_KIND_FIGURE: _ClassVar[MeasureKind]
    MEASURE_KIND_COUNTER: _ClassVar[MeasureKind]
MEASURE_KIND_UNSPECIFIED: MeasureKind
MEASURE_KIND_FIGURE: MeasureKind
MEASURE_KIND_COUNTER: MeasureKind

class Level(_message.Message):
    __slots__ = ("name", "values")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    name: str
    values: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., values: _Optional[_Iterable[str]] = ...) -> None: ...

class Measure(_message.Message):
    __slots__ = ("name", "kind")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: MeasureKind
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[_Union[MeasureKind, str]] = ...) -> None: ...

class SupplyTerm(_message.Message):
    __slots__ = ("measure", "coefficient")
    MEASURE_FIELD_NUMBER: _ClassVar[int]
    COEFFICIENT_FIELD_NUMBER: _ClassVar[int]
    measure: str
    coefficient: int
    def __init__(self, measure: _Optional[str] = ..., coefficient: _Optional[int] = ...) -> None: ...

class Location(_message.Message):
    __slots__ = ("name", "kind", "settlement_measure", "groups", "source")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    SETTLEMENT_MEASURE_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: _common_pb2.LocationKind
    settlement_measure: str
    groups: _containers.RepeatedScalarFieldContainer[str]
    source: str
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[_Union[_common_pb2.LocationKind, str]] = ..., settlement_measure: _Optional[str] = ..., groups: _Optional[_Iterable[str]] = ..., source: _Optional[str] = ...) -> None: ...

class PathRule(_message.Message):
    __slots__ = ("path", "fallback", "quota_cap", "sales_cap")
    PATH_FIELD_NUMBER: _ClassVar[int]
    FALLBACK_FIELD_NUMBER: _ClassVar[int]
    QUOTA_CAP_FIELD_NUMBER: _ClassVar[int]
    SALES_CAP_FIELD_NUMBER: _ClassVar[int]
    path: str
    fallback: _common_pb2.Fallback
    quota_cap: int
    sales_cap: int
    def __init__(self, path: _Optional[str] = ..., fallback: _Optional[_Union[_common_pb2.Fallback, str]] = ..., quota_cap: _Optional[int] = ..., sales_cap: _Optional[int] = ...) -> None: ...

class LeaseBounds(_message.Message):
    __slots__ = ("default_lease", "max_lease", "max_total_hold", "allow_never", "revive_by_default")
    DEFAULT_LEASE_FIELD_NUMBER: _ClassVar[int]
    MAX_LEASE_FIELD_NUMBER: _ClassVar[int]
    MAX_TOTAL_HOLD_FIELD_NUMBER: _ClassVar[int]
    ALLOW_NEVER_FIELD_NUMBER: _ClassVar[int]
    REVIVE_BY_DEFAULT_FIELD_NUMBER: _ClassVar[int]
    default_lease: _duration_pb2.Duration
    max_lease: _duration_pb2.Duration
    max_total_hold: _duration_pb2.Duration
    allow_never: bool
    revive_by_default: bool
    def __init__(self, default_lease: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_lease: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_total_hold: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., allow_never: _Optional[bool] = ..., revive_by_default: _Optional[bool] = ...) -> None: ...

class Policy(_message.Message):
    __slots__ = ("revision", "levels", "dimensions", "leases", "path_rules", "locations", "location_order", "allow_split", "measures", "supply", "create_time", "full_count_confirm_share")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    LEVELS_FIELD_NUMBER: _ClassVar[int]
    DIMENSIONS_FIELD_NUMBER: _ClassVar[int]
    LEASES_FIELD_NUMBER: _ClassVar[int]
    PATH_RULES_FIELD_NUMBER: _ClassVar[int]
    LOCATIONS_FIELD_NUMBER: _ClassVar[int]
    LOCATION_ORDER_FIELD_NUMBER: _ClassVar[int]
    ALLOW_SPLIT_FIELD_NUMBER: _ClassVar[int]
    MEASURES_FIELD_NUMBER: _ClassVar[int]
    SUPPLY_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    FULL_COUNT_CONFIRM_SHARE_FIELD_NUMBER: _ClassVar[int]
    revision: int
    levels: _containers.RepeatedCompositeFieldContainer[Level]
    dimensions: _containers.RepeatedScalarFieldContainer[str]
    leases: LeaseBounds
    path_rules: _containers.RepeatedCompositeFieldContainer[PathRule]
    locations: _containers.RepeatedCompositeFieldContainer[Location]
    location_order: _containers.RepeatedScalarFieldContainer[str]
    allow_split: bool
    measures: _containers.RepeatedCompositeFieldContainer[Measure]
    supply: _containers.RepeatedCompositeFieldContainer[SupplyTerm]
    create_time: _timestamp_pb2.Timestamp
    full_count_confirm_share: int
    def __init__(self, revision: _Optional[int] = ..., levels: _Optional[_Iterable[_Union[Level, _Mapping]]] = ..., dimensions: _Optional[_Iterable[str]] = ..., leases: _Optional[_Union[LeaseBounds, _Mapping]] = ..., path_rules: _Optional[_Iterable[_Union[PathRule, _Mapping]]] = ..., locations: _Optional[_Iterable[_Union[Location, _Mapping]]] = ..., location_order: _Optional[_Iterable[str]] = ..., allow_split: _Optional[bool] = ..., measures: _Optional[_Iterable[_Union[Measure, _Mapping]]] = ..., supply: _Optional[_Iterable[_Union[SupplyTerm, _Mapping]]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., full_count_confirm_share: _Optional[int] = ...) -> None: ...

class GetPolicyRequest(_message.Message):
    __slots__ = ("revision",)
    REVISION_FIELD_NUMBER: _ClassVar[int]
    revision: int
    def __init__(self, revision: _Optional[int] = ...) -> None: ...

class GetPolicyResponse(_message.Message):
    __slots__ = ("policy",)
    POLICY_FIELD_NUMBER: _ClassVar[int]
    policy: Policy
    def __init__(self, policy: _Optional[_Union[Policy, _Mapping]] = ...) -> None: ...

class SetPolicyRequest(_message.Message):
    __slots__ = ("request_id", "policy", "expected_revision")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_REVISION_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    policy: Policy
    expected_revision: int
    def __init__(self, request_id: _Optional[str] = ..., policy: _Optional[_Union[Policy, _Mapping]] = ..., expected_revision: _Optional[int] = ...) -> None: ...

class SetPolicyResponse(_message.Message):
    __slots__ = ("policy", "server_time", "replayed")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    SERVER_TIME_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    policy: Policy
    server_time: _timestamp_pb2.Timestamp
    replayed: bool
    def __init__(self, policy: _Optional[_Union[Policy, _Mapping]] = ..., server_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., replayed: _Optional[bool] = ...) -> None: ...
