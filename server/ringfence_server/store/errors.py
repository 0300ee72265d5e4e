"""What the database's errors mean. The only place that reads them; their texts reach the log, never a client."""

from __future__ import annotations

import sqlite3
from typing import Final

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError

from ringfence_server.ledger.work import BatchRejected, StoreUnavailable


class StoreInUse(StoreUnavailable):
    """Another server has the database file open for writing."""


DATABASE_ERRORS: Final = (SQLAlchemyError, sqlite3.Error)
"""What a statement can raise, through Core or on the bare driver."""
_ROWS_REFUSED: Final = (IntegrityError, DataError, sqlite3.IntegrityError, sqlite3.DataError)


def translated(error: Exception) -> Exception:
    """BatchRejected for rows that the database refuses, StoreUnavailable for everything else."""
    if isinstance(error, DBAPIError):
        cause = str(error.orig)
    else:
        cause = str(error) if isinstance(error, sqlite3.Error) else type(error).__name__
    return BatchRejected(cause) if isinstance(error, _ROWS_REFUSED) else StoreUnavailable(cause)
