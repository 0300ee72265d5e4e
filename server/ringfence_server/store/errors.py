"""What the database's errors mean. The only place that reads them; their texts reach the log, never a client."""

from __future__ import annotations

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError

from ringfence_server.ledger.work import BatchRejected, StoreUnavailable


class StoreInUse(StoreUnavailable):
    """Another server has the database file open for writing."""


def translated(error: SQLAlchemyError) -> Exception:
    """BatchRejected for rows that the database refuses, StoreUnavailable for everything else."""
    cause = str(error.orig) if isinstance(error, DBAPIError) else type(error).__name__
    if isinstance(error, IntegrityError | DataError):
        return BatchRejected(cause)
    return StoreUnavailable(cause)
