"""SQLite's statistics, which somebody else may make, are dropped: plans stay those that are tested.

Without statistics SQLite plans by the schema alone, the same for ever, and the statements are written for that. Once
``ANALYZE`` (or ``PRAGMA optimize``) has run, it plans by what the tables were then: on a young database it would walk
all parts to find the next end of a lease, and on any it builds a Bloom filter from the whole ledger to follow the chain
of one key.
"""

from __future__ import annotations

import logging
from typing import Final

from .driver import DriverConnection

_log = logging.getLogger(__name__)

_TABLES: Final = ("sqlite_stat1", "sqlite_stat4")


def drop_statistics(connection: DriverConnection) -> int:
    """Drops what ANALYZE left, within the transaction that is under way; answers the number of tables dropped.

    The dropping changes the schema, so every connection plans anew, those included that had read the statistics.
    """
    if connection.core.dialect.name != "sqlite":
        return 0
    names = ", ".join(f"'{name}'" for name in _TABLES)
    found = [name for (name,) in connection.rows(f"SELECT name FROM sqlite_master WHERE name IN ({names})")]
    for name in found:
        connection.rows(f"DROP TABLE {name}")
    if found:
        # This very connection does not read its own change of the schema anew unless it is told to.
        connection.rows("PRAGMA writable_schema=RESET")
        _log.warning("somebody ran ANALYZE on the database: its statistics are dropped, they make plans worse here")
    return len(found)
