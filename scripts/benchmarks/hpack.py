"""Header compression (RFC 7541) as far as a load generator needs it: request headers out, `grpc-status` in.

Outgoing blocks are encoded once. Incoming ones are walked only where they are new: a server answers call after call
with the same few bytes, and what they mean changes only when an entry enters the dynamic table.
"""

from __future__ import annotations

_STATIC = 61
_TABLE_BYTES = 4_096
_ENTRY_BYTES = 32
_STATUS = b"grpc-status"
_NO_STATUS = -1
_CACHED_BLOCKS = 256
_CACHED_BYTES = 64


class HeaderFailure(ConnectionError):
    """A header block that this reader cannot follow: from then on it would misread every later one."""


class RequestHeaders:
    """The request headers of one method.

    `first` puts the fields into the peer's dynamic table, `later` refers to them: what a grown-up client sends too, so
    the server's work per call is the same. Where the peer's table is too small, both are literals without indexing.
    """

    def __init__(self, method: str, authority: str, metadata: dict[str, str], table_size: int) -> None:
        named = [(4, method), (1, authority), (31, "application/grpc"), (58, "ringfence-bench/1")]
        others = {"te": "trailers", **metadata}
        # POST and http stand in the static table.
        pseudo = b"\x83\x86"
        incremental = [bytes((0x40 | index,)) + _string(value.encode()) for index, value in named]
        incremental += [b"\x40" + _string(name.encode()) + _string(value.encode()) for name, value in others.items()]
        # 16 bytes more bound the names that stand in the static table.
        if sum(len(entry) + 16 + _ENTRY_BYTES for entry in incremental) <= table_size:
            self.first = pseudo + b"".join(incremental)
            newest = _STATIC + 1
            self.later = pseudo + bytes(0x80 | (newest + back) for back in reversed(range(len(incremental))))
        else:
            literal = [_literal_index(index) + _string(value.encode()) for index, value in named]
            literal += [b"\x00" + _string(name.encode()) + _string(value.encode()) for name, value in others.items()]
            self.first = self.later = pseudo + b"".join(literal)


def _string(text: bytes) -> bytes:
    if len(text) >= 127:
        raise ValueError(f"header text of {len(text)} bytes: at most 126 are encoded here")
    return bytes((len(text),)) + text


def _literal_index(index: int) -> bytes:
    return bytes((index,)) if index < 15 else bytes((15, index - 15))


class StatusReader:
    """Finds `grpc-status` in the header blocks of one connection. It must see all of them, in their order."""

    def __init__(self) -> None:
        # Newest first: whether the name is grpc-status, and the value where it is.
        self._table: list[tuple[bool, bytes]] = []
        self._table_bytes = 0
        self._known: dict[bytes, int] = {}

    def status(self, block: bytes) -> int:
        """The block's grpc-status, or -1 where it has none. Raises HeaderFailure."""
        known = self._known.get(block)
        if known is not None:
            return known
        entries = len(self._table)
        status = self._walk(block)
        if len(self._table) != entries:
            self._known.clear()
        elif len(block) <= _CACHED_BYTES and len(self._known) < _CACHED_BLOCKS:
            self._known[block] = status
        return status

    def _walk(self, block: bytes) -> int:
        status, at = _NO_STATUS, 0
        while at < len(block):
            first = block[at]
            if first & 0x80:
                index, at = _integer(block, at, 7)
                named, value = self._entry(index)
            elif first & 0xE0 == 0x20:
                # A table of no bytes is an emptied one; any other size only matters when entries are evicted.
                size, at = _integer(block, at, 5)
                if size < self._table_bytes:
                    self._evict_all(size)
                continue
            else:
                added = first & 0xC0 == 0x40
                index, at = _integer(block, at, 6 if added else 4)
                if index:
                    named = self._entry(index)[0]
                    name_bytes = _ENTRY_BYTES
                else:
                    name, at, name_bytes = _text(block, at)
                    named = name == _STATUS
                value, at, value_bytes = _text(block, at)
                if added:
                    self._add(named, value, name_bytes + value_bytes)
            if named:
                if not value.isdigit():
                    raise HeaderFailure(f"grpc-status {value!r} is compressed or no number")
                status = int(value)
        return status

    def _entry(self, index: int) -> tuple[bool, bytes]:
        if index <= _STATIC:
            return False, b""
        try:
            return self._table[index - _STATIC - 1]
        except IndexError:
            raise HeaderFailure(f"header {index} is not in the table") from None

    def _add(self, named: bool, value: bytes, size: int) -> None:
        self._table.insert(0, (named, value if named else b""))
        self._table_bytes += size + _ENTRY_BYTES
        # Compressed texts are not decoded and their sizes are bounds: what an overfull table loses is not known here.
        if self._table_bytes > _TABLE_BYTES:
            raise HeaderFailure("the server's headers overflow the table")

    def _evict_all(self, size: int) -> None:
        if size:
            raise HeaderFailure(f"the server shrank its header table to {size} bytes")
        self._table.clear()
        self._table_bytes = 0
        self._known.clear()


def _integer(block: bytes, at: int, bits: int) -> tuple[int, int]:
    """An integer with a prefix of `bits` bits, and where it ends."""
    full = (1 << bits) - 1
    value = block[at] & full
    at += 1
    if value < full:
        return value, at
    shift = 0
    while True:
        more = block[at]
        at += 1
        value += (more & 0x7F) << shift
        shift += 7
        if not more & 0x80:
            return value, at


def _text(block: bytes, at: int) -> tuple[bytes, int, int]:
    """A string as it stands, where it ends, and a bound of its decoded size: a compressed one grows at most 8:5."""
    compressed = block[at] & 0x80
    size, at = _integer(block, at, 7)
    text = block[at : at + size]
    return (b"", at + size, size * 8 // 5) if compressed else (text, at + size, size)
