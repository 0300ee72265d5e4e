"""What a client asked and what it was told, on disk before anything else happens."""

from __future__ import annotations

import json
import os
from base64 import b64decode, b64encode
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import IO, Any

from ringfence.v1.allocation_service_pb2 import Command, Outcome


def request_id_of(command: Command) -> str:
    """The id of the one request in a command."""
    name = command.WhichOneof("command")
    assert name is not None
    request: Any = getattr(command, name)
    request_id: str = request.request_id
    return request_id


class Journal:
    """One client's requests and answers, in an append-only file that is synced before the request leaves, and before
    anything is made of its answer. Used from the client's sending and receiving threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[str] = path.open("a", encoding="ascii")
        self._lock = Lock()

    def sent(self, commands: list[Command]) -> None:
        """These requests are about to be sent."""
        self._write([(request_id_of(each), "request", each.SerializeToString()) for each in commands])

    def answered(self, outcomes: list[Outcome]) -> None:
        """These outcomes have arrived."""
        self._write([(each.request_id, "answer", each.SerializeToString()) for each in outcomes])

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _write(self, lines: list[tuple[str, str, bytes]]) -> None:
        with self._lock:
            for request_id, kind, content in lines:
                self._file.write(json.dumps([request_id, kind, b64encode(content).decode()]) + "\n")
            self._file.flush()
            os.fsync(self._file.fileno())

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Record:
    """All journals of a run, read back from disk."""

    def __init__(self, paths: list[Path]) -> None:
        self.commands: dict[str, Command] = {}
        self.outcomes: dict[str, Outcome] = {}
        for path in paths:
            for line in path.read_text(encoding="ascii").splitlines():
                request_id, kind, content = json.loads(line)
                if kind == "request":
                    self.commands[request_id] = Command.FromString(b64decode(content))
                else:
                    self.outcomes[request_id] = Outcome.FromString(b64decode(content))

    @property
    def unanswered(self) -> list[Command]:
        """Requests of which nobody knows what came."""
        return [command for request_id, command in self.commands.items() if request_id not in self.outcomes]
