"""What a connection to a Citus cluster has to know. The spreading itself is ``distribute``'s."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection

from ringfence_server.ledger.work import StoreUnavailable

SESSION: Final = "SET citus.max_adaptive_executor_pool_size = 1; SET citus.override_table_visibility = off"
"""What every connection of a server sets. The first: a transaction has one connection to each machine, and so one
snapshot of each slot; with more, the rows of a slot could be older than its counters. The second: where shards are
hidden from the catalog's readers, the driver waits seconds for each type of array that it looks up there, and a new
connection's first batch for longer than it may."""
IS_WORKER: Final = "SELECT groupid <> 0 FROM pg_dist_local_group"
NOT_A_WORKER: Final = "this is a worker of a Citus cluster: give every server the coordinator's URL"


def has_citus(connection: Connection) -> bool:
    """Whether the database has the extension."""
    return connection.exec_driver_sql("SELECT 1 FROM pg_extension WHERE extname = 'citus'").first() is not None


def refuse_worker(connection: Connection) -> None:
    """All servers go by the coordinator's clock, and by what it knows of batches under way.

    Raises StoreUnavailable at another machine of a cluster.
    """
    if has_citus(connection) and connection.exec_driver_sql(IS_WORKER).scalar():
        raise StoreUnavailable(NOT_A_WORKER)
