"""In which status a call ends that was not carried out: by a refusal (see ``refusals``) or by a failure.

A message says what would have worked; every value in it stands in the ErrorInfo's metadata too. What only the server's
log may tell (SQL, traces) never comes here.
"""

from __future__ import annotations

import logging
import secrets
from typing import Any, Final

from google.rpc import code_pb2

from ringfence_server.committer import Draining, Failure, Overloaded
from ringfence_server.ledger.outcomes import Invalid, Refusal, Violation
from ringfence_server.ledger.work import StoreUnavailable

from .refusals import refusal_status
from .status import retry_after, status_bytes

_log = logging.getLogger(__name__)

_STORE_RETRY_SECONDS: Final = 0.5
_DRAINING_RETRY_SECONDS: Final = 1.0


class Refused(Exception):
    """Ends a call with a refusal."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(type(refusal).__name__)
        self.refusal = refusal


def invalid(field: str, rule: str, description: str) -> Refused:
    """INVALID_ARGUMENT for one field: ``rule`` is the reason, ``description`` says what would be right."""
    return Refused(Invalid((Violation(field, rule, description),)))


def failure_status(failure: Failure, request_id: str = "") -> bytes:
    """The status of a command that was not decided; nothing of it happened."""
    match failure:
        case Failure.DEADLINE:
            text = "the deadline passed before the command was decided; nothing happened, send it again"
            return status_bytes(code_pb2.DEADLINE_EXCEEDED, text, "DEADLINE_EXCEEDED", {})
        case Failure.STORE:
            return _STORE_AWAY
        case Failure.DRAINING:
            return _DRAINING
        case Failure.INTERNAL:
            return incident_status("request %s could not be decided", request_id)


def overloaded_status(seconds: float) -> bytes:
    """OVERLOADED: the queue is full; ``seconds`` is when a retry is likely to find room."""
    return status_bytes(
        code_pb2.RESOURCE_EXHAUSTED,
        f"too many commands wait; try again in {seconds:.2f} s with the same request_id",
        "OVERLOADED",
        {"retry_after_seconds": f"{seconds:.3f}"},
        retry_after(seconds),
    )


def incident_status(event: str, *arguments: Any, fault: BaseException | None = None) -> bytes:
    """INTERNAL with an id under which the log tells what happened; the caller learns nothing else."""
    incident = secrets.token_hex(6)
    _log.error(f"incident %s: {event}", incident, *arguments, exc_info=fault, extra={"incident": incident})
    return status_bytes(
        code_pb2.INTERNAL,
        f"the service met a fault of its own; its log tells more under incident {incident}",
        "INTERNAL",
        {"incident": incident},
    )


def status_for(error: BaseException, method: str) -> bytes:
    """The status in which a call of ``method`` ends that raised ``error``."""
    match error:
        case Refused():
            return refusal_status(error.refusal)
        case Overloaded():
            return overloaded_status(error.retry_after_seconds)
        case Draining():
            return _DRAINING
        case StoreUnavailable():
            # Its text may quote the database; the log has it.
            _log.warning("the store is away: %s", error)
            return _STORE_AWAY
        case _:
            return incident_status("%s failed", method, fault=error)


def replaced_status(adapter: str) -> bytes:
    """ADAPTER_REPLACED: another stream of the same adapter took over."""
    return status_bytes(
        code_pb2.ABORTED,
        f"another stream of the adapter {adapter!r} took over; two adapters that run at once need two names",
        "ADAPTER_REPLACED",
        {"adapter": adapter},
    )


def draining_status() -> bytes:
    """DRAINING: the server goes down; the same request may be sent to another or again."""
    return _DRAINING


_STORE_AWAY: Final = status_bytes(
    code_pb2.UNAVAILABLE,
    "the store does not answer now; send the same request again: with its request_id it takes effect at most once",
    "STORE_UNAVAILABLE",
    {},
    retry_after(_STORE_RETRY_SECONDS),
)
_DRAINING: Final = status_bytes(
    code_pb2.UNAVAILABLE,
    "the server is going down; send the same request again",
    "DRAINING",
    {},
    retry_after(_DRAINING_RETRY_SECONDS),
)
