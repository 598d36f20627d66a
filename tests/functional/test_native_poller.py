"""Native transports where they differ from Twisted's: release, fairness, memory, descriptors."""

from __future__ import annotations

import contextlib
import gc
import os
import select
import socket
import sys
import weakref
from collections.abc import Iterator
from typing import Any

from twisted.internet.error import ConnectionAborted, ConnectionLost
from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.streams import (
    MISSING,
    HalfCloseable,
    NativeStream,
    NativeTransports,
    Producer,
    Recorder,
    Streams,
    engine,
    hear,
    hear_all,
    reactor,
    reset,
    tcp_pair,
    turn,
    until,
)
from vipproxy.values import Address

SOMEONE = Address("192.0.2.1", 1024)
MUCH = 4 << 20


class FakeReactor:
    """Watches nothing: the test polls by hand."""

    def addReader(self, reader: Any) -> None:
        """Nothing is watched."""

    def removeReader(self, reader: Any) -> None:
        """Nor forgotten."""


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@contextlib.contextmanager
def catch_unraisable() -> Iterator[list[type[BaseException]]]:
    """The types of the exceptions that nobody could be told of."""
    reported: list[type[BaseException]] = []
    hook, sys.unraisablehook = sys.unraisablehook, lambda args: reported.append(args.exc_type)
    try:
        yield reported
    finally:
        sys.unraisablehook = hook


class Release(NativeTransports):
    def test_release(self) -> None:
        """A released socket is open, and its own; the protocol hears no more."""
        protocol, producer = Recorder(), Producer()
        far = self.wire(protocol)
        protocol.transport.registerProducer(producer, True)
        sock = protocol.transport.release()
        self.addCleanup(sock.close)
        far.send(b"for the socket")
        turn(3)
        self.assertEqual(sock.recv(100), b"for the socket")
        far.close()
        turn(3)
        self.assertEqual((sock.recv(1), protocol.told, producer.told), (b"", [], []))
        self.assertFalse(protocol.transport.connected)
        self.assertIsNone(protocol.transport.getHandle())
        self.assertEqual(self.streams.streams(), [])

    def test_in_a_callback(self) -> None:
        """A callback may write, and release: what it has written is sent first."""

        def go(data: bytes) -> None:
            protocol.transport.write(b"101 Switching Protocols")
            self.sock = protocol.transport.release()

        protocol = Recorder(go)
        far = self.wire(protocol)
        far.send(b"upgrade")
        self.assertEqual(hear_all(far, 23), b"101 Switching Protocols")
        self.addCleanup(self.sock.close)

    def test_unsent(self) -> None:
        """There is no release while output waits; `unsent` says how much."""
        protocol = Recorder()
        far = self.wire(protocol)
        protocol.transport.write(b"x" * MUCH)
        self.assertGreater(protocol.transport.unsent, 0)
        self.assertRaises(RuntimeError, protocol.transport.release)
        hear_all(far, MUCH)
        until(lambda: protocol.transport.unsent == 0)
        protocol.transport.release().close()

    def test_ending(self) -> None:
        """Nor when the connection is about to be lost; it is lost then all the same."""
        for name in ("loseConnection", "abortConnection", "loseWriteConnection"):
            protocol = HalfCloseable()
            self.wire(protocol)
            getattr(protocol.transport, name)()
            self.assertRaises(RuntimeError, protocol.transport.release)
            self.assertEqual(self.told_in_the_end(protocol), 1)

    def told_in_the_end(self, protocol: Recorder) -> int:
        until(lambda: protocol.told)
        return len(protocol.told)

    def test_found_lost(self) -> None:
        """Nor where the last write has found the connection lost."""
        protocol = Recorder()
        far = self.wire(protocol)
        reset(far)
        protocol.transport.write(b"x")
        self.assertRaises(RuntimeError, protocol.transport.release)
        until(lambda: protocol.told)

    def test_back_again(self) -> None:
        """A released socket can become a transport again."""
        first, second = Recorder(), Recorder()
        far = self.wire(first)
        transport = NativeStream(first.transport.release(), second, SOMEONE, self.streams)
        self.addCleanup(transport.abortConnection)
        far.send(b"x")
        until(lambda: second.received == b"x")


