"""Bounds for tests that are about something else: a machine that has much else to do is no fault."""

from typing import Final

from ringfence_server.store.connect import PostgresOptions

PATIENT: Final = PostgresOptions(connect_timeout_seconds=60, statement_timeout_seconds=60, lock_timeout_seconds=60)
"""For whatever asks a PostgreSQL."""
