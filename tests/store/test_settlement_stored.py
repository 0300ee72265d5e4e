"""The settlement table through the store: every row, and what lies between the rows, on each database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
from _pytest.mark import ParameterSet

from tests.ledger import (
    test_feed,
    test_settlement,
    test_settlement_rows_1_to_12,
    test_settlement_rows_13_to_24,
)
from tests.store.stored_world import StoredWorld

TABLE = (test_settlement_rows_1_to_12, test_settlement_rows_13_to_24)
BETWEEN = (test_settlement, test_feed)
IN_MEMORY_ALONE = {
    # The store's bound is part of a statement; see test_tills.
    "test_a_count_zeroes_in_slices",
}
Story = Callable[..., None]


def _stories(*modules: ModuleType) -> Iterator[ParameterSet]:
    """Every test of the modules, with each of its own sets of parameters."""
    for module in modules:
        for name, story in vars(module).items():
            if not name.startswith("test_") or name in IN_MEMORY_ALONE:
                continue
            marks = [mark for mark in getattr(story, "pytestmark", ()) if mark.name == "parametrize"]
            assert len(marks) < 2, name
            for number, options in enumerate(_options(marks[0]) if marks else [{}]):
                yield pytest.param(module, story, options, id=f"{name}-{number}" if marks else name)


def _options(mark: pytest.Mark) -> Iterator[dict[str, Any]]:
    names, sets = mark.args
    for each in sets:
        values = each.values if isinstance(each, ParameterSet) else each
        if isinstance(names, str) and "," not in names:
            yield {names: values[0] if isinstance(each, ParameterSet) else values}
        else:
            split = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
            yield dict(zip(split, values, strict=True))


@pytest.fixture(autouse=True)
def worlds() -> Iterator[None]:
    """Closes what a story opened; what the service itself verifies adds up."""
    yield
    StoredWorld.close_all()


def _tell(module: ModuleType, story: Story, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "World", StoredWorld)
    story(**options)
    assert StoredWorld.opened


@pytest.mark.parametrize(("module", "story", "options"), list(_stories(*TABLE, *BETWEEN)))
def test_the_store_keeps_what_the_rules_made(
    module: ModuleType, story: Story, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The story of the ledger's own test, told to a store: the same decisions, and after each the same rows."""
    _tell(module, story, options, monkeypatch)


@pytest.mark.postgres
@pytest.mark.parametrize(("module", "story", "options"), list(_stories(*TABLE)))
def test_postgresql_keeps_it_too(
    module: ModuleType,
    story: Story,
    options: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    one_slot_database: Callable[[], str],
) -> None:
    """Every row of the table, by the other database's statements."""
    monkeypatch.setattr(StoredWorld, "new_database", staticmethod(one_slot_database))
    _tell(module, story, options, monkeypatch)
    StoredWorld.close_all()
