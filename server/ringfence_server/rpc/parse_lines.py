"""Allocate, Unallocate, Reallocate and the lines of orders, as frozen commands.

These loops run for every line of every request, so what is right is seen by a comparison and a look-up; only what is
wrong pays for field paths and words.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from ringfence.v1 import allocation_service_pb2 as pb
from ringfence_server.ledger.commands import (
    Allocate,
    AllocationLine,
    Reallocate,
    ReallocationLine,
    ReserveLine,
    Unallocate,
    UnallocationLine,
)
from ringfence_server.ledger.names import COMMON, MAX_LINES, MAX_NAME, MAX_QUANTITY
from ringfence_server.ledger.outcomes import Violation
from ringfence_server.ledger.policy import Fallback

from . import forms
from .forms import group_path, line_count, named_once, quantity, stock_key
from .identity import Identity

_FALLBACKS: dict[int, Fallback | None] = {0: None, 1: Fallback.NONE, 2: Fallback.ANCESTORS}
_NUMBERS = tuple(str(number) for number in range(1, MAX_LINES + 1))
"""What lines without a line_id are called."""

_Name: TypeAlias = tuple[str, int, bytes]
"""The organization, the line's place in its request, and its message."""
_MOST_REMEMBERED: Final = 16_384
_LONGEST_REMEMBERED: Final = 256
"""Bytes: so all of them take less than 10 MB."""
_right: dict[_Name, ReserveLine] = {}
"""Lines that were found to be right. A flash sale asks for the same unit of the same key again and again, and finding
that out anew was a tenth of what a command costs the event loop, on which alone lines are parsed."""


def allocate(request: pb.AllocateRequest, identity: Identity, faults: list[Violation]) -> Allocate:
    """An Allocate."""
    lines: list[AllocationLine] = []
    if line_count(len(request.lines), "lines", faults):
        organization = identity.organization
        for number, line in enumerate(request.lines):
            path, units = line.path, line.quantity
            field = f"lines[{number}]"
            key = stock_key(line.key, organization, f"{field}.key", faults)
            if not path or forms.path_fault(path):
                group_path(path, f"{field}.path", faults, required=True)
            if not 1 <= units <= MAX_QUANTITY:
                quantity(units, f"{field}.quantity", faults)
            lines.append(AllocationLine(key, path, units))
    return Allocate(tuple(lines))


def unallocate(request: pb.UnallocateRequest, identity: Identity, faults: list[Violation]) -> Unallocate:
    """An Unallocate."""
    lines: list[UnallocationLine] = []
    if line_count(len(request.lines), "lines", faults):
        for number, line in enumerate(request.lines):
            field = f"lines[{number}]"
            units: int | None = None
            match line.WhichOneof("amount"):
                case "quantity":
                    units = quantity(line.quantity, f"{field}.quantity", faults)
                case "all_free" if line.all_free:
                    pass
                case _:
                    text = "a quantity, or all_free set to true"
                    faults.append(Violation(f"{field}.amount", "REQUIRED", text))
            lines.append(
                UnallocationLine(
                    stock_key(line.key, identity.organization, f"{field}.key", faults),
                    group_path(line.path, f"{field}.path", faults, required=True),
                    units,
                )
            )
    return Unallocate(tuple(lines))


def reallocate(request: pb.ReallocateRequest, identity: Identity, faults: list[Violation]) -> Reallocate:
    """A Reallocate."""
    lines: list[ReallocationLine] = []
    if line_count(len(request.lines), "lines", faults):
        for number, line in enumerate(request.lines):
            field = f"lines[{number}]"
            from_path = group_path(line.from_path, f"{field}.from_path", faults)
            to_path = group_path(line.to_path, f"{field}.to_path", faults)
            if from_path == to_path:
                pool = f"path {from_path!r}" if from_path else "the common pool"
                text = f"another pool than from_path names: both are {pool}"
                faults.append(Violation(f"{field}.to_path", "SAME_POOL", text))
            lines.append(
                ReallocationLine(
                    stock_key(line.key, identity.organization, f"{field}.key", faults),
                    from_path,
                    to_path,
                    quantity(line.quantity, f"{field}.quantity", faults),
                )
            )
    return Reallocate(tuple(lines))


def reserve_lines(lines: Any, organization: str, field: str, faults: list[Violation]) -> tuple[ReserveLine, ...]:
    """Lines of an order; ``field`` is where they stand in the request."""
    count = len(lines)
    if not line_count(count, field, faults):
        return ()
    parsed: list[ReserveLine] = []
    # A list of them: an iteration over the field itself ends with an exception, which costs as much as a line.
    for number, line in enumerate(lines[:]):
        name = (organization, number, line.SerializeToString())
        known = _right.get(name)
        if known is None:
            known = _reserve_line(line, number, organization, field, faults)
            if not faults:
                _remember(name, known)
        parsed.append(known)
    if count > 1 and len({line.line_id for line in parsed}) < count:
        seen: dict[str, int] = {}
        for number, reserve_line in enumerate(parsed):
            named_once(reserve_line.line_id, number, seen, field, faults)
    return tuple(parsed)


def _reserve_line(line: Any, number: int, organization: str, field: str, faults: list[Violation]) -> ReserveLine:
    key_message, path, units = line.key, line.path, line.quantity
    key = None
    if not key_message.dimensions:
        key = forms.plain_key(organization, key_message.sku, key_message.location)
    if key is None:
        key = stock_key(key_message, organization, f"{field}[{number}].key", faults, located=False)
    line_id = line.line_id
    if not line_id:
        line_id = _NUMBERS[number]
    elif len(line_id) > MAX_NAME or not line_id.isprintable():
        forms.name(line_id, f"{field}[{number}].line_id", faults)
    if path != COMMON and forms.path_fault(path):
        group_path(path, f"{field}[{number}].path", faults)
    if not 1 <= units <= MAX_QUANTITY:
        quantity(units, f"{field}[{number}].quantity", faults)
    fallback = line.fallback
    if fallback not in _FALLBACKS:
        forms.member(Fallback, fallback, f"{field}[{number}].fallback", faults)
    return ReserveLine(line_id, key, path, units, _FALLBACKS.get(fallback))


def _remember(name: _Name, line: ReserveLine) -> None:
    if len(name[2]) <= _LONGEST_REMEMBERED:
        if len(_right) >= _MOST_REMEMBERED:
            _right.clear()
        _right[name] = line
