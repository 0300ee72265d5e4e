"""A request made ready to be sent: its RPC, its message, and how its answer is read. Commands and reads alike become
one of these, so that everything that sends knows nothing of what it sends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

from ringfence import _build, _commands, _parse_results, _rpcs
from ringfence._rpcs import Rpc
from ringfence.v1 import allocation_service_pb2 as allocation_pb2
from ringfence.v1 import stock_service_pb2

T = TypeVar("T")

_MOST_SHOWN = 400
"""Characters of a command that an error about it shows."""


class Call(NamedTuple, Generic[T]):
    """One request."""

    rpc: Rpc
    """What is called."""
    message: Any
    """The request; a retry sends the very same."""
    parse: Callable[[Any], T]
    """Reads the answer."""
    request_id: str = ""
    """The id of a mutating request."""


class CommandKind(NamedTuple):
    """How one kind of command goes over the wire."""

    rpc: Rpc
    """The RPC of its own."""
    field: str
    """Its field in an Execute stream's Command, and its answer's field in Outcome."""
    fill: Callable[[Any, Any, str], None]
    """Writes the request: message, command, request_id."""
    parse: Callable[[Any, str], Any]
    """Reads the answer: message, request_id."""


_KINDS: dict[type, CommandKind] = {
    _commands.Allocate: CommandKind(_rpcs.ALLOCATE, "allocate", _build.allocate, _parse_results.allocate),
    _commands.Unallocate: CommandKind(_rpcs.UNALLOCATE, "unallocate", _build.unallocate, _parse_results.unallocate),
    _commands.Reallocate: CommandKind(_rpcs.REALLOCATE, "reallocate", _build.reallocate, _parse_results.reallocate),
    _commands.Reserve: CommandKind(_rpcs.RESERVE, "reserve", _build.reserve, _parse_results.reserve),
    _commands.UpdateReservation: CommandKind(
        _rpcs.UPDATE_RESERVATION, "update_reservation", _build.update_reservation, _parse_results.update_reservation
    ),
    _commands.Consume: CommandKind(_rpcs.CONSUME, "consume", _build.consume, _parse_results.consume),
    _commands.ConsumeDirectly: CommandKind(_rpcs.CONSUME, "consume", _build.consume_directly, _parse_results.consume),
    _commands.Cancel: CommandKind(_rpcs.CANCEL, "cancel", _build.cancel, _parse_results.cancel),
    _commands.ReassignPart: CommandKind(
        _rpcs.REASSIGN_PART, "reassign_part", _build.reassign_part, _parse_results.reassign_part
    ),
    _commands.PostStock: CommandKind(_rpcs.POST_STOCK, "post_stock", _build.post_stock, _parse_results.post_stock),
}


def kind_of(command: _commands.Command[Any]) -> CommandKind:
    """How a command goes over the wire; TypeError when it is none."""
    try:
        return _KINDS[type(command)]
    except KeyError:
        raise TypeError(f"not a command: {command!r}") from None


def _fill(kind: CommandKind, message: Any, command: _commands.Command[Any], request_id: str) -> None:
    """Writes a command. What Python or protobuf says of a value of the wrong type names neither it nor its place:
    here the command stands beside.

    Raises TypeError or ValueError.
    """
    try:
        kind.fill(message, command, request_id)
    except (TypeError, AttributeError, ValueError) as error:
        if isinstance(error, ValueError) and not isinstance(error, UnicodeError) and not _is_beyond_field(error):
            # Said by this client itself, about a field by its name.
            raise
        shown = repr(command)
        shown = shown if len(shown) <= _MOST_SHOWN else f"{shown[:_MOST_SHOWN]}…"
        said = f"{error} in {shown} with request_id={request_id!r}"
        raise (ValueError if isinstance(error, ValueError) else TypeError)(said) from error


def _is_beyond_field(error: ValueError) -> bool:
    """Whether protobuf says so of a number of more bits than its field has: 64, or 32."""
    return str(error).startswith("Value out of range")


def command_call(command: _commands.Command[T], request_id: str) -> Call[T]:
    """A command as a call of its own."""
    kind = kind_of(command)
    message = kind.rpc.request()
    _fill(kind, message, command, request_id)
    return Call(kind.rpc, message, lambda answer: kind.parse(answer, request_id), request_id)


class StreamKind(NamedTuple):
    """How commands travel over a stream both ways that answers each by its request_id."""

    rpc: Rpc
    """What is called; its answers have `outcomes`."""
    field: str
    """The request's field that holds the commands."""
    write: Callable[[_commands.Command[Any], str], tuple[CommandKind, Any]]
    """A command and its request_id as an element of that field; TypeError when it does not travel here."""


def execute_command(command: _commands.Command[Any], request_id: str) -> tuple[CommandKind, allocation_pb2.Command]:
    """A command as one of an Execute stream."""
    kind = kind_of(command)
    message = allocation_pb2.Command()
    _fill(kind, getattr(message, kind.field), command, request_id)
    return kind, message


def sync_post(
    command: _commands.Command[Any], request_id: str
) -> tuple[CommandKind, stock_service_pb2.PostStockRequest]:
    """A PostStock as one of a SyncStock stream."""
    if not isinstance(command, _commands.PostStock):
        raise TypeError(f"SyncStock takes PostStock alone, not {command!r}")
    kind = kind_of(command)
    message = stock_service_pb2.PostStockRequest()
    _fill(kind, message, command, request_id)
    return kind, message


EXECUTE = StreamKind(_rpcs.EXECUTE, "commands", execute_command)
"""Commands of any kind."""
SYNC_STOCK = StreamKind(_rpcs.SYNC_STOCK, "posts", sync_post)
"""Facts: PostStock alone."""
