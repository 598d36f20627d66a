"""A client's bytes, taken apart into requests, without I/O."""

from __future__ import annotations

from vipproxy.framing.http1 import HEAD_LIMIT, MalformedMessage, RequestHead
from vipproxy.framing.http_body import BodyReader, LengthReader, request_body
from vipproxy.framing.http_inbox import REQUEST_START, Inbox, read_request
from vipproxy.framing.http_plain import plain_request


class RequestReader(Inbox):
    """Reads one request at a time; what a client sends ahead waits in `data`."""

    __slots__ = ("_body", "done", "head")

    def __init__(self) -> None:
        super().__init__(REQUEST_START)
        self._body: BodyReader | None = None
        self.head: RequestHead | None = None
        """The current request's; None between two requests."""
        self.done = False
        """The current request has been read to its end."""

    @property
    def full(self) -> bool:
        """So much waits that no more should be read."""
        return len(self.data) >= HEAD_LIMIT

    def read_alone(self, data: bytes) -> RequestHead | None:
        """The head of a request that is plain, has no body, and came in one piece, as most do.

        None where it is none; the data are still to be added then.
        """
        plain = None if self.data else plain_request(data, RequestHead)
        if plain is None or plain[1] != len(data) or plain[0].length:
            return None
        self.head, self.done = plain[0], True
        return plain[0]

    def read_head(self) -> RequestHead | None:
        """The next request's head, once it is complete; raises MalformedMessage."""
        head = read_request(self)
        if head is not None:
            self.head = head
            self._body = request_body(head) if head.length or head.chunked else None
            self.done = self._body is None
        return head

    def read_body(self) -> bytes:
        """What has come of the current request's body, as it is to be forwarded.

        Raises MalformedMessage.
        """
        if self._body is None or self.done:
            return b""
        data, rest = self._body.feed(self.take())
        self.add(rest)
        self.done = self._body.done
        return data

    @property
    def bulk(self) -> int:
        """Bytes of the current request's body that are to come, to be forwarded as they are."""
        body = self._body
        return body.left if isinstance(body, LengthReader) and not self.data else 0

    def body_moved(self, left: int) -> None:
        """All but so many of them have been moved otherwise."""
        assert isinstance(self._body, LengthReader)
        self._body.skip_to(left)
        self.done = self._body.done

    def next(self) -> None:
        """The current request is dealt with."""
        self.head = self._body = None
        self.done = False

    def refuse_rest(self) -> None:
        """The client has ended its input: raises MalformedMessage if it broke off a request."""
        if self.data:
            raise MalformedMessage("the request is incomplete")
