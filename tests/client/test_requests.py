"""What a call says on the wire."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from google.protobuf import text_format

import ringfence as r
from ringfence import _queries
from ringfence._calls import command_call, execute_command
from ringfence._types import StockKey
from tests.client.scripted import reserved

AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
RED = {"colour": "red", "size": ""}


def written(command: r.Command[Any]) -> str:
    """A command's request as protobuf text, in one line."""
    return text_format.MessageToString(command_call(command, "id").message, as_one_line=True)


def test_allocate() -> None:
    """Every line names key, path and quantity."""
    command = r.Allocate([r.Line("BIKE", "hamburg", 200, path="web/london/vip", dimensions=RED)])
    assert written(command) == (
        'request_id: "id" lines { key { sku: "BIKE" location: "hamburg" dimensions { key: "colour" value: "red" } '
        'dimensions { key: "size" } } path: "web/london/vip" quantity: 200 }'
    )


@pytest.mark.parametrize("options", [{"line_id": "a"}, {"fallback": r.Fallback.NONE}])
def test_allocate_takes_no_option_that_it_would_drop(options: dict[str, Any]) -> None:
    """A line_id or a fallback means nothing to Allocate and is a ValueError, not silence."""
    with pytest.raises(ValueError, match=r"line_id nor fallback"):
        written(r.Allocate(r.Line("BIKE", "hamburg", 1, path="web", **options)))


def test_unallocate() -> None:
    """A line gives back its quantity, a FreeLine whatever is free."""
    command = r.Unallocate([r.Line("BIKE", "hamburg", 5, path="web"), r.FreeLine("BIKE", "hamburg", path="shop")])
    assert written(command) == (
        'request_id: "id" lines { key { sku: "BIKE" location: "hamburg" } path: "web" quantity: 5 } '
        'lines { key { sku: "BIKE" location: "hamburg" } path: "shop" all_free: true }'
    )


def test_unallocate_all_free() -> None:
    """With all_free no line's quantity is sent."""
    command = r.Unallocate(r.Line("BIKE", "hamburg", 5, path="web"), all_free=True)
    assert "quantity" not in written(command)
    assert "all_free: true" in written(command)


def test_reallocate() -> None:
    """A move names the pool that gives and the one that gets."""
    command = r.Reallocate(r.Move("BIKE", "hamburg", 5, from_path="web", to_path="web/london"))
    assert written(command) == (
        'request_id: "id" lines { key { sku: "BIKE" location: "hamburg" } '
        'from_path: "web" to_path: "web/london" quantity: 5 }'
    )


def test_reserve() -> None:
    """A bare line asks the common pool under the policy's own fallback and lease."""
    assert written(r.Reserve(r.Line("LAMP", "berlin", 1))) == (
        'request_id: "id" lines { key { sku: "LAMP" location: "berlin" } quantity: 1 }'
    )


def test_reserve_with_everything() -> None:
    """Every option stands in the request."""
    command = r.Reserve(
        [r.Line("LAMP", "", 2, path="web", line_id="a", fallback=r.Fallback.ANCESTORS)],
        owner="Ada",
        ttl=timedelta(minutes=15, microseconds=7),
        allow_partial=True,
        allow_split=True,
    )
    assert written(command) == (
        'request_id: "id" lines { line_id: "a" key { sku: "LAMP" } path: "web" quantity: 2 '
        'fallback: FALLBACK_ANCESTORS } owner: "Ada" ttl { seconds: 900 nanos: 7000 } allow_partial: true '
        "allow_split: true"
    )


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"expire_time": AT}, "expire_time { seconds: 1767323045 nanos: 678901000 }"),
        (
            {"expire_time": AT.astimezone(timezone(timedelta(hours=5)))},
            "expire_time { seconds: 1767323045 nanos: 678901000 }",
        ),
        ({"never": True}, "never: true"),
        ({"ttl": timedelta(0)}, "ttl { }"),
    ],
)
def test_the_end_of_a_lease(options: dict[str, Any], expected: str) -> None:
    """An instant of any zone, a span or never; a span of zero is sent, for the service to refuse."""
    assert written(r.Reserve(r.Line("LAMP", "berlin", 1), **options)).endswith(expected)


