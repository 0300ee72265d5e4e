"""Which state: one number per slot of the store, for group commits of different slots are in no order of their own.

A revision rises with every group commit of its slot. A store with one slot (SQLite) has one number.
"""

from __future__ import annotations

from typing import TypeAlias

Revisions: TypeAlias = tuple[int, ...]
"""By slot: the newest group commit; 0, and whatever lies beyond the end: none."""

NONE: Revisions = ()


def revisions_in(slots: int, revision: int) -> Revisions:
    """The state after one group commit: ``slots`` has a bit for each slot that it wrote."""
    if slots == 1:
        return (revision,)
    return tuple([revision if slots >> slot & 1 else 0 for slot in range(slots.bit_length())])


def revisions_of_slot(slot: int, revision: int) -> Revisions:
    """The state after one group commit of one slot."""
    return (0,) * slot + (revision,)


def contains(state: Revisions, wanted: Revisions) -> bool:
    """Whether a state holds every group commit of another."""
    if len(wanted) == len(state) == 1:
        return state[0] >= wanted[0]
    if len(wanted) > len(state):
        return not any(wanted[len(state) :]) and contains(state, wanted[: len(state)])
    return all([have >= want for have, want in zip(state, wanted, strict=False)])


def joined(one: Revisions, other: Revisions) -> Revisions:
    """The least state that contains both."""
    if len(one) == len(other) == 1:
        return max(one, other)
    if len(one) < len(other):
        one, other = other, one
    return tuple([max(mine, theirs) for mine, theirs in zip(one, other, strict=False)]) + one[len(other) :]
