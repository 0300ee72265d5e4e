"""Reserve, UpdateReservation, Consume and Cancel: what they say as commands, and every rule of form."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from ringfence.v1 import allocation_service_pb2 as pb
from ringfence.v1 import common_pb2
from ringfence_server.ledger.commands import (
    Cancel,
    CancelReason,
    Consume,
    ConsumeDirect,
    Lease,
    LineQuantity,
    Reserve,
    ReserveLine,
    UpdateReservation,
)
from ringfence_server.ledger.names import StockKey
from ringfence_server.ledger.policy import Fallback
from tests.rpc.messages import line, new_id, reserve
from tests.rpc.parsing import command, faults, parsed, rules

RESERVATION = "0199a000-0000-7000-8000-00000000ABCD"
RESERVATION_ID = bytes.fromhex("0199a000000070008000" + "00000000abcd")


def update(**fields: Any) -> pb.UpdateReservationRequest:
    """An UpdateReservation of the reservation."""
    return pb.UpdateReservationRequest(request_id=new_id(), reservation_id=RESERVATION, **fields)


def consume(**fields: Any) -> pb.ConsumeRequest:
    """A Consume."""
    return pb.ConsumeRequest(request_id=new_id(), **fields)


def cancel(**fields: Any) -> pb.CancelRequest:
    """A Cancel of the reservation."""
    return pb.CancelRequest(**{"request_id": new_id(), "reservation_id": RESERVATION, **fields})


def some(line_id: str, quantity: int = 0) -> common_pb2.LineQuantity:
    """A quantity of a reservation's line."""
    return common_pb2.LineQuantity(line_id=line_id, quantity=quantity)


