"""What an adapter remembers is there, whole, whenever the power fails."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from ringfence.adapters import AdapterError
from ringfence.adapters._state import StateFile, write_atomically


def test_content_is_durable_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new content is synced before it takes the old one's place, and the name after."""
    steps: list[str] = []
    replace = Path.replace

    def synced(descriptor: int) -> None:
        steps.append("directory" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "content")

    def replaced(self: Path, target: Any) -> Path:
        steps.append("name")
        return replace(self, target)

    monkeypatch.setattr("os.fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    write_atomically(tmp_path / "state.json", b"new")
    assert steps == ["content", "name", "directory"]
    assert (tmp_path / "state.json").read_bytes() == b"new"


def test_a_crash_while_writing_keeps_the_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the new content has its name, the old one is what is read."""
    with StateFile(tmp_path / "state.json") as state:
        assert state.fresh
        state.save({"reads": 1})
        monkeypatch.setattr(Path, "replace", lambda self, target: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            state.save({"reads": 2})
    with StateFile(tmp_path / "state.json") as state:
        assert state.values == {"reads": 1}
        assert not state.fresh


def test_each_adapter_has_its_own(tmp_path: Path) -> None:
    """Two that shared one, one after the other, would take each other's positions for their own."""
    with StateFile(tmp_path / "state.json", owner="till-1") as state:
        state.save({"reads": 1})
    with StateFile(tmp_path / "state.json", owner="till-1") as state:
        assert state.values == {"reads": 1}
    with pytest.raises(AdapterError, match="the state of the adapter 'till-1', not of 'till-2': give each"):
        StateFile(tmp_path / "state.json", owner="till-2")


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """With its path and what would do."""
    (tmp_path / "file").write_text("")
    with pytest.raises(AdapterError, match=r"the state cannot be kept in .*file: .*; name a directory"):
        StateFile(tmp_path / "file" / "state.json")


def test_another_version_is_refused(tmp_path: Path) -> None:
    """A state of another version is not guessed at."""
    (tmp_path / "state.json").write_text('{"version": 99}')
    with pytest.raises(AdapterError, match="version 99, and this program knows 1"):
        StateFile(tmp_path / "state.json")
