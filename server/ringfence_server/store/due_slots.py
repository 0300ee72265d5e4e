"""Which slots of a store have holds to end; asked seldom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, literal_column, select

from . import schema
from .driver import PostgresConnection
from .slots import Slots
from .statements import slot_select


def due_slots(connection: PostgresConnection, slots: Slots, until: int) -> list[int]:
    """The slots in which holds end at or before ``until`` (microseconds), rising."""
    statement = slot_select(connection.core.dialect, _any_due)
    return sorted(slot for (slot,) in statement.run(connection, slots.all, (until,)))


def _any_due(slot: ColumnElement[Any]) -> tuple[Select[Any], Sequence[str]]:
    part = schema.part
    query = (
        select(part.c.slot)
        .where(
            part.c.slot == slot,
            part.c.held > literal_column("0"),
            part.c.expire_time.is_not(None),
            part.c.expire_time <= bindparam("until"),
        )
        .suffix_with("LIMIT 1")
    )
    return query, ["until"]
