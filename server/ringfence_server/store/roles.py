"""Whether the servers of a database can see one another's transactions, by which their reads are told apart in time."""

from __future__ import annotations

from typing import Final

from ringfence_server.ledger.work import StoreUnavailable

from .connect import UPKEEP, WRITER, PostgresOptions, connect_to

_UNSEEN: Final = f"""
WITH other AS (
  SELECT DISTINCT usename AS role FROM pg_stat_activity
  WHERE application_name = '{WRITER}' AND datname = current_database() AND usename <> current_user
)
SELECT role FROM other
WHERE NOT (pg_has_role(current_user, role, 'USAGE') OR pg_has_role(current_user, 'pg_read_all_stats', 'USAGE'))
   OR NOT (pg_has_role(role, current_user, 'USAGE') OR pg_has_role(role, 'pg_read_all_stats', 'USAGE'))
ORDER BY role LIMIT 1
"""


async def refuse_unseen_roles(url: str, options: PostgresOptions) -> None:
    """To be called before a server has a writing connection, for with it the reads of those who do not see it would
    fail; and once more when it has one, and is seen by whoever starts at the same moment.

    Raises StoreUnavailable when a server runs whose role does not see this one's transactions, or the other way round,
    and what the driver raises.
    """
    connection = await connect_to(url, options, application=UPKEEP)
    try:
        role = await connection.fetchval(_UNSEEN)
    finally:
        await connection.close()
    if role is not None:
        raise StoreUnavailable(
            f"a server of this database connects as the role {role}: give all servers one role, "
            "or all of their roles pg_read_all_stats"
        )
