"""What a call does when the service cannot take it, or no answer comes."""

from __future__ import annotations

import re
import time
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from ringfence import (
    ClientClosed,
    DeadlineExceeded,
    InsufficientQuantity,
    InvalidArgument,
    Line,
    OutcomeUnknown,
    Overloaded,
    RetryPolicy,
    RingfenceError,
    Unavailable,
)
from ringfence._async_transport import AsyncTransport
from ringfence._error_mapping import from_status
from ringfence._retry import Attempts, pause_seconds
from ringfence._sync_transport import SyncTransport
from tests.client.conftest import PATIENCE, Connect
from tests.client.scripted import Failure, ScriptedServer, reserved, status, until_cancelled

LAMP = Line("LAMP", "berlin", 1)
DROPPED = Failure("UNAVAILABLE", "Socket closed")
DRAINING = Failure("UNAVAILABLE", reason="DRAINING", retry_after=timedelta(milliseconds=1))
STORE_AWAY = Failure("UNAVAILABLE", reason="STORE_UNAVAILABLE", retry_after=timedelta(milliseconds=1))
OVERLOADED = Failure("RESOURCE_EXHAUSTED", reason="OVERLOADED", retry_after=timedelta(milliseconds=1))
REFUSED = Failure("FAILED_PRECONDITION", reason="INSUFFICIENT_QUANTITY")


@pytest.mark.parametrize("failure", [DROPPED, DRAINING, STORE_AWAY, OVERLOADED])
async def test_a_failed_try_is_repeated_with_the_same_request(
    scripted: ScriptedServer, connect: Connect, failure: Failure
) -> None:
    """UNAVAILABLE, and what carries RetryInfo, is tried again with the same request_id and payload."""
    scripted.on("Reserve", failure, failure, reserved)
    result = await connect().call("reserve", LAMP)
    sent = [call.request for call in scripted.calls("Reserve")]
    assert len(sent) == 3
    assert sent[0] == sent[1] == sent[2]
    assert result.request_id == sent[0].request_id != ""


async def test_every_call_has_a_request_id_of_its_own(scripted: ScriptedServer, connect: Connect) -> None:
    """Two calls never share an id, and ids rise."""
    scripted.on("Reserve", reserved)
    driver = connect()
    first = await driver.call("reserve", LAMP)
    second = await driver.call("reserve", LAMP)
    assert first.request_id < second.request_id


async def test_a_given_request_id_is_sent(scripted: ScriptedServer, connect: Connect) -> None:
    """A caller's request_id goes out as it is and stands in the result."""
    scripted.on("Reserve", reserved)
    result = await connect().call("reserve", LAMP, request_id="01890000-0000-7000-8000-000000000001")
    assert scripted.calls("Reserve")[0].request.request_id == "01890000-0000-7000-8000-000000000001"
    assert result.request_id == "01890000-0000-7000-8000-000000000001"


@pytest.mark.parametrize(
    "failure",
    [
        REFUSED,
        Failure("FAILED_PRECONDITION", reason="INSUFFICIENT_QUANTITY", retry_after=timedelta(milliseconds=1)),
        Failure("ABORTED", reason="REVISION_MISMATCH"),
        Failure("NOT_FOUND", reason="RESERVATION_NOT_FOUND"),
        Failure("INVALID_ARGUMENT", reason="REQUEST_ID_REUSED"),
        Failure("PERMISSION_DENIED"),
        Failure("UNAUTHENTICATED"),
    ],
)
async def test_a_refusal_is_never_repeated(scripted: ScriptedServer, connect: Connect, failure: Failure) -> None:
    """A refusal is an outcome: it is sent once, whatever it carries."""
    scripted.on("Reserve", failure)
    with pytest.raises(RingfenceError):
        await connect().call("reserve", LAMP)
    assert len(scripted.calls("Reserve")) == 1


