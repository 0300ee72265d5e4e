"""Rules of form that every request shares. What needs the policy is judged in the ledger.

Each function takes the list of faults found so far and adds to it what is wrong; what it then returns is of no use, for
a request with faults never becomes a command. A request that is right costs look-ups in bounded caches and no list.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import IntEnum
from functools import lru_cache
from typing import Any, Final, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

from ringfence_server.ledger.commands import LineQuantity
from ringfence_server.ledger.names import (
    COMMON,
    MAX_DEPTH,
    MAX_LABEL,
    MAX_LINES,
    MAX_NAME,
    MAX_QUANTITY,
    MAX_SKU,
    StockKey,
)
from ringfence_server.ledger.outcomes import Violation

from .times import instant_of

EnumType = TypeVar("EnumType", bound=IntEnum)

MOST_DIMENSIONS: Final = 8
NO_ID: Final = b""
_MOST_MEMBERS: Final = 100
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_CONTROL_BUT_BREAKS: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_QUANTITY_TEXT: Final = "1 to 10^12 base units"


def request_id(text: str, faults: list[Violation]) -> bytes:
    """The 16 bytes of a request's id."""
    identifier = _uuid(text)
    if identifier is None or not any(identifier):
        # The nil UUID is what a client sends that forgot to make one: every request would be the same.
        what = "a UUID that the caller makes for this request, best a UUIDv7, as 8-4-4-4-12 hexadecimal digits"
        if identifier is not None:
            what += ", not the nil UUID"
        faults.append(Violation("request_id", "REQUIRED" if not text else "BAD_UUID", f"{what}{got(text)}"))
        return NO_ID
    return identifier


def reservation_id(
    text: str, field: str, faults: list[Violation], what: str = "the reservation_id that Reserve answered"
) -> bytes:
    """The 16 bytes of the id of a reservation, or of what else the service made: ``what`` says where it was told."""
    identifier = _uuid(text)
    if identifier is None:
        faults.append(Violation(field, "REQUIRED" if not text else "BAD_UUID", f"{what}{got(text)}"))
        return NO_ID
    return identifier


def line_count(
    count: int, field: str, faults: list[Violation], *, at_least: int = 1, lacking: str = f"1 to {MAX_LINES:,} of them"
) -> bool:
    """Whether a request has as many lines as it may; ``lacking`` says what one without any needs."""
    if at_least <= count <= MAX_LINES:
        return True
    if count:
        faults.append(Violation(field, "TOO_MANY", f"at most {MAX_LINES:,} a request; got {count:,}: send several"))
    else:
        faults.append(Violation(field, "REQUIRED", lacking))
    return False


def quantity(value: int, field: str, faults: list[Violation]) -> int:
    """Units of a line."""
    if not 1 <= value <= MAX_QUANTITY:
        faults.append(Violation(field, "OUT_OF_RANGE", f"{_QUANTITY_TEXT}; got {value:,}"))
    return value


def number(value: int, least: int, most: int, range_text: str, field: str, faults: list[Violation]) -> int:
    """A number of a range that ``range_text`` names: "1 to 2^63-1"."""
    if not least <= value <= most:
        faults.append(Violation(field, "OUT_OF_RANGE", f"{range_text}; got {value:,}"))
    return value


def amount(value: int, field: str, faults: list[Violation]) -> int:
    """A measure's value or a difference of it."""
    if abs(value) > MAX_QUANTITY:
        faults.append(Violation(field, "OUT_OF_RANGE", f"-10^12 to 10^12 base units; got {value:,}"))
    return value


def stock_key(key: Any, organization: str, field: str, faults: list[Violation], *, located: bool = True) -> StockKey:
    """A stock key; without ``located`` its location may be empty."""
    sku, location, dimensions = key.sku, key.location, key.dimensions
    if not dimensions:
        found = plain_key(organization, sku, location)
        if found is not None and (location or not located):
            return found
    return _key_with_faults(organization, sku, location, dict(dimensions), field, faults, located)


def group_path(path: str, field: str, faults: list[Violation], *, required: bool = False) -> str:
    """A group path; the empty one, the common pool, where it may be."""
    if path == COMMON:
        if required:
            text = f"a group path such as 'web/london': 1 to {MAX_DEPTH} levels; what is fenced for nobody needs none"
            faults.append(Violation(field, "REQUIRED", text))
        return path
    fault = path_fault(path)
    if fault:
        faults.append(Violation(field, "BAD_PATH", fault))
    return path


