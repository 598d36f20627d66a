"""HTTP/1 bodies without I/O: each reader takes received bytes and gives the bytes to forward."""

from __future__ import annotations

import re
from typing import ClassVar, Protocol

from attrs import define

from vipproxy.framing.http1 import (
    FIELD_LIMIT,
    FIELDS,
    TEXT,
    MalformedMessage,
    RequestHead,
    ResponseHead,
)

LINE_LIMIT = 1024
"""Bytes of a chunk's size line, extensions included."""
TRAILER_LIMIT = 8192

_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*+(?:;" + TEXT + rb")?\r\n")
_SIZE_BEGINNING = re.compile(rb"(?:[0-9A-Fa-f]{1,15}[ \t]*+(?:;" + TEXT + rb")?\r?)?")
_TRAILERS = re.compile(rb"(" + FIELDS + rb")\r\n")
_FRAMING = re.compile(rb"(?im)^(?:content-length|transfer-encoding):")
"""In trailers it is a sign of an attack, or of a body that is not understood."""
_NOT_IN_TRAILERS = re.compile(
    rb"(?im)^(?:host|connection|keep-alive|proxy-connection|te"
    rb"|upgrade|expect|cookie|set-cookie|authorization|cache-control):[^\r]*\r\n"
)
"""What a receiver might take for a part of the head (RFC 9110, 6.5.1)."""


class BodyReader(Protocol):
    """Where a body ends, and in what form it is forwarded."""

    done: bool
    """All of it has been read."""

    @property
    def framed(self) -> bool:
        """The receiver can tell its end without the end of the connection."""

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Read on: the bytes to forward, and what lies beyond the body.

        Raises MalformedMessage.
        """


@define
class LengthReader:
    """A body of known length."""

    left: int
    """Bytes that are still to come, and can be moved without being looked at."""
    done: bool = False
    framed: ClassVar[bool] = True

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        if len(data) < self.left:
            self.left -= len(data)
            return data, b""
        end, self.left, self.done = self.left, 0, True
        return data[:end], data[end:]

    def skip_to(self, left: int) -> None:
        """All but so many bytes have been moved without being looked at."""
        self.left, self.done = left, left == 0


@define
class CloseReader:
    """A response's body that ends with the connection."""

    done: bool = False
    framed: ClassVar[bool] = False

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        return data, b""


@define
class ChunkedReader:
    """A chunked body, chunked anew: extensions are dropped, and only harmless trailers kept."""

    plain: bool = False
    """Forward the content alone, for HTTP/1.0 clients."""
    done: bool = False
    _left: int = 0
    """Bytes of the current chunk that are still to come."""
    _in_chunk: bool = False
    _in_trailers: bool = False
    _held: bytes = b""
    """The beginning of a line."""

    @property
    def framed(self) -> bool:
        return not self.plain

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        data, self._held = self._held + data, b""
        content: list[bytes] = []
        at = 0
        while at < len(data) and not self._in_trailers:
            after = self._step(data, at, content)
            if after == at:
                break  # a line is not complete
            at = after
        forward = self._encode(b"".join(content))
        if not self._in_trailers:
            self._held = data[at:]
            return forward, b""
        last, rest = self._read_trailers(data[at:])
        return forward + last, rest

    def _step(self, data: bytes, at: int, content: list[bytes]) -> int:
        """Read one part from position `at`; the position after it."""
        if not self._in_chunk:
            return self._begin_chunk(data, at)
        if not self._left:
            return self._end_chunk(data, at)
        piece = data[at : at + self._left]
        self._left -= len(piece)
        content.append(piece)
        return at + len(piece)

    def _begin_chunk(self, data: bytes, at: int) -> int:
        """Read a size line; the position after it, or `at` while it is not complete."""
        match = _SIZE_LINE.match(data, at)
        if match is None:
            beginning = data[at : at + LINE_LIMIT]
            if len(beginning) == LINE_LIMIT or not _SIZE_BEGINNING.fullmatch(beginning):
                raise MalformedMessage("a chunk's size is malformed")
            return at
        self._left = int(match[1], 16)
        self._in_chunk = self._left > 0
        self._in_trailers = self._left == 0
        return match.end()

    def _end_chunk(self, data: bytes, at: int) -> int:
        ending = data[at : at + 2]
        if ending == b"\r":
            return at
        if ending != b"\r\n":
            raise MalformedMessage("a chunk is longer than its size")
        self._in_chunk = False
        return at + 2

    def _read_trailers(self, data: bytes) -> tuple[bytes, bytes]:
        """The last chunk to forward, and what lies beyond it."""
        end = 2 if data.startswith(b"\r\n") else data.find(b"\r\n\r\n") + 4
        if end == 3:
            if len(data) > TRAILER_LIMIT:
                raise MalformedMessage("the trailers are too long")
            self._held = data
            return b"", b""
        match = _TRAILERS.fullmatch(data, 0, end)
        if match is None or end > TRAILER_LIMIT or match[1].count(b"\n") > FIELD_LIMIT:
            raise MalformedMessage("the trailers are malformed")
        if _FRAMING.search(match[1]):
            raise MalformedMessage("the trailers frame a body")
        self.done = True
        last = b"" if self.plain else b"0\r\n%b\r\n" % _NOT_IN_TRAILERS.sub(b"", match[1])
        return last, data[end:]

    def _encode(self, content: bytes) -> bytes:
        if self.plain or not content:
            return content
        return b"%x\r\n%b\r\n" % (len(content), content)


def request_body(head: RequestHead) -> BodyReader | None:
    """The reader of a request's body; None where it has none."""
    if head.chunked:
        return ChunkedReader()
    return LengthReader(head.length) if head.length else None


def is_whole(head: ResponseHead, method: bytes, data: bytes) -> bool:
    """Whether the data are the body, all of it, and nothing else: no reader is needed."""
    return head.length == len(data) > 0 and method != b"HEAD" and head.status not in (204, 304)


def response_body(head: ResponseHead, method: bytes, client_minor: int) -> BodyReader:
    """The reader of a final response's body (RFC 9112, 6.3)."""
    if method == b"HEAD" or head.status in (204, 304):
        return LengthReader(0)
    if head.chunked:
        return ChunkedReader(plain=client_minor == 0)
    return CloseReader() if head.length is None else LengthReader(head.length)
