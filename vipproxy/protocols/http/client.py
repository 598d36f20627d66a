"""The proxy's side of a client's connection: takes requests, and answers them in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer, ISSLTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from vipproxy.counters import Traffic
from vipproxy.errors import BadRequest, ClientGone, ClientTimeout
from vipproxy.framing.http1 import MalformedMessage, RequestHead
from vipproxy.interfaces import LeaseRequest
from vipproxy.protocols.http import log as http_log
from vipproxy.protocols.http.counts import count_misunderstood
from vipproxy.protocols.http.errors import connection_field, final_answer, page_of, written
from vipproxy.protocols.http.exchange import Exchange
from vipproxy.protocols.http.forwarded import ForwardedFields
from vipproxy.protocols.http.patience import Patience
from vipproxy.protocols.http.requests import RequestReader
from vipproxy.protocols.http.state import BODY, BUSY, CLOSING, HEAD
from vipproxy.rules.answers import Answer
from vipproxy.sockets import UNKNOWN, address_of, can_half_close, hang_up
from vipproxy.values import Address

if TYPE_CHECKING:
    from vipproxy.protocols.http.factory import HttpFactory


@implementer(IPushProducer, IHalfCloseableProtocol)
class HttpClient(Protocol):
    """One client. Requests that it sends before it has its answer wait, in bounded memory."""

    transport: Any
    factory: HttpFactory
    destination: Address
    traffic: Traffic
    user = property(lambda self: self._exchange, doc="The request that it makes now.")

    def __init__(self, factory: HttpFactory, address: Address) -> None:
        self.factory, self.address = factory, address
        self.frontend = factory.frontend
        self.patience = Patience(factory.timer, self.frontend.clock.seconds, self._expired)
        self.forwarded: ForwardedFields | None = None
        """What servers are told of the client, where they are to be told."""
        self.log: http_log.ClientLog | None = None
        self.may_reuse_server = factory.reuses_at_once
        """Its requests may go onto idle connections to servers."""
        self._wish: LeaseRequest | None = None
        """What was asked of the backend last; mostly it is asked again."""
        self.full = False
        """The client does not read as fast as it is written to."""
        self.blocked = False
        """The exchange wants no more of the request for now."""
        self._state = HEAD
        self._requests = RequestReader()
        self._exchange: Exchange | None = None
        self._advancing = False
        self._reading = True
        self._ended = False
        """The client has ended its input."""
        self._due = True
        """A request is due: at once from a new client, later from its first byte on."""

    # -- Twisted's calls

    def makeConnection(self, transport: Any) -> None:
        self.traffic = self.frontend.opened(transport)
        super().makeConnection(transport)

    def connectionMade(self) -> None:
        if self.address is UNKNOWN:
            self.address = address_of(self.transport.getPeer())
        self.destination = self.frontend.destination or address_of(self.transport.getHost())
        self.log = http_log.client_log(self)
        if self.factory.forwarding:
            secure = ISSLTransport.providedBy(self.transport)
            forwarding = self.factory.forwarding
            self.forwarded = forwarding.of_client(self.address, self.destination, secure)
        self.factory.client_came(self)
        self.transport.registerProducer(self, True)
        self.patience.limit(self.factory.request_limit)

    def dataReceived(self, data: bytes) -> None:
        self.traffic.bytes_in += len(data)
        if self.log is not None:
            self.log.heard()
        if self._state is HEAD and not self.full and (head := self._requests.read_alone(data)):
            self._serve(head)
        elif self._state is not CLOSING:
            self._requests.add(data)
            self._advance()

    def readConnectionLost(self) -> None:
        """The client has nothing more to say; it still gets what it has asked for."""
        self._ended = True
        if self._state is CLOSING:
            self.transport.loseConnection()
        elif self._state is BODY or self._has_left():
            self._abandon_exchange()
            self._close()
        else:
            self._advance()

    def _has_left(self) -> bool:
        """A client that has ended its output may have closed, or only said all it has to say."""
        exchange = self._exchange
        leaves = self.factory.options.abortonclose
        return leaves and exchange is not None and not exchange.begun

    def writeConnectionLost(self) -> None:
        """We have ended our output; the client will end its own."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._absent()
        self._state = CLOSING
        self._abandon_exchange()
        self._forget()
        self.frontend.closed(self.transport)

    def pauseProducing(self) -> None:
        self.full = True
        if self._exchange is not None:
            self._exchange.client_full()

    def resumeProducing(self) -> None:
        self.full = False
        if self._exchange is not None:
            self._exchange.client_drained()
        self._advance()

    def stopProducing(self) -> None:
        """The connection is lost; `connectionLost` follows."""

    # -- reading

    def _advance(self) -> None:
        """Read as far as possible: a loop, since answers may come before calls return."""
        if self._advancing:
            return
        self._advancing = True
        try:
            while self._step():
                pass
            if self._ended and self._state is HEAD and not self.full:
                self._requests.refuse_rest()
                self._absent()
                self._close()
        except MalformedMessage as error:
            self._refuse(error)
        finally:
            self._advancing = False
        if self.blocked or self._requests.data or not self._reading:
            self._update_reading()

    def _step(self) -> bool:
        """Read one head, or what there is of a body; False where there is nothing to do."""
        if self._state is BODY:
            return self._read_body()
        if self._state is not HEAD or self.full or not self._requests.data:
            return False
        head = self._requests.read_head()
        if head is None:
            self._expect_rest()
            return False
        self._serve(head)
        return self._state is not BUSY

    def _serve(self, head: RequestHead) -> None:
        """What came with the head is read first: if it is malformed, no server hears of it."""
        self._due = False
        now, factory = self.patience.seconds(), self.factory
        self.frontend.counters.request_received(now)
        data = b"" if self._requests.done else self._requests.read_body()
        if self.log is not None:
            self.log.begin(head, now)
        if factory.rules is not None:
            route = factory.rules.route(self, head)
        elif factory.monitor_path and head.path == factory.monitor_path:
            self.frontend.counters.intercepted += 1
            http_log.write_nothing(self)
            self.answer(200)
            return
        else:
            route = factory.route
        if route is None:
            return  # it is answered already
        done = self._requests.done
        self._state = BUSY if done else BODY
        exchange = self._exchange = Exchange(self, route, head, done)
        if data:
            exchange.request_continued(data, done)
        exchange.start(now)

    def _read_body(self) -> bool:
        if self._exchange is None or not self._requests.data:
            return False
        self.patience.touch()
        data = self._requests.read_body()
        if self._requests.done:
            self._state = BUSY
        self._exchange.request_continued(data, self._requests.done)
        return True

    def _expect_rest(self) -> None:
        """The first byte of a request has come: the rest is due."""
        if not self._due and self._requests.data:
            self._due = True
            self.patience.limit(self.factory.request_limit)

    def _refuse(self, error: MalformedMessage) -> None:
        self.frontend.counters.request_errors += 1
        self.frontend.refused_request(self.address, error.data, str(error))
        if self._exchange is not None:
            self._exchange.fail(BadRequest(str(error)))
            return
        if self._requests.head is None:
            self.frontend.counters.request_received(self.patience.seconds())
        http_log.write_misunderstood(self, (ClientGone if self._ended else BadRequest).ending, 400)
        self.answer(400)

    def _update_reading(self) -> None:
        if self._state is CLOSING or self._ended:
            return
        if not self.blocked and not self._requests.full:
            self._resume_reading()
        elif self._reading:
            self._reading = False
            self.transport.pauseProducing()

    def _resume_reading(self) -> None:
        if not self._reading:
            self._reading = True
            self.transport.resumeProducing()

    # -- for the exchange

    def lease_request(self, cookie: str | None, key: bytes | None) -> LeaseRequest:
        """What to ask of the backend for a client with this persistence cookie, and this key."""
        wish = self._wish
        if wish is None or wish.cookie != cookie or wish.key != key:
            wish = self._wish = LeaseRequest(self.address, self.destination, cookie, key=key)
        return wish

    @property
    def bulk(self) -> int:
        """Bytes of the request's body that are to come, and need not come through here."""
        return self._requests.bulk

    def body_moved(self, left: int) -> None:
        """All but so many of them have gone to the server."""
        self.patience.touch()
        self._requests.body_moved(left)
        if self._requests.done and self._exchange is not None:
            self._state = BUSY
            self._exchange.request_continued(b"", True)

    def block(self) -> None:
        """Read no more of the request for now."""
        self.blocked = True
        self._update_reading()

    def unblock(self) -> None:
        self.blocked = False
        self._update_reading()

    def write(self, data: bytes) -> None:
        self.traffic.bytes_out += len(data)
        self.transport.write(data)

    def may_keep(self, to_its_end: bool = False) -> bool:
        """Whether the connection can take another request after this one.

        Only if this one has been read, or is going to be read `to_its_end`.
        """
        head = self._requests.head
        wanted = head is not None and head.keep_alive and self.factory.keeps_clients
        return wanted and (self._requests.done or to_its_end) and not self.frontend.stopping

    def answer(self, status: int) -> None:
        """Say something ourselves; it ends the exchange, if there is one."""
        self.respond(Answer(status))

    def respond(self, said: Answer) -> None:
        """The same, as a rule says it, or a page of the configuration."""
        self.frontend.counters.responded(said.status)
        head, exchange, self._exchange = self._requests.head, self._exchange, None
        pages = self.factory.pages if exchange is None else exchange.route.pages
        last = page_of(said, head.method if head else b"", pages)
        if last is None and (head is None or said.status in (400, 408)) and not said.start:
            last = final_answer(said.status)
        if last is not None or head is None:
            self.write(last or b"")
            http_log.write_down(self, said.status)
            self._close(linger=said.status != 408)
        else:
            keep = self.may_keep()
            self.write(written(said, head.method, connection_field(keep, head.minor, 1)))
            http_log.write_down(self, said.status)
            self.exchange_over(keep)

    def drop(self) -> None:
        """End the connection without a word."""
        http_log.write_down(self, -1)
        self._exchange = None
        self._close()

    def exchange_over(self, keep: bool) -> None:
        """The response is written: on to the next request, or to the end."""
        self._exchange = None
        if not keep:
            self._close(linger=bool(self._requests.data) or not self._requests.done)
            return
        self._state = HEAD
        self._requests.next()
        self.blocked = False
        self.may_reuse_server = True
        self.patience.limit(self.factory.keep_alive_limit)
        if self.log is not None:
            self.log.ready(self.patience.last_active)
        if self._requests.data or self._ended or not self._reading:
            self._advance()

    def cut(self, visibly: bool) -> None:
        """The response breaks off. Where its framing would not show it, a reset does."""
        self._exchange = None
        if not visibly:
            self._close()
            return
        self._state = CLOSING
        self.transport.unregisterProducer()
        self.transport.abortConnection()

    def hang_up(self) -> None:
        """End the connection within this reactor turn."""
        self._exchange = None
        self._state = CLOSING
        hang_up(self.transport)

    def detach(self) -> tuple[Any, bytes]:
        """Give the transport away, for a tunnel, with what was read and not understood."""
        self._exchange = None
        self._state = CLOSING
        self.transport.unregisterProducer()
        self._forget()
        return self.transport, self._requests.take()

    # -- ends

    def close_if_idle(self) -> None:
        """The proxy stops: a client between two requests need not be waited for."""
        if self._state is HEAD and not self._requests.data:
            self._close()

    def _expired(self) -> None:
        if self._state is CLOSING:
            self.transport.abortConnection()
        elif self._exchange is not None:
            self._exchange.idle_expired()
        elif self._due:
            count_misunderstood(self)
            http_log.write_misunderstood(self, ClientTimeout.ending, 408)
            self.answer(408)
        else:
            self._close()

    def _absent(self) -> None:
        """A client leaves that owes a request: without a word it is a bad one to HAProxy."""
        if self._state is HEAD and self._due:
            http_log.write_absence(self)
            if not self._requests.data:
                count_misunderstood(self)
                self.frontend.counters.responded(400)

    def _abandon_exchange(self) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.client_gone()

    def _close(self, linger: bool = False) -> None:
        """Close when all is written.

        A close with unread input is a reset, which may overtake the answer: with `linger`, the
        client closes first (RFC 9112, 9.6).
        """
        self._state = CLOSING
        self._requests.take()
        self.transport.unregisterProducer()
        if linger and not self._ended and can_half_close(self.transport):
            self._resume_reading()
            self.transport.loseWriteConnection()
        else:
            self.transport.loseConnection()
        self.patience.limit(self.frontend.options.timeout_client)

    def _forget(self) -> None:
        self.patience.forget()
        self.factory.client_gone(self)