def test_an_instant_without_a_zone_is_refused() -> None:
    """Nobody can know which zone a naive datetime means."""
    with pytest.raises(ValueError, match=r"expire_time needs a time zone"):
        written(r.Reserve(r.Line("LAMP", "berlin", 1), expire_time=datetime(2026, 1, 1)))


def test_a_lease_has_one_end() -> None:
    """Two ends are a ValueError, not the last one."""
    with pytest.raises(ValueError, match=r"only one of ttl, expire_time and never"):
        written(r.Reserve(r.Line("LAMP", "berlin", 1), ttl=timedelta(1), never=True))


def test_a_fallback_that_this_client_does_not_know_is_not_sent() -> None:
    """UNKNOWN is for reading only."""
    with pytest.raises(ValueError, match=r"cannot be sent"):
        written(r.Reserve(r.Line("LAMP", "berlin", 1, fallback=r.Fallback.UNKNOWN)))


def test_update_reservation_says_what_it_changes() -> None:
    """The mask names exactly what was given; a quantity of 0 and an empty owner are changes."""
    command = r.UpdateReservation("res", lines={"a": 0, "b": 3}, owner="", ttl=timedelta(minutes=1))
    assert written(command) == (
        'request_id: "id" reservation_id: "res" '
        'update_mask { paths: "lines" paths: "expiration" paths: "owner" } '
        'lines { line_id: "a" } lines { line_id: "b" quantity: 3 } ttl { seconds: 60 }'
    )
    assert 'update_mask { paths: "owner" }' in written(r.UpdateReservation("res", owner="Ada"))
    assert "expected_revision: 7" in written(r.UpdateReservation("res", owner="Ada", expected_revision=7))
    assert "allow_split: true" in written(r.UpdateReservation("res", lines={"a": 3}, allow_split=True))


def test_update_reservation_of_nothing_is_refused() -> None:
    """An update without a change is a mistake."""
    with pytest.raises(ValueError, match=r"nothing to update"):
        written(r.UpdateReservation("res"))


def test_consume() -> None:
    """Everything that is held, unless lines are named."""
    assert written(r.Consume("res")) == 'request_id: "id" reservation_id: "res"'
    command = r.Consume(
        "res",
        lines={"a": 2, "b": None},
        release_rest=True,
        revive=True,
        order_reference="4711",
        attributes=b"\x00x",
    )
    assert written(command) == (
        'request_id: "id" reservation_id: "res" lines { line_id: "a" quantity: 2 } lines { line_id: "b" } '
        'release_rest: true revive: REVIVE_YES order_reference: "4711" attributes: "\\000x"'
    )
    assert "REVIVE_NO" in written(r.Consume("res", revive=False))


@pytest.mark.parametrize("kind", [r.Consume, r.Cancel])
def test_named_lines_never_widen_to_all(kind: Any) -> None:
    """On the wire 0 of a line is all of it, and no lines are all lines: a computed 0 or an empty list is refused."""
    with pytest.raises(ValueError, match=r"quantity 0"):
        written(kind("res", lines={"a": 0}))
    with pytest.raises(ValueError, match=r"no line is named"):
        written(kind("res", lines={}))
    with pytest.raises(ValueError, match=r"no line is named"):
        written(kind("res", lines=[]))


@pytest.mark.parametrize("lines", ["ab", ["ab"], {"ab": None}])
def test_lines_are_named_in_several_ways(lines: Any) -> None:
    """A name, a list of names, or quantities by name; a name is never taken for its letters."""
    assert 'lines { line_id: "ab" }' in written(r.Cancel("res", lines=lines))


def test_consume_directly() -> None:
    """Lines sold without a hold go in Consume's other source."""
    command = r.ConsumeDirectly(r.Line("LAMP", "berlin", 1), owner="Ada", allow_split=True, order_reference="4711")
    assert written(command) == (
        'request_id: "id" direct { lines { key { sku: "LAMP" location: "berlin" } quantity: 1 } owner: "Ada" '
        'allow_split: true } order_reference: "4711"'
    )