async def test_tries_are_bounded(scripted: ScriptedServer, connect: Connect) -> None:
    """A service that stays overloaded is asked maximum_attempts times, then the caller is told when to come back."""
    scripted.on("Reserve", OVERLOADED)
    retry = RetryPolicy(maximum_attempts=4, initial_backoff_seconds=0.001)
    with pytest.raises(Overloaded) as caught:
        await connect(retry=retry).call("reserve", LAMP)
    assert len(scripted.calls("Reserve")) == 4
    assert caught.value.retry_after == timedelta(milliseconds=1)
    assert caught.value.request_id == scripted.calls("Reserve")[0].request.request_id


async def test_all_tries_share_one_deadline(
    scripted: ScriptedServer, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each try has only what the tries before have left of the call's timeout."""
    left: list[float] = []

    def noting(once: Any) -> Any:
        def note(transport: Any, call: Any, seconds_left: float) -> Any:
            left.append(seconds_left)
            return once(transport, call, seconds_left)

        return note

    monkeypatch.setattr(AsyncTransport, "_unary", noting(AsyncTransport._unary))
    monkeypatch.setattr(SyncTransport, "_unary", noting(SyncTransport._unary))
    scripted.on("GetStock", DROPPED, DROPPED, Failure("NOT_FOUND", reason="STOCK_NOT_FOUND"))
    retry = RetryPolicy(initial_backoff_seconds=0.3, maximum_backoff_seconds=0.3)
    with pytest.raises(RingfenceError):
        await connect(retry=retry).call("get_stock", "LAMP", "berlin", timeout=timedelta(seconds=60))
    assert len(left) == len(scripted.calls("GetStock")) == 3
    # The pauses between the tries are drawn from their upper half.
    assert left[1] <= left[0] - 0.15
    assert left[2] <= left[1] - 0.15


async def test_a_pause_longer_than_the_time_left_is_not_waited_for(scripted: ScriptedServer, connect: Connect) -> None:
    """When the service asks for a longer pause than the deadline leaves, the caller is told at once."""
    scripted.on("Reserve", Failure("RESOURCE_EXHAUSTED", reason="RATE_LIMITED", retry_after=timedelta(hours=1)))
    began = time.monotonic()
    with pytest.raises(RingfenceError) as caught:
        await connect().call("reserve", LAMP)
    assert time.monotonic() - began < PATIENCE.total_seconds() / 2
    assert caught.value.retry_after == timedelta(hours=1)
    assert type(caught.value).__name__ == "RateLimited"


async def test_a_deadline_without_an_answer_leaves_a_write_unknown(scripted: ScriptedServer, connect: Connect) -> None:
    """A mutating call that got no answer in time raises OutcomeUnknown with the id to ask again with."""
    scripted.on("Reserve", lambda request, context: until_cancelled(context))
    with pytest.raises(OutcomeUnknown) as caught:
        await connect().call("reserve", LAMP, timeout=timedelta(milliseconds=200), request_id="the-id")
    assert caught.value.request_id == "the-id"
    assert "the-id" in str(caught.value)
    assert isinstance(caught.value.__cause__, DeadlineExceeded)


async def test_a_deadline_without_an_answer_leaves_a_read_undone(scripted: ScriptedServer, connect: Connect) -> None:
    """A read that got no answer in time raises DeadlineExceeded."""
    scripted.on("GetStock", lambda request, context: until_cancelled(context))
    with pytest.raises(DeadlineExceeded, match=r"no answer to GetStock from 127\.0\.0\.1"):
        await connect().call("get_stock", "LAMP", "berlin", timeout=timedelta(milliseconds=200))


async def test_a_command_that_the_service_did_not_decide_in_time_was_not_done(
    scripted: ScriptedServer, connect: Connect
) -> None:
    """When the service itself says that it did not decide before the deadline, nothing is unknown."""
    scripted.on("Reserve", Failure("DEADLINE_EXCEEDED", "nothing happened", reason="DEADLINE_EXCEEDED"))
    with pytest.raises(DeadlineExceeded, match="nothing happened"):
        await connect().call("reserve", LAMP)


@pytest.mark.parametrize(
    "failure", [DROPPED, STORE_AWAY, Failure("INTERNAL", "RST_STREAM"), Failure("UNKNOWN"), Failure("CANCELLED")]
)
async def test_a_broken_connection_leaves_a_write_unknown(
    scripted: ScriptedServer, connect: Connect, failure: Failure
) -> None:
    """When the last try may have been carried out, a mutating call raises OutcomeUnknown."""
    scripted.on("Reserve", failure)
    with pytest.raises(OutcomeUnknown):
        await connect(retry=RetryPolicy(maximum_attempts=2, initial_backoff_seconds=0.001)).call("reserve", LAMP)


async def test_an_unknown_try_is_remembered(scripted: ScriptedServer, connect: Connect) -> None:
    """Overload after a broken connection does not say that nothing was done: the first try may have been."""
    scripted.on("Reserve", DROPPED, OVERLOADED)
    retry = RetryPolicy(maximum_attempts=2, initial_backoff_seconds=0.001)
    with pytest.raises(OutcomeUnknown) as caught:
        await connect(retry=retry).call("reserve", LAMP)
    assert isinstance(caught.value.__cause__, Overloaded)


async def test_a_refusal_settles_an_unknown_try(scripted: ScriptedServer, connect: Connect) -> None:
    """One id has one outcome: a refusal after a broken connection is what came of the request."""
    scripted.on("Reserve", DROPPED, REFUSED)
    with pytest.raises(InsufficientQuantity):
        await connect().call("reserve", LAMP)


async def test_a_draining_server_did_nothing(scripted: ScriptedServer, connect: Connect) -> None:
    """DRAINING to the end is Unavailable, not OutcomeUnknown."""
    scripted.on("Reserve", DRAINING)
    with pytest.raises(Unavailable) as caught:
        await connect(retry=RetryPolicy(maximum_attempts=2)).call("reserve", LAMP)
    assert caught.value.reason == "DRAINING"


async def test_a_wrong_target_is_said_plainly(nowhere: str, connect: Connect) -> None:
    """Where nobody listens, a write is Unavailable, not unknown, and the message names the target."""
    with pytest.raises(Unavailable, match=f"no service answers at {re.escape(nowhere)}"):
        await connect(target=nowhere, retry=RetryPolicy(maximum_attempts=2)).call("reserve", LAMP)


async def test_a_restarted_server_is_found_again(scripted: ScriptedServer, connect: Connect) -> None:
    """A call that meets a server which is down for a moment succeeds once it is back, within its deadline."""
    scripted.on("Reserve", reserved)
    driver = connect(retry=RetryPolicy(maximum_attempts=100, maximum_backoff_seconds=0.1))
    await driver.call("reserve", LAMP)
    scripted.stop()
    # Unavailable; or, when the deadline falls into the middle of a connection attempt, unknown.
    with pytest.raises(RingfenceError):
        await driver.call("reserve", LAMP, timeout=timedelta(milliseconds=300))
    scripted.start()
    await driver.call("reserve", LAMP)


async def test_a_closed_client_says_so(scripted: ScriptedServer, connect: Connect) -> None:
    """A call on a closed client raises ClientClosed, before and after its first use."""
    driver = connect()
    await driver.close()
    with pytest.raises(ClientClosed):
        await driver.call("get_stock", "LAMP", "berlin")


async def test_the_caller_is_named(scripted: ScriptedServer, connect: Connect) -> None:
    """Every call carries organization and caller."""
    scripted.on("Reserve", reserved)
    await connect(organization="north", caller="shop").call("reserve", LAMP)
    sent = scripted.received[0].metadata
    assert (sent["ringfence-organization"], sent["ringfence-caller"]) == ("north", "shop")
    assert sent["user-agent"].startswith("ringfence-python")


async def test_nothing_is_sent_for_a_command_that_cannot_be_written(scripted: ScriptedServer, connect: Connect) -> None:
    """A quantity that is no number is a TypeError before anything is sent, and says of which command."""
    with pytest.raises(TypeError, match=r"in Reserve\(lines=Line\(sku='LAMP', location='berlin', quantity='one'"):
        await connect().call("reserve", Line("LAMP", "berlin", "one"))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"'int' object has no attribute 'reservation_id' in Cancel\(reservation=5"):
        await connect().call("cancel", 5)
    for quantity in (2**63, -(2**70)):
        with pytest.raises(ValueError, match=rf"out of range: {quantity} in Reserve\(lines=Line\(sku='LAMP'"):
            await connect().call("reserve", Line("LAMP", "berlin", quantity))
    with pytest.raises(TypeError, match=r"with request_id=UUID\("):
        await connect().call("reserve", LAMP, request_id=UUID(int=1))
    with pytest.raises(ValueError, match=r"surrogates not allowed in Reserve\("):
        await connect().call("reserve", Line("\ud800", "berlin", 1))
    assert scripted.received == []


