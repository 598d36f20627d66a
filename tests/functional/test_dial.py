"""Connecting to servers: Twisted's reactor and the native transport do it alike."""

from __future__ import annotations

import gc
import os
import socket
from typing import Any

from attrs import define, field
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.streams import MISSING, Recorder, Streams, hear, reactor, turn, until
from vipproxy.config.options import KeepaliveOptions
from vipproxy.dial.reactor import ReactorDialler
from vipproxy.errors import ConnectFailed, ConnectTimeout, SessionError
from vipproxy.interfaces import IDial, IDialler, IDialTaker
from vipproxy.sockets import TwistedTransports, attach, local_of
from vipproxy.values import Address


@implementer(IDialTaker)
@define(eq=False, slots=False)
class Taker:
    """Lets a protocol speak on what it is given, as an HTTP exchange does."""

    transports: Any
    protocol: Recorder = field(factory=Recorder)
    told: list[Any] = field(factory=list)
    transport: Any = None

    def dialled(self, server: Any) -> None:
        self.told.append("dialled")
        self.transport = attach(server, self.protocol, self.transports)

    def dial_failed(self, error: SessionError) -> None:
        self.told.append(error)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


class Dialling:
    """What both must do."""

    def setUp(self) -> None:
        turn(3)  # what earlier tests have left closes now
        gc.collect()
        self.transports, self.dialler = self.engine()
        self.addCleanup(self.transports.stop)
        self.addCleanup(self.dialler.stop)
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.listening.close)
        self.taker = Taker(self.transports)

    def engine(self) -> Any:
        raise NotImplementedError

    addCleanup: Any
    assertEqual: Any
    assertIsInstance: Any
    assertTrue: Any

    def dial(
        self,
        address: Address | None = None,
        timeout: float = 30.0,
        keepalive: KeepaliveOptions | None = None,
        greeting: bytes = b"",
    ) -> Any:
        address = address or local_of(self.listening)
        return self.dialler.dial(address, timeout, self.taker, keepalive, greeting)

    def accept(self) -> socket.socket:
        server, _ = self.listening.accept()
        self.addCleanup(server.close)
        server.setblocking(False)
        return server

    def silent(self) -> Address:
        """A server that does not answer: the queue of those that it has not accepted is full."""
        listening = socket.create_server(("127.0.0.1", 0), backlog=0)
        self.addCleanup(listening.close)
        address = local_of(listening)
        for _ in range(3):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex((address.host, address.port))
            self.addCleanup(filler.close)
        return address

    def test_interfaces(self) -> None:
        """Both are what the connector expects."""
        verifyObject(IDialler, self.dialler)
        verifyObject(IDial, self.dial())

    def test_conversation(self) -> None:
        """Connected, both ends hear each other; the greeting goes first."""
        self.dial(greeting=b"hello ")
        server = self.accept()
        until(lambda: self.taker.told)
        self.taker.transport.write(b"there")
        heard = bytearray()
        until(lambda: heard.extend(hear(server) or b"") or len(heard) == len(b"hello there"))
        self.assertEqual(heard, b"hello there")
        server.send(b"hi")
        until(lambda: self.taker.protocol.received)
        self.assertEqual(self.taker.protocol.received, b"hi")
        server.close()
        until(lambda: self.taker.protocol.told)
        self.assertEqual(self.taker.protocol.told, ["ConnectionDone"])
        self.assertEqual(self.taker.told, ["dialled"])

    def test_socket(self) -> None:
        """The socket can be had, with the options of the backend, and who is at its ends."""
        self.dial(keepalive=KeepaliveOptions(idle=60.0))
        server = self.accept()
        until(lambda: self.taker.told)
        transport = self.taker.transport
        sock = transport.getHandle()
        self.assertTrue(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        self.assertTrue(sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
        self.assertEqual(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE), 60)
        self.assertEqual(transport.getPeer().port, local_of(self.listening).port)
        self.assertEqual(transport.getHost().port, server.getpeername()[1])
        transport.abortConnection()
        until(lambda: self.taker.protocol.told)
        self.assertEqual(sock.fileno(), -1)

    def test_refused(self) -> None:
        """A server that refuses."""
        address = local_of(self.listening)
        self.listening.close()
        self.dial(address)
        until(lambda: self.taker.told)
        self.assertIsInstance(self.taker.told[0], ConnectFailed)

    def test_timeout(self) -> None:
        """A server that does not answer in time."""
        self.dial(self.silent(), timeout=0.1)
        until(lambda: self.taker.told)
        self.assertIsInstance(self.taker.told[0], ConnectTimeout)

    def test_impossible(self) -> None:
        """An address to which nobody can connect is an error like any other."""
        self.dial(Address("255.255.255.255", 1))
        until(lambda: self.taker.told)
        self.assertIsInstance(self.taker.told[0], SessionError)

    def test_cancel(self) -> None:
        """Cancelled, nobody is told any more, and nothing is left open."""
        before = descriptors()
        dial = self.dial()
        self.assertEqual(descriptors(), before + 1)
        self.assertTrue(dial.cancel())
        self.assertEqual(descriptors(), before)
        self.assertTrue(dial.cancel())
        turn(3)
        self.assertEqual(self.taker.told, [])

    def test_nothing_is_left(self) -> None:
        """Neither descriptors, nor anything with the clock, however it ended."""
        calls = len(reactor.getDelayedCalls())
        self.dial().cancel()
        self.accept().close()
        before = descriptors()
        for _ in range(5):
            self.taker = Taker(self.transports)
            self.dial()
            server = self.accept()
            until(lambda: self.taker.told)
            self.taker.transport.loseConnection()
            until(lambda: self.taker.protocol.told)
            server.close()
        self.dialler.stop()
        self.assertEqual(descriptors(), before)
        self.assertEqual(len(reactor.getDelayedCalls()), calls)


class ReactorTests(Dialling, SynchronousTestCase):
    def engine(self) -> Any:
        return TwistedTransports(reactor), ReactorDialler(reactor)


class NativeTests(Dialling, SynchronousTestCase):
    skip = MISSING

    def engine(self) -> Any:
        from vipproxy.dial.native import StreamDialler

        streams = Streams(reactor)
        return streams, StreamDialler(streams)

    def test_release(self) -> None:
        """The socket of a dial can be given away, and is nobody else's then."""
        self.dial()
        server = self.accept()
        until(lambda: self.taker.told)
        with self.taker.transport.release() as sock:
            del self.taker
            gc.collect()
            sock.send(b"x")
            self.assertEqual(server.recv(1), b"x")

    def test_stopped(self) -> None:
        """A dial under way ends with the transports: silently, and nothing is left open."""
        before = descriptors()
        self.dial(self.silent())
        held = descriptors() - before
        self.transports.stop()
        self.assertEqual(descriptors(), before + held - 1)
        self.assertEqual(self.taker.told, [])

    def test_taker_that_raises(self) -> None:
        """It loses this connection, with a word in the log, and no other."""

        def raises(server: Any) -> None:
            raise RuntimeError("no")

        self.taker.dialled = raises  # type: ignore[method-assign]
        self.dial()
        server = self.accept()
        until(lambda: hear(server) == b"")
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.flushLoggedErrors(AttributeError)
        self.taker = Taker(self.transports)
        self.dial()
        until(lambda: self.taker.told)
