"""One id, one outcome: a repeat gets what was stored, and an id too old to be known is refused."""

import pytest

from ringfence_server.ledger.idempotency import (
    EFFECTS_KEPT,
    REFUSALS_KEPT,
    StoredOutcome,
    forgotten_until,
    past_keeping,
    repeat_of,
    scope_of,
    time_of,
    too_old,
)
from ringfence_server.ledger.outcomes import REFUSAL_TYPES, UNSTORED_TYPES, Invalid, RequestIdReused, RequestTooOld
from ringfence_server.ledger.policy import DAY, HOUR
from tests.ledger.engine import START


def _uuid7(made: int) -> bytes:
    """A UUIDv7 made at an instant (microseconds)."""
    return (made // 1_000).to_bytes(6, "big") + b"\x70\x00\x80" + b"\x01" * 7


@pytest.mark.parametrize("refusal", [False, True])
def test_a_repeat_gets_the_stored_outcome(refusal: bool) -> None:
    """A refusal is an outcome, too: a late duplicate of it must not succeed."""
    stored = StoredOutcome(b"f" * 16, refusal, b"payload")
    assert repeat_of(stored, b"f" * 16) is stored


def test_another_payload_under_the_same_id_is_refused() -> None:
    """REQUEST_ID_REUSED."""
    assert isinstance(repeat_of(StoredOutcome(b"f" * 16, False, b""), b"g" * 16), RequestIdReused)


def test_a_request_id_older_than_what_is_kept_is_too_old() -> None:
    """A UUIDv7 tells its age; refusals are kept for the shorter time, so that is the bound."""
    assert too_old(_uuid7(START - REFUSALS_KEPT), START) is None
    late = too_old(_uuid7(START - REFUSALS_KEPT - 1_000), START)
    assert late == RequestTooOld(START - REFUSALS_KEPT)
    assert REFUSALS_KEPT == 24 * HOUR


def test_of_a_caller_with_too_many_refusals_younger_ids_are_too_old() -> None:
    """Where refusals were forgotten before their time, an unknown id that is no newer may be one of them."""
    until = forgotten_until([_uuid7(START - 9_000), _uuid7(START - 5_000), _uuid7(START - 7_000)], START)
    assert until == START - 4_000
    assert too_old(_uuid7(START - 5_000), START, until) == RequestTooOld(until)
    assert too_old(_uuid7(START - 4_000), START, until) is None


def test_forgetting_reaches_no_further_back_than_age_does() -> None:
    """What was forgotten long ago changes nothing."""
    assert too_old(_uuid7(START - REFUSALS_KEPT - 1_000), START, 5) == RequestTooOld(START - REFUSALS_KEPT)


def test_a_forgotten_id_of_the_future_makes_no_right_one_old() -> None:
    """It was made by a clock that is wrong, as were ids without a time made by none."""
    uuid4 = bytearray(_uuid7(START - 1_000))
    uuid4[6] = 0x40
    assert forgotten_until([_uuid7(START + DAY), bytes(uuid4)], START) == 0
    assert forgotten_until([_uuid7(START + DAY), _uuid7(START - 2_000)], START) == START - 1_000
    assert forgotten_until([], START) == 0


def test_an_id_of_the_future_is_new() -> None:
    """A caller's clock may run ahead."""
    assert too_old(_uuid7(START + DAY), START) is None


def test_other_uuids_carry_no_time_and_are_new() -> None:
    """A random UUID's first bytes are no clock."""
    uuid4 = bytearray(_uuid7(0))
    uuid4[6] = 0x40
    assert too_old(bytes(uuid4), START, forgotten_until=START) is None
    assert time_of(bytes(uuid4)) is None
    assert time_of(_uuid7(START)) == START


@pytest.mark.parametrize(("refusal", "kept"), [(False, EFFECTS_KEPT), (True, REFUSALS_KEPT)])
def test_an_outcome_is_kept_for_its_time(refusal: bool, kept: int) -> None:
    """To the microsecond; an effect for thirty days, a refusal for one."""
    made = _uuid7(START - kept)
    assert not past_keeping(made, START - kept, START, refusal=refusal)
    assert past_keeping(made, START - kept - 1, START + 1_000, refusal=refusal)
    assert (EFFECTS_KEPT, REFUSALS_KEPT) == (30 * DAY, DAY)


@pytest.mark.parametrize("refusal", [False, True])
def test_an_outcome_whose_id_is_of_the_future_is_kept_until_that_is_past(refusal: bool) -> None:
    """Forgotten before, its repeat would be taken as new; an id without a time is taken as new in any case."""
    recorded, ahead = START - EFFECTS_KEPT - 1, START + DAY
    assert not past_keeping(_uuid7(ahead), recorded, START, refusal=refusal)
    assert not past_keeping(_uuid7(ahead), recorded, ahead + REFUSALS_KEPT, refusal=refusal)
    assert past_keeping(_uuid7(ahead), recorded, ahead + REFUSALS_KEPT + 1_000, refusal=refusal)
    uuid4 = bytearray(_uuid7(ahead))
    uuid4[6] = 0x40
    assert past_keeping(bytes(uuid4), recorded, START, refusal=refusal)


def test_what_is_no_outcome_is_not_stored() -> None:
    """INVALID_ARGUMENT in all its forms: the same id may be sent again, corrected. A business refusal is kept."""
    assert {Invalid, RequestIdReused, RequestTooOld} == UNSTORED_TYPES
    assert UNSTORED_TYPES < REFUSAL_TYPES


def test_request_ids_belong_to_their_caller() -> None:
    """Two callers, or two organizations, may use one id; names run together are not confused."""
    scopes = {scope_of("o", "c"), scope_of("o", "d"), scope_of("p", "c"), scope_of("oc", ""), scope_of("", "oc")}
    assert len(scopes) == 5
    assert scope_of("o", "c") == scope_of("o", "c")
