"""A gRPC client on a bare socket that costs a few microseconds a call.

A grpc.aio client needs as much CPU as the server it measures, so it would measure itself. This one speaks just enough
HTTP/2 to be a correct peer (settings, flow control in both directions, pings), sends pre-encoded header blocks and
ready-made messages, and looks at the frame headers of what comes back and at the status of each call. Plain text over
loopback only.
"""

from __future__ import annotations

import re
import socket
import struct
from collections import deque
from collections.abc import Iterator
from typing import Protocol

from scripts.benchmarks.hpack import RequestHeaders, StatusReader

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM = ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
PRIORITIZED = 0x20
_HEADERS_FLAGS = END_HEADERS | PADDED | PRIORITIZED

# What `Handler.end` is told when the server's trailers carry no grpc-status.
NO_STATUS = -1

SETTINGS_HEADER_TABLE_SIZE = 1
SETTINGS_MAX_CONCURRENT_STREAMS = 3
SETTINGS_INITIAL_WINDOW_SIZE = 4
SETTINGS_MAX_FRAME_SIZE = 5

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_LARGEST_WINDOW = 2**31 - 1
_DEFAULT_WINDOW = 65_535
_DEFAULT_TABLE = 4_096
_READ_BYTES = 1 << 18
# A credit is given back only after this much was read, so it is a frame an hour, not a frame a call.
_CREDIT_BYTES = 1 << 29

_frame_header = struct.Struct(">HBBBI")
_setting = struct.Struct(">HI")
_unpack_header = _frame_header.unpack_from


class ProtocolFailure(ConnectionError):
    """The peer closed the connection, sent GOAWAY or spoke something this client does not understand."""


class Handler(Protocol):
    """What a load does with frames that belong to its calls. Offsets are into `buffer`; nothing is copied."""

    def data(self, stream: int, buffer: bytes, start: int, end: int) -> None:
        """A DATA frame's bytes (without padding), possibly empty."""

    def end(self, stream: int, status: int, trailers: bytes) -> None:
        """The server closed the call with a grpc-status (-1: it sent none). The trailers are still encoded: `readable`
        makes something of them."""

    def reset(self, stream: int, code: int) -> None:
        """The server ended the call with RST_STREAM; `code` is the HTTP/2 error code."""


