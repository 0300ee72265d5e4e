"""The hub: which subscription learns of which change."""

import asyncio

import pytest

from ringfence_server.ledger.names import StockKey
from ringfence_server.ledger.work import Committed
from ringfence_server.watch import Closed, Hub, Interest
from ringfence_server.watch import hub as hub_module


def key(sku: str, location: str = "north", organization: str = "acme") -> StockKey:
    return StockKey(organization, sku, location)


def commit(revision: int, *keys: StockKey, policies: tuple[str, ...] = ()) -> Committed:
    return Committed(revision, revision, keys, policies)


def interest(*skus: str, organization: str = "acme", location: str = "") -> Interest:
    return Interest(organization, frozenset(skus), lambda key: not location or key.location == location)


def test_a_subscription_hears_of_its_skus_only() -> None:
    """A change of another SKU, location or organization is not pending."""
    hub = Hub()
    subscription = hub.subscribe(interest("BIKE", location="north"))
    hub.publish(commit(1, key("LAMP"), key("BIKE", "south"), key("BIKE", organization="other")))
    assert subscription.take().keys == ()
    hub.publish(commit(2, key("BIKE")))
    assert subscription.take().keys == (key("BIKE"),)


@pytest.mark.parametrize("skus", [("BIKE",), ()])
def test_several_changes_of_a_key_are_one(skus: tuple[str, ...]) -> None:
    """What changed three times since the last take is taken once, with the newest revision."""
    hub = Hub()
    subscription = hub.subscribe(interest(*skus))
    for revision in (1, 2, 3):
        hub.publish(commit(revision, key("BIKE")))
    changes = subscription.take()
    assert changes.keys == (key("BIKE"),)
    assert changes.revisions == (3,)
    assert subscription.take().keys == ()


def test_what_changed_after_a_state_is_known() -> None:
    """Everything since, oldest first, and nothing before."""
    hub = Hub()
    for revision, sku in enumerate(("A", "B", "C"), start=1):
        hub.publish(commit(revision, key(sku)))
    assert list(hub.since((1,), "acme") or ()) == [key("B"), key("C")]


def test_more_than_is_remembered_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A subscription that fell behind what the hub remembers is told so, never given less."""
    monkeypatch.setattr(hub_module, "_MOST_RECENT_KEYS", 2)
    hub = Hub()
    subscription = hub.subscribe(interest())
    for revision in range(1, 6):
        hub.publish(commit(revision, key(f"SKU{revision}")))
    changes = subscription.take()
    assert changes.behind
    assert hub.since((1,), "acme") is None


def test_a_revision_before_the_start_is_not_known() -> None:
    """What was written before the server started is not in the hub: it must be read from the store."""
    hub = Hub((7,))
    assert hub.since((6,), "acme") is None
    assert hub.since((7,), "acme") == {}


async def test_waiting_ends_with_a_change() -> None:
    """A sleeping subscription, wide or not, is woken by the first change that matters to it."""
    hub = Hub()
    for subscription in (hub.subscribe(interest("BIKE")), hub.subscribe(interest())):
        waiting = asyncio.ensure_future(subscription.wait(60))
        await asyncio.sleep(0)
        hub.publish(commit(hub.position + 1, key("BIKE")))
        assert await waiting
        subscription.take()


async def test_waiting_without_a_change_ends_at_the_timeout() -> None:
    """Nothing changed: the wait says so, and the position moves on all the same."""
    hub = Hub()
    subscription = hub.subscribe(interest())
    hub.publish(commit(4, key("X", organization="other")))
    assert not await subscription.wait(0)
    assert subscription.take().revisions == (4,)


async def test_a_change_between_take_and_wait_is_not_lost() -> None:
    """A change that comes while the subscriber is busy is pending when it waits."""
    hub = Hub()
    for subscription in (hub.subscribe(interest("BIKE")), hub.subscribe(interest())):
        subscription.take()
        hub.publish(commit(hub.position + 1, key("BIKE")))
        assert await subscription.wait(0)
        assert subscription.take().keys == (key("BIKE"),)


async def test_a_change_of_policy_concerns_everything() -> None:
    """New rules may change any figure: every subscription of the organization reads anew, others do not."""
    hub = Hub()
    mine, wide, other = (
        hub.subscribe(interest("BIKE")),
        hub.subscribe(interest()),
        hub.subscribe(interest("BIKE", organization="other")),
    )
    hub.publish(commit(1, policies=("acme",)))
    assert mine.take().everything
    assert wide.take().everything
    assert not other.take().everything


async def test_a_closing_hub_ends_every_wait() -> None:
    """When the server drains, whoever waits is told to come back."""
    hub = Hub()
    waits = [asyncio.ensure_future(hub.subscribe(interest(*skus)).wait(30)) for skus in (("BIKE",), ())]
    await asyncio.sleep(0)
    hub.close()
    for wait in waits:
        with pytest.raises(Closed):
            await wait


async def test_a_closing_hub_ends_a_pause() -> None:
    """Whoever waits for its interval when the server drains does not wait for the rest of it."""
    hub = Hub()
    pause = asyncio.ensure_future(hub.unless_closed(asyncio.sleep(3_600)))
    await asyncio.sleep(0)
    hub.close()
    with pytest.raises(Closed):
        await pause


def test_a_closed_subscription_leaves_nothing_behind() -> None:
    """Ended subscriptions are neither counted nor looked up."""
    hub = Hub()
    subscriptions = [hub.subscribe(interest("A", "B")), hub.subscribe(interest())]
    assert len(hub) == 2
    for subscription in subscriptions:
        subscription.close()
        subscription.close()
    assert len(hub) == 0
    assert not hub._by_sku


def test_slots_are_in_no_order_of_their_own() -> None:
    """A lower revision of another slot is news, of the same slot it is not; a state is passed on whole."""
    hub = Hub()
    subscription = hub.subscribe(interest())
    hub.publish_all((commit(9, key("A")),), (0, 0, 9))
    hub.publish_all((commit(4, key("B")),), (0, 4))
    hub.publish_all((commit(4, key("C")),), (0, 4, 8))
    changes = subscription.take()
    assert set(changes.keys) == {key("A"), key("B")}
    assert changes.revisions == hub.revisions == (0, 4, 9)
    assert set(hub.since((0, 0, 9), "acme") or ()) == {key("B")}
    assert hub.since((0, 4, 10), "acme") is None, "another server may know more"
    assert hub.since((1, 4, 9), "acme") is None


def test_what_is_forgotten_of_one_slot_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """A state that lacks a forgotten change cannot be continued, however new its other slots are."""
    monkeypatch.setattr(hub_module, "_MOST_RECENT_KEYS", 1)
    hub = Hub()
    hub.publish_all((commit(1, key("A")),), (1, 0))
    hub.publish_all((commit(2, key("B")),), (1, 2))
    assert hub.since((0, 2), "acme") is None
    assert set(hub.since((1, 0), "acme") or ()) == {key("B")}


def test_whoever_listens_hears_that_something_was_lost() -> None:
    """Wide or not: it has to come back with its token, which this hub does not know any more."""
    hub = Hub((3,))
    subscriptions = [hub.subscribe(interest("BIKE")), hub.subscribe(interest())]
    hub.publish(commit(4, key("BIKE")))
    hub.lose((9,))
    for subscription in subscriptions:
        assert subscription.take().behind
        assert not subscription.take().behind
    assert hub.since((4,), "acme") is None
    assert hub.since((9,), "acme") == {}
