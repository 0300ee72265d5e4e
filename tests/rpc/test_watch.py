"""WatchBalances over the wire, where the policy has a say in what is watched."""

from __future__ import annotations

from typing import Any

import grpc.aio
import pytest
from google.rpc import code_pb2

from ringfence.v1 import balance_pb2 as pb
from ringfence.v1 import policy_service_pb2
from ringfence_server.ledger.policy import Policy
from ringfence_server.rpc import watch as watch_module
from ringfence_server.rpc.watch_rows import pause_after
from tests.rpc.messages import status_of, violations
from tests.rpc.querying import Shop, refusal
from tests.rpc.watching import CHANGES, RESET, SNAPSHOT, SNAPSHOT_END, locations, next_message

STORES = pb.BalanceFilter(location_groups=["stores"])


async def first_state(watch: Any) -> tuple[set[str], str]:
    """The locations of the snapshot, and its token."""
    found: set[str] = set()
    while (message := await next_message(watch)).event != SNAPSHOT_END:
        assert message.event == SNAPSHOT
        found |= {balance.key.location for balance in message.balances}
    return found, message.resume_token


async def test_a_watch_of_what_the_policy_does_not_have_is_refused(shop: Shop) -> None:
    """Every name at once, each with its field and what the policy has."""
    await shop.set_policy(
        dimensions=["colour"],
        levels=[policy_service_pb2.Level(name="channel")],
        locations=locations(north=["stores"]),
    )
    request = pb.WatchBalancesRequest(
        filter=pb.BalanceFilter(location_groups=["stores", "kiosks"], dimensions={"size": ""}),
        roll_up=[
            pb.RollUp(by=pb.ROLL_UP_BY_DIMENSION, dimension="batch"),
            pb.RollUp(by=pb.ROLL_UP_BY_LEVEL, level=2),
        ],
    )
    status = await refusal(shop.allocation.WatchBalances(request).read())
    assert status.code == code_pb2.INVALID_ARGUMENT
    assert violations(status) == {
        "filter.location_groups[1]": (
            "LOCATION_GROUP_NOT_IN_POLICY",
            "'kiosks' is no location group of the policy, it has stores",
        ),
        "filter.dimensions": ("DIMENSION_NOT_IN_POLICY", "'size' is no dimension of the policy, it has colour"),
        "roll_up[0].dimension": ("DIMENSION_NOT_IN_POLICY", "'batch' is no dimension of the policy, it has colour"),
        "roll_up[1].level": ("LEVEL_NOT_IN_POLICY", "the policy has no level 2: 1 (channel)"),
    }


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"filter": pb.BalanceFilter(dimensions={"colour": "red"})}, "filter.dimensions"),
        (
            {"roll_up": [pb.RollUp(by=pb.ROLL_UP_BY_DIMENSION, dimension="colour")]},
            "roll_up[0].dimension",
        ),
        ({"filter": STORES}, "filter.location_groups[0]"),
        ({"roll_up": [pb.RollUp(by=pb.ROLL_UP_BY_LEVEL, level=2)]}, "roll_up[0].level"),
    ],
)
async def test_a_watch_ends_when_the_policy_drops_what_it_names(shop: Shop, asked: dict[str, Any], field: str) -> None:
    """With the status that the same request would be refused with from then on, though no balance changes."""
    await shop.set_policy(dimensions=["colour"], locations=locations(north=["stores"]))
    await shop.post(3)
    watch = shop.allocation.WatchBalances(pb.WatchBalancesRequest(**asked))
    _, token = await first_state(watch)
    await shop.set_policy(levels=[policy_service_pb2.Level(name="channel")])
    with pytest.raises(grpc.aio.AioRpcError) as ended:
        await next_message(watch)
    status = status_of(ended.value)
    assert (status.code, set(violations(status))) == (code_pb2.INVALID_ARGUMENT, {field})
    resumed = shop.allocation.WatchBalances(pb.WatchBalancesRequest(**asked, resume_token=token))
    assert set(violations(await refusal(resumed.read()))) == {field}


