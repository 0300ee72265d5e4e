"""What a person reads when a command did not do what was asked, and the exit code a script gets.

Exit codes: 0 done · 1 the service refused, or Verify found something · 2 usage or bad input · 3 the service is away,
too busy or at fault, or did not answer in time · 70 a fault of the command line itself · 130 interrupted.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from .output import printable

if TYPE_CHECKING:
    from ringfence import RingfenceError

REFUSED: Final = 1
BAD_INPUT: Final = 2
AWAY: Final = 3
OWN_FAULT: Final = 70
INTERRUPTED: Final = 130

_UNRESOLVED: Final = re.compile(r"errors resolving (?P<target>\S+): \[.*: (?P<why>[^:\]]+)\]")
"""What gRPC says of a name that no name server knows."""
_BEYOND_FIELD: Final = re.compile(r"Value out of range: (?P<number>-?\d+)")
"""What protobuf says of a number that its field does not hold."""
_TRACEBACK_VARIABLE: Final = "RINGFENCE_TRACEBACK"


class BadInput(Exception):
    """What was typed, or stands in a file, cannot be meant. Its text says what would be right."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A failure as it is told."""

    lines: tuple[str, ...]
    """What goes to stderr; the first line says it all, the others are its items and what helps."""
    exit_code: int


def tell(error: Exception, *, target: str = "", as_json: bool = False) -> int | None:
    """Writes what `error` means and answers the exit code; None when it is none that a command expects.

    With `as_json` the service's own status goes to stdout too, as ``{"error": …}`` on one line.
    """
    failure = _describe(error, target)
    if failure is None:
        return None
    for number, line in enumerate(failure.lines):
        print(f"ringfence: {line}" if number == 0 else f"  {line}", file=sys.stderr)
    if as_json and (document := _as_document(error)) is not None:
        from .output import write_json_line

        write_json_line({"error": document})
    return failure.exit_code


def tell_own_fault(error: Exception) -> int:
    """One line on what should not have happened; with RINGFENCE_TRACEBACK=1 where it did."""
    if os.environ.get(_TRACEBACK_VARIABLE):
        raise error
    name = type(error).__name__
    print(
        f"ringfence: a fault of the command line itself: {name}: {printable(str(error))} "
        f"({_TRACEBACK_VARIABLE}=1 shows where)",
        file=sys.stderr,
    )
    return OWN_FAULT


def _describe(error: Exception, target: str) -> Failure | None:
    if isinstance(error, BadInput):
        return Failure(tuple(printable(line) for line in str(error).splitlines()) or ("bad input",), BAD_INPUT)
    client = sys.modules.get("ringfence")
    if client is not None and isinstance(error, client.RingfenceError):
        head, *items = _of_the_client(error, target)
        hints = [f"→ {hint}" for hint in _hints(error)]
        return Failure(tuple(printable(line) for line in (head, *items, *hints)), _exit_code(error))
    if isinstance(error, UnicodeError):
        return Failure((f"a text that this terminal cannot show: {error} (PYTHONIOENCODING=utf-8)",), BAD_INPUT)
    if isinstance(error, ValueError) and (beyond := _BEYOND_FIELD.match(str(error))):
        return Failure((f"{beyond['number']} is larger than any number that the service takes",), BAD_INPUT)
    if isinstance(error, OSError) and error.filename is not None:
        return Failure((f"{error.filename}: {error.strerror or error}",), BAD_INPUT)
    return None


def _exit_code(error: RingfenceError) -> int:
    import ringfence as r

    if isinstance(error, (r.Refused, r.Unauthenticated, r.PermissionDenied)):
        return REFUSED
    return BAD_INPUT if isinstance(error, r.InvalidArgument) else AWAY