class TestReserve:
    """Reserve."""

    def test_a_reserve_says_all_it_was_given(self) -> None:
        """Every field arrives in the command."""
        lines = (
            line(3, "BIKE", "web/london", line_id="a", fallback=common_pb2.FALLBACK_ANCESTORS),
            pb.ReserveLine(key=common_pb2.StockKey(sku="LAMP"), quantity=10**12, fallback=common_pb2.FALLBACK_NONE),
        )
        request = reserve(*lines, owner="Ada", ttl=Duration(seconds=90), allow_partial=True, allow_split=True)
        assert command(request) == Reserve(
            (
                ReserveLine("a", StockKey("acme", "BIKE", "north"), "web/london", 3, Fallback.ANCESTORS),
                ReserveLine("2", StockKey("acme", "LAMP", ""), "", 10**12, Fallback.NONE),
            ),
            "Ada",
            Lease(ttl=90_000_000),
            allow_partial=True,
            allow_split=True,
        )

    def test_what_is_left_out_is_left_to_the_policy(self) -> None:
        """No fallback, no lease: the command says that neither was named."""
        found = command(reserve(line(1)))
        assert found.lines[0].fallback is None
        assert found.lease == Lease()

    def test_lines_without_an_id_are_called_by_their_number(self) -> None:
        """Counted from 1, also among lines that have one."""
        found = command(reserve(line(), line(line_id="x"), line()))
        assert [each.line_id for each in found.lines] == ["1", "x", "3"]

    def test_the_number_of_a_line_may_be_taken(self) -> None:
        """A line called "2" and an unnamed second line are the same name twice."""
        assert rules(reserve(line(line_id="2"), line())) == {"lines[1].line_id": "NAMED_TWICE"}

    def test_2000_lines_are_taken_and_2001_are_not(self) -> None:
        """The limit is a request's lines; beyond it none is looked at."""
        assert len(command(reserve(*[line()] * 2_000)).lines) == 2_000
        assert rules(reserve(*[line(0)] * 2_001)) == {"lines": "TOO_MANY"}

    def test_its_weight_is_its_lines(self) -> None:
        """Batches and the queue are bounded by lines."""
        assert parsed(reserve(*[line()] * 7)).weight == 7

    @pytest.mark.parametrize(
        ("fields", "rule"),
        [
            ({"quantity": 0}, {"lines[0].quantity": "OUT_OF_RANGE"}),
            ({"quantity": -1}, {"lines[0].quantity": "OUT_OF_RANGE"}),
            ({"quantity": 10**12 + 1}, {"lines[0].quantity": "OUT_OF_RANGE"}),
            ({"path": "web//vip"}, {"lines[0].path": "BAD_PATH"}),
            ({"path": "/web"}, {"lines[0].path": "BAD_PATH"}),
            ({"path": "web/"}, {"lines[0].path": "BAD_PATH"}),
            ({"path": "/".join("abcdefghi")}, {"lines[0].path": "BAD_PATH"}),
            ({"path": "w" * 65}, {"lines[0].path": "BAD_PATH"}),
            ({"path": "web/a\x00b"}, {"lines[0].path": "BAD_PATH"}),
            ({"line_id": "l" * 65}, {"lines[0].line_id": "BAD_NAME"}),
            ({"line_id": "a\nb"}, {"lines[0].line_id": "BAD_NAME"}),
            ({"fallback": 3}, {"lines[0].fallback": "UNKNOWN_VALUE"}),
        ],
    )
    def test_a_rule_of_a_line(self, fields: dict[str, Any], rule: dict[str, str]) -> None:
        """Each broken rule is told with its field."""
        assert rules(reserve(line(**{"quantity": 1, **fields}))) == rule

    @pytest.mark.parametrize("path", ["web", "/".join("abcdefgh"), "w" * 64, "été/日本", "a b"])
    def test_a_path_that_is_one(self, path: str) -> None:
        """Up to 8 levels of up to 64 characters, of any script."""
        assert command(reserve(line(path=path))).lines[0].path == path

    @pytest.mark.parametrize(
        ("fields", "rule"),
        [
            ({"sku": ""}, {"lines[0].key.sku": "REQUIRED"}),
            ({"sku": "s" * 129}, {"lines[0].key.sku": "BAD_NAME"}),
            ({"sku": "a\x7fb"}, {"lines[0].key.sku": "BAD_NAME"}),
            ({"location": "l" * 65}, {"lines[0].key.location": "BAD_NAME"}),
            ({"location": "\x85"}, {"lines[0].key.location": "BAD_NAME"}),
            ({"dimensions": {"": "red"}}, {"lines[0].key.dimensions": "BAD_NAME"}),
            ({"dimensions": {"n" * 65: "red"}}, {"lines[0].key.dimensions": "BAD_NAME"}),
            ({"dimensions": {"colour": "v" * 65}}, {"lines[0].key.dimensions": "BAD_NAME"}),
            ({"dimensions": {"colour": "\t"}}, {"lines[0].key.dimensions": "BAD_NAME"}),
            ({"dimensions": {f"d{n}": "x" for n in range(9)}}, {"lines[0].key.dimensions": "TOO_MANY"}),
        ],
    )
    def test_a_rule_of_a_stock_key(self, fields: dict[str, Any], rule: dict[str, str]) -> None:
        """Each broken rule is told with its field."""
        key = common_pb2.StockKey(**{"sku": "LAMP", "location": "north", **fields})
        assert rules(reserve(pb.ReserveLine(key=key, quantity=1))) == rule

    def test_dimensions_are_sorted_and_empty_values_left_out(self) -> None:
        """So a policy may add a dimension later, and a map's order means nothing."""
        key = common_pb2.StockKey(sku="L", dimensions={"size": "XL", "batch": "", "colour": "red"})
        found = command(reserve(pb.ReserveLine(key=key, quantity=1)))
        assert found.lines[0].key.dimensions == (("colour", "red"), ("size", "XL"))

    def test_a_line_without_a_key_names_no_sku(self) -> None:
        """An unset message is an empty one."""
        assert rules(reserve(pb.ReserveLine(quantity=1))) == {"lines[0].key.sku": "REQUIRED"}

    def test_a_ttl_that_is_too_long_hears_how_long_one_may_be(self) -> None:
        """Sign and nanos are right: the seconds are what is wrong."""
        (fault,) = faults(reserve(line(), ttl=Duration(seconds=2**60)))
        assert "to 315,576,000,000 seconds" in fault.description

    @pytest.mark.parametrize(
        ("fields", "rule"),
        [
            ({"owner": "o" * 129}, {"owner": "TOO_LONG"}),
            ({"owner": "a\x00"}, {"owner": "BAD_TEXT"}),
            ({"ttl": Duration()}, {"ttl": "LEASE_NOT_IN_FUTURE"}),
            ({"ttl": Duration(seconds=-5)}, {"ttl": "LEASE_NOT_IN_FUTURE"}),
            ({"ttl": Duration(nanos=999)}, {"ttl": "LEASE_NOT_IN_FUTURE"}),
            ({"ttl": Duration(seconds=1, nanos=-1)}, {"ttl": "BAD_DURATION"}),
            ({"ttl": Duration(seconds=315_576_000_001)}, {"ttl": "BAD_DURATION"}),
            ({"ttl": Duration(nanos=1_000_000_000)}, {"ttl": "BAD_DURATION"}),
            ({"expire_time": Timestamp(seconds=253_402_300_800)}, {"expire_time": "BAD_TIMESTAMP"}),
            ({"expire_time": Timestamp(seconds=-62_135_596_801)}, {"expire_time": "BAD_TIMESTAMP"}),
            ({"expire_time": Timestamp(nanos=-1)}, {"expire_time": "BAD_TIMESTAMP"}),
            ({"expire_time": Timestamp(nanos=1_000_000_000)}, {"expire_time": "BAD_TIMESTAMP"}),
            ({"never": False}, {"never": "NEVER_IS_FALSE"}),
            ({"request_id": "4"}, {"request_id": "BAD_UUID"}),
        ],
    )
    def test_a_rule_of_a_reserve(self, fields: dict[str, Any], rule: dict[str, str]) -> None:
        """Each broken rule is told with its field."""
        assert rules(reserve(line(), **fields)) == rule

    @pytest.mark.parametrize(
        ("fields", "lease"),
        [
            ({"ttl": Duration(seconds=1, nanos=1_999)}, Lease(ttl=1_000_001)),
            ({"expire_time": Timestamp(seconds=5, nanos=7_999)}, Lease(expire_time=5_000_007)),
            ({"expire_time": Timestamp(seconds=-1)}, Lease(expire_time=-1_000_000)),
            ({"never": True}, Lease(never=True)),
        ],
    )
    def test_a_lease_in_microseconds(self, fields: dict[str, Any], lease: Lease) -> None:
        """What is finer than a microsecond is cut off."""
        assert command(reserve(line(), **fields)).lease == lease

    def test_all_broken_rules_are_told_at_once(self) -> None:
        """A caller mends a request in one go; the first one names the refusal."""
        request = reserve(line(0, ""), line(path="//"), owner="o" * 200, request_id="no", ttl=Duration(seconds=-1))
        assert [(each.field, each.rule) for each in faults(request)] == [
            ("request_id", "BAD_UUID"),
            ("lines[0].key.sku", "REQUIRED"),
            ("lines[0].quantity", "OUT_OF_RANGE"),
            ("lines[1].path", "BAD_PATH"),
            ("owner", "TOO_LONG"),
            ("ttl", "LEASE_NOT_IN_FUTURE"),
        ]

    def test_no_lines_are_no_order(self) -> None:
        """At least one."""
        assert rules(pb.ReserveRequest(request_id=new_id())) == {"lines": "REQUIRED"}


