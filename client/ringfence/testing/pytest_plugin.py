"""The fixture `ringfence_server`, for `pytest_plugins = ["ringfence.testing.pytest_plugin"]`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ringfence.testing._server import RingfenceServer

__all__ = ["ringfence_server"]


@pytest.fixture
def ringfence_server() -> Iterator[RingfenceServer]:
    """A running server with an empty ledger, for this test alone."""
    with RingfenceServer() as server:
        yield server
