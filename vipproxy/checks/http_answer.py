"""An HTTP server's answer to a check, read no further than what is expected needs."""

from __future__ import annotations

import re

from vipproxy.checks import CheckFailed, words_of_peer
from vipproxy.checks.conversation import RECEIVE_LIMIT, Conversation
from vipproxy.checks.expectation import matches, wanted
from vipproxy.config.check_steps import Expect
from vipproxy.values import CheckStatus

_STATUS_LINE = re.compile(rb"HTTP/\d\.\d +(\d{3})(?: +([^\r\n]*))?\r?(?:\n|$)")
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_LENGTH = re.compile(rb"(?im)^content-length:[ \t]*([0-9]{1,18})[ \t]*\r?$")
_CHUNKED = re.compile(rb"(?im)^transfer-encoding:[ \t]*chunked[ \t]*\r?$")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})[^\r\n]*\r?\n")


class Answer:
    """Lenient, since sidecars such as clustercheck send no usable Content-Length, and reset."""

    def __init__(self, peer: Conversation) -> None:
        self._peer = peer
        self._data = b""
        self._ended = False
        self.code = 0
        self.reason = ""

    async def read_status(self) -> None:
        """Read the status line; raises CheckFailed, L7_RESPONSE where there is none."""
        while b"\n" not in self._data and await self._more():
            pass
        match = _STATUS_LINE.match(self._data)
        if match is None:
            wrong = "not an HTTP status line" if self._data else "closed without an answer"
            raise CheckFailed(CheckStatus.L7_RESPONSE, wrong)
        self.code = int(match[1])
        self.reason = words_of_peer((match[2] or b"").decode("latin-1"))

    async def check(self, expect: Expect) -> None:
        """Raises CheckFailed where the answer is another: L7_STATUS, or L7_RESPONSE."""
        if expect.kind in ("status", "rstatus"):
            if matches(expect, b"%d" % self.code) == expect.negated:
                raise CheckFailed(CheckStatus.L7_STATUS, self.reason, self.code)
            return
        while not (found := matches(expect, self._body())):
            if self._complete() or not await self._more():
                break
        if found == expect.negated:
            text = f"HTTP content check: expected {wanted(expect)}"
            raise CheckFailed(CheckStatus.L7_RESPONSE, text, self.code)

    async def _more(self) -> bool:
        """Whether anything has come."""
        if self._ended or len(self._data) >= RECEIVE_LIMIT:
            return False
        data = await self._peer.read()
        self._data += data
        self._ended = not data
        return bool(data)

    def _parts(self) -> tuple[bytes, bytes]:
        end = _END_OF_HEAD.search(self._data)
        return (self._data[: end.start()], self._data[end.end() :]) if end else (b"", b"")

    def _complete(self) -> bool:
        """All of the body is there."""
        head, body = self._parts()
        length = _LENGTH.search(head)
        if length is not None:
            return len(body) >= int(length[1])
        return bool(_CHUNKED.search(head)) and _unchunked(body)[1]

    def _body(self) -> bytes:
        head, body = self._parts()
        length = _LENGTH.search(head)
        if length is not None:
            return body[: int(length[1])]
        return _unchunked(body)[0] if _CHUNKED.search(head) else body


def _unchunked(body: bytes) -> tuple[bytes, bool]:
    """What has come of a chunked body, and whether that is all."""
    pieces, at = list[bytes](), 0
    while (match := _CHUNK.match(body, at)) is not None:
        size = int(match[1], 16)
        if not size:
            return b"".join(pieces), True
        pieces.append(body[match.end() : match.end() + size])
        at = match.end() + size
        at += 2 if body[at : at + 2] == b"\r\n" else 1
    return b"".join(pieces), False