class TestRequestId:
    """Every request's id."""

    @pytest.mark.parametrize(
        ("text", "rule"),
        [
            ("", "REQUIRED"),
            ("x", "BAD_UUID"),
            ("00000000-0000-0000-0000-000000000000", "BAD_UUID"),
            ("0199a00000007000800000000000abcd", "BAD_UUID"),
            ("{0199a000-0000-7000-8000-00000000abc}", "BAD_UUID"),
            ("0199a000-0000-7000-8000-00000000abc ", "BAD_UUID"),
            ("0199a000-0000-7000-8000-0000 000abcd", "BAD_UUID"),
            ("0199a000-0000-7000-8000-00000000abcg", "BAD_UUID"),
            ("0199a0000-000-7000-8000-00000000abcd", "BAD_UUID"),
            ("0199a000-0000-7000-8000-0000000-abcd", "BAD_UUID"),
            ("٠199a000-0000-7000-8000-00000000abcd", "BAD_UUID"),
        ],
    )
    def test_what_is_no_uuid_is_refused(self, text: str, rule: str) -> None:
        """Only 8-4-4-4-12 hexadecimal digits that are not all zero."""
        assert rules(pb.ReserveRequest(request_id=text, lines=[line()])) == {"request_id": rule}

    def test_the_nil_uuid_is_named_as_such(self) -> None:
        """It has the right form: without a word the caller would look for a mistake in the form."""
        said = {
            text: faults(pb.ReserveRequest(request_id=text, lines=[line()]))[0].description
            for text in ("00000000-0000-0000-0000-000000000000", "x")
        }
        assert ["not the nil UUID" in description for description in said.values()] == [True, False]

    def test_case_means_nothing(self) -> None:
        """The same UUID in capitals is the same request."""
        upper, lower = (parsed(reserve(request_id=form)) for form in (RESERVATION, RESERVATION.lower()))
        assert upper.request_id == lower.request_id == RESERVATION_ID

    def test_the_fingerprint_is_of_all_but_the_id(self) -> None:
        """Two ids with one payload have one fingerprint, one id with two payloads two."""
        first, second, other = (parsed(reserve(line(quantity))) for quantity in (1, 1, 2))
        assert first.request_id != second.request_id
        assert first.fingerprint == second.fingerprint
        assert first.fingerprint != other.fingerprint
        assert len(first.fingerprint) == 16

    def test_the_fingerprint_knows_no_order_of_dimensions(self) -> None:
        """A caller in a language whose maps have no order sends the same request twice."""
        names = ("a", "b", "c", "d", "e", "f")
        prints = set()
        for order in (names, names[::-1]):
            key = common_pb2.StockKey(sku="L")
            for name in order:
                key.dimensions[name] = name
            prints.add(parsed(reserve(pb.ReserveLine(key=key, quantity=1))).fingerprint)
        assert len(prints) == 1

    def test_the_fingerprint_is_of_a_method(self) -> None:
        """One id for two methods whose messages have the same bytes is a reuse."""
        whole = cancel()
        reused = pb.ConsumeRequest.FromString(cancel().SerializeToString())
        assert reused.reservation_id == whole.reservation_id
        assert parsed(whole).fingerprint != parsed(reused).fingerprint


