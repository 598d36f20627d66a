"""The proxy's side of a connection to an HTTP server: reads one response after the other."""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from vipproxy.errors import BadResponse, MalformedResponse, SessionError
from vipproxy.framing.http1 import MalformedMessage, RequestHead, ResponseHead
from vipproxy.framing.http_body import (
    BodyReader,
    CloseReader,
    LengthReader,
    is_whole,
    response_body,
)
from vipproxy.framing.http_inbox import RESPONSE_START, Inbox, read_response
from vipproxy.framing.http_plain import plain_response
from vipproxy.interfaces import IServer
from vipproxy.protocols.http.idle import IdleConnections
from vipproxy.sockets import hang_up


class ServerUser(Protocol):
    """Who uses a server connection: one exchange."""

    def server_sent(self, size: int) -> None:
        """So many bytes have come."""

    def server_moves(self) -> None:
        """They were not the last of the response."""

    def interim_received(self, head: ResponseHead) -> None:
        """A 1xx response; another follows."""

    def upgraded(self, head: ResponseHead, rest: bytes) -> None:
        """A 101 response: what follows is no longer HTTP."""

    def response_begun(self, head: ResponseHead, data: bytes, framed: bool, whole: bool) -> None:
        """The final response's head, and what came with it of its body: all, if `whole`.

        If it is `framed`, its end shows without the end of the connection.
        """

    def response_continued(self, data: bytes) -> None:
        """A part of the response's body, as it is to be forwarded."""

    def body_follows(self, size: int) -> None:
        """So many bytes of the response's body are to come, to be forwarded as they are."""

    def response_ended(self) -> None:
        """The response is complete; `ServerConnection.finish` is due."""

    def server_failed(self, error: SessionError) -> None:
        """There is no response, or not all of it; the connection is of no more use."""

    def server_full(self) -> None:
        """The server does not read as fast as it is sent to."""

    def server_drained(self) -> None:
        """It has caught up."""


