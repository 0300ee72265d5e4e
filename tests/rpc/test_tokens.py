"""Tokens: opaque, versioned, and refused where they do not belong."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.v1 import allocation_service_pb2 as pb
from ringfence.v1 import stock_service_pb2
from ringfence_server.committer import Stamp
from ringfence_server.ledger.outcomes import Invalid
from ringfence_server.ledger.revisions import revisions_in
from ringfence_server.rpc.errors import Refused
from ringfence_server.rpc.tokens import (
    page_position,
    page_token,
    revision_token,
    revisions_of,
    revisions_of_watch,
    stamp_token,
    watch_token,
)


def refusal(raised: pytest.ExceptionInfo[Refused]) -> tuple[str, str]:
    """Field and rule of the one thing that was wrong."""
    found = raised.value.refusal
    assert isinstance(found, Invalid)
    (violation,) = found.violations
    return violation.field, violation.rule


@given(revision=st.integers(min_value=0, max_value=2**63 - 1))
def test_a_revision_comes_back(revision: int) -> None:
    """Whatever it is, in characters that a URL takes as they are."""
    token = revision_token((revision,))
    assert revisions_of(token, "min_revision") == (revision,)
    assert token.isascii()
    assert token.replace("-", "").replace("_", "").isalnum()


@given(
    revisions=st.lists(
        st.one_of(st.just(0), st.integers(100, 110), st.integers(0, 2**63 - 1)), min_size=1, max_size=64
    ).filter(lambda revisions: len(revisions) == 1 or revisions[-1] > 0)
)
def test_the_revisions_of_many_slots_come_back(revisions: list[int]) -> None:
    """Of a write, whose slots share one, in a few characters; of a read at most in what a request may carry."""
    state = tuple(revisions)
    token = revision_token(state)
    assert revisions_of(token, "min_revision") == state
    assert len(token) <= 1_024
    watch = watch_token(state, "acme", b"bikes")
    assert revisions_of_watch(watch, "acme", b"bikes") == state
    assert revisions_of_watch(watch, "acme", b"lamps") is None
    assert revisions_of_watch(watch, "other", b"bikes") is None
    assert len(revision_token(revisions_in(1 << 63 | 5, 1_000_000))) <= 20
    assert stamp_token(Stamp(7, 0, 0b101)) == revision_token((7, 0, 7))


@given(raw=st.binary(max_size=40))
def test_bytes_that_no_state_packs_to_are_refused(raw: bytes) -> None:
    """Another way to write a state would be another token for it."""
    token = urlsafe_b64encode(b"\x02" + raw).decode().rstrip("=")
    try:
        revisions = revisions_of(token, "min_revision")
    except Refused:
        return
    assert revision_token(revisions) == token


@given(token=st.text(max_size=40))
def test_what_is_no_revision_token_is_refused(token: str) -> None:
    """With the field it stood in; never anything but a refusal."""
    try:
        revisions = revisions_of(token, "min_revision")
    except Refused as refused:
        assert isinstance(refused.refusal, Invalid)  # noqa: PT017
    else:
        assert revision_token(revisions) == token


@pytest.mark.parametrize("token", ["", "x", "AQAAAAAAAAA", "AgAAAAAAAAAB", "AQAAAAAAAAAB!", "AYAAAAAAAAAB", "é" * 12])
def test_a_token_of_another_kind_or_version_is_refused(token: str) -> None:
    """A later server's tokens are not guessed at."""
    with pytest.raises(Refused) as raised:
        revisions_of(token, "min_revision")
    assert refusal(raised) == ("min_revision", "BAD_TOKEN")


def listing(**fields: Any) -> stock_service_pb2.ListStockRequest:
    """A list of stock."""
    return stock_service_pb2.ListStockRequest(**{"skus": ["A", "B"], **fields})


def follow(request: Any, token: str, organization: str = "acme") -> Any:
    """Where the next page of a list begins."""
    request.page_token = token
    return page_position(organization, request, (str, int, (int, type(None))))


def test_a_page_goes_on_where_the_one_before_ended() -> None:
    """The position comes back as it was, whatever the page size."""
    token = page_token("acme", listing(page_size=10), ("é/\n", 7, None))
    assert follow(listing(page_size=99), token) == ("é/\n", 7, None)
    assert follow(listing(), "") is None


@pytest.mark.parametrize(
    "request_",
    [listing(skus=["A"]), listing(locations=["north"]), pb.ListReservationsRequest(sku="A")],
    ids=["other filter", "one filter more", "other method"],
)
def test_a_page_token_of_another_list_is_refused(request_: Any) -> None:
    """Its position would mean nothing there, or something else."""
    token = page_token("acme", listing(), ("A", 7, None))
    with pytest.raises(Refused) as raised:
        follow(request_, token)
    assert refusal(raised) == ("page_token", "BAD_TOKEN")


def test_a_page_token_of_another_organization_is_refused() -> None:
    """Lists of two organizations are two lists."""
    with pytest.raises(Refused):
        follow(listing(), page_token("acme", listing(), ("A", 7, None)), organization="other")


@given(token=st.text(min_size=1, max_size=80))
def test_what_is_no_page_token_is_refused(token: str) -> None:
    """Never anything but a refusal."""
    with pytest.raises(Refused):
        follow(listing(), token)


@pytest.mark.parametrize("position", [("A",), ("A", 7, None, 1), (7, "A", None), ("A", True, None), ("A", 7, "x")])
def test_a_position_of_another_shape_is_refused(position: Any) -> None:
    """A token may be forged: what comes out of it is checked before it is used."""
    with pytest.raises(Refused) as raised:
        follow(listing(), page_token("acme", listing(), position))
    assert refusal(raised) == ("page_token", "BAD_TOKEN")
