"""What the database's errors mean. The only place that reads them; their texts reach the log, never a client."""

from __future__ import annotations

import sqlite3
from typing import Any, Final

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError

from ringfence_server.ledger.work import BatchRejected, StoreUnavailable

_ASYNCPG: tuple[type[Exception], ...] = ()
try:
    from asyncpg import exceptions
except ImportError:  # The extra [postgres]: without it nobody meets its errors.
    pass
else:
    _ASYNCPG = (exceptions.PostgresError, exceptions.InterfaceError, exceptions.InternalClientError)


class StoreInUse(StoreUnavailable):
    """Another server has the database file open for writing."""


class TookTooLong(StoreUnavailable):
    """A statement ran into a limit of time, of waiting for a lock or of all that it does; or a person cancelled it."""


class Contended(Exception):
    """Another server's transaction stood in the way: nothing happened, and another try is likely to succeed."""


class Rival(Contended):
    """Another server has written an outcome or an order reference under the same key: fresh rows tell."""


DATABASE_ERRORS: Final[tuple[type[Exception], ...]] = (SQLAlchemyError, sqlite3.Error, *_ASYNCPG)
"""What a statement can raise, through Core or on the bare driver."""
NETWORK_ERRORS: Final[tuple[type[Exception], ...]] = (*DATABASE_ERRORS, OSError, TimeoutError)
"""The same where the database is on the other side of a network."""
_ROWS_REFUSED: Final = (IntegrityError, DataError, sqlite3.IntegrityError, sqlite3.DataError)
_CONTENDED: Final = ("40001", "40P01")
# PostgreSQL tells a statement that somebody cancelled from one that ran out of time only in its message, and that is in
# the language of its installation. Taking both for the same costs a cancelled batch one look for stuck slots.
_STOPPED: Final = ("55P03", "57014")
_UNIQUE_VIOLATION: Final = "23505"
_RIVALS_KEYS: Final = ("pk_request_outcome", "pk_order_reference")
READ_ONLY: Final = "the database takes no writes: it is a replica, or was made read-only"
_PLAIN: Final = {
    "53100": "the database's disk is full",
    "53300": "the database has no connection to spare",
    "55P03": "another server's batch held its rows too long",
    "57014": "a statement took too long, or was cancelled by somebody",
    "57P01": "the database is shutting down",
    "57P03": "the database is starting",
    "25006": READ_ONLY,
    "28P01": "the database refuses the password",
    "3D000": "there is no such database",
    "42P01": "the database lacks a table: run `ringfence db upgrade`",
}


def translated(error: Exception) -> Exception:
    """BatchRejected for rows that the database refuses, Rival and Contended for what another try mends, TookTooLong for
    what was stopped at a limit of time or by a person, StoreUnavailable for everything else."""
    if isinstance(error, sqlite3.Error):
        return BatchRejected(str(error)) if isinstance(error, _ROWS_REFUSED) else StoreUnavailable(str(error))
    state = sqlstate(error)
    cause = _cause(error, state)
    if state in _CONTENDED:
        return Contended(cause)
    if state == _UNIQUE_VIOLATION and _constraint(error).startswith(_RIVALS_KEYS):
        return Rival(cause)
    # A value that the driver cannot encode is a ValueError besides.
    if isinstance(error, _ROWS_REFUSED) or state[:2] in ("22", "23") or isinstance(error, ValueError):
        return BatchRejected(cause)
    if state in _STOPPED:
        return TookTooLong(cause)
    return StoreUnavailable(cause)


def unavailable(error: Exception) -> StoreUnavailable:
    """What an error means to a reader: nothing of it was refused, nor in anybody's way."""
    found = translated(error)
    return found if isinstance(found, StoreUnavailable) else StoreUnavailable(str(found))


def sqlstate(error: BaseException) -> str:
    """PostgreSQL's five characters, or the empty string."""
    for each in _chain(error):
        state = getattr(each, "sqlstate", None)
        if isinstance(state, str):
            return state
    return ""


def refused_by_database(error: BaseException) -> bool:
    """Whether the database itself answered that it did not do it, and lives on: of everything else, a lost connection
    or a shutdown in the midst, nobody knows."""
    return sqlstate(error)[:2] not in ("", "08", "57", "58", "XX")


def _cause(error: Exception, state: str) -> str:
    if state in _PLAIN:
        return _PLAIN[state]
    if isinstance(error, TimeoutError):
        return "the database does not answer"
    if isinstance(error, FileNotFoundError):
        # Python's own words do not say which.
        return "a file that its URL names is not there: sslrootcert, sslcert, sslkey, or the socket of its host"
    if isinstance(error, OSError):
        return f"the database cannot be reached: {error.strerror or error}"
    cause: Any = error.orig if isinstance(error, DBAPIError) else error
    return str(cause) if state or isinstance(error, (DBAPIError, *_ASYNCPG)) else type(error).__name__


def _constraint(error: BaseException) -> str:
    for each in _chain(error):
        name = getattr(each, "constraint_name", None)
        if isinstance(name, str):
            return name
    return ""


def _chain(error: BaseException) -> list[BaseException]:
    chain = [error]
    original = getattr(error, "orig", None)
    if isinstance(original, BaseException):
        chain.append(original)
    last = chain[-1]
    if last.__cause__ is not None:
        chain.append(last.__cause__)
    return chain
