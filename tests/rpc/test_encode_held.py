"""The hand-written answer says what the generated classes would say."""

from hypothesis import given
from hypothesis import strategies as st

from ringfence.v1 import allocation_service_pb2 as pb
from ringfence.v1 import common_pb2
from ringfence_server.committer import Stamp
from ringfence_server.ledger.names import MAX_QUANTITY, StockKey
from ringfence_server.ledger.outcomes import Reserved
from ringfence_server.ledger.policy import Fallback
from ringfence_server.ledger.state import Part, Reservation, Stock
from ringfence_server.rpc import encode
from ringfence_server.rpc.encode_held import held_line
from ringfence_server.rpc.render import reservation_fields
from ringfence_server.rpc.times import time_fields
from ringfence_server.rpc.tokens import revision_token

NAMES = st.text(min_size=1, max_size=20)
TIMES = st.integers(0, 4_000_000_000_000_000)


@st.composite
def reservations(draw: st.DrawFn) -> Reservation:
    """A fresh reservation of one line that one pool filled."""
    dimensions = tuple(sorted(draw(st.dictionaries(NAMES, NAMES, max_size=2)).items()))
    expire_time = draw(st.none() | TIMES)
    reservation = Reservation(
        draw(st.binary(min_size=16, max_size=16)), "o", "c", draw(st.text(max_size=20)), expire_time, draw(TIMES)
    )
    quantity = draw(st.integers(1, MAX_QUANTITY))
    path = draw(st.sampled_from(["", "web", "web/london"]))
    part = Part(
        1,
        0,
        draw(NAMES),
        Stock(1, StockKey("o", draw(NAMES), draw(NAMES), dimensions)),
        draw(st.sampled_from([path, ""])),
        path,
        draw(st.sampled_from(list(Fallback))),
        True,
        quantity,
        expire_time,
    )
    part.granted = part.held = quantity
    reservation.parts.append(part)
    return reservation


@given(reservations(), st.integers(1, 2**40), TIMES)
def test_it_is_the_same_message(reservation: Reservation, revision: int, server_time: int) -> None:
    """Whatever the names, quantities and times are, both ways parse to one message."""
    by_hand = held_line(Reserved(reservation, True), Stamp(revision, server_time))
    assert by_hand is not None
    assert pb.ReserveResponse.FromString(by_hand) == pb.ReserveResponse(
        reservation=reservation_fields(reservation),
        fill=common_pb2.FILL_FULL,
        revision=revision_token((revision,)),
        server_time=time_fields(server_time),
    )


@given(reservations())
def test_what_is_not_so_plain_goes_the_ordinary_way(reservation: Reservation) -> None:
    """A partial grant and a sourced line are not written by hand, and are answered all the same."""
    stamp = Stamp(1, 1)
    assert held_line(Reserved(reservation, False), stamp) is None
    reservation.parts[0].located = False
    assert held_line(Reserved(reservation, True), stamp) is None
    answer = pb.ReserveResponse.FromString(encode.reserve(Reserved(reservation, True), stamp))
    assert answer.reservation.lines[0].key.location == ""