def _of_the_client(error: RingfenceError, target: str) -> list[str]:
    """The message, then the items it is about, one a line."""
    import ringfence as r

    if isinstance(error, r.InsufficientQuantity) and error.shortages:
        if len(error.shortages) == 1:
            return [f"not enough, nothing was done: {error.shortages[0]}"]
        return [f"not enough for {len(error.shortages)} lines, nothing was done:", *map(str, error.shortages)]
    if isinstance(error, r.QuotaInUse) and error.quotas:
        return ["the policy would orphan these quotas, nothing was changed:", *map(str, error.quotas)]
    if isinstance(error, (r.InvalidArgument, r.QuantityOverflow)) and error.violations:
        violations = [str(violation).replace("metadata.ringfence-", "--") for violation in error.violations]
        return violations if len(violations) == 1 else ["the request breaks several rules:", *violations]
    if isinstance(error, r.Unsupported):
        return [f"{target or 'the service'} does not know this call: is it another service, or an older Ringfence?"]
    if isinstance(error, r.InternalError):
        return [f"the service failed: {error}"]
    if isinstance(error, (r.RevisionMismatch, r.ValueMismatch)) and error.raw is not None and error.raw.message:
        # The client's own text says both values twice.
        return [error.raw.message]
    if isinstance(error, r.OutcomeUnknown):
        # What follows is how to ask again from Python.
        return [str(error).partition(". Send the same request")[0]]
    unresolved = _UNRESOLVED.search(str(error))
    if unresolved is not None:
        return [f"no service answers at {unresolved['target']} ({unresolved['why']}); a target is HOST:PORT"]
    head, grpc_words, cause = str(error).partition(": failed to connect to all addresses")
    if grpc_words:
        # What follows are gRPC's notes on every address that it tried; the last words say why.
        return [f"{head} ({cause.rpartition(': ')[2]})" if ": " in cause else head]
    return str(error).splitlines() or [type(error).__name__]


def _hints(error: RingfenceError) -> list[str]:
    """What to type next, where the message does not say it."""
    import ringfence as r

    match error:
        case r.InsufficientQuantity(shortages=shortages):
            return _shortage_hints(shortages)
        case r.LeaseExpired():
            return ["`ringfence consume --revive` takes the units back if they are still there"]
        case r.ReservationNotFound():
            return ["`ringfence reservations` lists what there is; --organization names another organization"]
        case r.StockNotFound():
            return ["`ringfence stock show` lists what there is, `ringfence stock post` makes a key known"]
        case r.QuotaInUse():
            return ["`ringfence unallocate --all` gives back what is free"]
        case r.OutcomeUnknown(request_id=request_id) if request_id:
            return [f"the same command with --request-id {request_id} tells what happened, and does it at most once"]
        case r.RevisionMismatch(current=current):
            return [f"look at it as it is now; --revision {current} then says that you did"]
        case r.RequestIdReused():
            return ["leave --request-id out: every new request gets an id of its own"]
        case r.Unavailable(reason=""):
            return ["is it running (`ringfence serve`)? --target or RINGFENCE_TARGET says where"]
        case r.DeadlineExceeded():
            return ["--timeout gives it longer"]
    return []


def _shortage_hints(shortages: tuple[Any, ...]) -> list[str]:
    from ringfence import ShortageReason

    hints = []
    if any(shortage.reason is ShortageReason.NO_QUOTA for shortage in shortages):
        hints.append(
            "a path has only what `ringfence allocate` gave it; who sells what is fenced for nobody names no --path"
        )
    if any(shortage.available_with_fallback > shortage.available for shortage in shortages):
        hints.append("fallback lends from the parents: `ringfence policy show` says where it is allowed")
    return hints


def _as_document(error: Exception) -> dict[str, Any] | None:
    client = sys.modules.get("ringfence")
    if client is None or not isinstance(error, client.RingfenceError):
        return None
    from .plain import plain_details

    document: dict[str, Any] = {
        "code": error.code,
        "reason": error.reason,
        "message": str(error),
        "request_id": error.request_id,
        "metadata": dict(error.metadata),
    }
    if error.raw is not None:
        document["details"] = plain_details(error.raw)
    return document
