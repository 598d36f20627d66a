"""A client's bytes, taken apart into requests, without I/O."""

from __future__ import annotations

from vipproxy.framing.http1 import (
    HEAD_LIMIT,
    REQUEST_START,
    Inbox,
    MalformedMessage,
    RequestHead,
    parse_request,
)
from vipproxy.framing.http_body import BodyReader, request_body


class RequestReader:
    """Reads one request at a time; what a client sends ahead waits."""

    __slots__ = ("_body", "_inbox", "head")

    def __init__(self) -> None:
        self._inbox = Inbox(REQUEST_START)
        self._body: BodyReader | None = None
        self.head: RequestHead | None = None
        """The current request's; None between two requests."""

    def add(self, data: bytes) -> None:
        self._inbox.add(data)

    @property
    def waiting(self) -> bool:
        """There are bytes that no request has taken yet."""
        return bool(self._inbox.data)

    @property
    def full(self) -> bool:
        """So much waits that no more should be read."""
        return len(self._inbox.data) >= HEAD_LIMIT

    @property
    def done(self) -> bool:
        """The current request has been read to its end."""
        return self.head is not None and (self._body is None or self._body.done)

    def read_head(self) -> RequestHead | None:
        """The next request's head, once it is complete; raises MalformedMessage."""
        self._inbox.skip_empty_lines()
        raw = self._inbox.take_head() if self._inbox.data else None
        if raw is None:
            return None
        self.head = parse_request(raw)
        self._body = request_body(self.head)
        return self.head

    def read_body(self) -> bytes:
        """What has come of the current request's body, as it is to be forwarded.

        Raises MalformedMessage.
        """
        if self._body is None or self._body.done:
            return b""
        data, rest = self._body.feed(self._inbox.take())
        self._inbox.add(rest)
        return data

    def next(self) -> None:
        """The current request is dealt with."""
        self.head = self._body = None

    def take(self) -> bytes:
        """All that waits."""
        return self._inbox.take()

    def refuse_rest(self) -> None:
        """The client has ended its input: raises MalformedMessage if it broke off a request."""
        if self._inbox.data:
            raise MalformedMessage("the request is incomplete")
