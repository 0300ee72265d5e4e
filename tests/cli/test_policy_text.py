"""A policy becomes a text that people edit, and the text the same policy again."""

from __future__ import annotations

import json
import tomllib
from datetime import UTC, datetime, timedelta

import pytest

from ringfence import (
    Fallback,
    LeaseBounds,
    Level,
    Location,
    LocationKind,
    Measure,
    MeasureKind,
    PathRule,
    Policy,
)
from ringfence_server.cli import policy_text
from ringfence_server.cli.failures import BadInput

FULL = Policy(
    revision=7,
    levels=(Level("channel", ("web", 'st"ore\\', "a\tb\x7f")), Level("region")),
    dimensions=("colour", "größe"),
    leases=LeaseBounds(
        default_lease=timedelta(minutes=15),
        max_lease=timedelta(hours=1, seconds=0.5),
        max_total_hold=timedelta(days=7),
        allow_never=True,
    ),
    path_rules=(
        PathRule("", Fallback.NONE),
        PathRule("web", Fallback.ANCESTORS, quota_cap=0, sales_cap=10**12),
        PathRule("web/london"),
    ),
    locations=(
        Location("berlin", LocationKind.TILL, "wms.on_hand", ("north", "stores"), "pos-berlin"),
        Location("paris"),
    ),
    full_count_confirm_share=0,
    location_order=("berlin", "paris"),
    allow_split=True,
    measures=(Measure("wms.on_hand"), Measure("inbound", MeasureKind.COUNTER)),
    supply={"wms.on_hand": 1, "inbound": -1000},
    create_time=datetime(2026, 1, 1, tzinfo=UTC),
)


@pytest.mark.parametrize("policy", [FULL, Policy(revision=1)], ids=["everything", "nothing"])
def test_a_policy_comes_back_from_its_text(policy: Policy) -> None:
    """TOML and JSON alike, with every field, odd characters and zeros that mean something."""
    assert policy_text.from_text(policy_text.as_toml(policy), "policy.toml") == policy
    assert policy_text.from_text(policy_text.as_json(policy), "policy.json") == policy


def test_both_forms_have_the_same_content() -> None:
    """What holds for one holds for the other."""
    content = policy_text.document_of(FULL)
    assert tomllib.loads(policy_text.as_toml(FULL)) == content
    assert json.loads(policy_text.as_json(FULL)) == content


def test_the_toml_reads_like_a_policy() -> None:
    """Spans as people write them, the formula as a table, the revision in front."""
    text = policy_text.as_toml(FULL)
    assert text.startswith("# Policy, revision 7, in force since 2026-01-01T00:00:00Z.\n")
    assert "revision = 7\n" in text
    assert '[leases]\ndefault_lease = "15m"\nmax_lease = "1h0.5s"\n' in text
    assert '[supply]\n"wms.on_hand" = 1\ninbound = -1000\n' in text
    assert '[[path_rules]]\npath = "web"\nfallback = "ancestors"\nquota_cap = 0\n' in text
    assert "# no levels: [[levels]]" in policy_text.as_toml(Policy(revision=1))


def test_a_long_list_has_an_item_a_line() -> None:
    """And is the same list."""
    policy = Policy(revision=1, location_order=tuple(f"location-{number}" for number in range(100)))
    text = policy_text.as_toml(policy)
    assert max(map(len, text.splitlines())) <= 120
    assert policy_text.from_text(text, "p") == policy


def faults(text: str) -> list[str]:
    """What is told about a text that is no policy."""
    with pytest.raises(BadInput) as refused:
        policy_text.from_text(text, "p.toml")
    head, *found = str(refused.value).splitlines()
    assert head == "p.toml is not a policy; nothing was changed"
    return found


def test_every_fault_is_told_by_its_place() -> None:
    """All at once, with what would be right."""
    assert faults(
        """
        alow_split = true
        revision = -1
        dimensions = "colour"
        location_order = ["a", 1]
        allow_split = "yes"
        [leases]
        default_lease = 15
        max_lease = "15"
        allow_never = 1
        [supply]
        on_hand = 1.5
        [[levels]]
        values = ["web"]
        [[measures]]
        name = "on_hand"
        kind = "figur"
        [[path_rules]]
        path = "web"
        quota_cap = -1
        fallbak = "none"
        """
    ) == [
        "alow_split: no such field; did you mean 'allow_split'?",
        "revision is a whole number from 0; got -1",
        'dimensions is a list of texts, such as ["a", "b"]; got \'colour\'',
        'location_order is a list of texts, such as ["a", "b"]; got [\'a\', 1]',
        "allow_split is true or false; got 'yes'",
        "leases.default_lease is a span with units, such as 90s, 15m, 1h30m or 2d; got '15'",
        "leases.max_lease is a span with units, such as 90s, 15m, 1h30m or 2d; got '15'",
        "leases.allow_never is true or false; got 1",
        "supply.on_hand is a whole number; got 1.5",
        "measures[0].kind is one of figure, counter; got 'figur'; did you mean 'figure'?",
        "levels[0].name is missing",
        "path_rules[0].fallbak: no such field; did you mean 'fallback'?",
        "path_rules[0].quota_cap is a whole number from 0; got -1",
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("leases = 1", "leases is a table of fields; got 1"),
        ("levels = {}", "levels is a list of tables ([[levels]] in TOML); got {}"),
        ("levels = [1]", "levels[0] is a table of fields; got 1"),
        ("supply = [1]", "supply is a table of fields; got [1]"),
        ('{"locations": [{"name": 3}]}', "locations[0].name is a text; got 3"),
        ('{"path_rules": [{"quota_cap": 9223372036854775808}]}', "path_rules[0].quota_cap is beyond 64 bits"),
    ],
)
def test_a_value_of_another_kind_is_told(text: str, fault: str) -> None:
    """Nothing is guessed at, and nothing breaks."""
    assert faults(text)[0].startswith(fault)


@pytest.mark.parametrize("text", ["revision = \n", '{"revision": 1', "[[levels]\n"])
def test_a_text_that_is_neither_toml_nor_json(text: str) -> None:
    """The line and column are told."""
    with pytest.raises(BadInput, match=r"^p\.toml: .*line 1"):
        policy_text.from_text(text, "p.toml")
