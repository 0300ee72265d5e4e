"""What rows of a till's queries mean. Pure: mappings in, values out; AdapterError names the column, and says what would
be right."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ringfence.adapters._types import AdapterError, Answer, Cancelled, NotCancelled, Received, Rejected

_LINE = "channel line_id sku location closed reject_reason position epoch".split()
_COLUMNS = {
    "figures": (["sku", "quantity"], ["sku", "quantity", "location"]),
    "bookings": (["order_reference", "quantity"], ["order_reference", "quantity", *_LINE]),
    "read": ([], ["position", "epoch", "count_time", "full_count"]),
    "answers": (["event_id", "answer"], ["event_id", "answer", "document_number", "reason"]),
}
"""By query: the columns it has to give, and those it may."""
_YES, _NO = {"1", "true", "yes", "y"}, {"", "0", "false", "no", "n"}
_ANSWERS = "received, rejected, cancelled, not cancelled"


def check_columns(name: str, columns: Sequence[str]) -> None:
    """A column that nobody reads is a mistyped one, and what it was to say would never be heard."""
    needed, known = _COLUMNS[name]
    for column in columns:
        if column not in known and not (column.startswith("dimension:") and name in {"figures", "bookings"}):
            close = difflib.get_close_matches(column.lower(), known, n=1)
            hint = f"; do you mean {close[0]!r}?" if close else "."
            raise AdapterError(f"the query {name} gives a column {column!r}{hint} It may give {', '.join(known)}")
    if missing := [column for column in needed if column not in columns]:
        text = f"the query {name} gives no column {' and none '.join(missing)}, but {', '.join(columns)}"
        raise AdapterError(f"{text}: name columns with AS")


def head_of(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The one row of the read itself."""
    if len(rows) != 1:
        raise AdapterError(f"the query read gives {len(rows)} rows: one is needed, of an empty journal too")
    (row,) = rows
    if "position" in row and (row["position"] is None or whole_of(row, "position") < 1):
        # Not the runner's own number in its place: the journal's would begin below it.
        text = "count from 1, such as coalesce(max(id), 0) + 1 here and id + 1 in bookings"
        raise AdapterError(f"the query read gives no position above 0, as of an empty journal: {text}")
    return row


def flag_of(row: Mapping[str, Any], name: str) -> bool:
    """Yes or no; no when it is empty. A text is read, never taken for yes because it is there."""
    value = row.get(name)
    word = "" if value is None else str(value).strip().lower()
    if word not in _YES | _NO:
        raise AdapterError(f"{name} is yes or no (1 or 0, true or false), not {value!r}: {dict(row)}")
    return word in _YES


def text_of(row: Mapping[str, Any], name: str, *, needed: bool | None = None) -> str:
    """A column as text without blanks at its ends; by default needed but for `location`."""
    value = row.get(name)
    text = "" if value is None else str(value).strip()
    if not text and (needed or (needed is None and name not in {"location"})):
        raise AdapterError(f"a row without {name}: {dict(row)}")
    return text


def whole_of(row: Mapping[str, Any], name: str) -> int:
    """A whole number; a decimal without a fraction is one."""
    value = row.get(name)
    try:
        whole = int(value)  # type: ignore[arg-type]  # what is no number is told below
        if not isinstance(value, bool) and (whole == value or str(whole) == str(value).strip()):
            return whole
    except (TypeError, ValueError, OverflowError):
        pass
    raise AdapterError(f"{name} is a whole number in the item's base unit, not {value!r}: {dict(row)}")


def instant_of(row: Mapping[str, Any]) -> datetime | None:
    """The column `count_time`; UTC where it names no time zone."""
    value = row.get("count_time")
    if value is None:
        return None
    try:
        found = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        text = "a time, such as 2026-01-31T18:00:00+01:00; without a time zone it is UTC"
        raise AdapterError(f"count_time is {text}, not {value!r}") from None
    return found if found.utcoffset() is not None else found.replace(tzinfo=UTC)


def dimensions_of(row: Mapping[str, Any]) -> dict[str, str]:
    """The columns `dimension:NAME`."""
    return {
        name.removeprefix("dimension:"): "" if value is None else str(value)
        for name, value in row.items()
        if name.startswith("dimension:")
    }


def answer_of(row: Mapping[str, Any]) -> Answer:
    """What the till says to an event."""
    word = text_of(row, "answer")
    reason = text_of(row, "reason", needed=False) or "no reason given"
    said: Received | Rejected | Cancelled | NotCancelled
    match word:
        case "received":
            said = Received(text_of(row, "document_number", needed=False))
        case "rejected":
            said = Rejected(reason)
        case "cancelled":
            said = Cancelled()
        case "not cancelled":
            said = NotCancelled(reason)
        case _:
            raise AdapterError(f"answer is one of {_ANSWERS}, not {word!r}: {dict(row)}")
    return Answer(text_of(row, "event_id"), said)