async def test_a_timeout_is_a_span(scripted: ScriptedServer, connect: Connect) -> None:
    """A bare number is a TypeError before anything is sent; the longest span there is only waits for long."""
    scripted.on("Reserve", reserved)
    for seconds in (5, 0.5):
        with pytest.raises(TypeError, match=rf"timedelta, such as timedelta\(seconds=5\); got {seconds}"):
            await connect().call("reserve", LAMP, timeout=seconds)
        with pytest.raises(TypeError, match="a timeout is a timedelta"):
            connect(timeout=seconds)
    assert scripted.received == []
    await connect().call("reserve", LAMP, timeout=timedelta.max)
    await connect(timeout=timedelta.max).call("reserve", LAMP)
    assert len(scripted.received) == 2


async def test_a_plain_invalid_argument_is_final(scripted: ScriptedServer, connect: Connect) -> None:
    """INVALID_ARGUMENT needs no reason to be final."""
    scripted.on("Reserve", Failure("INVALID_ARGUMENT", "no"))
    with pytest.raises(InvalidArgument, match=r"^no$"):
        await connect().call("reserve", LAMP)


def test_pauses_grow_and_are_bounded() -> None:
    """Pauses double from the initial one to the longest, drawn from their upper half."""
    policy = RetryPolicy(initial_backoff_seconds=0.1, maximum_backoff_seconds=1.0, backoff_multiplier=2.0)
    longest = [pause_seconds(policy, tries, None, lambda: 1.0) for tries in range(1, 7)]
    assert longest == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    assert [pause_seconds(policy, tries, None, lambda: 0.0) for tries in (1, 5)] == [0.05, 0.5]
    assert pause_seconds(policy, 100_000, None, lambda: 1.0) == 1.0


