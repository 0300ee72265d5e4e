"""Directories that last as long as the process that made them, even when that is killed: the next one sweeps them."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Final

_LOCK: Final = "owner.lock"
_TAKING: Final = "owner.taking"


class Scratch:
    """A new, empty directory. Its maker holds a lock in it, which ends with the process, however that comes."""

    def __init__(
        self, prefix: str, base: str | Path | None = None, *, end: Callable[[Path], None] = lambda left: None
    ) -> None:
        """Sweeps the directories with that prefix below `base` whose makers are dead, and makes another one.

        `prefix` is for one kind of thing alone. `base` None is the usual place for temporary files. `end` is called
        with a directory that is about to be swept, and ends what still runs there; when it raises OSError the directory
        stays for the next sweep.
        """
        place = Path(tempfile.gettempdir() if base is None else base)
        _sweep(place, prefix, end)
        self.path: Final = Path(tempfile.mkdtemp(prefix=prefix, dir=place))
        """The directory."""
        self._lock = (self.path / _TAKING).open("w")
        _take(self._lock)
        # Only now by its name: a lock that is not taken yet would look like one whose holder is dead.
        (self.path / _TAKING).rename(self.path / _LOCK)

    def remove(self) -> None:
        """Deletes it. Twice is nothing."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()


def memory_place() -> str | None:
    """A place for files that never reach a disk, where there is one."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _sweep(place: Path, prefix: str, end: Callable[[Path], None]) -> None:
    with contextlib.suppress(OSError), os.scandir(place) as entries:
        left = [
            Path(entry) for entry in entries if entry.name.startswith(prefix) and entry.is_dir(follow_symlinks=False)
        ]
        for directory in left:
            with contextlib.suppress(OSError):
                _sweep_one(directory, end)


def _take(lock: IO[str]) -> bool:
    """Takes a lock, and says whether that tells anything. Raises OSError when somebody else has it."""
    try:
        import fcntl
    except ImportError:
        return False  # nobody can tell who is dead, and nothing is swept
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return True


def _sweep_one(directory: Path, end: Callable[[Path], None]) -> None:
    with os.fdopen(os.open(directory / _LOCK, os.O_RDWR | os.O_NOFOLLOW), "w") as lock:
        found = os.fstat(lock.fileno())
        if found.st_uid != os.geteuid() or found.st_nlink != 1 or not stat.S_ISREG(found.st_mode):
            return  # somebody else's, or made to look like ours
        if not _take(lock):
            return
        end(directory)
        # The lock last: what cannot be deleted now is found again.
        for entry in list(directory.iterdir()):
            if entry.name != _LOCK:
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry)
                else:
                    entry.unlink()
        shutil.rmtree(directory)
