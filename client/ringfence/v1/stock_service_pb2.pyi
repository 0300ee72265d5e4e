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

class FigureResult(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FIGURE_RESULT_UNSPECIFIED: _ClassVar[FigureResult]
    FIGURE_RESULT_APPLIED: _ClassVar[FigureResult]
    FIGURE_RESULT_DUPLICATE: _ClassVar[FigureResult]
    FIGURE_RESULT_STALE: _ClassVar[FigureResult]
    FIGURE_RESULT_CONFLICT: _ClassVar[FigureResult]
FIGURE_RESULT_UNSPECIFIED: FigureResult
FIGURE_RESULT_APPLIED: FigureResult
FIGURE_RESULT_DUPLICATE: FigureResult
FIGURE_RESULT_STALE: FigureResult
FIGURE_RESULT_CONFLICT: FigureResult

class StockFigure(_message.Message):
    __slots__ = ("key", "measure", "value", "delta", "position", "count_time", "expected_value")
    KEY_FIELD_NUMBER: _ClassVar[int]
    MEASURE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    DELTA_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    COUNT_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VALUE_FIELD_NUMBER: _ClassVar[int]
    key: _common_pb2.StockKey
    measure: str
    value: int
    delta: int
    position: int
    count_time: _timestamp_pb2.Timestamp
    expected_value: int
    def __init__(self, key: _Optional[_Union[_common_pb2.StockKey, _Mapping]] = ..., measure: _Optional[str] = ..., value: _Optional[int] = ..., delta: _Optional[int] = ..., position: _Optional[int] = ..., count_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expected_value: _Optional[int] = ...) -> None: ...

class PostStockRequest(_message.Message):
    __slots__ = ("request_id", "source", "figures")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    FIGURES_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    source: str
    figures: _containers.RepeatedCompositeFieldContainer[StockFigure]
    def __init__(self, request_id: _Optional[str] = ..., source: _Optional[str] = ..., figures: _Optional[_Iterable[_Union[StockFigure, _Mapping]]] = ...) -> None: ...

class FigureOutcome(_message.Message):
    __slots__ = ("key", "measure", "result", "value", "position", "supply")
    KEY_FIELD_NUMBER: _ClassVar[int]
    MEASURE_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    SUPPLY_FIELD_NUMBER: _ClassVar[int]
    key: _common_pb2.StockKey
    measure: str
    result: FigureResult
    value: int
    position: int
    supply: int
    def __init__(self, key: _Optional[_Union[_common_pb2.StockKey, _Mapping]] = ..., measure: _Optional[str] = ..., result: _Optional[_Union[FigureResult, str]] = ..., value: _Optional[int] = ..., position: _Optional[int] = ..., supply: _Optional[int] = ...) -> None: ...

class PostStockResponse(_message.Message):
    __slots__ = ("outcomes", "revision", "server_time", "replayed")
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    SERVER_TIME_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    outcomes: _containers.RepeatedCompositeFieldContainer[FigureOutcome]
    revision: str
    server_time: _timestamp_pb2.Timestamp
    replayed: bool
    def __init__(self, outcomes: _Optional[_Iterable[_Union[FigureOutcome, _Mapping]]] = ..., revision: _Optional[str] = ..., server_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., replayed: _Optional[bool] = ...) -> None: ...

class MeasureValue(_message.Message):
    __slots__ = ("measure", "value", "position", "source", "count_time", "record_time")
    MEASURE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    COUNT_TIME_FIELD_NUMBER: _ClassVar[int]
    RECORD_TIME_FIELD_NUMBER: _ClassVar[int]
    measure: str
    value: int
    position: int
    source: str
    count_time: _timestamp_pb2.Timestamp
    record_time: _timestamp_pb2.Timestamp
    def __init__(self, measure: _Optional[str] = ..., value: _Optional[int] = ..., position: _Optional[int] = ..., source: _Optional[str] = ..., count_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., record_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Stock(_message.Message):
    __slots__ = ("key", "measures", "supply")
    KEY_FIELD_NUMBER: _ClassVar[int]
    MEASURES_FIELD_NUMBER: _ClassVar[int]
    SUPPLY_FIELD_NUMBER: _ClassVar[int]
    key: _common_pb2.StockKey
    measures: _containers.RepeatedCompositeFieldContainer[MeasureValue]
    supply: int
    def __init__(self, key: _Optional[_Union[_common_pb2.StockKey, _Mapping]] = ..., measures: _Optional[_Iterable[_Union[MeasureValue, _Mapping]]] = ..., supply: _Optional[int] = ...) -> None: ...

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
