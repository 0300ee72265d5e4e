"""A network between a server and PostgreSQL that fails at the worst moment."""

from __future__ import annotations

import asyncio
import enum
import threading
from types import TracebackType
from typing import Final

_PIECE: Final = 65_536
_COMMIT: Final = (b"COMMIT\x00", b"COMMIT;\x00")
"""The statement, as it ends a message."""
_COMMITTED: Final = (b"C\x00\x00\x00\x0bCOMMIT\x00",)
"""PostgreSQL's word that a COMMIT is done: CommandComplete, its length, its tag."""


class Cut(enum.Enum):
    """When a connection is cut."""

    BEFORE_COMMIT = "COMMIT does not arrive"
    AFTER_COMMIT = "COMMIT is done, and its answer does not arrive"


class Proxy:
    """Hands on everything between connections to its port and PostgreSQL's, until it is told otherwise. In a thread."""

    def __init__(self, port: int) -> None:
        self._target = port
        self.port = 0
        """The port of 127.0.0.1 it listens on."""
        self.cuts = 0
        """Connections that were cut at a COMMIT so far."""
        self._cut: Cut | None = None
        self._left = 0
        self._lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._flowing = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    def cut(self, when: Cut, times: int = 1) -> None:
        """The next so many COMMITs are cut."""
        with self._lock:
            self._cut, self._left = when, times

    def silence(self) -> None:
        """Nothing goes through any more, and nobody is told: a network that lost its way."""
        self._loop.call_soon_threadsafe(self._flowing.clear)

    def restore(self) -> None:
        """Everything goes through again; what was held back too."""
        self._loop.call_soon_threadsafe(self._flowing.set)

    def __enter__(self) -> Proxy:
        self._thread.start()
        self.port = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(30)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _listen(self) -> int:
        self._flowing.set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _close(self) -> None:
        self._server.close()
        self._cut_all()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _cut_all(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, far_writer}
        try:
            await asyncio.gather(
                self._hand_on(reader, far_writer, Cut.BEFORE_COMMIT, _COMMIT),
                self._hand_on(far_reader, writer, Cut.AFTER_COMMIT, _COMMITTED),
            )
        except (OSError, asyncio.CancelledError):
            # Cut, or the end of the test: asyncio's own callback would complain of a task that was cancelled.
            pass
        finally:
            self._writers -= {writer, far_writer}
            writer.transport.abort()
            far_writer.transport.abort()

    async def _hand_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, when: Cut, marks: tuple[bytes, ...]
    ) -> None:
        while piece := await reader.read(_PIECE):
            await self._flowing.wait()
            if any(mark in piece for mark in marks) and self._takes(when):
                raise ConnectionResetError(when.value)
            writer.write(piece)
            await writer.drain()
        raise ConnectionResetError("ended")

    def _takes(self, when: Cut) -> bool:
        with self._lock:
            if self._cut is not when or self._left == 0:
                return False
            self._left -= 1
            self.cuts += 1
            return True
