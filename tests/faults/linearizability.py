"""Whether what clients saw can be put into one order: the check of Wing and Gong, with Lowe's memory of what was tried.

A history is linearizable when every operation can be thought to happen at one instant between being asked and being
answered, so that one after the other they give the answers that were given. What never was answered may have happened
at any instant after it was asked, or not at all. Operations on different keys need no common order: histories are
judged one key at a time, which is what makes this affordable.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

State = TypeVar("State", bound=Hashable)
Asked = TypeVar("Asked")
Answered = TypeVar("Answered")

_MOST_STEPS = 2_000_000


@dataclass(frozen=True)
class Operation(Generic[Asked, Answered]):
    """One operation as its client saw it, by one clock for all clients."""

    asked: Asked
    answered: Answered | None
    """None: nobody knows what came of it."""
    start: float
    """When it was asked, in seconds."""
    end: float = math.inf
    """When its answer was there; infinite without one."""


@dataclass(frozen=True)
class Verdict:
    """What was found."""

    linearizable: bool
    explanation: str = ""
    """Where no order could be found: how far the longest attempt came, and what could not follow it."""


class TooHard(Exception):
    """The history has too much at once to be judged."""


def judge(
    history: Sequence[Operation[Asked, Answered]],
    initial: State,
    step: Callable[[State, Asked, Answered | None], State | None],
) -> Verdict:
    """Judges the history of one key.

    ``step`` gives the state after an operation, or None where the state does not allow that answer; with no answer it
    gives the state after the effect that the operation would have had.

    Raises:
        TooHard: after two million attempts.
    """
    order = sorted(range(len(history)), key=lambda index: history[index].start)
    operations = [history[index] for index in order]
    must = sum(1 << index for index, each in enumerate(operations) if each.answered is not None)
    seen: set[tuple[int, State]] = {(0, initial)}
    stack: list[tuple[int, int, State]] = [(0, 0, initial)]
    longest, longest_state = 0, initial
    steps = 0
    while stack:
        done, low, state = stack.pop()
        if done & must == must:
            return Verdict(True)
        if (done & must).bit_count() > (longest & must).bit_count():
            longest, longest_state = done, state
        while done >> low & 1:
            low += 1
        # Later ones first onto the stack, so that the one that was answered first is tried first.
        for index in sorted(_next(operations, done, low), key=lambda each: operations[each].end, reverse=True):
            steps += 1
            if steps > _MOST_STEPS:
                raise TooHard(f"{len(operations)} operations, too many of them at once")
            operation = operations[index]
            after = step(state, operation.asked, operation.answered)
            if after is None:
                continue
            reached = (done | 1 << index, after)
            if reached not in seen:
                seen.add(reached)
                stack.append((reached[0], low, after))
    left = [operations[index] for index in _next(operations, longest, 0)]
    return Verdict(
        False,
        f"{(longest & must).bit_count()} of {must.bit_count()} operations can be put in order, up to {longest_state}; "
        f"then none of these can follow: {left}",
    )


def _next(operations: Sequence[Operation[Asked, Answered]], done: int, low: int) -> list[int]:
    """Those that may come next: asked before any other that is left was answered."""
    found: list[int] = []
    first_end = math.inf
    for index in range(low, len(operations)):
        operation = operations[index]
        if operation.start > first_end:
            break
        if not done >> index & 1:
            found.append(index)
            first_end = min(first_end, operation.end)
    return [index for index in found if operations[index].start <= first_end]
