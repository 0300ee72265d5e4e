"""PostStock, Allocate, Unallocate and Reallocate: what they say as commands, and every rule of form."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from ringfence.v1 import allocation_service_pb2 as pb
from ringfence.v1 import common_pb2, stock_service_pb2
from ringfence_server.ledger.commands import (
    Allocate,
    AllocationLine,
    Figure,
    PostStock,
    Reallocate,
    ReallocationLine,
    Unallocate,
    UnallocationLine,
)
from ringfence_server.ledger.names import StockKey
from tests.rpc.messages import figure, new_id, stock_key
from tests.rpc.parsing import command, faults, parsed, rules

LAMP = StockKey("acme", "LAMP", "north")


def post(*figures: stock_service_pb2.StockFigure, **fields: Any) -> stock_service_pb2.PostStockRequest:
    """A PostStock."""
    return stock_service_pb2.PostStockRequest(request_id=new_id(), figures=figures, **fields)


def allocate(**fields: Any) -> pb.AllocateRequest:
    """An Allocate of one line."""
    line = {"key": stock_key(), "path": "web", "quantity": 1, **fields}
    return pb.AllocateRequest(request_id=new_id(), lines=[pb.AllocationLine(**line)])


def unallocate(**fields: Any) -> pb.UnallocateRequest:
    """An Unallocate of one line."""
    line = {"key": stock_key(), "path": "web", **fields}
    return pb.UnallocateRequest(request_id=new_id(), lines=[pb.UnallocationLine(**line)])


def reallocate(**fields: Any) -> pb.ReallocateRequest:
    """A Reallocate of one line."""
    line = {"key": stock_key(), "from_path": "web", "quantity": 1, **fields}
    return pb.ReallocateRequest(request_id=new_id(), lines=[pb.ReallocationLine(**line)])


def test_a_post_of_nothing_hears_all_that_it_may_be() -> None:
    """Not figures only: bookings and counts are posts, too."""
    (fault,) = faults(post())
    assert (fault.field, fault.rule) == ("figures", "REQUIRED")
    assert fault.description == "1 to 2,000 figures and bookings, or begin_count or end_count"


class TestPostStock:
    """PostStock."""

    def test_figures_say_all_they_were_given(self) -> None:
        """Every field arrives in the command."""
        request = post(
            figure(value=-5, measure="on_hand", position=7, count_time=Timestamp(seconds=9), expected_value=0),
            figure(delta=3, previous_position=0, position=1, epoch=2),
            source="till-4",
        )
        assert command(request) == PostStock(
            "till-4",
            (
                Figure(LAMP, "on_hand", -5, False, 7, 9_000_000, 0),
                Figure(LAMP, "", 3, True, 1, None, None, 0, 2),
            ),
        )

    def test_the_source_is_the_caller_unless_it_is_named(self) -> None:
        """An empty source is the calling service."""
        assert command(post(figure(value=1))).source == "shop"

    def test_a_value_of_zero_is_a_value(self) -> None:
        """Set, though it is the default of its type."""
        assert command(post(figure(value=0))).figures[0] == Figure(LAMP, "", 0, False, 0, None, None)

    def test_its_weight_is_its_figures(self) -> None:
        """Batches and the queue are bounded by lines."""
        assert parsed(post(*[figure(value=1)] * 5)).weight == 5

    @pytest.mark.parametrize(
        ("fields", "rule"),
        [
            ({}, {"figures[0].change": "REQUIRED"}),
            ({"value": 10**12 + 1}, {"figures[0].value": "OUT_OF_RANGE"}),
            ({"value": -(10**12) - 1}, {"figures[0].value": "OUT_OF_RANGE"}),
            ({"delta": 10**12 + 1}, {"figures[0].delta": "OUT_OF_RANGE"}),
            ({"value": 1, "position": -1}, {"figures[0].position": "OUT_OF_RANGE"}),
            ({"delta": 1, "previous_position": -1}, {"figures[0].previous_position": "OUT_OF_RANGE"}),
            ({"value": 1, "epoch": -1}, {"figures[0].epoch": "OUT_OF_RANGE"}),
            ({"value": 1, "measure": "m" * 65}, {"figures[0].measure": "BAD_NAME"}),
            ({"value": 1, "measure": "a\nb"}, {"figures[0].measure": "BAD_NAME"}),
            ({"value": 1, "expected_value": 10**12 + 1}, {"figures[0].expected_value": "OUT_OF_RANGE"}),
            ({"value": 1, "count_time": Timestamp(nanos=-1)}, {"figures[0].count_time": "BAD_TIMESTAMP"}),
        ],
    )
    def test_a_rule_of_a_figure(self, fields: dict[str, Any], rule: dict[str, str]) -> None:
        """Each broken rule is told with its field."""
        assert rules(post(figure(**fields))) == rule

    def test_a_figure_names_its_location(self) -> None:
        """A fact is of one place."""
        key = common_pb2.StockKey(sku="LAMP")
        assert rules(post(stock_service_pb2.StockFigure(key=key, value=1))) == {"figures[0].key.location": "REQUIRED"}

    def test_figures_are_1_to_2000(self) -> None:
        """As lines are."""
        assert rules(post()) == {"figures": "REQUIRED"}
        assert rules(post(*[figure(value=1)] * 2_001)) == {"figures": "TOO_MANY"}

    def test_a_source_is_a_name(self) -> None:
        """Of at most 64 characters."""
        assert rules(post(figure(value=1), source="s" * 65)) == {"source": "BAD_NAME"}


class TestAllocate:
    """Allocate."""

    def test_a_line(self) -> None:
        """Key, path, quantity."""
        assert command(allocate(quantity=7)) == Allocate((AllocationLine(LAMP, "web", 7),))

    @pytest.mark.parametrize(
        ("fields", "rule"),
        [
            ({"path": ""}, {"lines[0].path": "REQUIRED"}),
            ({"path": "a//b"}, {"lines[0].path": "BAD_PATH"}),
            ({"quantity": 0}, {"lines[0].quantity": "OUT_OF_RANGE"}),
            ({"key": common_pb2.StockKey(sku="LAMP")}, {"lines[0].key.location": "REQUIRED"}),
        ],
    )
    def test_a_rule(self, fields: dict[str, Any], rule: dict[str, str]) -> None:
        """Each broken rule is told with its field."""
        assert rules(allocate(**fields)) == rule

    def test_lines_are_1_to_2000(self) -> None:
        """As everywhere."""
        assert rules(pb.AllocateRequest(request_id=new_id())) == {"lines": "REQUIRED"}


class TestUnallocate:
    """Unallocate."""

    def test_a_quantity_or_all_that_is_free(self) -> None:
        """All is no quantity in the command."""
        assert command(unallocate(quantity=4)) == Unallocate((UnallocationLine(LAMP, "web", 4),))
        assert command(unallocate(all_free=True)) == Unallocate((UnallocationLine(LAMP, "web", None),))

    @pytest.mark.parametrize(
        ("fields", "rule"),
        [
            ({}, {"lines[0].amount": "REQUIRED"}),
            ({"all_free": False}, {"lines[0].amount": "REQUIRED"}),
            ({"quantity": 0}, {"lines[0].quantity": "OUT_OF_RANGE"}),
            ({"quantity": 1, "path": ""}, {"lines[0].path": "REQUIRED"}),
        ],
    )
    def test_a_rule(self, fields: dict[str, Any], rule: dict[str, str]) -> None:
        """Each broken rule is told with its field."""
        assert rules(unallocate(**fields)) == rule


class TestReallocate:
    """Reallocate."""

    def test_between_two_pools(self) -> None:
        """Either may be the common pool."""
        assert command(reallocate()) == Reallocate((ReallocationLine(LAMP, "web", "", 1),))

    @pytest.mark.parametrize(
        ("fields", "rule"),
        [
            ({"to_path": "web"}, {"lines[0].to_path": "SAME_POOL"}),
            ({"from_path": ""}, {"lines[0].to_path": "SAME_POOL"}),
            ({"from_path": "/"}, {"lines[0].from_path": "BAD_PATH"}),
            ({"to_path": "/"}, {"lines[0].to_path": "BAD_PATH"}),
            ({"quantity": -1}, {"lines[0].quantity": "OUT_OF_RANGE"}),
        ],
    )
    def test_a_rule(self, fields: dict[str, Any], rule: dict[str, str]) -> None:
        """Each broken rule is told with its field."""
        assert rules(reallocate(**fields)) == rule