def name(text: str, field: str, faults: list[Violation], *, required: bool = True) -> str:
    """A location, measure, source or line_id."""
    if not text:
        if required:
            faults.append(Violation(field, "REQUIRED", f"1 to {MAX_NAME} characters without control characters"))
    elif len(text) > MAX_NAME or not is_clean(text):
        what = f"1 to {MAX_NAME} characters without control characters"
        faults.append(Violation(field, "BAD_NAME", f"{what}{got(text)}"))
    return text


def sku(text: str, field: str, faults: list[Violation]) -> str:
    """A SKU that a list is narrowed to; empty is every one."""
    if len(text) > MAX_SKU or not is_clean(text):
        what = f"0 to {MAX_SKU} characters without control characters"
        faults.append(Violation(field, "BAD_NAME", f"{what}{got(text)}"))
    return text


def label(text: str, field: str, faults: list[Violation], *, required: bool = False) -> str:
    """An owner, an order reference or a document number."""
    if required and not text:
        faults.append(Violation(field, "REQUIRED", f"1 to {MAX_LABEL} characters without control characters"))
    elif text and (len(text) > MAX_LABEL or not is_clean(text)):
        what = f"0 to {MAX_LABEL} characters without control characters"
        faults.append(Violation(field, "TOO_LONG" if len(text) > MAX_LABEL else "BAD_TEXT", f"{what}{got(text)}"))
    return text


def free_text(text: str, most: int, field: str, faults: list[Violation], *, required: bool = False) -> str:
    """Words for people; may have several lines."""
    if required and not text:
        faults.append(Violation(field, "REQUIRED", f"1 to {most} characters that tell a person why"))
    elif len(text) > most:
        faults.append(Violation(field, "TOO_LONG", f"at most {most} characters; got {len(text)}"))
    elif _CONTROL_BUT_BREAKS.search(text):
        faults.append(Violation(field, "BAD_TEXT", "no control characters but line breaks and tabs"))
    return text


def instant(timestamp: Timestamp, field: str, faults: list[Violation]) -> int:
    """Microseconds since the epoch."""
    found = instant_of(timestamp)
    if found is None:
        text = "an instant of the years 1 to 9999, nanos from 0 to 999,999,999"
        faults.append(Violation(field, "BAD_TIMESTAMP", text))
        return 0
    return found


def member(
    kind: type[EnumType], number: int, field: str, faults: list[Violation], *, unset: EnumType | None = None
) -> EnumType | None:
    """A value of an enum; 0 is ``unset``. Numbers of a newer contract are refused, not guessed at."""
    if not number:
        return unset
    try:
        return kind(number)
    except ValueError:
        known = ", ".join(f"{value.name} ({value.value})" for value in kind if value.value)
        faults.append(Violation(field, "UNKNOWN_VALUE", f"one of {known}; got {number}"))
        return unset


def members(kind: type[EnumType], numbers: Sequence[int], field: str, faults: list[Violation]) -> frozenset[EnumType]:
    """The values of an enum that a filter names, at most 100; none of them is no filter."""
    if len(numbers) > _MOST_MEMBERS:
        faults.append(Violation(field, "TOO_MANY", f"at most {_MOST_MEMBERS}; got {len(numbers)}"))
        return frozenset()
    found: set[EnumType] = set()
    for place, number in enumerate(numbers):
        one = member(kind, number, f"{field}[{place}]", faults)
        if one is not None:
            found.add(one)
        elif not number:
            faults.append(Violation(f"{field}[{place}]", "REQUIRED", f"a value; leave {field} empty for all"))
    return frozenset(found)


def line_quantities(lines: Any, faults: list[Violation], *, zero_is_all: bool) -> tuple[LineQuantity, ...]:
    """Quantities of a reservation's lines, each line at most once; 0 is all that a line has, or really zero."""
    if not line_count(len(lines), "lines", faults, at_least=0):
        return ()
    wanted: list[LineQuantity] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(lines):
        line_id = name(line.line_id, f"lines[{number}].line_id", faults)
        units = line.quantity
        if not 0 <= units <= MAX_QUANTITY:
            zero = "or 0 for all that the line has" if zero_is_all else "or 0 to give its hold back"
            text = f"{_QUANTITY_TEXT}, {zero}; got {units:,}"
            faults.append(Violation(f"lines[{number}].quantity", "OUT_OF_RANGE", text))
        named_once(line_id, number, seen, "lines", faults)
        wanted.append(LineQuantity(line_id, units))
    return tuple(wanted)


