"""Which request ids nobody can have used yet: told without a look at the table, where nobody else writes to it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sqlalchemy import bindparam, select
from sqlalchemy.engine import Dialect

from . import schema
from .compiled import Statement
from .driver import DriverConnection

_AHEAD: Final = 24 * 3_600 * 1_000_000
"""Ids of clients whose clock is further ahead, and random ones (all but one in some millions), are looked for; they do
not move the bounds."""


class FreshIds:
    """The gap above the greatest id that is kept. UUIDv7 begin with their time, so nearly every new one falls into it:
    a Reserve in eleven statements is then one in ten.

    On one writing connection, inside its transactions.
    """

    def __init__(self, dialect: Dialect) -> None:
        outcome = schema.request_outcome
        self._greatest = Statement(
            select(outcome.c.request_id)
            .where(
                outcome.c.slot == bindparam("slot"),
                outcome.c.request_id < bindparam("end", type_=outcome.c.request_id.type),
            )
            .order_by(outcome.c.request_id.desc())
            .suffix_with("LIMIT 1"),
            dialect,
            ["slot", "end"],
        )
        self._least = self._end = b""
        self._good_until = 0

    def bounds(self, connection: DriverConnection, now: int) -> tuple[bytes, bytes]:
        """No id between these two, both left out, is kept. ``now``: microseconds since the epoch."""
        if now > self._good_until:
            end = ((now + _AHEAD) // 1_000).to_bytes(6, "big") + bytes(10)
            found = self._greatest.run(connection, (0, end))
            self._least, self._end = found[0][0] if found else b"", end
            self._good_until = now + _AHEAD // 2
        return self._least, self._end

    def kept(self, ids: Iterable[bytes]) -> None:
        """These are kept from now on, or would be if the transaction had not failed: too few ids pass for fresh then,
        never too many."""
        self._least = max([self._least, *(each for each in ids if each < self._end)])
