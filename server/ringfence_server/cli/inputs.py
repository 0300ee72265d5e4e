"""What people type, as values. Everything here raises BadInput with what would have been right."""

from __future__ import annotations

import difflib
import enum
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, TypeVar

from .failures import BadInput

if TYPE_CHECKING:
    from ringfence import BalanceFilter, FreeLine, Line, Move, RollUp

E = TypeVar("E", bound=enum.StrEnum)

MAX_QUANTITY: Final = 10**12
ANYWHERE: Final = "-"
"""In place of a location: the line is sourced over the policy's location order."""

_SPAN: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|[dhms])")
_UNITS: Final = {
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
}
_WHOLE: Final = re.compile(r"[+-]?\d+")
_MOST_DIGITS: Final = 18


def whole_number(text: str, name: str) -> int:
    """An integer; no decimals, no thousands separators."""
    if not _WHOLE.fullmatch(text) or not text.isascii():
        raise BadInput(f"{name} is a whole number of base units, such as 12; got {text!r}")
    if len(text) > _MOST_DIGITS:
        raise BadInput(f"{name} is not beyond 10^12 base units; got {text}")
    return int(text)


def quantity(text: str, name: str = "a quantity") -> int:
    """Units of a command, 1 to 10^12."""
    units = whole_number(text, name)
    if not 1 <= units <= MAX_QUANTITY:
        raise BadInput(f"{name} is 1 to 10^12 base units; got {text}")
    return units


def page_size(limit: int, most: int = 1_000) -> int:
    """How many items to ask the service for at a time, where `limit` of them are shown; 0 is all."""
    return min(limit, most) if limit else most


def span(text: str, name: str, *, bare_seconds: bool = False) -> timedelta:
    """A span such as "15m", "1h30m" or "1.5s"; above zero. With `bare_seconds` a number alone is seconds."""
    stripped = text.strip().lower()
    if bare_seconds and re.fullmatch(r"\d+(\.\d+)?", stripped):
        stripped += "s"
    if not stripped or _SPAN.sub("", stripped):
        raise BadInput(f"{name} is a span with units, such as 90s, 15m, 1h30m or 2d; got {text!r}")
    try:
        found = sum((float(count) * _UNITS[unit] for count, unit in _SPAN.findall(stripped)), timedelta())
    except OverflowError:
        raise BadInput(f"{name}: {text!r} is longer than the calendar") from None
    if found <= timedelta(0):
        raise BadInput(f"{name} is above zero; got {text!r}")
    return found


def instant(text: str, name: str) -> datetime:
    """An instant in RFC 3339, with its zone."""
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise BadInput(f"{name} is an instant such as 2026-01-31T12:00:00Z; got {text!r}") from None
    if found.utcoffset() is None:
        raise BadInput(f"{name} needs a time zone: {text.strip()}Z, or +01:00 at its end; got {text!r}")
    return found


def past_instant(text: str, name: str) -> datetime:
    """An instant, or how long ago it was: "2h"."""
    if _SPAN.match(text.strip().lower()) and not _SPAN.sub("", text.strip().lower()):
        return datetime.now(UTC) - span(text, name)
    try:
        return instant(text, name)
    except BadInput as error:
        raise BadInput(f"{error}; or how long ago, such as 2h") from None


