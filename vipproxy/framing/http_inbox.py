"""Bytes received and not yet understood, up to whole HTTP/1 heads; without I/O, and bounded."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

from attrs import define

from vipproxy.framing.http1 import (
    HEAD_LIMIT,
    TOKEN,
    MalformedMessage,
    RequestHead,
    ResponseHead,
    parse_request,
    parse_response,
)
from vipproxy.framing.http_plain import plain_request

Head = TypeVar("Head")

REQUEST_START = re.compile(TOKEN + rb"(?: |\Z)|\r?\Z")
"""What the first bytes of a request look like, as far as they have come."""
RESPONSE_START = re.compile(
    rb"HTTP/1\.|(?:HTTP/1|HTTP/|HTTP|HTT|HT|H|)\Z"  # no prefix operator in regular expressions
)
_BARE = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)|\0")


@define
class Inbox:
    """Bytes received and not yet understood: at most a head and what came with it."""

    start: re.Pattern[bytes]
    """Matches the first bytes of a head, however few have come."""
    data: bytes = b""
    _scanned: int = 0

    def add(self, data: bytes) -> None:
        self.data += data

    def take(self) -> bytes:
        """All of it."""
        data, self.data, self._scanned = self.data, b"", 0
        return data

    @property
    def fresh(self) -> bool:
        """None of it has been looked at."""
        return not self._scanned

    def drop(self, size: int) -> None:
        """So many bytes at its beginning are understood."""
        self.data, self._scanned = self.data[size:], 0

    def skip_empty_lines(self) -> None:
        """Empty lines before a request are ignored (RFC 9112, 2.2)."""
        if self.data.startswith(b"\r\n"):
            self.data = re.sub(rb"\A(?:\r\n)+", b"", self.data)

    def take_head(self) -> bytes | None:
        """A head with its empty line, or None while it is not complete.

        Raises MalformedMessage as soon as no further byte could mend it.
        """
        data, scanned = self.data, self._scanned
        end = data.find(b"\r\n\r\n", scanned - 3 if scanned > 3 else 0) + 4
        if end == 3:
            self._check_beginning()
            return None
        if end > HEAD_LIMIT:
            raise MalformedMessage(f"the head is longer than {HEAD_LIMIT} bytes", data)
        self.drop(end)
        return data[:end]

    def _check_beginning(self) -> None:
        if len(self.data) >= HEAD_LIMIT:
            raise MalformedMessage(f"the head is longer than {HEAD_LIMIT} bytes", self.data)
        if not self.start.match(self.data) or _BARE.search(self.data, max(0, self._scanned - 1)):
            raise MalformedMessage("this does not begin like an HTTP message", self.data)
        self._scanned = len(self.data)


def read_request(inbox: Inbox) -> RequestHead | None:
    """The next request's head, once it is complete; raises MalformedMessage."""
    plain = plain_request(inbox.data, RequestHead) if inbox.fresh else None
    if plain is not None:
        inbox.drop(plain[1])
        return plain[0]
    inbox.skip_empty_lines()
    raw = inbox.take_head() if inbox.data else None
    return None if raw is None else _parsed(parse_request, raw)


def read_response(inbox: Inbox) -> ResponseHead | None:
    """The next response's head, once it is complete; raises MalformedMessage.

    Plain heads are read without an inbox.
    """
    raw = inbox.take_head()
    return None if raw is None else _parsed(parse_response, raw)


def _parsed(parse: Callable[[bytes], Head], head: bytes) -> Head:
    """The head as `parse` understands it; its MalformedMessage then has the bytes in it."""
    try:
        return parse(head)
    except MalformedMessage as error:
        error.data = head
        raise
