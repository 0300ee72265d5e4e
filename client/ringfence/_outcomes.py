"""What came of one of many commands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from ringfence._commands import Command
from ringfence._errors import RingfenceError

__all__ = ["CommandWithId", "Outcome"]

T_co = TypeVar("T_co", covariant=True)

CommandWithId: TypeAlias = "Command[Any] | tuple[str, Command[Any]]"
"""A command, or a request_id of the caller's and its command."""


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T_co]):
    """What came of one command of `execute_many`: a result or an error, never both."""

    command: Command[T_co]
    """The command."""
    request_id: str
    """The id it was sent with."""
    result: T_co | None
    """What came of it; None when it failed."""
    error: RingfenceError | None
    """Why it failed; None when it did not."""

    @property
    def ok(self) -> bool:
        """Whether there is a result."""
        return self.error is None

    def unwrap(self) -> T_co:
        """The result; raises the error when there is none."""
        if self.error is not None:
            raise self.error
        return self.result  # type: ignore[return-value]  # without an error there is a result


def split(command: CommandWithId) -> tuple[str | None, Command[Any]]:
    """The caller's request_id, if any, and the command."""
    return command if isinstance(command, tuple) else (None, command)
