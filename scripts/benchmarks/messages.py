"""The messages of the benchmark, ready for the wire.

A load generator that serialised protobufs would spend its time there. Each kind of request is serialised once and cut
where the request id and the SKU stand; a call then costs one join. Every message carries the five bytes of gRPC's
length prefix.
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable

from google.protobuf.message import Message

from ringfence.v1 import allocation_service_pb2, balance_pb2, common_pb2

SERVICE = "/ringfence.v1.AllocationService/"
LOCATION = "warehouse"
PATH = "web"
# The SKU of the keys that are sold out from the start: nothing was ever allocated to PATH there.
SOLD_OUT = "SKU-9999999"

# Makes the next message of a load.
Bodies = Callable[[], bytes]

_ID_BYTES = 36
_ID_PLACEHOLDER = "0" * _ID_BYTES


def sku_name(number: int) -> str:
    """The SKU of a number, 0 to 9,999,999; all have one length, so a message can be patched in place."""
    return f"SKU-{number:07d}"


def metadata() -> dict[str, str]:
    """The request metadata of the benchmark's calls."""
    return {"ringfence-organization": "default", "ringfence-caller": "bench"}


def call_metadata() -> tuple[tuple[str, str | bytes], ...]:
    """The same, as gRPC's own stubs take it."""
    return tuple(metadata().items())


