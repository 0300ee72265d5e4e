"""What a decision says on the wire."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from ringfence.v1 import allocation_service_pb2 as pb
from ringfence.v1 import common_pb2, policy_service_pb2
from ringfence_server.committer import Stamp
from ringfence_server.ledger.names import COMMON
from ringfence_server.ledger.outcomes import (
    Cancelled,
    CancelledLine,
    Consumed,
    PolicySet,
    PoolsChanged,
    Reassigned,
    Reserved,
    Restock,
    StockNotFound,
    Updated,
)
from ringfence_server.ledger.policy import Policy
from ringfence_server.rpc import encode, encode_till
from ringfence_server.rpc.refusals import refusal_status
from ringfence_server.rpc.render import reservation_message
from ringfence_server.rpc.render_policy import policy_message
from ringfence_server.rpc.tokens import revision_token
from tests.rpc.rows import BIKE, LAMP, MADE, RESERVATION_TEXT, part, pool, reservation, stock

STAMP = Stamp(revision=7, server_time=MADE)
AT = Timestamp(seconds=MADE // 1_000_000, nanos=1_000)
TOKEN = revision_token((7,))
NORTH = common_pb2.StockKey(sku="BIKE", location="north", dimensions={"colour": "red"})
SOUTH = common_pb2.StockKey(sku="LAMP", location="south")


class TestReservation:
    """A reservation as a message."""

    def test_a_hold(self) -> None:
        """One line, one part; what is zero or unset stays so."""
        found = reservation_message(reservation(part(1, stock(BIKE), granted=5, held=5), expire_time=MADE + 1))
        assert found == common_pb2.Reservation(
            reservation_id=RESERVATION_TEXT,
            state=common_pb2.RESERVATION_STATE_HELD,
            owner="Ada",
            lines=[
                common_pb2.ReservationLine(
                    line_id="a",
                    key=NORTH,
                    path="web",
                    requested=5,
                    granted=5,
                    fallback=common_pb2.FALLBACK_ANCESTORS,
                    parts=[common_pb2.Part(part_number=1, key=NORTH, path="web", granted=5, held=5)],
                )
            ],
            expire_time=Timestamp(seconds=AT.seconds, nanos=2_000),
            create_time=AT,
            revision=1,
        )

    def test_every_figure_of_a_part(self) -> None:
        """What became of the units, and when."""
        figures: dict[str, Any] = {"granted": 15, "held": 1, "unsettled": 2, "settled": 3, "cancelled": 4, "expired": 5}
        times: dict[str, Any] = {"sent_time": MADE, "received_time": MADE, "settled_time": MADE}
        row = part(1, stock(BIKE), **figures, **times, document_number="D-1")
        (found,) = reservation_message(reservation(row)).lines[0].parts
        expected = common_pb2.Part(part_number=1, key=NORTH, path="web", **figures)
        expected.document_number = "D-1"
        for name in times:
            getattr(expected, name).CopyFrom(AT)
        assert found == expected

    def test_lines_stand_in_the_callers_order_with_their_parts(self) -> None:
        """However the parts were granted: borrowed units and other locations are parts, not lines."""
        bike, lamp = stock(BIKE), stock(LAMP)
        rows = (
            part(1, lamp, "b", 1, granted=2, held=2),
            part(2, bike, "a", 0, granted=1, held=1),
            part(3, bike, "a", 0, COMMON, granted=4, held=4),
            part(4, bike, "b", 1, granted=3, held=3),
        )
        found = reservation_message(reservation(*rows)).lines
        assert [(line.line_id, line.granted, [(p.part_number, p.path) for p in line.parts]) for line in found] == [
            ("a", 5, [(2, "web"), (3, "")]),
            ("b", 5, [(1, "web"), (4, "web")]),
        ]
        assert [p.key for p in found[1].parts] == [SOUTH, NORTH]

    def test_a_sourced_line_names_no_location(self) -> None:
        """Its parts do."""
        (line,) = reservation_message(reservation(part(1, stock(BIKE), located=False, granted=1, held=1))).lines
        assert line.key == common_pb2.StockKey(sku="BIKE", dimensions={"colour": "red"})
        assert line.parts[0].key == NORTH

    def test_a_line_that_got_nothing_has_no_part(self) -> None:
        """It is still a line of the order."""
        (line,) = reservation_message(reservation(part(1, stock(BIKE)))).lines
        assert (line.requested, line.granted, list(line.parts)) == (5, 0, [])

    def test_a_sale_carries_what_the_caller_said_of_it(self) -> None:
        """Order reference and attributes, untouched."""
        row = reservation(
            part(1, stock(BIKE), granted=5, settled=5),
            consume_time=MADE,
            order_reference="A-7",
            attributes=b"\x00\xff",
        )
        found = reservation_message(row)
        assert (found.order_reference, found.attributes, found.consume_time) == ("A-7", b"\x00\xff", AT)
        assert found.state == common_pb2.RESERVATION_STATE_SETTLED
        assert not found.HasField("expire_time")

    def test_a_cancellation_says_why(self) -> None:
        """As a reason and in words."""
        row = reservation(part(1, stock(BIKE), granted=5, cancelled=5), cancel_reason=4, cancel_text="sold out")
        found = reservation_message(row)
        assert found.cancel_reason == common_pb2.CANCEL_REASON_OUT_OF_STOCK
        assert found.cancel_reason_text == "sold out"
        assert found.state == common_pb2.RESERVATION_STATE_CANCELLED


HELD = reservation(part(1, stock(BIKE, pool("web", held=5)), granted=5, held=5))
SHOWN = reservation_message(HELD)
WEB = pool("web", free=7, held=2, unsettled=3, consumed=4)
SHORT = stock(BIKE, pool(COMMON, free=-4), WEB)
POOLS = [
    common_pb2.PoolBalance(key=NORTH, allocated=-4),
    # 7 are free, but 3 are all that is really there.
    common_pb2.PoolBalance(key=NORTH, path="web", allocated=9, available=3, held=2, unsettled=3, consumed=4),
]
CHANGED = PoolsChanged(((SHORT, SHORT.pools[COMMON]), (SHORT, WEB)), (6, 0))


@pytest.mark.parametrize(
    ("encoder", "effect", "expected"),
    [
        (
            encode.reserve,
            Reserved(HELD, True),
            pb.ReserveResponse(reservation=SHOWN, fill=common_pb2.FILL_FULL, revision=TOKEN, server_time=AT),
        ),
        (
            encode.reserve,
            Reserved(HELD, False),
            pb.ReserveResponse(reservation=SHOWN, fill=common_pb2.FILL_PARTIAL, revision=TOKEN, server_time=AT),
        ),
        (
            encode.update_reservation,
            Updated(HELD),
            pb.UpdateReservationResponse(reservation=SHOWN, revision=TOKEN, server_time=AT),
        ),
        (
            encode.consume,
            Consumed(HELD, True, (("a", 5), ("b", 1))),
            pb.ConsumeResponse(
                reservation=SHOWN,
                at_risk=True,
                consumed=[{"line_id": "a", "quantity": 5}, {"line_id": "b", "quantity": 1}],
                revision=TOKEN,
                server_time=AT,
            ),
        ),
        (
            encode.cancel,
            Cancelled(HELD, (CancelledLine("a", 5, Restock.AT_ONCE), CancelledLine("b", 0, Restock.NONE))),
            pb.CancelResponse(
                reservation=SHOWN,
                lines=[
                    {"line_id": "a", "quantity": 5, "restock": pb.RESTOCK_AT_ONCE},
                    {"line_id": "b", "restock": pb.RESTOCK_NONE},
                ],
                revision=TOKEN,
                server_time=AT,
            ),
        ),
        (encode.allocate, CHANGED, pb.AllocateResponse(pools=POOLS, revision=TOKEN, server_time=AT)),
        (encode.reallocate, CHANGED, pb.ReallocateResponse(pools=POOLS, revision=TOKEN, server_time=AT)),
        (
            encode.unallocate,
            CHANGED,
            pb.UnallocateResponse(pools=POOLS, revision=TOKEN, server_time=AT, quantities=[6, 0]),
        ),
        (
            encode.reassign_part,
            Reassigned(HELD, (HELD.parts[0],), True),
            pb.ReassignPartResponse(reservation=SHOWN, part_numbers=[1], at_risk=True, revision=TOKEN, server_time=AT),
        ),
        (
            encode.set_policy,
            PolicySet(Policy(revision=2, create_time=MADE)),
            policy_service_pb2.SetPolicyResponse(
                policy=policy_message(Policy(revision=2, create_time=MADE)), server_time=AT
            ),
        ),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_an_effect_is_its_response(encoder: Any, effect: Any, expected: Any) -> None:
    """Field by field, with the batch's revision as a token and its time."""
    assert type(expected).FromString(encoder(effect, STAMP)) == expected


ENCODERS = [
    encode.reserve,
    encode.update_reservation,
    encode.consume,
    encode.cancel,
    encode.allocate,
    encode.unallocate,
    encode.reallocate,
    encode.reassign_part,
    encode.set_policy,
    encode_till.post_stock,
    encode_till.report_published,
]


@pytest.mark.parametrize("encoder", ENCODERS)
def test_a_refusal_is_its_status_whatever_was_asked(encoder: Any) -> None:
    """The bytes that are stored are those that are answered."""
    refusal = StockNotFound(BIKE, "lines[0].key")
    assert encoder(refusal, STAMP) == refusal_status(refusal)


def test_the_built_in_policy_was_never_put_in_force() -> None:
    """It has no time; what it allows is written out all the same."""
    found = policy_message(Policy())
    assert not found.HasField("create_time")
    assert (found.revision, found.leases.default_lease.seconds) == (1, 900)
    assert [term.measure for term in found.supply] == ["on_hand", "safety_stock"]
