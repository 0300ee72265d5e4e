"""Valuing keys by a new formula in the background, so that no first caller has to wait for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final, Protocol

from ringfence_server.ledger.names import StockKey
from ringfence_server.ledger.work import StoreUnavailable

from .committer import Committer

_log = logging.getLogger(__name__)
_KEYS_PER_STEP: Final = 500
_RETRY_SECONDS: Final = 1.0


class StaleKeys(Protocol):
    """What the revaluer asks of a store."""

    async def stale_keys(self, after: int, most: int) -> tuple[Sequence[StockKey], int]:
        """Keys that an older formula valued, in the order of their numbers, after one; and the number to go on from
        (0: that was the last piece)."""


class Revaluer:
    """Walks all keys once after a change of formula, and once at the start: the last walk may have been cut short.

    A key that is read or decided on meanwhile is valued there and then; this only hurries it up.
    """

    def __init__(self, store: StaleKeys, committer: Committer) -> None:
        self._store = store
        self._committer = committer
        self._wanted = asyncio.Event()
        self._wanted.set()

    def policy_changed(self) -> None:
        """Walks again."""
        self._wanted.set()

    async def run(self) -> None:
        """Runs until cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            after = 0
            while True:
                try:
                    keys, following = await self._store.stale_keys(after, _KEYS_PER_STEP)
                    if keys:
                        await self._committer.revalue(keys)
                except StoreUnavailable:
                    _log.info("valuing keys anew waits for the store")
                    await asyncio.sleep(_RETRY_SECONDS)
                    continue
                except Exception:
                    # A fault of ours must not end the walks for good: whoever touches one of these keys values it.
                    _log.exception("valuing keys anew failed")
                    break
                # Only now: what the store did not take is asked for again.
                after = following
                if not after:
                    break