class TestUpdate:
    """UpdateReservation."""

    def test_without_a_mask_what_is_set_is_changed(self) -> None:
        """Lines alone leave lease and owner as they are."""
        assert command(update(lines=[some("1", 5), some("2", 0)])) == UpdateReservation(
            RESERVATION_ID, 0, (LineQuantity("1", 5), LineQuantity("2", 0)), None, None
        )
        assert command(update(owner="Bo", never=True, expected_revision=3)) == UpdateReservation(
            RESERVATION_ID, 3, None, Lease(never=True), "Bo"
        )

    def test_a_mask_says_what_is_changed(self) -> None:
        """An owner that the mask names is cleared; what it does not name is not read, right or wrong."""
        request = update(update_mask=FieldMask(paths=["owner"]), lines=[some("", -1)], ttl=Duration(seconds=-1))
        assert command(request) == UpdateReservation(RESERVATION_ID, 0, None, None, "")

    def test_a_masked_expiration_that_is_unset_is_the_policys(self) -> None:
        """As in Reserve."""
        assert command(update(update_mask=FieldMask(paths=["expiration"]))).lease == Lease()

    def test_a_line_may_be_split_only_when_the_request_says_so(self) -> None:
        """It is no change by itself, so the mask does not name it."""
        assert not command(update(lines=[some("1", 5)])).allow_split
        assert command(update(lines=[some("1", 5)], allow_split=True)).allow_split
        assert rules(update(allow_split=True)) == {"update_mask": "NOTHING_TO_UPDATE"}

    @pytest.mark.parametrize(
        ("fields", "rule"),
        [
            ({}, {"update_mask": "NOTHING_TO_UPDATE"}),
            ({"update_mask": FieldMask(paths=["lease"])}, {"update_mask": "UNKNOWN_VALUE"}),
            ({"update_mask": FieldMask(paths=["*"])}, {"update_mask": "UNKNOWN_VALUE"}),
            ({"update_mask": FieldMask(paths=["lines"])}, {"lines": "REQUIRED"}),
            ({"lines": [some("1"), some("1")]}, {"lines[1].line_id": "NAMED_TWICE"}),
            ({"lines": [some("")]}, {"lines[0].line_id": "REQUIRED"}),
            ({"lines": [some("1", -1)]}, {"lines[0].quantity": "OUT_OF_RANGE"}),
            ({"lines": [some("1", 10**12 + 1)]}, {"lines[0].quantity": "OUT_OF_RANGE"}),
            ({"lines": [some(str(n)) for n in range(2_001)]}, {"lines": "TOO_MANY"}),
            ({"owner": "o" * 129}, {"owner": "TOO_LONG"}),
            ({"owner": "o", "expected_revision": -1}, {"expected_revision": "OUT_OF_RANGE"}),
            ({"ttl": Duration(seconds=-1)}, {"ttl": "LEASE_NOT_IN_FUTURE"}),
        ],
    )
    def test_a_rule_of_an_update(self, fields: dict[str, Any], rule: dict[str, str]) -> None:
        """Each broken rule is told with its field."""
        assert rules(update(**fields)) == rule

    @pytest.mark.parametrize(("text", "rule"), [("", "REQUIRED"), ("12", "BAD_UUID")])
    def test_it_names_a_reservation(self, text: str, rule: str) -> None:
        """By its UUID."""
        request = pb.UpdateReservationRequest(request_id=new_id(), reservation_id=text, owner="o")
        assert rules(request) == {"reservation_id": rule}


