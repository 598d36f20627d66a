"""The proxy's side of a connection to an HTTP server: reads one response."""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from vipproxy.errors import BadResponse, SessionError
from vipproxy.framing.http1 import (
    RESPONSE_START,
    Inbox,
    MalformedMessage,
    RequestHead,
    ResponseHead,
    parse_response,
)
from vipproxy.framing.http_body import BodyReader, CloseReader, response_body
from vipproxy.sockets import hang_up


class ServerUser(Protocol):
    """Who uses a server connection: one exchange."""

    def server_sent(self, size: int) -> None:
        """Bytes have come."""

    def interim_received(self, head: ResponseHead) -> None:
        """A 1xx response; another follows."""

    def upgraded(self, head: ResponseHead, rest: bytes) -> None:
        """A 101 response: what follows is no longer HTTP."""

    def response_begun(self, head: ResponseHead) -> None:
        """The final response's head."""

    def response_continued(self, data: bytes) -> None:
        """A part of the response's body, as it is to be forwarded."""

    def response_ended(self) -> None:
        """The response is complete; the connection is no longer this user's."""

    def server_failed(self, error: SessionError) -> None:
        """There is no response, or not all of it; the connection is of no more use."""

    def server_full(self) -> None:
        """The server does not read as fast as it is sent to."""

    def server_drained(self) -> None:
        """It has caught up."""


@implementer(IPushProducer)
class ServerConnection(TwistedProtocol):
    """Carries one exchange. Without a user it takes no notice of what comes."""

    transport: Any

    def __init__(self, user: ServerUser, request: RequestHead) -> None:
        self._user: ServerUser | None = user
        self._request = request
        self._inbox = Inbox(RESPONSE_START)
        self._body: BodyReader | None = None
        self._produces = False

    # -- for the user

    def expect_body(self) -> None:
        """A request body will be written: have the user told when the server is full."""
        self.transport.registerProducer(self, True)
        self._produces = True

    def send(self, data: bytes) -> None:
        self.transport.write(data)

    def pause(self) -> None:
        """Read no more for now."""
        self.transport.pauseProducing()

    def resume(self) -> None:
        self.transport.resumeProducing()

    def detach(self) -> Any:
        """Give the transport away, for a tunnel."""
        self._let_go()
        return self.transport

    def abort(self) -> None:
        """Close it. A reset leaves no TIME_WAIT behind, which would use up local ports."""
        self._let_go()
        self.transport.abortConnection()

    def hang_up(self) -> None:
        """Close it within this reactor turn."""
        self._let_go()
        hang_up(self.transport)

    # -- Twisted's calls

    def dataReceived(self, data: bytes) -> None:
        if self._user is None:
            return
        self._user.server_sent(len(data))
        try:
            if self._body is None:
                self._inbox.add(data)
                self._read_heads(self._user)
            else:
                self._deliver(self._user, self._body, self._body.feed(data)[0])
        except MalformedMessage as error:
            self._fail(str(error))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        user = self._user
        if user is None:
            return
        if isinstance(self._body, CloseReader) and reason.check(ConnectionDone):
            self._user = None
            user.response_ended()
        else:
            self._fail("the server closed the connection before its response was complete")

    def pauseProducing(self) -> None:
        if self._user is not None:
            self._user.server_full()

    def resumeProducing(self) -> None:
        if self._user is not None:
            self._user.server_drained()

    def stopProducing(self) -> None:
        """The connection is lost; `connectionLost` follows."""

    # -- reading

    def _read_heads(self, user: ServerUser) -> None:
        while (raw := self._inbox.take_head()) is not None:
            head = parse_response(raw)
            if head.status == 101:
                if not self._request.upgrade or not head.upgrade:
                    raise MalformedMessage("the server changed the protocol unasked")
                user.upgraded(head, self._inbox.take())
                return
            if head.status >= 200:
                self._begin_body(user, head)
                return
            user.interim_received(head)

    def _begin_body(self, user: ServerUser, head: ResponseHead) -> None:
        """What came with the head is read first: if it is malformed, the client gets a 502."""
        body = self._body = response_body(head, self._request.method, self._request.minor)
        forward, _ = body.feed(self._inbox.take())
        user.response_begun(head)
        self._deliver(user, body, forward)

    def _deliver(self, user: ServerUser, body: BodyReader, forward: bytes) -> None:
        """Bytes beyond the response belong to nobody, and are dropped with the connection."""
        if forward:
            user.response_continued(forward)
        if body.done and self._user is not None:
            self._user = None
            user.response_ended()

    def _fail(self, text: str) -> None:
        user, self._user = self._user, None
        if user is not None:
            user.server_failed(BadResponse(text))

    def _let_go(self) -> None:
        self._user = None
        if self._produces:
            self._produces = False
            self.transport.unregisterProducer()