def request_id() -> bytes:
    """A fresh UUIDv7 in its text form, 36 bytes."""
    bits = random.getrandbits(74)
    number = (time.time_ns() // 1_000_000) << 80 | 7 << 76 | (bits >> 62) << 64 | 2 << 62 | bits & ((1 << 62) - 1)
    text = b"%032x" % number
    return b"-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def framed(body: bytes) -> bytes:
    """A message with gRPC's length prefix, uncompressed."""
    return b"\x00" + len(body).to_bytes(4, "big") + body


def reserve_request(sku: str, identifier: str, quantity: int = 1) -> allocation_service_pb2.ReserveRequest:
    """One line of `quantity` units of `sku` for PATH, with the policy's default lease."""
    key = common_pb2.StockKey(sku=sku, location=LOCATION)
    line = allocation_service_pb2.ReserveLine(key=key, path=PATH, quantity=quantity)
    return allocation_service_pb2.ReserveRequest(request_id=identifier, lines=[line], owner="bench")


def query_request(sku: str) -> balance_pb2.QueryBalanceRequest:
    """The balance of PATH on one stock key."""
    balances = balance_pb2.BalanceFilter(skus=[sku], locations=[LOCATION], path=PATH, exact_path=True)
    return balance_pb2.QueryBalanceRequest(filter=balances)


def _cut(message: Message, *marks: str) -> list[bytes]:
    """The serialised message cut at each mark, the marks left out."""
    rest = message.SerializeToString()
    pieces = []
    for mark in marks:
        before, found, rest = rest.partition(mark.encode())
        if not found:
            raise AssertionError(f"{mark!r} does not stand in the message in the expected order")
        pieces.append(before)
    return [*pieces, rest]


def _pick(skus: int) -> Callable[[], bytes]:
    """Draws one of the first `skus` SKUs, evenly; or always the only one."""
    if skus == 1:
        only = sku_name(0).encode()
        return lambda: only
    draw = random.random
    return lambda: b"SKU-%07d" % int(draw() * skus)


def reserves(skus: int) -> Bodies:
    """Unary Reserve requests of one unit, spread over the first `skus` SKUs."""
    return _reserves(_pick(skus))


def sold_out_reserves() -> Bodies:
    """Unary Reserve requests of one unit of SOLD_OUT: each is refused."""
    only = SOLD_OUT.encode()
    return _reserves(lambda: only)


def _reserves(pick: Callable[[], bytes]) -> Bodies:
    template = reserve_request(SOLD_OUT, _ID_PLACEHOLDER)
    prefix = framed(template.SerializeToString())[:5]
    head, middle, tail = _cut(template, _ID_PLACEHOLDER, SOLD_OUT)
    head = prefix + head
    return lambda: b"".join((head, request_id(), middle, pick(), tail))


def orders(skus: int, most_lines: int) -> Bodies:
    """Unary Reserve requests of 1 to `most_lines` lines, each one unit of another of the first `skus` SKUs, in no
    order."""
    # A message is the sum of its parts: repeated fields are joined by joining their bytes.
    whole = reserve_request(SOLD_OUT, _ID_PLACEHOLDER)
    ones = [
        allocation_service_pb2.ReserveRequest(lines=reserve_request(sku_name(number), "").lines).SerializeToString()
        for number in range(skus)
    ]
    whole.ClearField("lines")
    head, tail = _cut(whole, _ID_PLACEHOLDER)

    def body() -> bytes:
        lines = random.sample(ones, random.randint(1, most_lines))
        return framed(b"".join((head, request_id(), tail, *lines)))

    return body


def executes(skus: int, commands: int) -> Bodies:
    """Execute messages of `commands` Reserve commands of one unit each, spread over the first `skus` SKUs."""
    reserve = reserve_request(SOLD_OUT, _ID_PLACEHOLDER)
    return _executes(allocation_service_pb2.Command(reserve=reserve), _pick(skus), commands)


def direct_sales(skus: int, commands: int) -> Bodies:
    """Execute messages of `commands` direct Consume commands of one unit each, over the first `skus` SKUs in order:
    neighbours on disk, so that filling a big database is not a test of random pages."""
    lines = reserve_request(SOLD_OUT, _ID_PLACEHOLDER).lines
    sale = allocation_service_pb2.DirectSale(lines=lines, owner="bench")
    consume = allocation_service_pb2.ConsumeRequest(request_id=_ID_PLACEHOLDER, direct=sale)
    order = itertools.cycle(range(skus))
    return _executes(allocation_service_pb2.Command(consume=consume), lambda: b"SKU-%07d" % next(order), commands)


def _executes(command: allocation_service_pb2.Command, pick: Callable[[], bytes], commands: int) -> Bodies:
    one = allocation_service_pb2.ExecuteRequest(commands=[command])
    prefix = framed(one.SerializeToString() * commands)[:5]
    head, middle, tail = _cut(one, _ID_PLACEHOLDER, SOLD_OUT)

    def body() -> bytes:
        pieces = [prefix]
        for _ in range(commands):
            pieces += (head, request_id(), middle, pick(), tail)
        return b"".join(pieces)

    return body


def queries(skus: int) -> Bodies:
    """QueryBalance requests of one stock key each, spread over the first `skus` SKUs."""
    template = query_request(SOLD_OUT)
    prefix = framed(template.SerializeToString())[:5]
    head, tail = _cut(template, SOLD_OUT)
    head, pick = prefix + head, _pick(skus)
    return lambda: b"".join((head, pick(), tail))


def watch_request(skus: list[str], min_interval_milliseconds: int) -> bytes:
    """A WatchBalances request of PATH on some SKUs, framed."""
    request = balance_pb2.WatchBalancesRequest(
        filter=balance_pb2.BalanceFilter(skus=skus, locations=[LOCATION], path=PATH, exact_path=True)
    )
    request.min_interval.FromMilliseconds(min_interval_milliseconds)
    return framed(request.SerializeToString())


def count_outcomes(buffer: bytes, start: int, end: int) -> tuple[int, int]:
    """Accepted and refused commands in one ExecuteResponse, without decoding it.

    Each outcome is a length-delimited field 1 whose own first field is the request id, 36 bytes, and whose second is
    `error` (field 2) when it was refused. Raises ValueError when the bytes are something else.
    """
    accepted = refused = 0
    while start < end:
        if buffer[start] != 0x0A:
            raise ValueError(f"no outcome, but tag {buffer[start]:#x}")
        size = buffer[start + 1]
        start += 2
        if size & 0x80:
            size &= 0x7F
            shift = 7
            while True:
                more = buffer[start]
                start += 1
                size |= (more & 0x7F) << shift
                if not more & 0x80:
                    break
                shift += 7
        if buffer[start + 1] != _ID_BYTES:
            raise ValueError("an outcome without a request id")
        if buffer[start + 2 + _ID_BYTES] == 0x12:
            refused += 1
        else:
            accepted += 1
        start += size
    return accepted, refused


def canned_reserve(identifier: str) -> allocation_service_pb2.ReserveResponse:
    """What the service answers to `reserve_request`, for the echo: the same fields, the same size."""
    key = common_pb2.StockKey(sku=sku_name(1234), location=LOCATION)
    part = common_pb2.Part(part_number=1, key=key, path=PATH, granted=1, held=1)
    line = common_pb2.ReservationLine(
        line_id="1", key=key, path=PATH, requested=1, granted=1, fallback=common_pb2.FALLBACK_NONE, parts=[part]
    )
    reservation = common_pb2.Reservation(
        reservation_id=identifier,
        state=common_pb2.RESERVATION_STATE_HELD,
        owner="bench",
        lines=[line],
        revision=1,
    )
    reservation.create_time.FromMicroseconds(1_763_000_000_123_456)
    reservation.expire_time.FromMicroseconds(1_763_000_900_123_456)
    answer = allocation_service_pb2.ReserveResponse(
        reservation=reservation, fill=common_pb2.FILL_FULL, revision="AAAAAAAAAAE="
    )
    answer.server_time.FromMicroseconds(1_763_000_000_123_456)
    return answer


def canned_query() -> balance_pb2.QueryBalanceResponse:
    """What the service answers to `query_request`, for the echo: the same fields, the same size."""
    figures = balance_pb2.Figures(allocated=1_000_000, available=999_000, held=1_000)
    balance = balance_pb2.Balance(
        key=common_pb2.StockKey(sku=sku_name(1234), location=LOCATION),
        path=PATH,
        own=figures,
        subtree=figures,
        available_to_allocate=1_000_000,
        available_to_reserve=999_000,
        supply=2_000_000,
        net=1_999_000,
        freshness=balance_pb2.Freshness(position=1, measure="on_hand"),
        revision="AAAAAAAAAAE=",
    )
    balance.freshness.count_time.FromMicroseconds(1_763_000_000_123_456)
    balance.freshness.age.FromMicroseconds(12_345_678)
    answer = balance_pb2.QueryBalanceResponse(balances=[balance], revision="AAAAAAAAAAE=")
    answer.read_time.FromMicroseconds(1_763_000_000_123_456)
    return answer