def choice(kind: type[E], text: str, name: str) -> E:
    """A member of an enumeration, by its value; "out-of-stock" is "out_of_stock"."""
    wanted = text.strip().lower().replace("-", "_")
    members = {str(member.value): member for member in kind if member.value != "unknown"}
    if wanted in members:
        return members[wanted]
    known = list(members)
    raise BadInput(f"{name} is one of {', '.join(known)}; got {text!r}{did_you_mean(wanted, known)}")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """; did you mean …? when something known is close."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def dimensions(pairs: Sequence[str]) -> dict[str, str]:
    """`name=value` pairs; an empty value means "does not apply"."""
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise BadInput(f"--dimension is NAME=VALUE, such as colour=red; got {pair!r}")
        if name in found:
            raise BadInput(f"--dimension {name} is given twice; a stock key has one value of each")
        found[name] = value
    return found


def lines(
    words: Sequence[str], *, path: str, fixed: Mapping[str, str], fallback: str = "", sourced: bool = False
) -> list[Line]:
    """SKU LOCATION QUANTITY, once or several times, all for one path; with `sourced` the location may be "-"."""
    from ringfence import Fallback, Line

    narrowed = choice(Fallback, fallback, "--fallback") if fallback else None
    return [
        Line(
            sku,
            "" if sourced and location == ANYWHERE else located(location),
            quantity(units),
            path=path,
            dimensions=fixed,
            fallback=narrowed,
        )
        for sku, location, units in _groups(words, ("SKU", "LOCATION", "QUANTITY"))
    ]


def free_lines(words: Sequence[str], *, path: str, fixed: Mapping[str, str]) -> list[FreeLine]:
    """SKU LOCATION, once or several times, all for one path."""
    from ringfence import FreeLine

    return [
        FreeLine(sku, located(location), path=path, dimensions=fixed)
        for sku, location in _groups(words, ("SKU", "LOCATION"))
    ]


def moves(words: Sequence[str], *, from_path: str, to_path: str, fixed: Mapping[str, str]) -> list[Move]:
    """SKU LOCATION QUANTITY, once or several times, all between the same two pools."""
    from ringfence import Move

    return [
        Move(sku, located(location), quantity(units), from_path=from_path, to_path=to_path, dimensions=fixed)
        for sku, location, units in _groups(words, ("SKU", "LOCATION", "QUANTITY"))
    ]


def located(location: str) -> str:
    """A location that has to be named."""
    if location == ANYWHERE:
        raise BadInput("name the LOCATION: only `reserve` and `consume --direct` find one for '-'")
    return location


def line_quantities(words: Sequence[str]) -> dict[str, int | None]:
    """`LINE` or `LINE=QUANTITY` by line_id; None is all that the line has."""
    found: dict[str, int | None] = {}
    for line_id, units in _by_line(words):
        found[line_id] = quantity(units, f"the quantity of line {line_id}") if units else None
    return found


def held_quantities(words: Sequence[str]) -> dict[str, int]:
    """`LINE=QUANTITY` by line_id: the whole quantity to be held, 0 to give it back."""
    found: dict[str, int] = {}
    for line_id, units in _by_line(words):
        if not units:
            raise BadInput(f"--line {line_id}: say the whole quantity to be held, --line {line_id}=QUANTITY")
        found[line_id] = 0 if units == "0" else quantity(units, f"the quantity of line {line_id}")
    return found


def roll_ups(words: Sequence[str]) -> list[RollUp]:
    """sku, location, group, level:N and dimension:NAME; several by comma or by giving the option again."""
    from ringfence import RollUp

    plain = {"sku": RollUp.sku, "location": RollUp.location, "group": RollUp.location_group}
    found = []
    for word in (part.strip() for text in words for part in text.split(",")):
        kind, colon, value = word.partition(":")
        if not colon and kind in plain:
            found.append(plain[kind]())
        elif kind == "level" and value in set("12345678"):
            found.append(RollUp.to_level(int(value)))
        elif kind == "dimension" and value:
            found.append(RollUp.by_dimension(value))
        else:
            raise BadInput(
                f"--rollup is sku, location, group, level:N (N from 1 to 8) or dimension:NAME; got {word!r}"
                f"{did_you_mean(kind, [*plain, 'level:1', 'dimension:'])}"
            )
    return found


def balance_filter(
    skus: Sequence[str],
    *,
    locations: Sequence[str],
    groups: Sequence[str],
    path: str | None,
    exact: bool,
    pairs: Sequence[str],
) -> BalanceFilter:
    """Which balances are meant; the path "" is the common pool alone."""
    from ringfence import BalanceFilter

    return BalanceFilter(
        skus=tuple(skus),
        locations=tuple(locations),
        location_groups=tuple(groups),
        path=path or "",
        exact_path=exact or path == "",
        dimensions=dimensions(pairs),
    )


def _groups(words: Sequence[str], names: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    size = len(names)
    if not words:
        raise BadInput(f"say what: {' '.join(names)}, once or several times")
    for start in range(0, len(words), size):
        group = tuple(words[start : start + size])
        if len(group) < size:
            raise BadInput(f"{' '.join(group)!r} lacks its {names[len(group)]}: every line is {' '.join(names)}")
        yield group


def _by_line(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    seen = set()
    for word in words:
        line_id, equals, units = word.rpartition("=")
        if not equals:
            line_id, units = word, ""
        if not line_id or (equals and not units):
            raise BadInput(f"--line is LINE or LINE=QUANTITY, such as 1 or 1=3; got {word!r}")
        if line_id in seen:
            raise BadInput(f"--line {line_id} is given twice")
        seen.add(line_id)
        yield line_id, units
