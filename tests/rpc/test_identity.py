"""Who calls: from the call's metadata, with defaults, and refused when it is no name."""

from __future__ import annotations

import pytest

from ringfence_server.ledger.outcomes import Invalid
from ringfence_server.rpc.errors import Refused
from ringfence_server.rpc.identity import CALLER_KEY, ORGANIZATION_KEY, identity_of


def rule_of(*metadata: tuple[str, str]) -> tuple[str, str]:
    """Field and rule of the one thing that is wrong with the metadata."""
    with pytest.raises(Refused) as raised:
        identity_of(metadata)
    refusal = raised.value.refusal
    assert isinstance(refusal, Invalid)
    (violation,) = refusal.violations
    return violation.field, violation.rule


def test_a_call_names_its_organization_and_its_caller() -> None:
    """Other metadata mean nothing here."""
    found = identity_of((("user-agent", "x"), (ORGANIZATION_KEY, "acme"), (CALLER_KEY, "shop")))
    assert (found.organization, found.caller) == ("acme", "shop")


def test_what_is_left_out_has_its_default() -> None:
    """One organization, one nameless caller."""
    for metadata in (None, (), (("user-agent", "x"),)):
        found = identity_of(metadata)
        assert (found.organization, found.caller) == ("default", "anonymous")


def test_the_same_request_id_of_two_callers_is_two_requests() -> None:
    """Callers and organizations have scopes of their own, also where their names run together."""
    scopes = {
        identity_of(((ORGANIZATION_KEY, organization), (CALLER_KEY, caller))).scope
        for organization, caller in (("acme", "shop"), ("acme", "till"), ("acmes", "hop"), ("other", "shop"))
    }
    assert len(scopes) == 4


@pytest.mark.parametrize("name", ["", "n" * 65, "a\x00b", "a\tb", "\x7f"])
@pytest.mark.parametrize("key", [ORGANIZATION_KEY, CALLER_KEY])
def test_what_is_no_name_is_refused(key: str, name: str) -> None:
    """1 to 64 characters without control characters."""
    assert rule_of((key, name)) == (f"metadata.{key}", "BAD_IDENTITY")


def test_a_refused_name_is_shown_beside_what_it_may_be() -> None:
    """The field says which name it is about, the description does not say it again."""
    with pytest.raises(Refused) as raised:
        identity_of(((ORGANIZATION_KEY, "a\tb"),))
    refusal = raised.value.refusal
    assert isinstance(refusal, Invalid)
    assert refusal.violations[0].description == "a name of 1 to 64 characters without control characters; got 'a\\tb'"


def test_two_names_are_refused() -> None:
    """A proxy that adds its own must not decide whose stock is sold; the same name twice says the same."""
    assert rule_of((CALLER_KEY, "shop"), (CALLER_KEY, "till")) == (f"metadata.{CALLER_KEY}", "GIVEN_TWICE")
    assert identity_of(((CALLER_KEY, "shop"), (CALLER_KEY, "shop"))).caller == "shop"