class Turns(NativeTransports):
    def test_at_once(self) -> None:
        """Outside of a callback a write is in the kernel when it returns."""
        protocol = Recorder()
        far = self.wire(protocol)
        protocol.transport.write(b"now")
        self.assertEqual(hear(far), b"now")

    def test_together(self) -> None:
        """What a callback writes leaves when it returns, in one piece."""

        def answer(data: bytes) -> None:
            protocol.transport.write(b"head ")
            protocol.transport.write(b"body")
            self.assertIsNone(hear(far))

        protocol = Recorder(answer)
        far = self.wire(protocol)
        far.send(b"?")
        until(lambda: protocol.received)
        self.assertEqual(hear(far), b"head body")

    def test_endless_producer(self) -> None:
        """Outside of callbacks too, one that writes until it is paused is paused in the end."""

        def produce() -> None:
            while not producer.paused and protocol.transport.connected:
                protocol.transport.write(b"x" * 4096)
                hear(far)

        protocol, producer = Recorder(), Producer(produce)
        far = self.wire(protocol)
        protocol.transport.registerProducer(producer, True)
        reactor.callLater(0, produce)
        until(lambda: producer.told.count("resume") > 3)
        protocol.transport.unregisterProducer()

    def test_endless_sender(self) -> None:
        """A peer that always sends is read once a turn; the others have theirs."""
        reads: list[str] = []
        busy, idle = Recorder(), Recorder()
        far_busy, far_idle = self.wire(busy), self.wire(idle)

        def go_on(data: bytes) -> None:
            reads.append("busy")
            _fill(far_busy)

        busy.on_data = go_on
        idle.on_data = lambda data: reads.append("idle")
        _fill(far_busy)
        far_idle.send(b"x")
        until(lambda: "idle" in reads)
        self.assertLess(reads.index("idle"), 3)
        self.assertLessEqual(len(busy.received), 65536 * reads.count("busy"))

    def test_quiet_when_paused(self) -> None:
        """A paused stream wakes nobody, whatever its peer does."""
        for finish in (lambda far: far.send(b"x"), socket.socket.close, reset):
            protocol = HalfCloseable()
            far = self.wire(protocol)
            protocol.transport.pauseProducing()
            finish(far)
            turn(3)
            self.assert_quiet()

    def test_quiet_after_the_end(self) -> None:
        """Nor does a half-closed one, of either sort or both."""
        protocol = HalfCloseable()
        far = self.wire(protocol)
        far.shutdown(socket.SHUT_WR)
        until(lambda: protocol.told)
        self.assert_quiet()
        protocol.transport.loseWriteConnection()
        until(lambda: len(protocol.told) == 2)
        self.assert_quiet()

    def assert_quiet(self) -> None:
        self.assertEqual(select.select([self.streams], [], [], 0), ([], [], []))
        self.assertEqual(self.streams.poll(), 0)

    def test_reactor_within(self) -> None:
        """A callback that runs the reactor does no harm."""

        def run(data: bytes) -> None:
            inner.transport.write(b"answer")
            turn(5)

        outer, inner = Recorder(run), Recorder()
        far_outer, far_inner = self.wire(outer), self.wire(inner)
        for far in (far_outer, far_inner):
            far.send(b"x")
        self.assertEqual(hear_all(far_inner, 6), b"answer")
        until(lambda: outer.received and inner.received)

    def test_many_events(self) -> None:
        """More events than one poll takes are handled one batch after the other."""
        protocols = [Recorder() for _ in range(300)]
        far = [self.wire(protocol) for protocol in protocols]
        for sock in far:
            sock.send(b"x")
        self.assertEqual(self.streams.poll(), 256)
        self.assertEqual(self.streams.poll(), 44)
        self.assertTrue(all(protocol.received for protocol in protocols))
        self.assertRaises(ValueError, self.streams.poll, 0)
        self.assertRaises(ValueError, self.streams.poll, 257)

    def test_reactor_stops(self) -> None:
        """Losing the reactor is losing every connection, and the descriptors."""
        verifyObject(IReadDescriptor, self.streams)
        protocols = [Recorder() for _ in range(3)]
        for protocol in protocols:
            self.wire(protocol)
        reactor.removeReader(self.streams)
        self.streams.connectionLost(Failure(ConnectionLost()))
        self.assertEqual([protocol.told for protocol in protocols], [["ConnectionLost"]] * 3)
        self.assertEqual(self.streams.fileno(), -1)
        self.assertRaises(OSError, self.streams.poll)

    def test_stop(self) -> None:
        """So is `stop`, with a reset; a second one is harmless."""
        streams = Streams(reactor)
        near, far = tcp_pair()
        self.addCleanup(far.close)
        protocol = Recorder()
        protocol.makeConnection(NativeStream(near, protocol, SOMEONE, streams))
        streams.stop()
        self.assertIs(type(protocol.reasons[0].value), ConnectionAborted)
        self.assertRaises(ConnectionResetError, far.recv, 1)
        self.assertNotIn(streams, reactor.getReaders())
        streams.stop()

    def test_stopped_and_used_again(self) -> None:
        """After a stop, new streams are served as before."""
        streams = Streams(reactor)
        self.addCleanup(streams.stop)
        for _ in range(2):
            streams.stop()
            near, far = tcp_pair()
            self.addCleanup(far.close)
            protocol = Recorder()
            protocol.makeConnection(NativeStream(near, protocol, SOMEONE, streams))
            far.sendall(b"hello")
            until(protocol.received.__len__)
            self.assertEqual(protocol.received, b"hello")

    def test_extended(self) -> None:
        """A subclass may extend connectionLost: every end comes that way; if it raises, too."""
        told: list[str] = []

        class Extended(NativeStream):  # type: ignore[misc]
            def connectionLost(self, reason: Failure) -> None:
                told.append(type(reason.value).__name__)
                if "raise" in told:
                    raise ZeroDivisionError
                super().connectionLost(reason)

        def end(method: str) -> list[type[BaseException]]:
            near, far = tcp_pair()
            protocol = Recorder()
            protocol.makeConnection(Extended(near, protocol, SOMEONE, self.streams))
            getattr(protocol.transport, method, far.close)()
            with catch_unraisable() as reported:
                until(lambda: protocol.told)
            far.close()
            return reported

        for method in ("loseConnection", "abortConnection", "by the peer"):
            self.assertEqual(end(method), [])
        self.assertEqual(told, ["ConnectionDone", "ConnectionAborted", "ConnectionDone"])
        told.append("raise")
        self.assertEqual(end("loseConnection"), [ZeroDivisionError])

    def test_closed_behind_our_back(self) -> None:
        """A socket that somebody has closed is a lost connection, not a crash."""
        protocol = Recorder()
        self.wire(protocol)
        protocol.transport.getHandle().close()
        protocol.transport.write(b"x")
        until(lambda: protocol.told)
        self.assertEqual(protocol.told, ["ConnectionLost"])


