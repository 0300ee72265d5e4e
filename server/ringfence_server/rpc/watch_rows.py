"""The rows of a watched roll-up: a sum has no change of its own to tell, so what was sent is kept, and what differs is
sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

from ringfence_server.ledger.balance import Balance, BalanceFilter
from ringfence_server.ledger.names import StockKey
from ringfence_server.ledger.outcomes import Invalid, Violation
from ringfence_server.ledger.policy import Policy
from ringfence_server.ledger.reading import KeyPosition
from ringfence_server.ledger.rollup import RollUp, RollUps
from ringfence_server.watch import Closed, Meter

from .balance_messages import balance_fields
from .errors import Refused
from .render import key_fields
from .services import Services
from .watch_spec import Spec

KEYS_A_READ: Final = 200
"""Stock keys that a watch reads at a time."""
_MOST_ROWS: Final = 10_000
_SCAN_SHARE: Final = 10
"""A watched roll-up spends at most one part in this many of the time reading its rows."""
_LONGEST_PAUSE_SECONDS: Final = 30.0
"""For that. What made a reading slower still, a machine that stood still for a minute say, is over by then."""

Judge: TypeAlias = Callable[[Policy], None]
"""Asked with the policy of every read; raises when what was read is not to be sent."""


class WatchedRows:
    """What one watcher was last sent of its roll-up."""

    def __init__(self, services: Services, spec: Spec, roll_up: RollUp) -> None:
        self._reader = services.reader
        self._clock = services.clock
        self._hub = services.hub
        self._spec = spec
        self._roll_up = roll_up
        self._rows: dict[Any, Balance] = {}
        self.known = True
        """Whether that is all the watcher has; not after a resume, until its rows were sent once more."""
        self.scan_seconds = 0.0
        """What the last reading of rows took, waiting for other work of the event loop among it."""

    def forget(self) -> None:
        """Nothing was sent."""
        self._rows = {}
        self.known = True

    async def all(self, judge: Judge, cost: Meter) -> list[Balance]:
        """Every row, as it stands now; they count as sent.

        Raises:
            Refused: there are too many.
            Closed: the server drains.
        """
        rows = await self._scan(self._spec.wanted, judge, cost)
        self._rows = dict(rows)
        return [row for _, row in rows]

    async def changed(
        self, keys: Sequence[StockKey], everything: bool, judge: Judge, cost: Meter
    ) -> tuple[list[Any], list[Any]]:
        """Rows that differ from those sent, and rows that are no more, as messages; now they are sent. Rows that keep
        SKUs apart are read for the SKUs of the changed ``keys`` only, unless ``everything`` may have changed.

        Raises:
            Refused, Closed: as :meth:`all`.
        """
        wanted = self._spec.wanted
        skus = {key.sku for key in keys}
        narrow = self._roll_up.sku and not everything and len(skus) <= KEYS_A_READ
        if narrow:
            wanted = wanted._replace(skus=tuple(sorted(skus)))
        rows = dict(await self._scan(wanted, judge, cost))
        before = {key: row for key, row in self._rows.items() if not narrow or row.key.sku in skus}
        instant = self._clock.now()
        with cost:
            balances = [balance_fields(row, instant) for key, row in rows.items() if _differs(before.get(key), row)]
        removed = [
            {"key": key_fields(row.key), "path": row.path, "location_group": row.location_group}
            for key, row in before.items()
            if key not in rows
        ]
        for key in before:
            del self._rows[key]
        self._rows.update(rows)
        self.known = True
        return balances, removed

    async def _scan(self, wanted: BalanceFilter, judge: Judge, cost: Meter) -> list[tuple[Any, Balance]]:
        loop = asyncio.get_running_loop()
        started = loop.time()
        organization = self._spec.organization
        async with self._reader.snapshot(organization, long=True) as snapshot:
            judge(snapshot.policy)
            sums = RollUps(snapshot.policy, wanted, self._roll_up, most=_MOST_ROWS)
            start: KeyPosition | None = None
            while True:
                if self._hub.closed:
                    raise Closed
                read = await snapshot.keys(wanted.keys(organization, snapshot.policy), start, KEYS_A_READ)
                with cost:
                    for stock in read.stocks:
                        sums.add(stock)
                start = read.last
                if start is None:
                    break
        rows = sums.rows()
        if len(rows) > _MOST_ROWS:
            text = f"a watched roll-up has at most {_MOST_ROWS:,} rows: narrow the filter or keep less apart"
            raise Refused(Invalid((Violation("roll_up", "TOO_MANY", text),)))
        self.scan_seconds = loop.time() - started
        return [(sums.key_of(row), row) for row in rows]


def pause_after(scan_seconds: float) -> float:
    """How many seconds to wait after a reading of rows that took so many."""
    return min(_SCAN_SHARE * scan_seconds, _LONGEST_PAUSE_SECONDS)


def _differs(before: Balance | None, row: Balance) -> bool:
    """Whether a row says something else than the one sent; a newer revision alone is nothing to say."""
    return before is None or before._replace(revisions=row.revisions) != row