def named_once(line_id: str, number: int, seen: dict[str, int], field: str, faults: list[Violation]) -> None:
    """A line_id stands once in a request."""
    first = seen.setdefault(line_id, number)
    if first != number and line_id:
        text = f"a name of its own: {line_id!r} is {field}[{first}] already (an empty line_id is the line's number)"
        faults.append(Violation(f"{field}[{number}].line_id", "NAMED_TWICE", text))


@lru_cache(maxsize=65_536)
def path_fault(path: str) -> str:
    """Why a path is none, whatever the policy says; empty when it is one."""
    segments = path.split("/")
    if len(segments) > MAX_DEPTH:
        return f"at most {MAX_DEPTH} levels; got {len(segments)}"
    for segment in segments:
        if not 1 <= len(segment) <= MAX_NAME or not is_clean(segment):
            return (
                f"levels of 1 to {MAX_NAME} characters without control characters, joined by '/', none left out"
                f"{got(path)}"
            )
    return ""


@lru_cache(maxsize=65_536)
def plain_key(organization: str, sku: str, location: str) -> StockKey | None:
    """A key without dimensions, or None when something is wrong with it."""
    if not 1 <= len(sku) <= MAX_SKU or len(location) > MAX_NAME or not (is_clean(sku) and is_clean(location)):
        return None
    return StockKey(organization, sku, location)


def _key_with_faults(
    organization: str,
    sku: str,
    location: str,
    dimensions: Mapping[str, str],
    field: str,
    faults: list[Violation],
    located: bool,
) -> StockKey:
    if not 1 <= len(sku) <= MAX_SKU or not is_clean(sku):
        text = f"1 to {MAX_SKU} characters without control characters{got(sku) if sku else ''}"
        faults.append(Violation(f"{field}.sku", "BAD_NAME" if sku else "REQUIRED", text))
    if located or location:
        name(location, f"{field}.location", faults)
    if len(dimensions) > MOST_DIMENSIONS:
        text = f"at most {MOST_DIMENSIONS} dimensions; got {len(dimensions)}"
        faults.append(Violation(f"{field}.dimensions", "TOO_MANY", text))
    for dimension, value in sorted(dimensions.items())[: MOST_DIMENSIONS + 1]:
        if not 1 <= len(dimension) <= MAX_NAME or not is_clean(dimension):
            text = f"names of 1 to {MAX_NAME} characters without control characters{got(dimension)}"
            faults.append(Violation(f"{field}.dimensions", "BAD_NAME", text))
        if len(value) > MAX_NAME or not is_clean(value):
            text = f"values of 0 to {MAX_NAME} characters without control characters{got(value)}"
            faults.append(Violation(f"{field}.dimensions", "BAD_NAME", text))
    # A value that does not apply is left out, so that a policy may add a dimension later.
    return StockKey(organization, sku, location, tuple(sorted(item for item in dimensions.items() if item[1])))


def _uuid(text: str) -> bytes | None:
    # The places 8, 13, 18 and 23.
    if len(text) != 36 or text[8:24:5] != "----":
        return None
    try:
        # fromhex skips blanks: then there are fewer than 16 bytes.
        identifier = bytes.fromhex(text.replace("-", ""))
    except ValueError:
        return None
    return identifier if len(identifier) == 16 else None


@lru_cache(maxsize=1_024)
def is_name(text: str) -> bool:
    """Whether ``name`` takes it: for names that come again and again."""
    return 1 <= len(text) <= MAX_NAME and is_clean(text)


def is_clean(text: str) -> bool:
    """Whether a name or a label has no control characters."""
    return text.isprintable() or not _CONTROL.search(text)


def got(text: str) -> str:
    """What was given, short enough for a description; nothing when nothing was."""
    if not text:
        return ""
    return f"; got {text!r}" if len(text) <= 80 else f"; got {text[:60]!r}… of {len(text)} characters"