@implementer(IPushProducer)
class ServerConnection(TwistedProtocol):
    """Carries one exchange at a time; between two of them it is with the idle connections."""

    transport: Any

    def __init__(self, server: IServer, idle: IdleConnections) -> None:
        self.server, self._idle = server, idle
        self.falls = idle.falls_of(server)
        self.heard = False
        """Something of the current response has come."""
        self.reused = False
        """It has been idle, and taken again."""
        self._user: ServerUser | None = None
        self._sender: ServerUser | None = None
        """Who still sends a request of which the response is complete."""
        self._request: RequestHead | None = None
        self._inbox = Inbox(RESPONSE_START)
        self._body: BodyReader | None = None
        self._last = False
        """The response says, or shows, that no request may follow."""
        self._produces = False
        self._full = False
        self._paused = False

    # -- for the user

    def begin(self, user: ServerUser, request: RequestHead) -> None:
        """A request is going to be sent, and its user wants the response."""
        self._user, self._request = user, request
        self.heard = False

    def expect_body(self) -> None:
        """A request body will be written: have the user told when the server is full."""
        self.transport.registerProducer(self, True)
        self._produces = True

    def send(self, data: bytes) -> None:
        self.transport.write(data)

    @property
    def stays(self) -> bool:
        """The server has not said that it would close, as far as the response is known."""
        return not self._last

    def await_rest(self, user: ServerUser) -> None:
        """The response is complete, and its request is not: the server may want all of it."""
        self._sender = user

    def pause(self) -> None:
        """Read no more for now."""
        self._paused = True
        self.transport.pauseProducing()

    def resume(self) -> None:
        self._paused = False
        self.transport.resumeProducing()

    def finish(self, keep: bool) -> None:
        """The response has ended: keep the connection for others if that is safe, or close it."""
        self._let_go()
        if not keep or self._last or self._full or not self._idle.keep(self):
            self.transport.abortConnection()
        elif self._paused:
            self.resume()

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
        user = self._user
        if user is None:
            self._refuse_unasked()
            return
        self.heard = True
        user.server_sent(len(data))
        try:
            if self._body is not None:
                self._read_body(user, self._body, data)
            elif self._inbox.data or not self._read_plain(user, data):
                self._inbox.add(data)
                self._read_heads(user)
        except MalformedMessage as error:
            self._fail(MalformedResponse(str(error)), error.data or data)
        if self._user is user:
            user.server_moves()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        user = self._user
        if user is None:
            self._idle.forget(self)
            if self._sender is not None:
                self._sender.server_failed(BadResponse("the server did not want all of it"))
        elif isinstance(self._body, CloseReader) and reason.check(ConnectionDone):
            self._last = True
            self._end(user)
        else:
            text = "the server closed the connection before its response was complete"
            self._fail(BadResponse(text))

    def pauseProducing(self) -> None:
        self._full = True
        user = self._user or self._sender
        if user is not None:
            user.server_full()

    def resumeProducing(self) -> None:
        self._full = False
        user = self._user or self._sender
        if user is not None:
            user.server_drained()

    def stopProducing(self) -> None:
        """The connection is lost; `connectionLost` follows."""

    # -- reading

    def _read_plain(self, user: ServerUser, data: bytes) -> bool:
        """What nearly every response begins with; False where it begins otherwise."""
        plain = plain_response(data, ResponseHead)
        if plain is not None:
            head, size = plain
            self._begin_body(user, head, data[size:])
        return plain is not None

    def _read_heads(self, user: ServerUser) -> None:
        while (head := read_response(self._inbox)) is not None:
            if head.status >= 200:
                self._begin_body(user, head, self._inbox.take())
                return
            if head.status == 101:
                self._upgrade(user, head)
                return
            user.interim_received(head)

    def _upgrade(self, user: ServerUser, head: ResponseHead) -> None:
        assert self._request is not None
        if not self._request.upgrade or not head.upgrade:
            raise MalformedMessage("the server changed the protocol unasked")
        user.upgraded(head, self._inbox.take())

    def _begin_body(self, user: ServerUser, head: ResponseHead, data: bytes) -> None:
        """What came with the head is read first: if it is malformed, the client gets a 502."""
        request = self._request
        assert request is not None
        if is_whole(head, request.method, data):
            self._last = not head.keep_alive
            user.response_begun(head, data, True, True)
            self._end(user)
            return
        body = response_body(head, request.method, request.minor)
        forward, beyond = body.feed(data)
        self._last = bool(beyond) or not head.keep_alive or _is_doubtful(head)
        self._body = None if body.done else body
        user.response_begun(head, forward, body.framed, body.done)
        if body.done:
            self._end(user)
        else:
            self.offer_bulk()

    def _read_body(self, user: ServerUser, body: BodyReader, data: bytes) -> None:
        forward, beyond = body.feed(data)
        if beyond:
            self._last = True
        if forward:
            user.response_continued(forward)
        if body.done:
            self._end(user)
        else:
            self.offer_bulk()

    def offer_bulk(self) -> None:
        """The rest of the body need not come through here, if there is one and its size known."""
        if isinstance(self._body, LengthReader) and self._user is not None:
            self._user.body_follows(self._body.left)

    def body_moved(self, left: int) -> None:
        """All but so many bytes have followed otherwise."""
        body, user = self._body, self._user
        assert isinstance(body, LengthReader)
        assert user is not None
        body.skip_to(left)
        if body.done:
            self._end(user)

    def _end(self, user: ServerUser) -> None:
        """Bytes beyond the response belong to nobody, and are dropped with the connection."""
        if self._user is user:
            self._user = self._body = None
            user.response_ended()

    def _fail(self, error: BadResponse, data: bytes = b"") -> None:
        user, self._user = self._user, None
        if user is not None:
            error.data = data
            user.server_failed(error)

    def _refuse_unasked(self) -> None:
        """An idle connection on which something comes is no longer understood."""
        if self._sender is not None:
            self._last = True  # what follows an early answer reaches nobody
            return
        self._idle.forget(self)
        self.transport.abortConnection()

    def _let_go(self) -> None:
        self._user = self._sender = None
        if self._produces:
            self._produces = False
            self.transport.unregisterProducer()


def _is_doubtful(head: ResponseHead) -> bool:
    """A 204 has no body; one that announces it may be followed by it."""
    return head.status == 204 and (head.chunked or bool(head.length))