def _fill(sock: socket.socket) -> None:
    try:
        while True:
            sock.send(b"x" * 65536)
    except BlockingIOError:
        return


class Life(SynchronousTestCase):
    """Without a reactor: memory and descriptors."""

    skip = MISSING

    def streams(self) -> Streams:
        streams = Streams(FakeReactor())
        self.addCleanup(streams.close)
        return streams

    def test_wrong_arguments(self) -> None:
        """A poller, a socket and a protocol it must be, and once."""
        streams = self.streams()
        near, far = socket.socketpair()
        self.addCleanup(far.close)
        self.assertRaises(TypeError, engine.Stream, object(), near, Recorder())
        self.assertRaises(TypeError, engine.Stream, streams, "near", Recorder())
        stream = engine.Stream(streams, near, Recorder())
        self.assertRaises(RuntimeError, engine.Stream.__init__, stream, streams, near, Recorder())
        self.assertRaises(ValueError, engine.Stream, streams, near, Recorder())
        self.assertRaises(RuntimeError, Streams.__init__, streams, FakeReactor())
        stream.release().close()
        self.assertRaises(ValueError, engine.Stream, streams, near, Recorder())
        with open(os.devnull) as plain_file:
            self.assertRaises(PermissionError, engine.Stream, streams, plain_file, Recorder())

    def test_without_python(self) -> None:
        """The compiled class by itself loses its connection where it needs the Python one."""
        streams = self.streams()
        near, far = socket.socketpair()
        protocol = Recorder()
        engine.Stream(streams, near, protocol)
        far.close()
        with catch_unraisable() as reported:
            streams.poll()
        self.assertEqual(protocol.told, ["ConnectionLost"])
        self.assertEqual(reported, [AttributeError])

    def test_uninitialized(self) -> None:
        """One whose __init__ was never called can do nothing, and breaks nothing."""
        stream = engine.Stream.__new__(engine.Stream)
        stream.write(b"x")
        stream.loseConnection()
        stream.abortConnection()
        stream.connectionLost(None)
        self.assertRaises(RuntimeError, stream.registerProducer, Producer(), True)
        self.assertRaises(RuntimeError, stream.release)
        poller = engine.Poller.__new__(engine.Poller)
        self.assertRaises(OSError, poller.poll)
        near, far = socket.socketpair()
        self.addCleanup(near.close)
        self.addCleanup(far.close)
        self.assertRaises(OSError, engine.Stream, poller, near, Recorder())

    def test_cycle(self) -> None:
        """A lost connection leaves nothing behind, nor does a forgotten poller with open ones."""
        streams = Streams(FakeReactor())
        ghosts = []
        for _ in range(2):
            near, far = socket.socketpair()
            self.addCleanup(far.close)
            protocol: Any = Recorder()
            protocol.makeConnection(NativeStream(near, protocol, SOMEONE, streams))
            protocol.cycle = protocol
            protocol.transport.registerProducer(protocol, True)
            ghosts += [weakref.ref(protocol), weakref.ref(near)]
        protocol.stopProducing = int
        protocol.transport.abortConnection()
        streams.poll()
        ghosts.append(weakref.ref(streams))
        del streams, protocol, near
        gc.collect()
        self.assertEqual([ghost() for ghost in ghosts], [None] * 5)

    def test_descriptors(self) -> None:
        """After thousands of connections there are as many descriptors as before."""
        streams = self.streams()
        before = descriptors()
        for n in range(3000):
            near, far = socket.socketpair()
            protocol = Recorder()
            protocol.makeConnection(NativeStream(near, protocol, SOMEONE, streams))
            far.send(b"x")
            if n % 3 == 0:
                far.close()
            elif n % 3 == 1:
                protocol.transport.loseConnection()
            else:
                protocol.transport.abortConnection()
            while not protocol.told:
                streams.poll()
            far.close()
        self.assertEqual(descriptors(), before)

    def test_descriptor_again(self) -> None:
        """Events of a connection lost in this turn never reach a new one with its descriptor."""
        streams = self.streams()
        pairs = [socket.socketpair() for _ in range(2)]
        protocols = [Recorder() for _ in range(2)]
        newcomer = Recorder()
        far_end: list[socket.socket] = []

        def replace(other: Recorder) -> None:
            """Lose the other, and open a connection that takes its descriptor."""
            number = other.transport.getHandle().fileno()
            other.transport.connectionLost(Failure(ConnectionLost()))
            near, far = socket.socketpair()
            if far.fileno() == number:
                near, far = far, near
            self.assertEqual(near.fileno(), number)
            far_end.append(far)
            newcomer.makeConnection(NativeStream(near, newcomer, SOMEONE, streams))

        protocols[0].on_data = lambda data: replace(protocols[1])
        protocols[1].on_data = lambda data: replace(protocols[0])
        for (near, far), protocol in zip(pairs, protocols, strict=True):
            protocol.makeConnection(NativeStream(near, protocol, SOMEONE, streams))
            self.addCleanup(far.close)
            far.send(b"x")
            far.close()
        streams.poll()
        self.assertEqual((bytes(newcomer.received), newcomer.told), (b"", []))
        far_end[0].send(b"hello")
        streams.poll()
        self.assertEqual(newcomer.received, b"hello")
        far_end[0].close()
