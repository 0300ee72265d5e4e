"""Bytes written by hand are what the generated classes would write, or read as the same."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from ringfence.v1 import allocation_service_pb2 as pb
from ringfence.v1 import common_pb2
from ringfence_server.committer import Answer
from ringfence_server.rpc import wire
from ringfence_server.rpc.execute import EXECUTE
from ringfence_server.rpc.methods import COMMANDS, METHODS, Method
from tests.rpc.messages import Status

INSTANTS = st.integers(min_value=0, max_value=253_402_300_799_999_999)


@given(number=st.integers(min_value=0, max_value=2**63 - 1))
def test_a_number_is_written_as_protobuf_writes_it(number: int) -> None:
    """Of any size."""
    written = common_pb2.Part(granted=number).SerializeToString()
    field = common_pb2.Part.DESCRIPTOR.fields_by_name["granted"].number
    assert wire.varint_tag(field) + wire.varint(number) == (written or wire.varint_tag(field) + b"\x00")


@given(payload=st.binary(max_size=20_000))
def test_a_delimited_field_is_written_as_protobuf_writes_it(payload: bytes) -> None:
    """Of any length."""
    written = common_pb2.Reservation(attributes=payload).SerializeToString()
    field = common_pb2.Reservation.DESCRIPTOR.fields_by_name["attributes"].number
    by_hand = wire.delimited(wire.delimited_tag(field), payload)
    assert by_hand == (written or wire.delimited_tag(field) + b"\x00")


@given(instant=INSTANTS)
def test_a_timestamp_reads_as_its_instant(instant: int) -> None:
    """To the microsecond."""
    read = pb.ReserveResponse.FromString(wire.timestamp(wire.delimited_tag(4), instant))
    assert read.server_time.seconds * 1_000_000 + read.server_time.nanos // 1_000 == instant


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
@given(first=INSTANTS, then=INSTANTS)
def test_a_replay_is_the_stored_response_marked_and_timed(method: Method, first: int, then: int) -> None:
    """Every method's response: replayed, with the server's time of the replay, all else as it was."""
    response_type = _response_type(method)
    stored = response_type(server_time=Timestamp(seconds=first // 10**6, nanos=first % 10**6 * 1_000))
    if "revision" in response_type.DESCRIPTOR.fields_by_name:
        stored.revision = "token"
    expected = response_type()
    expected.CopyFrom(stored)
    expected.replayed = True
    expected.server_time.CopyFrom(Timestamp(seconds=then // 10**6, nanos=then % 10**6 * 1_000))
    answer = Answer(stored.SerializeToString(), refusal=False, replayed=True, server_time=then)
    assert response_type.FromString(method.response(answer)) == expected
    once = answer._replace(replayed=False)
    assert method.response(once) == once.payload


def _response_type(method: Method) -> Any:
    module = importlib.import_module(method.request_type.__module__)
    return getattr(module, f"{method.name}Response")


@given(
    request_id=st.text(max_size=300),
    name=st.sampled_from(sorted(COMMANDS)),
    revision=st.text(max_size=20_000),
)
def test_an_outcome_is_wrapped_as_protobuf_writes_it(request_id: str, name: str, revision: str) -> None:
    """An ExecuteResponse of one outcome, around the payload of the unary response."""
    response = _response_type(COMMANDS[name])(revision=revision)
    outcome = pb.Outcome(request_id=request_id, **{name: response})
    by_hand = wire.outcome(request_id.encode(), EXECUTE.tags[COMMANDS[name].name], response.SerializeToString())
    assert pb.ExecuteResponse.FromString(by_hand) == pb.ExecuteResponse(outcomes=[outcome])
    if request_id:
        assert by_hand == pb.ExecuteResponse(outcomes=[outcome]).SerializeToString()


@given(message=st.text(max_size=500))
def test_an_error_is_wrapped_as_protobuf_writes_it(message: str) -> None:
    """A google.rpc.Status in the field of the oneof that is meant for it."""
    status = Status(code=9, message=message)
    by_hand = wire.outcome(b"id", EXECUTE.error_tag, status.SerializeToString())
    assert pb.ExecuteResponse.FromString(by_hand).outcomes[0] == pb.Outcome(request_id="id", error=status)


def test_outcomes_are_joined_up_to_a_size() -> None:
    """In their order, in messages no larger than asked unless one alone is."""
    pieces = [b"a" * size for size in (4, 4, 3, 12, 1)]
    joined = wire.messages(pieces, 10)
    assert [len(message) for message in joined] == [8, 3, 12, 1]
    assert b"".join(joined) == b"".join(pieces)
    assert wire.messages([], 10) == []
