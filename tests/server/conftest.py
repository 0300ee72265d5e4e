"""What tests of the whole server share."""

from __future__ import annotations

from pathlib import Path

import pytest

from ringfence_server.config import ServerConfig
from tests.patience import PATIENT


@pytest.fixture(params=["sqlite", "postgres"])
def till_config(request: pytest.FixtureRequest) -> ServerConfig:
    """A server for tills, on either database."""
    if request.param == "sqlite":
        return ServerConfig(port=0, in_memory=True)
    return ServerConfig(port=0, database_url=request.getfixturevalue("postgres_place"), postgres=PATIENT)


@pytest.fixture
def in_memory() -> ServerConfig:
    """A server without a file."""
    return ServerConfig(port=0, in_memory=True)


@pytest.fixture
def on_file(tmp_path: Path) -> ServerConfig:
    """A server with a file of its own."""
    return ServerConfig(port=0, database_url=f"sqlite:///{tmp_path}/ringfence.db")
