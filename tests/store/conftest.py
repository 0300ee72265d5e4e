"""Where stores of these tests keep their rows: a file, and a PostgreSQL database."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """For ``Desk``: a store's place, on each database in turn."""
    if request.param == "sqlite":
        return tmp_path / "ringfence.db"
    url: str = request.getfixturevalue("postgres_place")
    return url