def test_a_pause_is_never_shorter_than_asked_for() -> None:
    """RetryInfo's delay is waited in full, and spread so that callers do not come back together."""
    asked = from_status(status("UNAVAILABLE", retry_after=timedelta(seconds=3)))
    policy = RetryPolicy(initial_backoff_seconds=0.1)
    assert pause_seconds(policy, 1, asked, lambda: 0.0) == pytest.approx(3.05)
    assert pause_seconds(policy, 1, asked, lambda: 1.0) == pytest.approx(3.1)


def test_one_attempt_is_no_retry() -> None:
    """maximum_attempts of 1 gives up at the first failure."""
    attempts = Attempts(RetryPolicy(maximum_attempts=1), name="GetStock", target="here")
    with pytest.raises(Unavailable):
        attempts.failed(from_status(status("UNAVAILABLE")), None)


@pytest.mark.parametrize(
    "options",
    [
        {"maximum_attempts": 0},
        {"initial_backoff_seconds": -1},
        {"maximum_backoff_seconds": -1},
        {"backoff_multiplier": 0.5},
    ],
)
def test_a_retry_policy_that_cannot_be_is_refused(options: dict[str, float]) -> None:
    """Settings without a meaning are a ValueError when they are made."""
    with pytest.raises(ValueError, match=r"must be|cannot be"):
        RetryPolicy(**options)  # type: ignore[arg-type]
