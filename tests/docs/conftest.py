"""Fixtures of the documentation's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ringfence.testing import PostgresServer, pytest_plugin


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A running PostgreSQL as it is set up for work, which `ringfence db check` finds nothing wrong with."""
    yield from pytest_plugin.running()
