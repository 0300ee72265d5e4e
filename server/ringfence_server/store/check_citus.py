"""What is wrong with a Citus cluster, as far as its coordinator tells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from . import schema
from .citus import IS_WORKER, NOT_A_WORKER

_RECOVERED_WITHIN: Final = 5_000
"""Milliseconds."""
_PLACED: Final = """
SELECT logicalrelid::regclass::text, partmethod = 'h', colocationid,
  CASE partmethod WHEN 'h' THEN column_to_column_name(logicalrelid, partkey) ELSE '' END
FROM pg_dist_partition
"""
_WORKERS: Final = "SELECT count(*) FROM pg_dist_node WHERE isactive AND shouldhaveshards AND noderole = 'primary'"
_OF_WORKERS: Final = "SELECT nodename || ':' || nodeport, success, result FROM run_command_on_workers($1)"
_DURABLE: Final = (
    ("fsync", ("on",), "a power failure can destroy its part of the database"),
    ("full_page_writes", ("on",), "a power failure can destroy its part of the database"),
    ("synchronous_commit", ("on", "remote_write", "remote_apply"), "a crash can lose what was answered"),
)


async def check_citus(connection: Any) -> tuple[str, Sequence[str]]:
    """How the tables are spread, in a few words, and what must not be so, each in one line.

    ``connection``: asyncpg's, to a database with the extension.
    """
    if await connection.fetchval(IS_WORKER):
        return "a worker", [NOT_A_WORKER]
    placed = {name: (hashed, group, column) for name, hashed, group, column in await connection.fetch(_PLACED)}
    placed = {name: found for name, found in placed.items() if name in schema.metadata.tables}
    if not placed:
        return "not spread: run ringfence db distribute", []
    groups = {group for hashed, group, _ in placed.values() if hashed}
    faults = []
    for name, table in schema.metadata.tables.items():
        hashed, _, column = placed.get(name, (None, 0, ""))
        if table is schema.policy:
            if hashed is not False:
                faults.append(f"the table {name} is not a reference table: run ringfence db distribute")
        elif not hashed or column != "slot":
            faults.append(f"the table {name} is not distributed by slot: run ringfence db distribute")
    if len(groups) > 1:
        faults.append("the tables are not co-located: a batch of one slot is several machines'")
    workers = await connection.fetchval(_WORKERS)
    faults += await _setting_faults(connection)
    return f"spread by slot over {workers} machine{'' if workers == 1 else 's'}", faults


async def _setting_faults(connection: Any) -> list[str]:
    faults = []
    recovered = await connection.fetchval(
        "SELECT setting::bigint FROM pg_settings WHERE name = 'citus.recover_2pc_interval'"
    )
    if recovered is not None and not 0 < recovered <= _RECOVERED_WITHIN:
        faults.append(
            f"citus.recover_2pc_interval is {recovered} ms: an order whose commit a machine's failure cut off holds "
            "its stock so long: set it to 2000"
        )
    for name, good, consequence in _DURABLE:
        for place, answered, value in await connection.fetch(_OF_WORKERS, f"SHOW {name}"):
            if not answered:
                if name == _DURABLE[0][0]:
                    faults.append(f"the machine {place} does not answer")
            elif value not in good:
                faults.append(f"{name} is {value} on {place}: {consequence}")
    return faults
