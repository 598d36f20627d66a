"""Native transports behave as Twisted's do: each script runs over both."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from functools import partial

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IConsumer,
    IHalfCloseableDescriptor,
    IPushProducer,
    ISystemHandle,
    ITCPTransport,
)
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.streams import (
    HalfCloseable,
    NativeTransports,
    Producer,
    Recorder,
    Transports,
    TwistedTransports,
    hear,
    hear_all,
    reactor,
    reset,
    turn,
    until,
)
from vipproxy.counters import Traffic
from vipproxy.interfaces import IRelayTaker
from vipproxy.relay.twisted import TwistedRelay
from vipproxy.sockets import attach, end_output, hang_up
from vipproxy.values import Ending

MUCH = 4 << 20
"""Bytes: more than the kernel takes at once."""


def until_told(protocol: Recorder, what: str | None = None) -> None:
    """Turn the reactor until it is told something, or of `what`."""
    until(lambda: protocol.told if what is None else what in protocol.told)


def pattern(size: int) -> bytes:
    """Bytes in which a displacement would show."""
    return (b"".join(n.to_bytes(4, "big") for n in range(size // 4 + 1)))[:size]


class Writing(Transports):
    def test_echo(self) -> None:
        """What is received can be sent back, byte by byte and much at once."""
        protocol = Recorder(lambda data: protocol.transport.write(data))
        far = self.wire(protocol)
        for text in (b"a", b"bc", pattern(60_000)):
            far.send(text)
            self.assertEqual(hear_all(far, len(text)), text)

    def test_order(self) -> None:
        """Writes of all kinds arrive in their order, also those of one callback."""

        def answer(data: bytes) -> None:
            protocol.transport.write(b"1")
            protocol.transport.writeSequence([b"2", b"", b"3"])
            protocol.transport.writeSequence(iter(()) if self.lazy else [])
            protocol.transport.write(b"4")

        self.lazy = isinstance(self, NativeTransports)
        protocol = Recorder(answer)
        far = self.wire(protocol)
        protocol.transport.writeSequence((b"x", b"y"))
        far.send(b"?")
        self.assertEqual(hear_all(far, 6), b"xy1234")

    def test_many_small_ones(self) -> None:
        """Thousands of writes in one callback arrive whole."""
        text = pattern(20_000)
        parts = [text[n : n + 3] for n in range(0, len(text), 3)]
        protocol = Recorder(lambda data: [protocol.transport.write(part) for part in parts])
        far = self.wire(protocol)
        far.send(b"?")
        self.assertEqual(hear_all(far, len(text)), text)

    def test_slow_reader(self) -> None:
        """What the peer does not take waits, and arrives whole."""
        protocol = Recorder()
        far = self.wire(protocol)
        text = pattern(MUCH)
        protocol.transport.write(text[:7])
        protocol.transport.write(text[7 : MUCH // 2])
        turn(3)
        protocol.transport.write(text[MUCH // 2 :])
        turn(3)
        self.assertEqual(hear_all(far, MUCH), text)

    def test_from_a_timer(self) -> None:
        """A write from outside of any callback is sent."""
        protocol = Recorder()
        far = self.wire(protocol)
        reactor.callLater(0, protocol.transport.write, b"tick")
        self.assertEqual(hear_all(far, 4), b"tick")

    def test_only_bytes(self) -> None:
        """Anything but bytes is a TypeError, and nothing of a sequence with one is sent."""
        protocol = Recorder()
        far = self.wire(protocol)
        for wrong in ("text", bytearray(b"mutable"), None, 7):
            self.assertRaises(TypeError, protocol.transport.write, wrong)
            self.assertRaises(TypeError, protocol.transport.writeSequence, [b"x", wrong])
        protocol.transport.write(b"right")
        self.assertEqual(hear_all(far, 5), b"right")

    def test_after_the_end(self) -> None:
        """Whatever is done to a lost transport is ignored."""
        protocol = Recorder()
        far = self.wire(protocol)
        far.close()
        until_told(protocol)
        transport = protocol.transport
        transport.write(b"late")
        transport.writeSequence([b"later"])
        transport.loseConnection()
        transport.abortConnection()
        transport.unregisterProducer()
        transport.resumeProducing()
        turn(3)
        self.assertEqual(protocol.told, ["ConnectionDone"])
        self.assertFalse(transport.connected)
        self.assertTrue(transport.disconnected)

    def test_another_answers(self) -> None:
        """A callback may write to other transports."""
        left, right = Recorder(), Recorder()
        far_left, far_right = self.wire(left), self.wire(right)
        left.on_data = right.transport.write
        right.on_data = left.transport.write
        far_left.send(b"to the right")
        far_right.send(b"to the left")
        self.assertEqual(hear_all(far_right, 12), b"to the right")
        self.assertEqual(hear_all(far_left, 11), b"to the left")


class Reading(Transports):
    def test_pause(self) -> None:
        """A paused transport delivers nothing, and all of it when resumed."""
        protocol = Recorder()
        far = self.wire(protocol)
        protocol.transport.pauseProducing()
        far.send(b"wait")
        turn(5)
        self.assertEqual(protocol.received, b"")
        protocol.transport.resumeProducing()
        until(lambda: protocol.received == b"wait")

    def test_pause_in_a_callback(self) -> None:
        """After pauseProducing in dataReceived no more is delivered."""
        protocol = Recorder(lambda data: protocol.transport.pauseProducing())
        far = self.wire(protocol)
        far.send(b"x" * 100_000)
        turn(5)
        first = len(protocol.received)
        self.assertLessEqual(first, 65536)
        protocol.transport.resumeProducing()
        until(lambda: len(protocol.received) > first)

    def test_pause_and_resume_in_a_callback(self) -> None:
        """Both in one callback change nothing."""

        def stutter(data: bytes) -> None:
            protocol.transport.pauseProducing()
            protocol.transport.resumeProducing()

        protocol = Recorder(stutter)
        far = self.wire(protocol)
        for text in (b"one", b"two"):
            far.send(text)
            until(partial(protocol.received.endswith, text))

    def test_paused_hears_no_end(self) -> None:
        """While paused, neither an end nor a reset is told; when resumed, data comes first."""
        for finish in (socket.socket.close, reset):
            protocol = Recorder()
            far = self.wire(protocol)
            protocol.transport.pauseProducing()
            far.send(b"last words")
            finish(far)
            turn(5)
            self.assertEqual(protocol.told, [])
            protocol.transport.resumeProducing()
            until_told(protocol)
            self.assertEqual(protocol.received, b"last words")

    def test_switch(self) -> None:
        """What comes after a change of protocols goes to the new one, also within a callback."""
        second = Recorder()

        def switch(data: bytes) -> None:
            transport, transport.protocol = first.transport, second
            second.makeConnection(transport)
            transport.write(b"switched")

        first = Recorder(switch)
        far = self.wire(first)
        transport = first.transport
        far.send(b"first")
        self.assertEqual(hear_all(far, 8), b"switched")
        far.send(b"second")
        until(lambda: second.received == b"second")
        far.close()
        until(lambda: second.told)
        self.assertEqual((bytes(first.received), first.told), (b"first", []))
        self.assertIs(transport, second.transport)

    def test_raises(self) -> None:
        """A protocol that raises loses its connection, for that reason; the others do not."""
        error = ZeroDivisionError("a mistake")

        def fail(data: bytes) -> None:
            raise error

        bad, good = Recorder(fail), Recorder()
        far_bad, far_good = self.wire(bad), self.wire(good)
        far_bad.send(b"x")
        far_good.send(b"x")
        until(lambda: bad.told and good.received)
        self.assertIs(bad.reasons[0].value, error)
        self.assertEqual(hear_all(far_bad, 1), b"")
        logged = self.flushLoggedErrors(ZeroDivisionError)
        self.assertEqual([failure.value for failure in logged], [error])
        self.assertEqual(good.told, [])

    def test_raises_later(self) -> None:
        """One that raises when told of an end is logged, and all is cleaned up."""

        def fail() -> None:
            raise ZeroDivisionError

        protocol, half = Recorder(), HalfCloseable()
        protocol.on_lost = half.on_input_ended = fail
        for each in (protocol, half):
            self.wire(each).close()
            until_told(each)
        turn(3)
        self.assertEqual(half.told, ["input ended", "ZeroDivisionError"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)
        self.assertFalse(protocol.transport.connected or half.transport.connected)


class Producers(Transports):
    def test_push(self) -> None:
        """A push producer is paused when more than 64 KiB wait, and resumed when they are sent."""
        protocol, producer = Recorder(), Producer()
        far = self.wire(protocol)
        protocol.transport.registerProducer(producer, True)
        protocol.transport.write(b"x" * 1000)
        self.assertEqual(producer.told, [])
        protocol.transport.write(b"x" * MUCH)
        self.assertEqual(producer.told, ["pause"])
        turn(5)
        self.assertEqual(producer.told, ["pause"])
        hear_all(far, MUCH + 1000)
        until(lambda: producer.told == ["pause", "resume"])

    def test_push_in_a_callback(self) -> None:
        """A producer that writes until it is paused comes to an end in every turn."""
        self.left = MUCH

        def produce() -> None:
            while self.left and not producer.paused:
                self.left -= 8192
                protocol.transport.write(b"x" * 8192)

        protocol, producer = Recorder(), Producer(produce)
        far = self.wire(protocol)
        protocol.transport.registerProducer(producer, True)
        produce()
        self.assertGreater(self.left, MUCH // 2)
        self.assertEqual(len(hear_all(far, MUCH)), MUCH)

    def test_pull(self) -> None:
        """A pull producer is asked whenever all is sent, until it unregisters."""
        parts: Iterator[bytes] = iter([pattern(300_000), b"", b"x", b"end"])

        def produce() -> None:
            part = next(parts)
            protocol.transport.write(part or b"y")
            if part == b"end":
                protocol.transport.unregisterProducer()
                protocol.transport.loseConnection()

        protocol, producer = Recorder(), Producer(produce)
        far = self.wire(protocol)
        protocol.transport.registerProducer(producer, False)
        self.assertEqual(producer.told, ["resume"])
        self.assertEqual(hear_all(far, MUCH), pattern(300_000) + b"yxend")
        self.assertEqual(producer.told, ["resume"] * 4)
        until(lambda: protocol.told == ["ConnectionDone"])

    def test_pull_keeps_open(self) -> None:
        """loseConnection waits for a registered producer."""
        self.asked = 0

        def produce() -> None:
            self.asked += 1
            if self.asked == 3:
                protocol.transport.unregisterProducer()
            else:
                protocol.transport.write(b"more")

        protocol = Recorder()
        far = self.wire(protocol)
        protocol.transport.registerProducer(Producer(produce), False)
        protocol.transport.loseConnection()
        self.assertEqual(hear_all(far, MUCH), b"moremore")
        until(lambda: protocol.told == ["ConnectionDone"])

    def test_paused_keeps_open(self) -> None:
        """loseConnection waits for a push producer that is paused, and is then unregistered."""

        def finish() -> None:
            protocol.transport.write(b"the end")
            protocol.transport.unregisterProducer()

        protocol, producer = Recorder(), Producer(finish)
        far = self.wire(protocol)
        protocol.transport.registerProducer(producer, True)
        protocol.transport.write(b"x" * MUCH)
        protocol.transport.loseConnection()
        self.assertTrue(hear_all(far, MUCH + 100).endswith(b"xthe end"))
        until(lambda: protocol.told == ["ConnectionDone"])

    def test_twice(self) -> None:
        """A second producer is a RuntimeError, unless the first is unregistered."""
        protocol = Recorder()
        self.wire(protocol)
        protocol.transport.registerProducer(Producer(), True)
        self.assertRaises(RuntimeError, protocol.transport.registerProducer, Producer(), True)
        protocol.transport.unregisterProducer()
        protocol.transport.registerProducer(Producer(), True)

    def test_stopped(self) -> None:
        """A producer is stopped when the connection is lost, and before the protocol is told."""
        protocol, producer = Recorder(), Producer()
        far = self.wire(protocol)
        protocol.transport.registerProducer(producer, True)
        protocol.on_lost = lambda: producer.told.append("lost")
        far.close()
        until_told(protocol)
        self.assertEqual(producer.told, ["stop", "lost"])

    def test_too_late(self) -> None:
        """One that is registered after the end is stopped at once."""
        protocol, producer = Recorder(), Producer()
        self.wire(protocol).close()
        until_told(protocol)
        protocol.transport.registerProducer(producer, True)
        self.assertEqual(producer.told, ["stop"])

    def test_raises(self) -> None:
        """One that raises when resumed costs the connection."""

        def fail() -> None:
            raise ZeroDivisionError

        protocol = Recorder()
        far = self.wire(protocol)
        protocol.transport.registerProducer(Producer(fail), True)
        protocol.transport.write(b"x" * MUCH)
        hear_all(far, MUCH)
        until(lambda: protocol.told == ["ZeroDivisionError"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class Ends(Transports):
    def lost(self, protocol: Recorder) -> type[BaseException]:
        """Why the connection is lost, once it is; a few turns later still once."""
        until(lambda: protocol.reasons)
        turn(3)
        self.assertEqual(len(protocol.reasons), 1)
        value = protocol.reasons[0].value
        assert value is not None
        return type(value)

    def test_end_of_input(self) -> None:
        """For an ordinary protocol the end of the input is the end, in order."""
        protocol = Recorder()
        far = self.wire(protocol)
        far.send(b"bye")
        far.shutdown(socket.SHUT_WR)
        self.assertIs(self.lost(protocol), ConnectionDone)
        self.assertEqual(protocol.received, b"bye")
        self.assertEqual(hear_all(far, 1), b"")

    def test_half_closed_by_the_peer(self) -> None:
        """A half-closeable protocol is told, and goes on writing."""
        protocol = HalfCloseable()
        far = self.wire(protocol)
        far.send(b"question")
        far.shutdown(socket.SHUT_WR)
        until_told(protocol)
        protocol.transport.write(b"answer")
        self.assertEqual(hear_all(far, 6), b"answer")
        turn(3)
        self.assertEqual((bytes(protocol.received), protocol.told), (b"question", ["input ended"]))
        protocol.transport.loseConnection()
        self.assertIs(self.lost(protocol), ConnectionDone)

    def test_told_again(self) -> None:
        """Who resumes reading after the end of the input is told again; a new protocol may."""
        protocol = HalfCloseable()
        far = self.wire(protocol)
        far.shutdown(socket.SHUT_WR)
        until_told(protocol)
        protocol.transport.resumeProducing()
        until(lambda: protocol.told == ["input ended"] * 2)

    def test_half_close(self) -> None:
        """loseWriteConnection ends the output when all is sent; the input goes on."""
        protocol = HalfCloseable()
        far = self.wire(protocol)
        protocol.transport.write(b"x" * MUCH)
        protocol.transport.loseWriteConnection()
        self.assertEqual(len(hear_all(far, MUCH + 1)), MUCH)
        until(lambda: protocol.told == ["output ended"])
        protocol.transport.write(b"too late")
        far.send(b"answer")
        until(lambda: protocol.received == b"answer")
        self.assertEqual(far.recv(1), b"")
        protocol.transport.loseConnection()
        self.assertIs(self.lost(protocol), ConnectionDone)

    def test_half_close_by_an_ordinary_protocol(self) -> None:
        """It is not told, and still hears."""
        protocol = Recorder()
        far = self.wire(protocol)
        protocol.transport.loseWriteConnection()
        self.assertEqual(hear_all(far, 1), b"")
        far.send(b"answer")
        until(lambda: protocol.received == b"answer")
        far.close()
        self.assertIs(self.lost(protocol), ConnectionDone)

    def test_both_half_closes(self) -> None:
        """After both, loseConnection is still to be called."""
        for ours_first in (True, False):
            protocol = HalfCloseable()
            far = self.wire(protocol)
            if ours_first:
                protocol.transport.loseWriteConnection()
                until_told(protocol)
            far.shutdown(socket.SHUT_WR)
            until_told(protocol, "input ended")
            if not ours_first:
                protocol.transport.loseWriteConnection()
            turn(3)
            self.assertEqual(sorted(protocol.told), ["input ended", "output ended"])
            protocol.transport.loseConnection()
            self.assertIs(self.lost(protocol), ConnectionDone)

    def test_close_flushes(self) -> None:
        """What was written before loseConnection is delivered."""
        protocol = Recorder()
        far = self.wire(protocol)
        text = pattern(MUCH)
        protocol.transport.write(text)
        protocol.transport.loseConnection()
        self.assertTrue(protocol.transport.disconnecting)
        self.assertEqual(protocol.told, [])
        self.assertEqual(hear_all(far, MUCH), text)
        self.assertIs(self.lost(protocol), ConnectionDone)

    def test_deaf_after_close(self) -> None:
        """Nothing is read after loseConnection."""
        protocol = Recorder()
        far = self.wire(protocol)
        protocol.transport.write(b"x" * MUCH)
        protocol.transport.loseConnection()
        protocol.transport.resumeProducing()
        far.send(b"unheard")
        turn(5)
        self.assertEqual((bytes(protocol.received), protocol.told), (b"", []))

    def test_close_in_a_callback(self) -> None:
        """loseConnection in dataReceived: the answer arrives, then the end."""

        def answer(data: bytes) -> None:
            protocol.transport.write(b"answer")
            protocol.transport.loseConnection()
            self.assertEqual(protocol.told, [])

        protocol = Recorder(answer)
        far = self.wire(protocol)
        far.send(b"question")
        self.assertEqual(hear_all(far, 100), b"answer")
        self.assertIs(self.lost(protocol), ConnectionDone)

    def test_never_from_within(self) -> None:
        """connectionLost comes in a later turn, never while a method of the transport runs."""
        for name in ("loseConnection", "abortConnection"):
            protocol = Recorder()
            self.wire(protocol)
            getattr(protocol.transport, name)()
            getattr(protocol.transport, name)()
            self.assertEqual(protocol.told, [])
            self.lost(protocol)

    def test_abort(self) -> None:
        """abortConnection drops what waits, and is a reset for the peer."""
        protocol = Recorder()
        far = self.wire(protocol)
        protocol.transport.write(b"x" * MUCH)
        protocol.transport.abortConnection()
        protocol.transport.resumeProducing()
        self.assertIs(self.lost(protocol), ConnectionAborted)
        self.assertRaises(ConnectionResetError, hear_all, far, MUCH)

    def test_abort_after_close(self) -> None:
        """A close that cannot come to its end can be cut short."""
        protocol = Recorder()
        self.wire(protocol)
        protocol.transport.write(b"x" * MUCH)
        protocol.transport.loseConnection()
        turn(3)
        self.assertEqual(protocol.told, [])
        protocol.transport.abortConnection()
        self.assertIs(self.lost(protocol), ConnectionAborted)

    def test_abort_and_raise(self) -> None:
        """Two ends at once are told as one."""

        def fail(data: bytes) -> None:
            protocol.transport.abortConnection()
            raise ZeroDivisionError

        protocol = Recorder(fail)
        self.wire(protocol).send(b"x")
        self.assertIs(self.lost(protocol), ZeroDivisionError)
        self.flushLoggedErrors(ZeroDivisionError)

    def test_reset(self) -> None:
        """A reset by the peer is ConnectionLost."""
        protocol = Recorder()
        reset(self.wire(protocol))
        self.assertIs(self.lost(protocol), ConnectionLost)

    def test_reset_while_writing(self) -> None:
        """So it is where output waits, be the input paused or not."""
        for paused in (True, False):
            protocol = Recorder()
            far = self.wire(protocol)
            if paused:
                protocol.transport.pauseProducing()
            protocol.transport.write(b"x" * MUCH)
            turn(3)
            reset(far)
            self.assertIs(self.lost(protocol), ConnectionLost)

    def test_words_before_a_reset(self) -> None:
        """What came before it is delivered first, also where a write finds the connection lost."""
        protocol = Recorder()
        far = self.wire(protocol)
        far.send(b"I am full")
        reset(far)
        protocol.transport.write(b"here is more")
        self.assertIs(self.lost(protocol), ConnectionLost)
        self.assertEqual(protocol.received, b"I am full")

    def test_kill_another(self) -> None:
        """A callback may end other connections, whatever has happened to them in this turn."""
        protocols = [Recorder() for _ in range(10)]
        far = [self.wire(protocol) for protocol in protocols]

        def end_all(data: bytes) -> None:
            for protocol in protocols:
                protocol.transport.abortConnection()

        for protocol, sock in zip(protocols, far, strict=True):
            protocol.on_data = end_all
            sock.send(b"x")
        for protocol in protocols:
            self.assertIs(self.lost(protocol), ConnectionAborted)
        self.assertEqual(sum(len(protocol.received) for protocol in protocols), 1)

    def test_a_thousand(self) -> None:
        """1,000 connections at once, each with its own conversation."""
        pairs = []
        for number in range(1000):
            protocol = Recorder()
            protocol.on_data = lambda data, p=protocol: p.transport.write(data.upper())
            pairs.append((self.wire(protocol), protocol, b"client %d" % number))
        for far, _, text in pairs:
            far.send(text)
        for far, _, text in pairs:
            self.assertEqual(hear_all(far, len(text)), text.upper())
        for far, _, _ in pairs:
            far.close()
        for _, protocol, _ in pairs:
            self.assertIs(self.lost(protocol), ConnectionDone)


class Fittings(Transports):
    def test_interfaces(self) -> None:
        """They provide what Twisted's protocols look for."""
        protocol = Recorder()
        self.wire(protocol)
        interfaces = [ITCPTransport, ISystemHandle, IConsumer, IPushProducer]
        for interface in [*interfaces, IHalfCloseableDescriptor]:
            verifyObject(interface, protocol.transport)

    def test_addresses(self) -> None:
        """Who is at either end; who was, after the end."""
        protocol = Recorder()
        far = self.wire(protocol)
        peer = IPv4Address("TCP", *far.getsockname())
        host = IPv4Address("TCP", *far.getpeername())
        self.assertEqual((protocol.transport.getPeer(), protocol.transport.getHost()), (peer, host))
        self.assertIn("Recorder", protocol.transport.logPrefix())
        self.assertIs(protocol.transport.reactor, reactor)
        far.close()
        until_told(protocol)
        self.assertEqual(protocol.transport.getPeer(), peer)

    def test_options(self) -> None:
        """TCP's options can be set and read."""
        protocol = Recorder()
        self.wire(protocol)
        transport = protocol.transport
        for value in (True, False, True):
            transport.setTcpNoDelay(value)
            transport.setTcpKeepAlive(value)
            self.assertEqual(transport.getTcpNoDelay(), value)
            self.assertEqual(transport.getTcpKeepAlive(), value)
        self.assertIsInstance(transport.getHandle(), socket.socket)

    def test_hang_up(self) -> None:
        """hang_up: the peer sees the last words and the end before it returns."""
        protocol, producer = Recorder(), Producer()
        far = self.wire(protocol)
        protocol.transport.registerProducer(producer, True)
        hang_up(protocol.transport, b"last words")
        self.assertEqual((hear(far), hear(far)), (b"last words", b""))
        until_told(protocol)
        hang_up(protocol.transport)
        turn(3)
        self.assertEqual(len(protocol.told), 1)

    def test_hang_up_with_output(self) -> None:
        """So too where output waits that the peer does not take."""
        protocol = Recorder()
        far = self.wire(protocol)
        protocol.transport.write(b"x" * MUCH)
        turn(3)
        hang_up(protocol.transport)
        until_told(protocol)
        self.assertLess(len(hear_all(far, MUCH)), MUCH)

    def test_attach_and_end_output(self) -> None:
        """attach changes protocols, end_output half-closes."""
        first, second = Recorder(), HalfCloseable()
        far = self.wire(first)
        self.assertIs(attach(first.transport, second, reactor), first.transport)
        far.send(b"x")
        until(lambda: second.received == b"x")
        end_output(second.transport)
        self.assertEqual(hear_all(far, 1), b"")
        until(lambda: second.told == ["output ended"])

    def test_relay(self) -> None:
        """The Twisted relay moves bytes both ways, with back-pressure and half-closes."""
        client, server = Recorder(), Recorder()
        far_client, far_server = self.wire(client), self.wire(server)
        relay = TwistedRelay(reactor)
        self.addCleanup(relay.stop)
        taker, traffic = Taker(), Traffic()
        text = pattern(MUCH)
        sides = (client.transport, server.transport)
        relay.relay(*sides, taker, traffic, 60.0, 60.0, text[:9], b"hello ")
        heard = self.pump(far_client, far_server, text[9:])
        far_client.shutdown(socket.SHUT_WR)
        self.assertEqual(heard + hear_all(far_server, MUCH), text)
        far_server.send(b"done")
        far_server.close()
        self.assertEqual(hear_all(far_client, 100), b"hello done")
        until(lambda: taker.endings)
        self.assertEqual(taker.endings, [Ending.NORMAL])
        self.assertEqual((traffic.bytes_in, traffic.bytes_out), (MUCH - 9, 4))

    def pump(self, source: socket.socket, sink: socket.socket, text: bytes) -> bytes:
        """Send all of `text`; what has come out at the other end meanwhile."""
        heard = bytearray()
        while text:
            try:
                text = text[source.send(text) :]
            except BlockingIOError:
                reactor.iterate(0)
            heard += hear(sink) or b""
        return bytes(heard)


@implementer(IRelayTaker)
class Taker:
    def __init__(self) -> None:
        self.endings: list[Ending] = []

    def relay_ended(self, ending: Ending) -> None:
        self.endings.append(ending)


def both_kinds() -> None:
    """Each of the test cases above as two, in this module's names: of Twisted, and native."""
    for case in (Writing, Reading, Producers, Ends, Fittings):
        for kind in (TwistedTransports, NativeTransports):
            name = f"{kind.__name__.removesuffix('Transports')}{case.__name__}"
            globals()[name] = type(name, (case, kind), {"__module__": __name__})
        del globals()[case.__name__]


both_kinds()
