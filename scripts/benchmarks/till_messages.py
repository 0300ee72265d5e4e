"""Figures of a till, ready for the wire: each is cut once where the request id, the SKU and the position stand."""

from __future__ import annotations

import dataclasses
import itertools
import random

from ringfence import Client, Location, LocationKind, StockFigure
from ringfence.v1 import common_pb2, stock_service_pb2
from scripts.benchmarks.messages import LOCATION, SOLD_OUT, Bodies, framed, request_id, sku_name

SYNC_STOCK = "/ringfence.v1.StockService/SyncStock"
_FIRST_POSITION = 1 << 35
"""From here to 2^42 a position has six bytes, so that a message keeps its length."""
_PLACEHOLDER = "0" * 36
_KEYS_A_POST = 2_000

_positions = itertools.count(_FIRST_POSITION)


def open_store(port: int, skus: list[str]) -> None:
    """Makes LOCATION a till's, and posts its opening figures."""
    with Client(f"127.0.0.1:{port}", caller="bench") as client:
        place = Location(LOCATION, LocationKind.TILL, "on_hand")
        client.set_policy(dataclasses.replace(client.get_policy(), locations=[place]))
        for first in range(0, len(skus), _KEYS_A_POST):
            chosen = skus[first : first + _KEYS_A_POST]
            client.post_stock([StockFigure(sku, LOCATION, 100, position=1) for sku in chosen])


def syncs(skus: int, posts: int, figures: int = 1) -> Bodies:
    """SyncStock messages of `posts` requests of `figures` figures each, spread over the first `skus` SKUs. Positions
    rise from message to message, over all loads of this process."""
    key = common_pb2.StockKey(sku=SOLD_OUT, location=LOCATION)
    figure = stock_service_pb2.StockFigure(key=key, measure="on_hand", value=100, position=_FIRST_POSITION)
    post = stock_service_pb2.PostStockRequest(request_id=_PLACEHOLDER, figures=[figure] * figures)
    one = stock_service_pb2.SyncStockRequest(posts=[post])
    prefix = framed(one.SerializeToString() * posts)[:5]
    head, rest = _parted(one.SerializeToString(), _PLACEHOLDER.encode())
    # What stands before each SKU, and before each position.
    cuts: list[tuple[bytes, bytes]] = []
    for _ in range(figures):
        before_sku, rest = _parted(rest, SOLD_OUT.encode())
        before_position, rest = _parted(rest, _varint(_FIRST_POSITION))
        cuts.append((before_sku, before_position))
    draw = random.random

    def body() -> bytes:
        pieces = [prefix]
        for _ in range(posts):
            pieces += (head, request_id())
            for before_sku, before_position in cuts:
                sku = b"SKU-%07d" % int(draw() * skus)
                pieces += (before_sku, sku, before_position, _varint(next(_positions)))
            pieces.append(rest)
        return b"".join(pieces)

    return body


def canned_post(figures: int = 1) -> stock_service_pb2.PostStockResponse:
    """What the service answers to a request of `figures` figures, for the echo: the same fields, the same size."""
    key = common_pb2.StockKey(sku=sku_name(1234), location=LOCATION)
    outcome = stock_service_pb2.FigureOutcome(
        key=key,
        measure="on_hand",
        result=stock_service_pb2.FIGURE_RESULT_APPLIED,
        value=100,
        position=_FIRST_POSITION,
        supply=100,
        common=common_pb2.PoolBalance(key=key, allocated=100, available=100),
    )
    answer = stock_service_pb2.PostStockResponse(outcomes=[outcome] * figures, revision="AAAAAAAAAAE=")
    answer.server_time.FromMicroseconds(1_763_000_000_123_456)
    return answer


def _parted(message: bytes, mark: bytes) -> tuple[bytes, bytes]:
    before, found, rest = message.partition(mark)
    if not found:
        raise AssertionError(f"{mark!r} does not stand in the message in the expected order")
    return before, rest


def _varint(number: int) -> bytes:
    """A position as protobuf writes it, six bytes."""
    low = number & 0x7F_FFFF_FFFF
    return bytes(
        (
            low & 0x7F | 0x80,
            low >> 7 & 0x7F | 0x80,
            low >> 14 & 0x7F | 0x80,
            low >> 21 & 0x7F | 0x80,
            low >> 28 & 0x7F | 0x80,
            number >> 35,
        )
    )
