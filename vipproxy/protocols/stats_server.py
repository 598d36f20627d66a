"""The HTTP/1 server behind the statistics: small answers, one after the other, bounded in all.

A client has the frontend's `timeout-client` for each step: to send a whole request, and to read a
whole answer. No further request is looked at before the answer is on its way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import frozen
from twisted.internet.interfaces import (
    IDelayedCall,
    IHalfCloseableProtocol,
    IPushProducer,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from vipproxy.framing.http1 import MalformedMessage, RequestHead
from vipproxy.framing.http_body import BodyReader, request_body
from vipproxy.framing.http_inbox import REQUEST_START, Inbox, read_request
from vipproxy.interfaces import IFrontend
from vipproxy.protocols.http.errors import answer, connection_field, final_answer
from vipproxy.sockets import address_of

log = Logger()

BODY_LIMIT = 16384
"""Bytes of a request's body that are kept; the site sees one byte more where there was more."""
_REASONS = {200: b"OK", 303: b"See Other", 401: b"Unauthorized"}


@frozen
class Answer:
    """An answer; without a `kind` (content type) it is HAProxy's own page for the status."""

    status: int
    kind: bytes = b""
    body: bytes = b""
    fields: tuple[tuple[bytes, bytes], ...] = ()
    closes: bool = False
    """The connection ends after it."""
    intercepted: bool = False
    """Counts as answered by the proxy, in HAProxy's sense."""

    def render(self, method: bytes, connection: bytes) -> bytes:
        """The bytes, in HAProxy's order of fields; `connection` is a line or empty."""
        if not self.kind:
            return answer(self.status, method, connection)
        fields = b"".join(b"%b: %b\r\n" % each for each in self.fields)
        return (
            b"HTTP/1.1 %d %b\r\ncontent-length: %d\r\ncache-control: no-cache\r\n"
            b"content-type: %b\r\n%b%b\r\n%b"
        ) % (
            self.status, _REASONS[self.status], len(self.body), self.kind, fields, connection,
            b"" if method == b"HEAD" else self.body,
        )  # fmt: skip


Site = Callable[[RequestHead, bytes], Answer]
"""Answers a request: its head, and its body."""


class StatsFactory(Factory):
    noisy = False

    def __init__(self, frontend: IFrontend, site: Site) -> None:
        self.frontend, self.site = frontend, site

    def buildProtocol(self, addr: Any) -> StatsConnection:
        return StatsConnection(self.frontend, self.site)


@implementer(IHalfCloseableProtocol, IPushProducer)
class StatsConnection(Protocol):
    """One client. As a producer it learns from the transport whether its answers are read."""

    def __init__(self, frontend: IFrontend, site: Site) -> None:
        self._frontend, self._site = frontend, site
        self._inbox = Inbox(REQUEST_START)
        self._head: RequestHead | None = None
        self._body: BodyReader | None = None
        self._sent = bytearray()
        """What has come of the body."""
        self._answers = 0
        self._paused = False
        """The transport holds more than it wants."""
        self._closing = False
        self._timer: IDelayedCall | None = None

    @property
    def _transport(self) -> Any:
        return self.transport

    def connectionMade(self) -> None:
        self._traffic = self._frontend.opened(self._transport)
        self._transport.registerProducer(self, True)
        self._restart_timer()

    def dataReceived(self, data: bytes) -> None:
        if self._closing:
            return
        self._traffic.bytes_in += len(data)
        self._inbox.add(data)
        self._advance()

    def _advance(self) -> None:
        """Answer what is complete, as long as the client reads the answers."""
        try:
            while not (self._paused or self._closing) and self._read_request():
                self._respond()
        except MalformedMessage as error:
            source = address_of(self._transport.getPeer())
            self._frontend.refused_request(source, error.data, str(error))
            self._refuse(400)

    def _read_request(self) -> bool:
        """Read on; True once a request is there whole."""
        if self._head is None:
            self._head = read_request(self._inbox)
            if self._head is None:
                return False
            self._body = request_body(self._head)
        if self._body is not None:
            part, rest = self._body.feed(self._inbox.take())
            self._inbox.add(rest)
            self._sent += part[: BODY_LIMIT + 1 - len(self._sent)]
            return self._body.done
        return True

    def _respond(self) -> None:
        head, self._head, self._body = self._head, None, None
        assert head is not None
        body = bytes(self._sent)
        self._sent.clear()
        self._answers += 1
        counters = self._frontend.counters
        counters.request_received(self._frontend.clock.seconds())
        made = self._made(head, body)
        counters.responded(made.status)
        counters.intercepted += made.intercepted
        keep = head.keep_alive and not made.closes and not self._frontend.stopping
        self._restart_timer()
        self._send(made.render(head.method, connection_field(keep, head.minor, 1)))
        if not keep:
            self._close()

    def _made(self, head: RequestHead, body: bytes) -> Answer:
        """A fault of our own costs this answer, not the connection."""
        try:
            return self._site(head, body)
        except Exception:
            log.failure("the statistics could not be made")
            self._frontend.counters.internal_errors += 1
            return Answer(500)

    def _refuse(self, status: int) -> None:
        """The last answer to a client that sent no request, or none that can be understood."""
        counters = self._frontend.counters
        counters.request_errors += 1
        counters.responded(status)
        self._send(final_answer(status))
        self._close()

    def _send(self, data: bytes) -> None:
        self._traffic.bytes_out += len(data)
        self._transport.write(data)

    def _close(self) -> None:
        """Write what is left, and end; the timer remains for a client that reads nothing."""
        self._closing = True
        self._inbox.take()
        self._transport.unregisterProducer()
        self._transport.loseConnection()

    # -- what the transport tells a producer -------------------------------------------------------

    def pauseProducing(self) -> None:
        self._paused = True
        self._transport.pauseProducing()

    def resumeProducing(self) -> None:
        self._paused = False
        self._transport.resumeProducing()
        self._restart_timer()
        self._advance()

    def stopProducing(self) -> None:
        """The connection is ending; `connectionLost` does the rest."""

    # -- ends --------------------------------------------------------------------------------------

    def readConnectionLost(self) -> None:
        """The client has said all. What was answered still goes out."""
        if not self._closing:
            self._close()

    def writeConnectionLost(self) -> None:
        """Nothing is written half-closed."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._closing = True
        self._stop_timer()
        self._frontend.closed(self._transport)

    def _restart_timer(self) -> None:
        self._stop_timer()
        limit = self._frontend.options.timeout_client
        self._timer = self._frontend.clock.callLater(limit, self._expired)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expired(self) -> None:
        """A client with an unfinished request is told so, an idle one is not (as HAProxy)."""
        self._timer = None
        started = self._inbox.data or self._head is not None or not self._answers
        if started and not (self._closing or self._paused):
            self._restart_timer()
            self._refuse(408)
        else:
            self._transport.abortConnection()