def test_cancel() -> None:
    """Reason and words go along."""
    command = r.Cancel("res", reason=r.CancelReason.OUT_OF_STOCK, reason_text="none left")
    assert written(command) == (
        'request_id: "id" reservation_id: "res" reason: CANCEL_REASON_OUT_OF_STOCK reason_text: "none left"'
    )


def test_post_stock() -> None:
    """Zero is a value; a difference, a position, a count time and an expectation stand where they belong."""
    command = r.PostStock(
        [
            r.StockFigure("LAMP", "berlin", 0),
            r.StockFigure(
                "LAMP", "berlin", delta=-3, measure="wms.inbound", position=9, count_time=AT, expected_value=0
            ),
        ],
        source="wms",
    )
    assert written(command) == (
        'request_id: "id" source: "wms" figures { key { sku: "LAMP" location: "berlin" } value: 0 } '
        'figures { key { sku: "LAMP" location: "berlin" } measure: "wms.inbound" delta: -3 position: 9 '
        "count_time { seconds: 1767323045 nanos: 678901000 } expected_value: 0 }"
    )


@pytest.mark.parametrize("figure", [r.StockFigure("LAMP", "berlin"), r.StockFigure("LAMP", "berlin", 1, delta=1)])
def test_a_figure_is_a_value_or_a_delta(figure: r.StockFigure) -> None:
    """Both, or neither, is a ValueError."""
    with pytest.raises(ValueError, match=r"either a value or a delta"):
        written(r.PostStock(figure))


def test_a_reservation_is_named_in_several_ways() -> None:
    """An id, a reservation, or a result that has one."""
    result = command_call(r.Reserve(r.Line("LAMP", "berlin", 1)), "id")
    answered = result.parse(reserved(result.message))
    for named in ("reservation-of-id", answered, answered.reservation):
        assert 'reservation_id: "reservation-of-id"' in written(r.Cancel(named))


def test_lines_may_come_from_a_generator() -> None:
    """Any iterable of lines will do."""
    assert written(r.Reserve(r.Line("LAMP", "berlin", n) for n in (1, 2))).count("lines {") == 2


def test_what_is_no_command_is_a_type_error() -> None:
    """A line is not a command."""
    with pytest.raises(TypeError, match=r"not a command"):
        command_call(r.Line("LAMP", "berlin", 1), "id")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "command",
    [
        r.Allocate(r.Line("BIKE", "hamburg", 1, path="web")),
        r.Unallocate(r.Line("BIKE", "hamburg", 1, path="web")),
        r.Reallocate(r.Move("BIKE", "hamburg", 1, from_path="web", to_path="")),
        r.Reserve(r.Line("BIKE", "hamburg", 1)),
        r.UpdateReservation("res", owner="Ada"),
        r.Consume("res"),
        r.ConsumeDirectly(r.Line("BIKE", "hamburg", 1)),
        r.Cancel("res"),
        r.PostStock(r.StockFigure("BIKE", "hamburg", 1)),
        r.ReassignPart("res", 1, "berlin"),
    ],
)
def test_a_command_is_the_same_over_execute(command: r.Command[Any]) -> None:
    """Over Execute a command carries the very request that its own call would."""
    kind, message = execute_command(command, "id")
    assert message.WhichOneof("command") == kind.field
    assert getattr(message, kind.field) == command_call(command, "id").message


def test_query_balance() -> None:
    """Filter, roll-up, instant and token stand in the request."""
    call = _queries.query_balance(
        r.BalanceFilter(
            skus=["LAMP"],
            locations=["berlin"],
            location_groups=["north"],
            path="web",
            exact_path=True,
            dimensions={"colour": ""},
        ),
        roll_up=[r.RollUp.sku(), r.RollUp.to_level(2), r.RollUp.by_dimension("colour")],
        read_time=AT,
        min_revision="r1",
        explain=True,
        page_size=10,
        page_token="t",
    )
    assert text_format.MessageToString(call.message, as_one_line=True) == (
        'filter { skus: "LAMP" locations: "berlin" location_groups: "north" path: "web" exact_path: true '
        'dimensions { key: "colour" } } '
        "roll_up { by: ROLL_UP_BY_SKU } roll_up { by: ROLL_UP_BY_LEVEL level: 2 } "
        'roll_up { by: ROLL_UP_BY_DIMENSION dimension: "colour" } '
        'read_time { seconds: 1767323045 nanos: 678901000 } min_revision: "r1" explain: true page_size: 10 '
        'page_token: "t"'
    )


