"""What lists share: how many a page holds, the instants that bound a list, and stock keys in page tokens."""

from __future__ import annotations

import json
from typing import Any, Final

from ringfence_server.ledger.names import StockKey
from ringfence_server.ledger.outcomes import Violation
from ringfence_server.ledger.reading import KeyPosition

from . import forms
from .errors import Refused, invalid

USUAL_PAGE: Final = 100
LARGEST_PAGE: Final = 1_000


def page_size(asked: int, faults: list[Violation], *, most: int = LARGEST_PAGE) -> int:
    """How many a page may hold: 100 where nothing is asked, never more than ``most``."""
    if not 0 <= asked <= LARGEST_PAGE:
        faults.append(Violation("page_size", "OUT_OF_RANGE", f"1 to {LARGEST_PAGE:,}, or 0 for 100; got {asked:,}"))
    return min(asked or USUAL_PAGE, most)


def bound(request: Any, field: str, faults: list[Violation]) -> int | None:
    """An instant that bounds a list, microseconds since the epoch; None when it is not set."""
    return forms.instant(getattr(request, field), field, faults) if request.HasField(field) else None


def key_items(key: StockKey) -> tuple[str, str, str]:
    """A stock key as items of a page's position."""
    dimensions = json.dumps(key.dimensions, separators=(",", ":"), ensure_ascii=False) if key.dimensions else ""
    return key.sku, key.location, dimensions


def key_of_items(sku: str, location: str, dimensions: str) -> KeyPosition:
    """The reverse of ``key_items``.

    Raises:
        Refused: the token was made up.
    """
    try:
        pairs = tuple((str(name), str(value)) for name, value in json.loads(dimensions)) if dimensions else ()
    except (TypeError, ValueError):
        raise bad_page() from None
    return KeyPosition(sku, location, pairs)


def bad_page() -> Refused:
    """A page token that this service did not make."""
    return invalid("page_token", "BAD_TOKEN", "the next_page_token of the page before, unchanged")
