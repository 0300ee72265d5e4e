"""What a database URL names, opened: a file's store or a server's, with what reads and follows it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .clock import Clock, RemoteClock
from .committer import Routes
from .config import ServerConfig, StartFailed
from .ledger.reading import BalanceReader
from .ledger.work import Committed, Work
from .store.connect import is_postgres, shown
from .store.reader import Reader, sqlite_reader
from .store.sqlite import SqliteStore
from .watch import ChangeFeed

if TYPE_CHECKING:
    from .store.instants import SharedInstants
    from .store.postgres import PostgresStore


@dataclass(frozen=True, kw_only=True)
class OpenDatabase:
    """A ledger that is open. What is None it does not need, or does not have."""

    store: SqliteStore | PostgresStore
    reader: Reader
    place: str
    """Where it is kept, for people."""
    run_here: Callable[[Work], Committed | None] | None = None
    """Brief transactions on the calling thread. Where a transaction waits for a network, the event loop must not."""
    routes: Routes | None = None
    """For a store that commits several batches beside one another."""
    feed: ChangeFeed | None = None
    """Of what other servers commit."""
    balances: BalanceReader | None = None
    """What reads balances from a replica. It may be away: then ``reader`` is asked."""
    database_clock: Clock | None = None
    """The database's own, where leases end by it. None: they end by the one that it was opened with."""


async def open_database(
    config: ServerConfig,
    closing: AsyncExitStack,
    *,
    clock: Clock,
    by_database: bool,
    instants: SharedInstants | None,
) -> OpenDatabase:
    """Opens what the URL names, migrating it; what is opened is closed by ``closing``, even if this fails.

    ``by_database``: leases in a PostgreSQL database end by its own clock. If not, servers of one database are to share
    ``clock`` and ``instants``.

    Raises:
        StoreUnavailable: the database cannot be had.
        StartFailed: what is needed for it is not installed, or what is asked of it is not to be had there.
    """
    if not config.in_memory and is_postgres(config.database_url):
        return await _open_postgres(config, closing, None if by_database else clock, instants)
    store = SqliteStore(config.database_url, clock, in_memory=config.in_memory)
    closing.push_async_callback(store.close)
    await store.open()
    reader = await _open_reader(sqlite_reader(store.url, clock, store.moments), closing)
    place = "in memory" if config.in_memory else str(store.path)
    return OpenDatabase(store=store, reader=reader, place=place, run_here=store.run_here)


async def _open_postgres(
    config: ServerConfig, closing: AsyncExitStack, clock: Clock | None, instants: SharedInstants | None
) -> OpenDatabase:
    try:
        import asyncpg  # noqa: F401
    except ImportError:
        raise StartFailed("PostgreSQL needs a package more: pip install 'ringfence[server,postgres]'") from None
    from .store.postgres import PostgresStore
    from .store.postgres_feed import PostgresFeed
    from .store.postgres_lanes import postgres_reader
    from .store.replica import replica_reader

    url, options = config.database_url, config.postgres
    database_clock = RemoteClock(trust_after_seconds=config.clock_jump_trust_seconds)
    store = PostgresStore(url, options, clock=clock, instants=instants, clock_watch=database_clock)
    closing.push_async_callback(store.close)
    await store.open()
    slots, distributed = store.slots, store.distributed
    if distributed and config.read_url is not None:
        # What one machine has replayed says nothing of the others.
        raise StartFailed("a Citus cluster has no replica to read from: serve it without --read-url")
    feed = PostgresFeed(url, options, slots, distributed=distributed)
    closing.push_async_callback(feed.close)
    reader = await _open_reader(postgres_reader(url, options, store.instants, slots, distributed=distributed), closing)
    balances: BalanceReader | None = None
    if config.read_url is not None:
        balances, replica = replica_reader(
            config.read_url, options, reader, store.instants, slots, distributed=distributed
        )
        closing.push_async_callback(replica.close)
    return OpenDatabase(
        store=store,
        reader=reader,
        place=shown(url),
        routes=store.placing(),
        feed=feed,
        balances=balances,
        database_clock=database_clock if clock is None else None,
    )


async def _open_reader(reader: Reader, closing: AsyncExitStack) -> Reader:
    closing.push_async_callback(reader.close)
    await reader.open()
    return reader
