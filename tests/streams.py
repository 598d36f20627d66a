"""Both kinds of transports on real sockets, and a reactor of their own to turn by hand."""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Callable
from typing import Any

from twisted.internet.epollreactor import EPollReactor
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from vipproxy.sockets import AdoptedConnection
from vipproxy.values import Address

NativeStream: Any = None
Streams: Any = None
engine: Any = None
MISSING: str | None = None
"""Why there are none of these, so that they cannot be tested."""

try:
    from vipproxy import streams
    from vipproxy.native import _engine
except ImportError:
    if os.environ.get("VIPPROXY_REQUIRE_REAL") == "1":
        raise
    MISSING = "the native engine is not compiled"
else:
    NativeStream, Streams, engine = streams.NativeStream, streams.Streams, _engine

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER, so that a close is a reset."""
PATIENCE = 20.0
"""Seconds until a test that waits has failed."""
SMALL_BUFFER = 65536

reactor: Any = EPollReactor()
"""Not the global one: a test turns it itself, and sees what happens within a turn."""


def turn(count: int = 1) -> None:
    for _ in range(count):
        reactor.iterate(0)


def until(condition: Callable[[], object]) -> None:
    """Turn the reactor until it holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it does not come"
        reactor.iterate(0.01)


class Recorder(Protocol):
    """Remembers what it is told; `on_data` and `on_lost` may do more."""

    transport: Any

    def __init__(self, on_data: Callable[[bytes], object] | None = None) -> None:
        self.received = bytearray()
        self.told: list[str] = []
        """What came besides data."""
        self.reasons: list[Failure] = []
        self.on_data = on_data
        self.on_lost: Callable[[], object] = int

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        if self.on_data is not None:
            self.on_data(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.reasons.append(reason)
        self.told.append(type(reason.value).__name__)
        self.on_lost()


@implementer(IHalfCloseableProtocol)
class HalfCloseable(Recorder):
    def __init__(self, on_data: Callable[[bytes], object] | None = None) -> None:
        super().__init__(on_data)
        self.on_input_ended: Callable[[], object] = int

    def readConnectionLost(self) -> None:
        self.told.append("input ended")
        self.on_input_ended()

    def writeConnectionLost(self) -> None:
        self.told.append("output ended")


class Producer:
    """Remembers what it is told; `on_resume` may do more."""

    def __init__(self, on_resume: Callable[[], object] = int) -> None:
        self.told: list[str] = []
        self.on_resume = on_resume

    @property
    def paused(self) -> bool:
        return self.told[-1:] == ["pause"]

    def pauseProducing(self) -> None:
        self.told.append("pause")

    def resumeProducing(self) -> None:
        self.told.append("resume")
        self.on_resume()

    def stopProducing(self) -> None:
        self.told.append("stop")


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """Two ends of a TCP connection, non-blocking, with small buffers in the kernel."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        far = socket.socket()
        far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
        far.connect(listening.getsockname())
        near, _ = listening.accept()
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BUFFER)
    for sock in (near, far):
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return near, far


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    sock.close()


def hear(sock: socket.socket) -> bytes | None:
    """What has come to a non-blocking socket: b"" is its end, None nothing as yet."""
    try:
        return sock.recv(1 << 20)
    except BlockingIOError:
        return None


def hear_all(far: socket.socket, size: int) -> bytes:
    """Turn the reactor until so many bytes have come, or the end."""
    heard = bytearray()

    def listen() -> bool:
        data = hear(far)
        heard.extend(data or b"")
        return data == b"" or len(heard) >= size

    until(listen)
    return bytes(heard)


class Transports(SynchronousTestCase):
    """What tests of one kind of transport need; the kinds are below."""

    def setUp(self) -> None:
        self.opened: list[Any] = []
        self.addCleanup(self.clean_up)

    def clean_up(self) -> None:
        """Leave nothing open, whatever the test has come to."""
        for transport in self.opened:
            transport.abortConnection()
        turn(3)

    def transport(self, sock: socket.socket, protocol: Protocol, peer: Address) -> Any:
        raise NotImplementedError

    def wire(self, protocol: Protocol) -> socket.socket:
        """Let `protocol` speak with the socket that is returned."""
        near, far = tcp_pair()
        self.addCleanup(far.close)
        peer = Address(*far.getsockname())
        transport = self.transport(near, protocol, peer)
        self.opened.append(transport)
        protocol.makeConnection(transport)
        return far


class TwistedTransports(Transports):
    def transport(self, sock: socket.socket, protocol: Protocol, peer: Address) -> Any:
        return AdoptedConnection(sock, protocol, peer, reactor)


class NativeTransports(Transports):
    skip = MISSING

    def setUp(self) -> None:
        self.streams = Streams(reactor)
        self.addCleanup(self.streams.stop)
        super().setUp()

    def transport(self, sock: socket.socket, protocol: Protocol, peer: Address) -> Any:
        return NativeStream(sock, protocol, peer, self.streams)
