"""Lines of orders that were right once are not judged again."""

from __future__ import annotations

import pytest

from ringfence_server.ledger.commands import Reserve
from ringfence_server.rpc import parse_lines
from ringfence_server.rpc.identity import identity_of
from tests.rpc.messages import line, reserve
from tests.rpc.parsing import IDENTITY, command, parsed, rules


def test_a_line_is_its_own_organizations() -> None:
    """The same message of another one names another stock key."""
    other = identity_of((("ringfence-organization", "umbrella"), ("ringfence-caller", "shop")))
    for _ in range(2):
        for identity, organization in ((IDENTITY, "acme"), (other, "umbrella")):
            found = parsed(reserve(line(1, "BIKE")), identity).command
            assert isinstance(found, Reserve)
            assert found.lines[0].key.organization == organization


def test_a_line_without_an_id_is_called_by_its_place() -> None:
    """Wherever the same message stood before."""
    for count in (1, 3, 2, 3):
        found = command(reserve(*[line(1, "BIKE") for _ in range(count)]))
        assert [each.line_id for each in found.lines] == [str(place) for place in range(1, count + 1)]


def test_a_line_that_is_wrong_is_wrong_every_time() -> None:
    """Also beside lines that are right, which are right by themselves afterwards."""
    for _ in range(2):
        assert rules(reserve(line(1, "BIKE"), line(0, "LAMP"))) == {"lines[1].quantity": "OUT_OF_RANGE"}
        assert rules(reserve(line(0, "LAMP"), line(1, "BIKE"))) == {"lines[0].quantity": "OUT_OF_RANGE"}
        assert command(reserve(line(1, "BIKE"))).lines[0].quantity == 1


def test_only_so_many_short_ones_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever callers send, it takes no more memory."""
    monkeypatch.setattr(parse_lines, "_MOST_REMEMBERED", 5)
    parse_lines._right.clear()
    for number in range(23):
        command(
            reserve(
                line(1, f"BIKE-{number}"),
                line(1, "LAMP", line_id=f"{number}" + 60 * "x", path="/".join([60 * "y"] * 3)),
            )
        )
        assert 1 <= len(parse_lines._right) <= 5
    assert max(len(message) for _, _, message in parse_lines._right) <= 256
