"""Bytes received and not yet understood, up to whole HTTP/1 heads; without I/O, and bounded."""

from __future__ import annotations

import re

from attrs import define

from vipproxy.framing.http1 import HEAD_LIMIT, TOKEN, MalformedMessage

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

    def skip_empty_lines(self) -> None:
        """Empty lines before a request are ignored (RFC 9112, 2.2)."""
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
        self.data, self._scanned = data[end:], 0
        return data[:end]

    def _check_beginning(self) -> None:
        if len(self.data) >= HEAD_LIMIT:
            raise MalformedMessage(f"the head is longer than {HEAD_LIMIT} bytes", self.data)
        if not self.start.match(self.data) or _BARE.search(self.data, max(0, self._scanned - 1)):
            raise MalformedMessage("this does not begin like an HTTP message", self.data)
        self._scanned = len(self.data)
