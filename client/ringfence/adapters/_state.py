"""What an adapter remembers over a crash: JSON files, each replaced atomically."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from ringfence.adapters._types import AdapterError

__all__ = ["StateFile", "StateFolder", "write_atomically"]

D = TypeVar("D")

_VERSION = 1


def write_atomically(path: Path, data: bytes) -> None:
    """Writes a file so that, whenever the power fails, either the old or the new content is there, whole.

    The new content is durable when this returns. A temporary file beside it, `.NAME.tmp`, may be left by a crash and is
    written over by the next call.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Makes names in a directory durable, where the system can."""
    if os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class StateFile:
    """A dictionary of plain values in a file. One program at a time: a second one is refused while the first runs."""

    def __init__(self, path: Path, *, owner: str = "") -> None:
        """Opens and locks the file; it need not be there. AdapterError when another program has it, when it is another
        `owner`'s, or when it cannot be read: a state that was lost must not look like a new one."""
        self.path = path
        self._owner = owner
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = _locked(path.with_name(f"{path.name}.lock"))
        except OSError as error:
            raise AdapterError(
                f"the state cannot be kept in {path.parent}: {error.strerror or error}; name a directory that this "
                "program may write to"
            ) from error
        try:
            self.values: dict[str, Any] = self._load()
        except BaseException:
            self.close()
            raise

    @property
    def fresh(self) -> bool:
        """Whether nothing was ever saved."""
        return not self.path.exists()

    def save(self, values: Mapping[str, Any]) -> None:
        """Replaces the content; it is durable when this returns."""
        head = {"version": _VERSION, "owner": self._owner}
        data = json.dumps({**head, **values}, ensure_ascii=False, separators=(",", ":"))
        write_atomically(self.path, data.encode())

    def close(self) -> None:
        """Gives the lock back. Closing twice is nothing."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> StateFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _load(self) -> dict[str, Any]:
        try:
            values = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise self.unreadable(str(error)) from error
        if not isinstance(values, dict):
            raise self.unreadable("it is no table of values")
        version = values.pop("version", None)
        if version != _VERSION:
            raise self.unreadable(f"it is of version {version!r}, and this program knows {_VERSION}")
        owner = values.pop("owner", "")
        if owner and self._owner and owner != self._owner:
            raise AdapterError(
                f"{self.path} is the state of the adapter {owner!r}, not of {self._owner!r}: give each adapter a "
                "directory of its own (state), or its name back"
            )
        return values

    def unreadable(self, why: str) -> AdapterError:
        """The error for content that is none of this file's."""
        return AdapterError(
            f"{self.path} cannot be read as the adapter's state: {why}. Restore it as it was after the last run, or go "
            "live anew (stop selling, drain, post): move the directory away and start with --start-anew"
        )


class StateFolder:
    """The files of one adapter's state, in a directory that is its alone."""

    def __init__(self, path: Path, *, owner: str) -> None:
        self._path = path
        self._owner = owner
        self._files: list[StateFile] = []

    def opened(self, name: str, make: Callable[[StateFile], D]) -> D:
        """What `make` makes of the file of that name. AdapterError as of StateFile, and when what the file holds is
        nothing that an adapter saved."""
        state = StateFile(self._path / f"{name}.json", owner=self._owner)
        self._files.append(state)
        try:
            return make(state)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise state.unreadable(f"its values are none of an adapter's ({type(error).__name__}: {error})") from error

    @property
    def fresh(self) -> bool:
        """Whether nothing was ever saved in the file that was opened first."""
        return self._files[0].fresh

    def close(self) -> None:
        """Gives all of them back. Closing twice is nothing."""
        for state in self._files:
            state.close()


def _locked(path: Path) -> int | None:
    """A lock that ends with this process, however it ends; None where the system has none."""
    try:
        import fcntl
    except ImportError:
        return None
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise AdapterError(f"another program runs with the state {path.with_suffix('')}") from error
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
