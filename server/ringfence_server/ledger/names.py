"""Names and limits: stock keys, group paths, quantities."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import Final, NamedTuple

MAX_QUANTITY: Final = 10**12
"""Largest quantity of a command, and largest absolute value of a measure, in base units."""
MAX_INT64: Final = 2**63 - 1
MAX_LINES: Final = 2_000
"""Lines of one request; the largest order of the data the service was tried on has 1,114."""
MAX_DEPTH: Final = 8
"""Levels of a group path."""
MAX_NAME: Final = 64
"""Characters of a location, a path segment, a dimension name or value, a line_id."""
MAX_SKU: Final = 128
MAX_LABEL: Final = 128
"""Characters of an owner label, an order reference, a document number."""
MAX_ATTRIBUTES: Final = 8_192
"""Bytes of the attributes that travel with a sale."""
MAX_SOURCED_LOCATIONS: Final = 100

COMMON: Final = ""
"""The empty path: the common pool, what is fenced for nobody."""


class StockKey(NamedTuple):
    """What is counted and locked."""

    organization: str
    sku: str
    location: str
    """Never empty in a key that is known."""
    dimensions: tuple[tuple[str, str], ...] = ()
    """``(name, value)`` sorted by name, without those whose value is empty: so a policy may add a dimension later."""


@lru_cache(maxsize=65_536)
def ancestors(path: str) -> tuple[str, ...]:
    """The path itself, each parent, and last the common pool: ``web/london`` → (``web/london``, ``web``, ````)."""
    chain = []
    while path:
        chain.append(path)
        path = path.rpartition("/")[0]
    chain.append(COMMON)
    return tuple(chain)


def depth(path: str) -> int:
    """Number of levels, 0 for the common pool."""
    return path.count("/") + 1 if path else 0


def is_within(path: str, top: str) -> bool:
    """Whether ``path`` is ``top`` or lies below it; everything lies below the empty path."""
    return not top or path == top or path.startswith(top + "/")


@lru_cache(maxsize=65_536)
def pool_id(path: str) -> int:
    """The 64-bit number that stands for a path in keys and ledger entries: 0 for the common pool, else a hash.

    Two paths of one stock key would have to collide in 64 bits to be confused; a loaded pool's text is compared all
    the same (``Stock.pool``).
    """
    if not path:
        return 0
    number = int.from_bytes(blake2b(path.encode(), digest_size=8).digest(), "big", signed=True)
    return number or 1
