"""What figures come to, by hand: hundreds of thousands of them a night, and their keys come again every quarter of an
hour, so a key's bytes are remembered and what is left is numbers. A test holds it to the generated classes' message.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from ringfence.v1 import common_pb2
from ringfence.v1 import stock_service_pb2 as pb
from ringfence_server.committer import Stamp
from ringfence_server.ledger.names import COMMON, StockKey
from ringfence_server.ledger.outcomes import FigureOutcome, FigureResult
from ringfence_server.ledger.promise import sellable

from .tokens import stamp_token
from .wire import delimited, delimited_tag, signed, timestamp, varint, varint_tag

_RESPONSE: Final = pb.PostStockResponse.DESCRIPTOR.fields_by_name
_OUTCOME: Final = pb.FigureOutcome.DESCRIPTOR.fields_by_name
_POOL: Final = common_pb2.PoolBalance.DESCRIPTOR.fields_by_name

_OUTCOMES: Final = delimited_tag(_RESPONSE["outcomes"].number)
_REVISION: Final = delimited_tag(_RESPONSE["revision"].number)
_TIME: Final = delimited_tag(_RESPONSE["server_time"].number)
_KEY: Final = delimited_tag(_OUTCOME["key"].number)
_MEASURE: Final = delimited_tag(_OUTCOME["measure"].number)
_RESULT: Final = varint_tag(_OUTCOME["result"].number)
_VALUE: Final = varint_tag(_OUTCOME["value"].number)
_POSITION: Final = varint_tag(_OUTCOME["position"].number)
_SUPPLY: Final = varint_tag(_OUTCOME["supply"].number)
_EPOCH: Final = varint_tag(_OUTCOME["epoch"].number)
_COMMON: Final = delimited_tag(_OUTCOME["common"].number)
_UNSETTLED: Final = varint_tag(_OUTCOME["unsettled"].number)
_POOL_KEY: Final = delimited_tag(_POOL["key"].number)
_ALLOCATED: Final = varint_tag(_POOL["allocated"].number)
_AVAILABLE: Final = varint_tag(_POOL["available"].number)
_POOL_HELD: Final = varint_tag(_POOL["held"].number)
_POOL_UNSETTLED: Final = varint_tag(_POOL["unsettled"].number)
_CONSUMED: Final = varint_tag(_POOL["consumed"].number)
_RESULTS: Final = {result: _RESULT + varint(result.value) for result in FigureResult}


def figure_outcomes(outcomes: Iterable[FigureOutcome]) -> bytes:
    """What came of figures, as fields of a PostStockResponse."""
    return b"".join([delimited(_OUTCOMES, _outcome(outcome)) for outcome in outcomes])


@lru_cache(maxsize=16)
def response_tail(stamp: Stamp) -> bytes:
    """Revision and time, as fields of a PostStockResponse: the same for a whole batch."""
    return delimited(_REVISION, stamp_token(stamp).encode()) + timestamp(_TIME, stamp.server_time)


def _outcome(outcome: FigureOutcome) -> bytes:
    key, measure, result, value, position, stock, epoch, unsettled = outcome
    pool = stock.pool(COMMON)
    free, held = pool.free, pool.held
    # Zeros are left out, as protobuf leaves them out: of most figures they are many.
    pieces = [_ALLOCATED + signed(free + held)] if free + held else []
    if free > 0 and (available := sellable(stock, pool)):
        pieces.append(_AVAILABLE + signed(available))
    if held:
        pieces.append(_POOL_HELD + signed(held))
    if pool.unsettled:
        pieces.append(_POOL_UNSETTLED + signed(pool.unsettled))
    if pool.consumed:
        pieces.append(_CONSUMED + signed(pool.consumed))
    pool_key, head = _key_of(key, measure)
    common = pool_key + b"".join(pieces)
    pieces = [head, _RESULTS[result], _COMMON, varint(len(common)), common]
    if value:
        pieces.append(_VALUE + signed(value))
    if position:
        pieces.append(_POSITION + varint(position))
    if stock.supply:
        pieces.append(_SUPPLY + signed(stock.supply))
    if epoch:
        pieces.append(_EPOCH + varint(epoch))
    if unsettled:
        pieces.append(_UNSETTLED + varint(unsettled))
    return b"".join(pieces)


@lru_cache(maxsize=16_384)
def _key_of(key: StockKey, measure: str) -> tuple[bytes, bytes]:
    """The key as a field of PoolBalance, and key and measure as fields of FigureOutcome."""
    message = common_pb2.StockKey(sku=key.sku, location=key.location, dimensions=dict(key.dimensions))
    packed = message.SerializeToString(deterministic=True)
    return delimited(_POOL_KEY, packed), delimited(_KEY, packed) + delimited(_MEASURE, measure.encode())
