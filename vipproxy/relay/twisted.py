"""The Twisted engine: two transports joined, each the other's producer."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from vipproxy.counters import Traffic
from vipproxy.interfaces import IRelay, IRelaySession, IRelayTaker, Side
from vipproxy.sockets import TwistedTransports, attach, end_output, hang_up
from vipproxy.timers import IdleTimer
from vipproxy.values import Ending


@implementer(IRelay)
class TwistedRelay:
    """Works on whatever Twisted calls a transport: TCP, TLS, in memory."""

    def __init__(self, reactor: Any) -> None:
        self.reactor = reactor
        self.timer = IdleTimer(reactor)
        self.transports = TwistedTransports(reactor)

    def relay(
        self,
        client: Side,
        server: Side,
        taker: IRelayTaker,
        traffic: Traffic,
        client_timeout: float,
        server_timeout: float,
        to_server: bytes = b"",
        to_client: bytes = b"",
    ) -> IRelaySession:
        session = TwistedRelaySession(self, taker, traffic, client_timeout, server_timeout)
        session.start(client, server, to_server, to_client)
        return session

    def stop(self) -> None:
        """Leave nothing with the clock."""
        self.timer.stop()


@implementer(IRelaySession)
class TwistedRelaySession:
    """Open while either half is open.

    A half's end of input is passed on as a half-close; when both have ended, or one is lost,
    what was received is flushed and both are closed. Whatever never gets flushed, or whose
    end Twisted does not report (its ticket 5662), is idle, and ends by the timeout.
    """

    __slots__ = (
        "_client", "_ending", "_relay", "_server", "_taker", "idle_limit", "last_active", "traffic",
        "whose_timeout",
    )  # fmt: skip

    def __init__(
        self,
        relay: TwistedRelay,
        taker: IRelayTaker,
        traffic: Traffic,
        client_timeout: float,
        server_timeout: float,
    ) -> None:
        self._relay = relay
        self._taker: IRelayTaker | None = taker
        self.traffic = traffic
        self._ending = Ending.NORMAL
        self.idle_limit = min(client_timeout, server_timeout)
        shorter = client_timeout <= server_timeout
        self.whose_timeout = Ending.CLIENT_TIMEOUT if shorter else Ending.SERVER_TIMEOUT

    def start(self, client: Side, server: Side, to_server: bytes, to_client: bytes) -> None:
        seconds = self._relay.reactor.seconds
        self.last_active = seconds()
        self._relay.timer.watch(self)
        self._client, self._server = ClientHalf(self, seconds), ServerHalf(self, seconds)
        self._client.peer, self._server.peer = self._server, self._client
        attach(server, self._server, self._relay.transports)
        attach(client, self._client, self._relay.transports)
        for half, first in ((self._server, to_server), (self._client, to_client)):
            half.transport.registerProducer(half.peer.transport, True)
            if first:
                half.transport.write(first)
        for half in (self._server, self._client):
            half.transport.resumeProducing()

    @property
    def taker(self) -> IRelayTaker | None:
        return self._taker

    def shut_down(self, last_words: bytes = b"") -> None:
        self._over()
        hang_up(self._client.transport, last_words)
        hang_up(self._server.transport)

    def idle_expired(self) -> None:
        taker = self._taker
        self.shut_down()
        if taker is not None:
            taker.relay_ended(self.whose_timeout)

    def input_ended(self, half: Half) -> None:
        """One side has said all it has to say."""
        peer = half.peer
        if self._taker is None or peer.closed:
            return  # it is over, or will be when this side has got what is its own
        peer.transport.unregisterProducer()
        if peer.input_ended:
            half.transport.loseConnection()
            peer.transport.loseConnection()
        else:
            end_output(peer.transport)

    def lost(self, half: Half, reason: Failure) -> None:
        """One side is closed; the other follows when it has got what is its own."""
        if self._taker is None:
            return
        peer = half.peer
        if self._ending is Ending.NORMAL and not reason.check(ConnectionDone):
            self._ending = half.abort
        if peer.closed:
            taker = self._taker
            self._over()
            taker.relay_ended(self._ending)
        else:
            peer.transport.unregisterProducer()
            peer.transport.loseConnection()

    def _over(self) -> None:
        self._taker = None
        self._relay.timer.forget(self)


@implementer(IHalfCloseableProtocol)
class Half(Protocol):
    """The protocol on one side of a session."""

    transport: Any
    peer: Half
    abort: Ending
    """How a session ends that this side breaks off."""

    def __init__(self, session: TwistedRelaySession, seconds: Any) -> None:
        self.session = session
        self.seconds = seconds
        self.input_ended = False
        self.closed = False

    @property
    def user(self) -> IRelayTaker | None:
        """Whose bytes these are; None when it is over."""
        return self.session.taker

    def readConnectionLost(self) -> None:
        self.input_ended = True
        self.session.input_ended(self)

    def writeConnectionLost(self) -> None:
        """The other direction goes on."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.closed = True
        self.session.lost(self, reason)


class ClientHalf(Half):
    abort = Ending.CLIENT_ABORT

    def dataReceived(self, data: bytes) -> None:
        session = self.session
        session.last_active = self.seconds()
        session.traffic.bytes_in += len(data)
        self.peer.transport.write(data)


class ServerHalf(Half):
    abort = Ending.SERVER_ABORT

    def dataReceived(self, data: bytes) -> None:
        session = self.session
        session.last_active = self.seconds()
        session.traffic.bytes_out += len(data)
        self.peer.transport.write(data)
