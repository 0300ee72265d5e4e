"""How a database would find the rows of a statement."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.util import await_only

from ringfence_server.store.lane import PLANNER
from tests.store.desk import Desk

PLANNED = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")
_KEYED = re.compile(r"Index Cond: \(\(?\(?slot = ")


def postgres_plans(desk: Desk, texts: Iterable[str]) -> dict[str, str]:
    """The generic plan of each text that has one, as a writing connection makes it."""

    def plan(raw: Any, text: str) -> str:
        nothing = ", ".join(["NULL"] * max(map(int, re.findall(r"\$(\d+)", text)), default=0))
        await_only(raw.execute(f"PREPARE seen AS {text}"))
        found = await_only(raw.fetch(f"EXPLAIN EXECUTE seen({nothing})".replace("()", "")))
        await_only(raw.execute("DEALLOCATE seen"))
        return "\n".join(row[0] for row in found)

    def plans(connection: Connection) -> dict[str, str]:
        adapted: Any = connection.connection.dbapi_connection
        await_only(adapted.driver_connection.execute(PLANNER))
        return {text: plan(adapted.driver_connection, text) for text in texts if text.split()[0] in PLANNED}

    return desk.look(plans)


def walks(plans: dict[str, str]) -> dict[str, str]:
    """Those that go through a table, or through an index by no slot."""

    def walked(plan: str) -> bool:
        by_index = "Index Scan" in plan or "Index Only Scan" in plan
        return "Seq Scan" in plan or "Disabled: true" in plan or (by_index and not _KEYED.search(plan))

    return {text: plan for text, plan in plans.items() if walked(plan)}


def sqlite_plan(connection: Connection, text: str, parameters: Any) -> list[str]:
    """The steps by which SQLite finds the rows of a statement with these values."""
    return [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", parameters)]


def sqlite_walks(plan: Sequence[str]) -> list[str]:
    """The steps of a plan that look at more than a list of values, or than the rows of a key."""
    harmless = re.compile(
        r"(SCAN|SEARCH|MATERIALIZE|CO-ROUTINE) (wanted\w*|given)$|SCAN (CONSTANT ROW|\d+ CONSTANT ROWS)$"
        r"|SEARCH \w+ USING .*\(slot=\? AND |SETUP$|RECURSIVE STEP$|(CORRELATED SCALAR|LIST) SUBQUERY \d+$"
    )
    return [step for step in plan if not harmless.match(step)]