class MessageReader:
    """Cuts one stream's DATA into gRPC messages, which may be split over frames or share one."""

    def __init__(self) -> None:
        self._partial = b""

    def feed(self, buffer: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
        """Where each whole message stands: the bytes, and its first and last offset without the length prefix. Must be
        read to its end."""
        if self._partial:
            buffer = self._partial + buffer[start:end]
            start, end = 0, len(buffer)
        while end - start >= 5:
            body = start + 5
            after = body + int.from_bytes(buffer[start + 1 : body], "big")
            if after > end:
                break
            yield buffer, body, after
            start = after
        self._partial = buffer[start:end]


def readable(trailers: bytes) -> str:
    """What can be read of encoded trailers: gRPC's servers write a status and its message as plain text, the first time
    on a connection. For people who look for the reason of a failure; not for deciding anything."""
    return " ".join(text.decode() for text in re.findall(rb"[ -~]+", trailers)) or trailers.hex()


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One HTTP/2 frame."""
    size = len(payload)
    return _frame_header.pack(size >> 8, size & 0xFF, kind, flags, stream) + payload


class Connection:
    """One HTTP/2 connection that makes calls of one method.

    The caller owns the event loop: it calls `receive` when the socket is readable and `flush` when there is something
    to write; neither blocks. Raises ProtocolFailure when the peer goes away.
    """

    def __init__(self, host: str, port: int, method: str, metadata: dict[str, str], *, timeout: float = 10.0) -> None:
        self.handler: Handler | None = None
        self.max_streams = 2**31 - 1
        self._socket = socket.create_connection((host, port), timeout=timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._out = bytearray()
        self._rest = b""
        self._next_stream = 1
        self._pending: deque[tuple[int, bytes, bool]] = deque()
        # How much the peer lets us send: on the connection, and per stream for the streams that are tracked.
        self._send_window = _DEFAULT_WINDOW
        self._initial_window = _DEFAULT_WINDOW
        self._stream_windows: dict[int, int] = {}
        self._max_frame = 16_384
        self._table_size = _DEFAULT_TABLE
        # What was read since the last credit, on the connection and per tracked stream.
        self._read = 0
        self._stream_read: dict[int, int] = {}
        self._settings_seen = False
        self._reader = StatusReader()
        self._split_block = b""
        self._split_flags = 0
        self._open(timeout)
        self._blocks = RequestHeaders(method, f"{host}:{port}", metadata, self._table_size)
        self._block = self._blocks.first

    def _open(self, timeout: float) -> None:
        ours = _setting.pack(SETTINGS_INITIAL_WINDOW_SIZE, _LARGEST_WINDOW) + _setting.pack(
            SETTINGS_MAX_FRAME_SIZE, 1 << 20
        )
        credit = struct.pack(">I", _LARGEST_WINDOW - _DEFAULT_WINDOW)
        self._socket.sendall(_PREFACE + frame(SETTINGS, 0, 0, ours) + frame(WINDOW_UPDATE, 0, 0, credit))
        self._socket.settimeout(timeout)
        while not self._settings_seen:
            self.receive()
        self._socket.setblocking(False)
        self.flush()

    def fileno(self) -> int:
        """The socket's file descriptor, for a selector."""
        return self._socket.fileno()

    def close(self) -> None:
        """Closes the socket; calls in flight are cancelled by the server's transport."""
        self._socket.close()

    @property
    def wants_write(self) -> bool:
        """Whether bytes wait for the socket to take them."""
        return bool(self._out)

    # -- sending ------------------------------------------------------------------------------------------------

    def call(self, body: bytes) -> int:
        """Starts a call with its only message (length prefix included) and half-closes; the stream's number."""
        stream = self._headers()
        size = len(body)
        if not self._pending and size <= self._max_frame and size <= self._send_window and size <= self._initial_window:
            self._send_window -= size
            self._out += _frame_header.pack(size >> 8, size & 0xFF, DATA, END_STREAM, stream)
            self._out += body
        else:
            self._stream_windows[stream] = self._initial_window
            self._pending.append((stream, body, True))
            self._pump()
        return stream

    def open(self) -> int:
        """Starts a call that will send several messages; the stream's number."""
        stream = self._headers()
        self._stream_windows[stream] = self._initial_window
        self._stream_read[stream] = 0
        return stream

    def send(self, stream: int, body: bytes, *, last: bool = False) -> None:
        """Queues one or more messages (length prefixes included) on an open stream, as its window allows."""
        self._pending.append((stream, body, last))
        self._pump()

    def half_close(self, stream: int) -> None:
        """Says that no more messages come; what is queued goes first."""
        self._pending.append((stream, b"", True))
        self._pump()

    def flush(self) -> None:
        """Writes what the socket takes."""
        if self._out:
            try:
                sent = self._socket.send(self._out)
            except BlockingIOError:
                return
            except OSError as error:
                raise ProtocolFailure(f"connection lost while writing: {error}") from error
            del self._out[:sent]

    def _headers(self) -> int:
        stream = self._next_stream
        self._next_stream = stream + 2
        block = self._block
        size = len(block)
        self._out += _frame_header.pack(size >> 8, size & 0xFF, HEADERS, END_HEADERS, stream)
        self._out += block
        self._block = self._blocks.later
        return stream

    def _pump(self) -> None:
        pending = self._pending
        while pending:
            stream, body, last = pending[0]
            window = self._stream_windows.get(stream)
            if window is None:
                # The server ended the call before it had read all of it: what is left has no reader.
                pending.popleft()
                continue
            size = min(len(body), self._max_frame, max(0, min(self._send_window, window)))
            if body and not size:
                return
            done = size == len(body)
            flags = END_STREAM if done and last else 0
            self._out += _frame_header.pack(size >> 8, size & 0xFF, DATA, flags, stream)
            self._out += body if done else body[:size]
            self._send_window -= size
            self._stream_windows[stream] = window - size
            if done:
                pending.popleft()
            else:
                pending[0] = (stream, body[size:], last)

    # -- receiving ----------------------------------------------------------------------------------------------

    def receive(self) -> None:
        """Reads once and hands each whole frame to the handler. Raises ProtocolFailure when the peer has closed."""
        try:
            chunk = self._socket.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            raise ProtocolFailure(f"connection lost while reading: {error}") from error
        if not chunk:
            raise ProtocolFailure("the server closed the connection")
        buffer = self._rest + chunk if self._rest else chunk
        position, size = 0, len(buffer)
        handler = self.handler
        while size - position >= 9:
            high, low, kind, flags, stream = _unpack_header(buffer, position)
            start = position + 9
            end = start + (high << 8 | low)
            if end > size:
                break
            position = end
            if kind == DATA and handler is not None:
                self._read += end - start
                if stream in self._stream_read:
                    self._stream_read[stream] += end - start
                if flags & PADDED:
                    start, end = start + 1, end - buffer[start]
                handler.data(stream, buffer, start, end)
                if flags & END_STREAM:
                    self._ended(stream)
                    handler.end(stream, NO_STATUS, b"")
            elif kind == HEADERS and flags & _HEADERS_FLAGS == END_HEADERS and handler is not None:
                block = buffer[start:end]
                status = self._reader.status(block)
                if flags & END_STREAM:
                    if self._stream_windows:
                        self._ended(stream)
                    handler.end(stream, status, block)
            else:
                self._control(kind, flags, stream, buffer[start:end])
        self._rest = buffer[position:]
        if self._read >= _CREDIT_BYTES:
            self._give_credit()

    def _ended(self, stream: int) -> None:
        self._stream_windows.pop(stream, None)
        self._stream_read.pop(stream, None)

    def _give_credit(self) -> None:
        self._out += frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", self._read))
        self._read = 0
        for stream, count in self._stream_read.items():
            if count:
                self._out += frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", count))
                self._stream_read[stream] = 0

    def _control(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == WINDOW_UPDATE:
            credit = int.from_bytes(payload, "big")
            if stream == 0:
                self._send_window += credit
            elif stream in self._stream_windows:
                self._stream_windows[stream] += credit
            self._pump()
        elif kind == SETTINGS:
            if not flags & ACK:
                self._apply(payload)
                self._out += frame(SETTINGS, ACK, 0)
                self._settings_seen = True
        elif kind == PING:
            if not flags & ACK:
                self._out += frame(PING, ACK, 0, payload)
        elif kind == RST_STREAM:
            self._ended(stream)
            if self.handler is not None:
                self.handler.reset(stream, int.from_bytes(payload, "big"))
        elif kind == GOAWAY:
            code = int.from_bytes(payload[4:8], "big")
            raise ProtocolFailure(f"the server said GOAWAY, code {code}: {payload[8:].decode(errors='replace')}")
        elif kind in (HEADERS, CONTINUATION) and not flags & (PADDED | PRIORITIZED if kind == HEADERS else 0):
            self._continued(kind, flags, stream, payload)
        elif kind != PRIORITY:
            raise ProtocolFailure(f"unexpected frame of type {kind} with flags {flags:#x}")

    def _continued(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        """Headers too long for one frame: their block is read when its last piece is there."""
        if kind == HEADERS:
            self._split_block, self._split_flags = b"", flags
        self._split_block += payload
        if flags & END_HEADERS:
            status = self._reader.status(self._split_block)
            if self._split_flags & END_STREAM and self.handler is not None:
                self._ended(stream)
                self.handler.end(stream, status, self._split_block)

    def _apply(self, payload: bytes) -> None:
        for name, value in _setting.iter_unpack(payload):
            if name == SETTINGS_INITIAL_WINDOW_SIZE:
                # RFC 9113, 6.9.2: streams that are open move by the difference; a window may become negative.
                for stream in self._stream_windows:
                    self._stream_windows[stream] += value - self._initial_window
                self._initial_window = value
            elif name == SETTINGS_MAX_FRAME_SIZE:
                self._max_frame = value
            elif name == SETTINGS_MAX_CONCURRENT_STREAMS:
                self.max_streams = value
            elif name == SETTINGS_HEADER_TABLE_SIZE:
                self._table_size = value
        self._pump()