class TestConsume:
    """Consume."""

    def test_a_sale_of_a_reservation(self) -> None:
        """Every field arrives in the command."""
        request = consume(
            reservation_id=RESERVATION,
            lines=[some("1", 2), some("2")],
            release_rest=True,
            revive=pb.REVIVE_YES,
            order_reference="A-7",
            attributes=b"\x00\xff",
        )
        lines = (LineQuantity("1", 2), LineQuantity("2", 0))
        assert command(request) == Consume(RESERVATION_ID, lines, True, True, "A-7", b"\x00\xff")

    @pytest.mark.parametrize(("revive", "meant"), [(0, None), (1, False), (2, True)])
    def test_revive_unset_is_the_policys(self, revive: int, meant: bool | None) -> None:
        """Three values, not two."""
        assert command(consume(reservation_id=RESERVATION, revive=revive)).revive is meant

    def test_a_direct_sale(self) -> None:
        """Lines as in Reserve."""
        direct = pb.DirectSale(lines=[line(2, path="web")], owner="Ada", allow_split=True)
        lines = (ReserveLine("1", StockKey("acme", "LAMP", "north"), "web", 2, None),)
        assert command(consume(direct=direct, order_reference="A-8")) == ConsumeDirect(lines, "Ada", True, "A-8", b"")

    def test_its_weight(self) -> None:
        """The lines it names, at least one."""
        assert parsed(consume(reservation_id=RESERVATION)).weight == 1
        assert parsed(consume(direct=pb.DirectSale(lines=[line(), line(2)]))).weight == 2

    @pytest.mark.parametrize(
        ("fields", "rule"),
        [
            ({}, {"source": "REQUIRED"}),
            ({"reservation_id": "x"}, {"reservation_id": "BAD_UUID"}),
            ({"reservation_id": ""}, {"reservation_id": "REQUIRED"}),
            ({"direct": pb.DirectSale()}, {"direct.lines": "REQUIRED"}),
            ({"direct": pb.DirectSale(lines=[line(0)])}, {"direct.lines[0].quantity": "OUT_OF_RANGE"}),
            (
                {"direct": pb.DirectSale(lines=[line(line_id="a"), line(line_id="a")])},
                {"direct.lines[1].line_id": "NAMED_TWICE"},
            ),
            ({"direct": pb.DirectSale(lines=[line()], owner="o" * 129)}, {"direct.owner": "TOO_LONG"}),
            ({"direct": pb.DirectSale(lines=[line()]), "lines": [some("1")]}, {"lines": "NOT_WITH_DIRECT"}),
            ({"reservation_id": RESERVATION, "lines": [some("1", -2)]}, {"lines[0].quantity": "OUT_OF_RANGE"}),
            ({"reservation_id": RESERVATION, "revive": 3}, {"revive": "UNKNOWN_VALUE"}),
            ({"reservation_id": RESERVATION, "order_reference": "r" * 129}, {"order_reference": "TOO_LONG"}),
            ({"reservation_id": RESERVATION, "order_reference": "\x01"}, {"order_reference": "BAD_TEXT"}),
            ({"reservation_id": RESERVATION, "attributes": b"a" * 8_193}, {"attributes": "TOO_LONG"}),
        ],
    )
    def test_a_rule_of_a_sale(self, fields: dict[str, Any], rule: dict[str, str]) -> None:
        """Each broken rule is told with its field."""
        assert rules(consume(**fields)) == rule


class TestCancel:
    """Cancel."""

    def test_a_cancellation(self) -> None:
        """Every field arrives in the command."""
        request = cancel(
            lines=[some("1", 2)], reason=common_pb2.CANCEL_REASON_FRAUD, reason_text="same card,\ntwo names"
        )
        lines = (LineQuantity("1", 2),)
        assert command(request) == Cancel(RESERVATION_ID, lines, CancelReason.FRAUD, "same card,\ntwo names")

    def test_a_reason_need_not_be_given(self) -> None:
        """Then none was said."""
        assert command(cancel()) == Cancel(RESERVATION_ID, (), CancelReason.UNSPECIFIED, "")

    @pytest.mark.parametrize(
        ("fields", "rule"),
        [
            ({"reservation_id": "0"}, {"reservation_id": "BAD_UUID"}),
            ({"reason": 7}, {"reason": "UNKNOWN_VALUE"}),
            ({"reason_text": "t" * 513}, {"reason_text": "TOO_LONG"}),
            ({"reason_text": "\x00"}, {"reason_text": "BAD_TEXT"}),
            ({"lines": [some("1"), some("2"), some("1")]}, {"lines[2].line_id": "NAMED_TWICE"}),
        ],
    )
    def test_a_rule_of_a_cancellation(self, fields: dict[str, Any], rule: dict[str, str]) -> None:
        """Each broken rule is told with its field."""
        assert rules(cancel(**fields)) == rule
