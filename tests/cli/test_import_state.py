"""How far an import is survives whatever ends it, and only the same import goes on."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ringfence import StockFigure
from ringfence_server.cli.failures import BadInput
from ringfence_server.cli.import_state import ImportState, StateFile

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
WHAT = {"content": "c1", "service": ["localhost:50051", "default", "anonymous"], "policy": [("on_hand", "figure")]}
FIGURES = [StockFigure("LAMP", "berlin", 10), StockFigure("BULB", "berlin", 5)]


@pytest.fixture
def states(tmp_path: Path) -> StateFile:
    """A place for a state, with none there."""
    return StateFile(tmp_path / "state")


def test_an_import_goes_on_with_the_same_ids(states: StateFile) -> None:
    """The batch that was on its way is sent again as what it was."""
    begun = states.resume_or_begin(WHAT, NOW)
    sent = begun.request_id(3, FIGURES)
    begun.batches, begun.lines, begun.counts = 3, 1500, {"applied": 1500}
    states.save(begun)

    resumed = states.resume_or_begin(WHAT, NOW + timedelta(days=3))
    assert (resumed.import_id, resumed.batches, resumed.counts) == (begun.import_id, 3, {"applied": 1500})
    assert resumed.request_id(3, FIGURES) == sent


def test_an_import_that_is_done_is_forgotten(states: StateFile) -> None:
    """The same file once more is a new import with ids of its own: an unchanged count is a new count."""
    first = states.resume_or_begin(WHAT, NOW)
    states.forget()
    second = states.resume_or_begin(WHAT, NOW)
    assert second.request_id(0, FIGURES) != first.request_id(0, FIGURES)


def test_ids_tell_batches_and_contents_apart(states: StateFile) -> None:
    """One id never means two things; ids of later batches sort behind."""
    begun = states.resume_or_begin(WHAT, NOW)
    ids = [begun.request_id(batch, FIGURES) for batch in (0, 1, 2, 2**20 - 1, 2**20, 2**31)]
    assert ids == sorted(ids)
    assert len({*ids, begun.request_id(0, FIGURES[:1])}) == 7


def test_an_id_carries_no_age(states: StateFile) -> None:
    """The service takes a UUIDv7 of yesterday for too old; an import may go on after a weekend."""
    identifier = uuid.UUID(states.resume_or_begin(WHAT, NOW).request_id(1, FIGURES))
    assert (identifier.version, identifier.variant) == (8, uuid.RFC_4122)
    assert identifier.int >> 80 == int(NOW.timestamp() * 1_000)


@pytest.mark.parametrize("changed", sorted(WHAT))
def test_another_import_does_not_go_on(states: StateFile, changed: str) -> None:
    """Another content, service or policy would post something else under the old name: it is told which."""
    states.save(states.resume_or_begin(WHAT, NOW))
    with pytest.raises(BadInput, match=f"(?s)not the same {changed} any more.*--restart begins anew"):
        states.resume_or_begin({**WHAT, changed: "other"}, NOW)


def test_an_import_cannot_go_on_when_its_outcomes_are_forgotten(states: StateFile) -> None:
    """After 30 days the service could not tell a repetition from a new post."""
    states.resume_or_begin(WHAT, NOW)
    with pytest.raises(BadInput, match="remembers outcomes for 30 days"):
        states.resume_or_begin(WHAT, NOW + timedelta(days=30))


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version": 2}', '{"import_id": 1}'])
def test_a_state_that_cannot_be_read_is_told(states: StateFile, tmp_path: Path, content: str) -> None:
    """It is not taken for none: something may be posted already."""
    (tmp_path / "state").write_text(content)
    with pytest.raises(BadInput, match=r"not the state of an import .*; --restart removes it"):
        states.resume_or_begin(WHAT, NOW)


def test_a_state_that_cannot_be_written_stops_the_import_before_it_begins(tmp_path: Path) -> None:
    """It says where else it could be kept."""
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="--state FILE keeps its state elsewhere"):
        StateFile(tmp_path / "file" / "state").resume_or_begin(WHAT, NOW)


def test_where_the_state_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the file; for stdin in the user's state folder, by the content."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    state = ImportState("i", "2026-01-31T12:00:00Z", WHAT)
    StateFile.beside(str(tmp_path / "stock.csv"), "d", "").save(state)
    assert (tmp_path / ".stock.csv.ringfence-import").exists()
    StateFile.beside("-", "d1", "").resume_or_begin(WHAT, NOW)
    assert (tmp_path / "xdg" / "ringfence" / "import-d1.json").exists()
    StateFile.beside(str(tmp_path / "stock.csv"), "d", str(tmp_path / "chosen")).save(state)
    assert (tmp_path / "chosen").exists()