def test_a_lone_string_is_no_list() -> None:
    """A string where a list is meant would ask for its letters."""
    with pytest.raises(TypeError, match=r"skus is a list"):
        _queries.list_stock(skus="LAMP", locations=(), page_size=0, page_token="")
    with pytest.raises(TypeError, match=r"locations is a list"):
        _queries.watch_balances(
            r.BalanceFilter(locations="berlin"), roll_up=(), min_interval=None, checkpoint_interval=None
        )


def test_list_entries() -> None:
    """Every filter stands in the request."""
    call = _queries.list_entries(
        key=StockKey("LAMP", "berlin"),
        reservation_id="res",
        request_id="req",
        record_time_from=AT,
        record_time_until=AT,
        page_size=5,
        page_token="t",
    )
    instant = "{ seconds: 1767323045 nanos: 678901000 }"
    assert text_format.MessageToString(call.message, as_one_line=True) == (
        'key { sku: "LAMP" location: "berlin" } reservation_id: "res" request_id: "req" '
        f'record_time_from {instant} record_time_until {instant} page_size: 5 page_token: "t"'
    )


def test_list_reservations() -> None:
    """Every filter stands in the request."""
    call = _queries.list_reservations(
        states=[r.ReservationState.HELD, r.ReservationState.SETTLED],
        owner="Ada",
        sku="LAMP",
        location="berlin",
        order_reference="4711",
        create_time_from=AT,
        create_time_until=None,
        till_progress=None,
        stuck_for=None,
        page_size=5,
        page_token="t",
    )
    assert text_format.MessageToString(call.message, as_one_line=True) == (
        'page_size: 5 page_token: "t" states: RESERVATION_STATE_HELD states: RESERVATION_STATE_SETTLED owner: "Ada" '
        'sku: "LAMP" location: "berlin" order_reference: "4711" '
        "create_time_from { seconds: 1767323045 nanos: 678901000 }"
    )


POLICY = r.Policy(
    revision=3,
    levels=(r.Level("channel", ("web", "shop")), r.Level("region")),
    dimensions=("colour",),
    leases=r.LeaseBounds(
        default_lease=timedelta(minutes=15),
        max_lease=timedelta(hours=1),
        max_total_hold=timedelta(days=7),
        allow_never=True,
        revive_by_default=True,
    ),
    path_rules=(
        r.PathRule(fallback=r.Fallback.ANCESTORS),
        r.PathRule("web", quota_cap=0, sales_cap=10),
    ),
    locations=(
        r.Location("berlin", groups=("north",)),
        r.Location("till", r.LocationKind.TILL, "pos.on_hand"),
    ),
    location_order=("berlin", "till"),
    allow_split=True,
    measures=(r.Measure("on_hand"), r.Measure("wms.inbound", r.MeasureKind.COUNTER)),
    supply={"on_hand": 1, "wms.inbound": -2},
)


def test_a_policy_comes_back_as_it_was_set() -> None:
    """What set_policy sends reads back as the same policy; a cap of 0 is a cap, a missing one is none."""
    from ringfence import _parse

    message = _queries.set_policy(POLICY, None, "id").message
    assert message.expected_revision == 3
    message.policy.revision = 3
    again = _parse.policy(message.policy)
    assert again == POLICY
    assert [(rule.quota_cap, rule.sales_cap) for rule in again.path_rules] == [(None, None), (0, 10)]


def test_a_policy_that_was_never_read_needs_a_revision() -> None:
    """Compare-and-set has something to compare, or is refused before it is sent."""
    with pytest.raises(ValueError, match=r"never read"):
        _queries.set_policy(r.Policy(), None, "id")
    assert _queries.set_policy(r.Policy(), 1, "id").message.expected_revision == 1
