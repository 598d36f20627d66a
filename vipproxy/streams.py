"""The native transport: an ordinary Twisted transport, at a fraction of the cost.

What happens with every read and write is compiled (stream.c); what happens once a connection, or
never, is here.
"""

from __future__ import annotations

import contextlib
import socket
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IConsumer,
    IHalfCloseableDescriptor,
    IHalfCloseableProtocol,
    ILoggingContext,
    IProtocol,
    IPushProducer,
    IReadDescriptor,
    ISystemHandle,
    ITCPTransport,
)
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from vipproxy.interfaces import ILendable, ITransports, WhenLost
from vipproxy.native import _engine
from vipproxy.sockets import twisted_address
from vipproxy.values import Address

log = Logger()

ENOUGH = 64
"""Events at one wake-up of the reactor; after so many, the reactor's others have their turn."""

NOWHERE = ("0.0.0.0", 0)
"""The host and port of a socket that is no more."""


@implementer(ITransports, IReadDescriptor)
class Streams(_engine.Poller):
    """All native transports of a reactor, of which it sees this one descriptor."""

    def __init__(self, reactor: Any) -> None:
        """`reactor` is an IReactorFDSet. Raises OSError."""
        self._aborted = Failure(ConnectionAborted())
        super().__init__(Failure(ConnectionDone()), Failure(ConnectionLost()), self._aborted)
        self.reactor = reactor
        self._watched = False

    def adopt(
        self, sock: socket.socket, protocol: IProtocol, peer: Address, when_lost: WhenLost = None
    ) -> NativeStream:
        return NativeStream(sock, protocol, peer, self, when_lost)

    def adopt_accepted(
        self,
        descriptor: int,
        family: int,
        protocol: IProtocol,
        peer: Address,
        when_lost: WhenLost = None,
    ) -> NativeStream:
        return NativeStream(descriptor, protocol, peer, self, when_lost)

    def watch(self) -> None:
        """There is a stream: have the reactor look at them from now on."""
        if not self._watched:
            self._watched = True
            self.reactor.addReader(self)

    def stop(self) -> None:
        """Abort what is connected, and leave nothing with the reactor; more may come later."""
        if self._watched:
            self._watched = False
            self.reactor.removeReader(self)
        self._lose_all(self._aborted)

    def doRead(self) -> None:
        """Poll while there is work: that is cheaper than a turn of the reactor for each poll."""
        total = 0
        while total < ENOUGH and (handled := self.poll()):
            total += handled

    def connectionLost(self, reason: Failure) -> None:
        """The reactor stops: so it loses its connections."""
        self._lose_all(reason)
        self.close()

    def _lose_all(self, reason: Failure) -> None:
        for stream in self.streams():
            stream.connectionLost(reason)

    def logPrefix(self) -> str:
        return "-"


@implementer(
    ITCPTransport,
    ISystemHandle,
    IConsumer,
    IPushProducer,
    IHalfCloseableDescriptor,
    ILoggingContext,
    ILendable,
)
class NativeStream(_engine.Stream):
    """A transport around a connected socket, or its descriptor, which it takes over, and reads.

    It behaves as `twisted.internet.tcp.Connection` does, with these differences: a write is sent
    at once, or, out of a callback, when all that was ready has been handled, together with what
    else was written meanwhile; `connectionLost` is never called from within a transport's method.
    """

    def __init__(
        self,
        sock: socket.socket | int,
        protocol: IProtocol,
        peer: Address,
        streams: Streams,
        when_lost: WhenLost = None,
    ) -> None:
        """Raises OSError where the kernel cannot watch the socket."""
        self._peer, self._when_lost = peer, when_lost
        streams.watch()
        super().__init__(streams, sock, protocol)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {type(self.protocol).__name__} with {self._peer}>"

    @property
    def reactor(self) -> Any:
        return self.poller.reactor

    # -- who is at either end

    def getPeer(self) -> IPv4Address | IPv6Address:
        return twisted_address(self._peer.host, self._peer.port)

    def getHost(self) -> IPv4Address | IPv6Address:
        name = NOWHERE if self.socket is None else self.socket.getsockname()
        return twisted_address(*name[:2])

    def getHandle(self) -> socket.socket | None:
        """The socket; None when the connection is lost or released."""
        return self.socket  # type: ignore[no-any-return]

    @property
    def logstr(self) -> str:
        return f"{type(self.protocol).__name__},{self._peer.host}"

    def logPrefix(self) -> str:
        return self.logstr

    # -- options

    def getTcpNoDelay(self) -> bool:
        return bool(self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    def setTcpNoDelay(self, enabled: bool) -> None:
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, enabled)

    def getTcpKeepAlive(self) -> bool:
        return bool(self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))

    def setTcpKeepAlive(self, enabled: bool) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, enabled)

    def stopConsuming(self) -> None:
        self.unregisterProducer()
        self.loseConnection()

    # -- ends; called by the compiled part

    def readConnectionLost(self, reason: Failure) -> None:
        """The peer has ended its output."""
        half_closeable = IHalfCloseableProtocol(self.protocol, None)
        if half_closeable is None:
            self.connectionLost(reason)
        else:
            half_closeable.readConnectionLost()

    def connectionLost(self, reason: Failure) -> None:
        super().connectionLost(reason)
        if self._when_lost is not None:
            self._when_lost(self)

    def writeConnectionLost(self, reason: Failure) -> None:
        """Part of IHalfCloseableDescriptor; Twisted's reactors never call it."""
        self.connectionLost(reason)

    def _half_close(self) -> None:
        """All is sent that was written before `loseWriteConnection`."""
        with contextlib.suppress(OSError):  # the peer was faster
            self.socket.shutdown(socket.SHUT_WR)
        half_closeable = IHalfCloseableProtocol(self.protocol, None)
        if half_closeable is not None:
            half_closeable.writeConnectionLost()

    def _raised(self, error: BaseException) -> None:
        """A callback of the protocol or of a producer has raised."""
        failure = Failure(error)
        log.failure("Unhandled Error", failure)
        self.connectionLost(failure)