async def test_a_watch_of_groups_begins_afresh_when_they_change(shop: Shop) -> None:
    """RESET and a fresh snapshot: what left the group is gone, and what joined it is heard of from then on."""
    await shop.set_policy(locations=locations(north=["stores"], south=[]))
    await shop.post(1)
    await shop.post(2, location="south")
    watch = shop.allocation.WatchBalances(pb.WatchBalancesRequest(filter=STORES))
    assert (await first_state(watch))[0] == {"north"}
    await shop.set_policy(locations=locations(north=[], south=["stores"]))
    assert (await next_message(watch)).event == RESET
    assert (await first_state(watch))[0] == {"south"}
    await shop.post(9)
    await shop.post(5, location="south")
    message = await next_message(watch)
    assert message.event == CHANGES
    assert [(balance.key.location, balance.supply) for balance in message.balances] == [("south", 5)]


async def test_a_watch_of_groups_is_not_resumed_over_their_change(shop: Shop) -> None:
    """A token from before it is answered with RESET; one from after another change of policy goes on."""
    await shop.set_policy(locations=locations(north=["stores"], south=[]))
    await shop.post(1)
    await shop.post(2, location="south")
    watch = shop.allocation.WatchBalances(pb.WatchBalancesRequest(filter=STORES))
    _, token = await first_state(watch)
    watch.cancel()
    await shop.set_policy(locations=locations(north=["stores"], south=[]), dimensions=["colour"])
    await shop.post(7)
    watch = shop.allocation.WatchBalances(pb.WatchBalancesRequest(filter=STORES, resume_token=token))
    message = await next_message(watch)
    assert (message.event, [balance.supply for balance in message.balances]) == (CHANGES, [7])
    token = message.resume_token
    watch.cancel()
    await shop.set_policy(locations=locations(north=["stores"], south=["stores"]), dimensions=["colour"])
    watch = shop.allocation.WatchBalances(pb.WatchBalancesRequest(filter=STORES, resume_token=token))
    assert (await next_message(watch)).event == RESET
    assert (await first_state(watch))[0] == {"north", "south"}


async def test_a_policy_set_while_a_watch_begins_is_not_missed(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set between its first look at the policy and its subscription: what it is answered with decides."""
    await shop.set_policy(locations=locations(north=["stores"], south=[]))
    await shop.post(1)
    await shop.post(2, location="south")
    watch = shop.allocation.WatchBalances(pb.WatchBalancesRequest(filter=STORES))
    _, token = await first_state(watch)
    watch.cancel()
    reader = shop.server.services.reader
    look = reader.policy
    looks = 0

    async def overtaken(organization: str) -> Policy:
        nonlocal looks
        found = await look(organization)
        looks += 1
        if looks == 1:
            await shop.set_policy(locations=locations(north=[], south=["stores"]))
        return found

    for resume_token in (token, ""):
        looks = 0
        with monkeypatch.context() as patch:
            patch.setattr(reader, "policy", overtaken)
            watch = shop.allocation.WatchBalances(pb.WatchBalancesRequest(filter=STORES, resume_token=resume_token))
            message = await next_message(watch)
            while message.event == RESET:
                message = await next_message(watch)
            assert {balance.key.location for balance in message.balances} == {"south"}
        watch.cancel()
        await shop.set_policy(locations=locations(north=["stores"], south=[]))


async def test_a_server_that_drains_ends_a_watch_within_its_first_state(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RESUME without a token, as nothing can be gone on from yet; the rest of the first state is not waited for."""
    monkeypatch.setattr(watch_module, "KEYS_A_READ", 1)
    monkeypatch.setattr(watch_module, "_MOST_A_MESSAGE", 1)
    for number in range(5):
        await shop.post(1, sku=f"SKU-{number}")
    reader, hub = shop.server.services.reader, shop.server.services.hub
    snapshot, reads = reader.snapshot, 0

    def drained_at_the_second(*arguments: Any, **options: Any) -> Any:
        nonlocal reads
        reads += 1
        if reads == 2:
            hub.close()
        return snapshot(*arguments, **options)

    monkeypatch.setattr(reader, "snapshot", drained_at_the_second)
    watch = shop.allocation.WatchBalances(pb.WatchBalancesRequest())
    messages = [message async for message in watch]
    assert [message.event for message in messages] == [SNAPSHOT, SNAPSHOT, pb.WATCH_EVENT_RESUME]
    assert messages[-1].resume_token == ""


def test_a_roll_up_that_was_slow_to_read_is_read_seldom_but_heard_of() -> None:
    """A tenth of the time at most is spent reading; but when the machine stood still for a minute in the midst of it,
    the watcher does not wait for ten."""
    assert [pause_after(seconds) for seconds in (0.0, 0.5, 60.0)] == [0.0, 5.0, 30.0]
