"""A file system of a few megabytes, to be filled: what is written there is refused with ENOSPC by the kernel itself."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Final

from ringfence.testing import PostgresServer
from ringfence_server.store.scratch import Scratch

_PREFIX: Final = "ringfence-disk-"
_PIECE: Final = 64 * 1024


class NoSmallDisk(Exception):
    """Nothing can be mounted here."""


class SmallDisk:
    """Mounted in a new directory that every user may enter; gone at the end, or when the next one is made after the
    process that made it was killed.

    Raises NoSmallDisk where this user or this machine mounts nothing.
    """

    def __init__(self, mebibytes: int) -> None:
        self._scratch = Scratch(_PREFIX, end=_end_left)
        # For the user that PostgreSQL runs as.
        self._scratch.path.chmod(0o755)
        self.path: Final = self._scratch.path / "disk"
        """Where it is mounted."""
        self.path.mkdir()
        self.beside: Final = self._scratch.path / "beside"
        """A directory that lies elsewhere, and may be written to by everybody, too."""
        self.beside.mkdir()
        self.beside.chmod(0o1777)
        self._filler = self.path / "filler"
        command = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m,mode=1777", "ringfence-test", str(self.path)]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError) as refused:
            self._scratch.remove()
            said = refused.stderr.strip() if isinstance(refused, subprocess.CalledProcessError) else str(refused)
            raise NoSmallDisk(f"this user can mount nothing here: {said}") from None

    def fill(self) -> None:
        """Takes all the room that is left, and whatever somebody frees meanwhile."""
        with self._filler.open("ab", buffering=0) as file:
            for size in (_PIECE, 1):
                with contextlib.suppress(_Full):
                    while True:
                        _write(file.fileno(), size)

    def free(self) -> None:
        """Gives it back."""
        self._filler.unlink(missing_ok=True)

    def __enter__(self) -> SmallDisk:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _unmount(self.path)
        self._scratch.remove()


class _Full(Exception):
    """No byte more."""


def _write(file: int, size: int) -> None:
    try:
        written = os.write(file, bytes(size))
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise _Full from None
    if written < size:
        raise _Full


def _unmount(path: Path) -> None:
    # Lazily: whoever still has a file open there keeps it, and nobody else finds it.
    subprocess.run(["umount", "--lazy", str(path)], check=False, capture_output=True)


def _end_left(directory: Path) -> None:
    """What a test that was killed left mounted, with the PostgreSQL that may still run there."""
    disk = directory / "disk"
    if disk.is_mount():
        (disk / "filler").unlink(missing_ok=True)
        # Whoever makes one below a directory ends those there whose owners are dead.
        PostgresServer(directory=disk).close()
        _unmount(disk)
