"""The client for asyncio."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from ringfence import _queries, _till_queries
from ringfence._async_commands import AsyncCommands
from ringfence._async_feed import AsyncOrderFeed
from ringfence._async_reads import AsyncReads
from ringfence._async_transport import AsyncTransport
from ringfence._async_watch import AsyncWatch
from ringfence._balance_types import BalanceFilter, RollUp
from ringfence._calls import Call, command_call
from ringfence._commands import Command, Line, Reserve
from ringfence._config import ClientConfig, RetryPolicy
from ringfence._errors import RingfenceError
from ringfence._facts import PublishedQuantity
from ringfence._feed import FeedCursor, subscription
from ringfence._hold import AsyncHold
from ringfence._outcomes import CommandWithId, Outcome, split
from ringfence._pipeline import AsyncPipeline, AsyncStockPipeline, CommandFuture, CommandStream
from ringfence._policy_types import Policy
from ringfence._results import ReportPublishedResult, SetPolicyResult
from ringfence._types import VerifyReport
from ringfence._watch import WatchCursor

if TYPE_CHECKING:
    import grpc

__all__ = ["AsyncClient"]

T = TypeVar("T")


class AsyncClient(AsyncCommands, AsyncReads):
    """The service, for asyncio. Close it, or use it with `async with`.

    Making one connects to nothing; the first call opens the channel in its event loop, and all calls must be made
    there.
    """

    def __init__(
        self,
        target: str | None = None,
        *,
        organization: str | None = None,
        caller: str | None = None,
        timeout: timedelta = timedelta(seconds=10),
        credentials: grpc.ChannelCredentials | None = None,
        options: Sequence[tuple[str, Any]] = (),
        retry: RetryPolicy | None = None,
        request_ids: Callable[[], str] | None = None,
    ) -> None:
        """Sets a client up; `ClientConfig` says what each option means.

        `target`, `organization` and `caller` that are left out come from the environment (RINGFENCE_TARGET,
        RINGFENCE_ORGANIZATION, RINGFENCE_CALLER) and then from the defaults. Raises ValueError for a setting that
        cannot be.
        """
        self._config = ClientConfig.resolve(
            target,
            organization=organization,
            caller=caller,
            timeout=timeout,
            credentials=credentials,
            options=options,
            retry=retry,
            request_ids=request_ids,
        )
        self._transport = AsyncTransport(self._config)
        self._watches: weakref.WeakSet[AsyncWatch] = weakref.WeakSet()
        self._feeds: weakref.WeakSet[AsyncOrderFeed] = weakref.WeakSet()
        self._pipelines: weakref.WeakSet[CommandStream] = weakref.WeakSet()

    @property
    def config(self) -> ClientConfig:
        """How the client is set up."""
        return self._config

    async def send(self, command: Command[T], *, request_id: str | None = None, timeout: timedelta | None = None) -> T:
        """Sends a command as a call of its own and gives its result.

        `request_id` is made when there is none; the same id again has the same outcome. `timeout` is the deadline over
        all tries; None is the client's. Every mutating method takes both.

        Raises InvalidArgument, RequestIdReused, RequestTooOld; Overloaded, RateLimited or Unavailable when nothing was
        done; OutcomeUnknown when that is not known; Unauthenticated, PermissionDenied; the method's own refusals; and
        ValueError or TypeError, before anything is sent, for a command that cannot be written.
        """
        call = command_call(command, request_id or self._config.request_ids())
        return await self._transport.call(call, timeout)

    async def set_policy(
        self,
        policy: Policy,
        *,
        expected_revision: int | None = None,
        request_id: str | None = None,
        timeout: timedelta | None = None,
    ) -> SetPolicyResult:
        """Replaces the policy, if the one in force still has `expected_revision`: None is the one `policy` was read as.

        Raises RevisionMismatch when somebody else set it in between, QuotaInUse with the quotas it would orphan,
        ValueError for a policy that was never read when there is no `expected_revision`.
        """
        call = _queries.set_policy(policy, expected_revision, request_id or self._config.request_ids())
        return await self._transport.call(call, timeout)

    async def report_published(
        self,
        quantities: PublishedQuantity | Iterable[PublishedQuantity],
        *,
        publisher: str = "",
        request_id: str | None = None,
        timeout: timedelta | None = None,
    ) -> ReportPublishedResult:
        """Tells the service what was published per key and pool path, 1 to 2,000, so that what the shop shows stands
        beside what is. It moves nothing.

        `publisher` is the adapter that published; empty is the caller's name. Raises StockNotFound.
        """
        call = _till_queries.report_published(quantities, publisher, request_id or self._config.request_ids())
        return await self._transport.call(call, timeout)

    def stream_orders(
        self,
        locations: Iterable[str],
        *,
        adapter: str,
        source: str = "",
        max_in_flight: int = 100,
        lease: timedelta = timedelta(seconds=60),
    ) -> AsyncOrderFeed:
        """Orders for the tills of `locations`, 1 to 100 TILL ones, and cancellations of them, and the way back for what
        the till says to them:

            async with client.stream_orders(["berlin"], adapter="pos-1") as feed:
                async for event in feed:
                    await feed.received(event, document_number="T-17")

        `adapter` names who takes them, 1 to 64 characters: after a restart the same name gets its own leases back.
        `source` is the data source that the locations must belong to; empty takes any. `max_in_flight` is how many
        events may be without a reply, 1 to 1,000: what the till takes its time for is postponed (`feed.postponed`) and
        does not count. `lease` is how long an event is this adapter's alone, 1 second to 1 hour.

        The feed reconnects by itself and sends replies again until they are durable. Iterating raises InvalidArgument,
        Refused, Unauthenticated, PermissionDenied, and Unavailable when nothing answers at all.
        """
        cursor = FeedCursor(
            subscription(locations, adapter=adapter, source=source, max_in_flight=max_in_flight, lease=lease),
            self._config,
        )
        feed = AsyncOrderFeed(self._transport, cursor)
        self._feeds.add(feed)
        return feed

    def watch(
        self,
        filter: BalanceFilter | None = None,
        *,
        roll_up: RollUp | Iterable[RollUp] = (),
        min_interval: timedelta | None = None,
        resume_token: str = "",
        checkpoint_interval: timedelta | None = None,
    ) -> AsyncWatch:
        """The current state of what matches, then every change of it, newest state per key.

        `min_interval` is the least time between two deliveries, to 24 hours; what changes several times in between
        comes once. `resume_token` goes on where an earlier watch of the same filter stood. `checkpoint_interval` is the
        time without a change after which a CHECKPOINT comes, 1 second to 1 hour; None is 15 seconds.

        The watch reconnects and resumes by itself. Iterating raises InvalidArgument, Unauthenticated, PermissionDenied,
        and Unavailable when nothing answers at all.
        """
        request = _queries.watch_balances(
            filter, roll_up=roll_up, min_interval=min_interval, checkpoint_interval=checkpoint_interval
        )
        watch = AsyncWatch(self._transport, WatchCursor(request, self._config, resume_token))
        self._watches.add(watch)
        return watch

    def hold(
        self,
        lines: Line | Iterable[Line],
        *,
        owner: str = "",
        ttl: timedelta | None = None,
        expire_time: datetime | None = None,
        never: bool = False,
        allow_partial: bool = False,
        allow_split: bool = False,
        request_id: str | None = None,
    ) -> AsyncHold:
        """Reserves for the time of a block, and gives back at its end what the block did not consume:

            async with client.hold(Line("LAMP", "berlin", 1), ttl=timedelta(minutes=15)) as hold:
                await take_payment()
                await hold.consume(order_reference="4711")

        Entering raises what `reserve` raises.
        """
        command = Reserve(
            lines,
            owner=owner,
            ttl=ttl,
            expire_time=expire_time,
            never=never,
            allow_partial=allow_partial,
            allow_split=allow_split,
        )
        return AsyncHold(self, command, request_id)

    def pipeline(
        self,
        *,
        timeout: timedelta = timedelta(seconds=60),
        max_in_flight: int = 4_000,
        max_commands_per_message: int = 1_000,
    ) -> AsyncPipeline:
        """Many commands on their way at once, over one Execute stream:

            async with client.pipeline() as pipe:
                for order in orders:
                    await pipe.ready()
                    pipe.reserve(order.lines, request_id=order.id)

        `timeout` is how long a command waits for its answer, over all reconnections; `max_in_flight` how many may be
        without an answer on the stream; `max_commands_per_message` how many travel together, 1 to 1,000.
        """
        pipeline = AsyncPipeline(
            self._transport,
            timeout=timeout,
            max_in_flight=max_in_flight,
            max_commands_per_message=max_commands_per_message,
        )
        self._pipelines.add(pipeline)
        return pipeline

    async def execute_many(
        self,
        commands: Iterable[CommandWithId] | AsyncIterable[CommandWithId],
        *,
        timeout: timedelta = timedelta(seconds=60),
        max_in_flight: int = 4_000,
        max_commands_per_message: int = 1_000,
    ) -> AsyncIterator[Outcome[Any]]:
        """Sends any number of commands over one Execute stream and gives their outcomes, in the order of the commands.

        A command may come with a request_id of the caller's, as a pair. `commands` is read as there is room, so it may
        be endless. A refusal is an outcome, not an exception. Leaving the loop early gives up what is unanswered.

        `timeout` is how long a command waits for its answer, over all reconnections; `max_in_flight` how many may be
        without an answer on the stream; `max_commands_per_message` how many travel together, 1 to 1,000.

        Raises what ends the stream for good: Unauthenticated, PermissionDenied, Unsupported.
        """
        async with self.pipeline(
            timeout=timeout, max_in_flight=max_in_flight, max_commands_per_message=max_commands_per_message
        ) as pipe:
            async for outcome in _in_order(pipe, commands, max_in_flight):
                yield outcome

    def stock_pipeline(
        self,
        *,
        timeout: timedelta = timedelta(seconds=60),
        max_in_flight: int = 4_000,
        max_commands_per_message: int = 1_000,
    ) -> AsyncStockPipeline:
        """Many posts of facts on their way at once, over one SyncStock stream:

            async with client.stock_pipeline() as pipe:
                for figures in batches:
                    await pipe.ready()
                    pipe.post_stock(figures)

        The options are those of `pipeline`. It is meant for at most `max_in_flight` posts of a few figures each: a post
        may hold 2,000.
        """
        pipeline = AsyncStockPipeline(
            self._transport,
            timeout=timeout,
            max_in_flight=max_in_flight,
            max_commands_per_message=max_commands_per_message,
        )
        self._pipelines.add(pipeline)
        return pipeline

    async def sync_stock(
        self,
        posts: Iterable[CommandWithId] | AsyncIterable[CommandWithId],
        *,
        timeout: timedelta = timedelta(seconds=60),
        max_in_flight: int = 4_000,
        max_commands_per_message: int = 1_000,
    ) -> AsyncIterator[Outcome[Any]]:
        """Posts any number of facts over one SyncStock stream and gives their outcomes, in the order of the posts.

        A post may come with a request_id of the caller's, as a pair. `posts` is read as there is room, so it may be
        endless. What a broken stream left unanswered goes again with the same ids: facts are idempotent by position.
        Posts that travel in one message are decided in their order; read an outcome before what must come after it.
        A refusal is an outcome, not an exception; STALE, DUPLICATE and CONFLICT are results. Leaving the loop early
        gives up what is unanswered.

        `timeout` is how long a post waits for its answer, over all reconnections; `max_in_flight` how many may be
        without an answer on the stream; `max_commands_per_message` how many travel together, 1 to 1,000.

        Raises what ends the stream for good: Unauthenticated, PermissionDenied, Unsupported.
        """
        async with self.stock_pipeline(
            timeout=timeout, max_in_flight=max_in_flight, max_commands_per_message=max_commands_per_message
        ) as pipe:
            async for outcome in _in_order(pipe, posts, max_in_flight):
                yield outcome

    async def close(self) -> None:
        """Ends watches and pipelines and closes the channel. Closing twice is nothing."""
        for watch in list(self._watches):
            await watch.aclose()
        for feed in list(self._feeds):
            await feed.aclose()
        for pipeline in list(self._pipelines):
            await pipeline.abort()
        await self._transport.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def _call(self, call: Call[T], timeout: timedelta | None) -> T:
        return await self._transport.call(call, timeout)

    async def _last_answer(
        self, call: Call[VerifyReport], timeout: timedelta | None, progress: Callable[[VerifyReport], None] | None
    ) -> VerifyReport:
        return await self._transport.last_answer(call, timeout, progress)


async def _aiter(values: Iterable[T] | AsyncIterable[T]) -> AsyncIterator[T]:
    if isinstance(values, AsyncIterable):
        async for value in values:
            yield value
    else:
        for value in values:
            yield value


async def _in_order(
    pipe: CommandStream, commands: Iterable[CommandWithId] | AsyncIterable[CommandWithId], max_in_flight: int
) -> AsyncIterator[Outcome[Any]]:
    """Submits commands as there is room, and gives their outcomes in the order of the commands."""
    on_their_way: deque[tuple[Command[Any], CommandFuture[Any]]] = deque()
    async for entry in _aiter(commands):
        request_id, command = split(entry)
        await pipe.ready()
        on_their_way.append((command, pipe.submit(command, request_id=request_id)))
        while on_their_way and (len(on_their_way) >= max_in_flight or on_their_way[0][1].done()):
            yield await _outcome(pipe, *on_their_way.popleft())
    while on_their_way:
        yield await _outcome(pipe, *on_their_way.popleft())


async def _outcome(pipe: CommandStream, command: Command[T], future: CommandFuture[T]) -> Outcome[T]:
    try:
        return Outcome(command, future.request_id, await future, None)
    except RingfenceError as error:
        if pipe.failure is not None:
            raise pipe.failure from None
        return Outcome(command, future.request_id, None, error)
