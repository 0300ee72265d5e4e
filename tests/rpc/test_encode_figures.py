"""The answers to figures that are written by hand say what the generated classes would say."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ringfence.v1 import common_pb2
from ringfence.v1 import stock_service_pb2 as pb
from ringfence_server.committer import Stamp
from ringfence_server.ledger.names import COMMON, MAX_INT64, MAX_QUANTITY, StockKey
from ringfence_server.ledger.outcomes import FigureOutcome, FigureResult, Posted
from ringfence_server.ledger.state import Pool, Stock
from ringfence_server.rpc import encode_till
from ringfence_server.rpc.render import key_fields, pool_fields
from ringfence_server.rpc.times import time_fields
from ringfence_server.rpc.tokens import revision_token

NAMES = st.text(min_size=1, max_size=8)
UNITS = st.sampled_from([0, 1, 16_383, 16_384, MAX_QUANTITY]) | st.integers(0, MAX_QUANTITY)
SIGNED_UNITS = UNITS | UNITS.map(lambda units: -units)


@st.composite
def figure_outcomes(draw: st.DrawFn) -> FigureOutcome:
    """What came of a figure, of any key and any balance."""
    dimensions = tuple(sorted(draw(st.dictionaries(NAMES, NAMES, max_size=2)).items()))
    stock = Stock(1, StockKey("o", draw(NAMES), draw(NAMES), dimensions), draw(SIGNED_UNITS), draw(UNITS))
    stock.pools[COMMON] = Pool(COMMON, draw(SIGNED_UNITS), draw(UNITS), draw(UNITS), draw(UNITS))
    result = draw(st.sampled_from(FigureResult))
    position = draw(st.integers(0, MAX_INT64))
    epoch = draw(st.integers(0, 2**31 - 1))
    return FigureOutcome(stock.key, draw(NAMES), result, draw(SIGNED_UNITS), position, stock, epoch, draw(UNITS))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a machine under load draws slowly
@given(st.lists(figure_outcomes(), max_size=3), st.integers(1, 2**40), st.integers(0, 4_000_000_000_000_000))
def test_it_is_the_same_message(outcomes: list[FigureOutcome], revision: int, server_time: int) -> None:
    """Whatever the keys, balances, results and marks are, both ways parse to one message."""
    by_hand = encode_till.post_stock(Posted(tuple(outcomes)), Stamp(revision, server_time))
    assert pb.PostStockResponse.FromString(by_hand) == pb.PostStockResponse(
        outcomes=[
            pb.FigureOutcome(
                key=key_fields(outcome.key),
                measure=outcome.measure,
                result=pb.FigureResult.Name(outcome.result.value),
                value=outcome.value,
                position=outcome.position,
                supply=outcome.stock.supply,
                epoch=outcome.epoch,
                common=common_pb2.PoolBalance(**pool_fields(outcome.stock, outcome.stock.pool(COMMON))),
                unsettled=outcome.unsettled,
            )
            for outcome in outcomes
        ],
        revision=revision_token((revision,)),
        server_time=time_fields(server_time),
    )
