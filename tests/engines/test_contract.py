"""The contract of a relay while a session lives, and how it ends by the peers' doing."""

from __future__ import annotations

import socket
import threading
from typing import Any

from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.engines.contract import SMALL, ContractCase, Session
from tests.engines.engines import native_relay, native_relay_of_two
from tests.engines.loop import Wire, reset
from tests.engines.record import violations
from tests.engines.schedules import Schedule, Step, Verb
from tests.engines.stage import Stage
from vipproxy.interfaces import IRelay, IRelaySession, IRelayTaker
from vipproxy.values import Ending

MIB = 1 << 20


class BytesTests(ContractCase):
    def test_interfaces(self) -> None:
        """Relay and session provide what they promise."""
        verifyObject(IRelay, self.relay)
        verifyObject(IRelaySession, self.session().relayed)

    def exchange(self, session: Session) -> None:
        session.client.send(b"question")
        self.assertEqual(self.loop.receive(session.server, 8), b"question")
        session.server.send(b"answer!")
        self.assertEqual(self.loop.receive(session.client, 7), b"answer!")

    def test_both_ways(self) -> None:
        """Bytes go both ways, and are counted as they go."""
        session = self.session()
        self.exchange(session)
        self.loop.until(lambda: session.counted() == (8, 7), "the counters")

    def test_ipv6(self) -> None:
        """The same over IPv6."""
        try:
            self.wire = Wire("::1")
        except OSError:
            self.skipTest("there is no IPv6 here")
        self.addCleanup(self.wire.close)
        self.exchange(self.session())

    def test_preludes(self) -> None:
        """What was already read goes first, and is not counted."""
        session = self.session(to_server=b"head ", to_client=b"hello ")
        session.client.send(b"body")
        session.server.send(b"you")
        self.assertEqual(self.loop.receive(session.server, 9), b"head body")
        self.assertEqual(self.loop.receive(session.client, 9), b"hello you")
        self.loop.until(lambda: session.counted() == (4, 3), "the counters")

    def test_large_preludes(self) -> None:
        """A prelude larger than what the kernel takes at once arrives whole."""
        large = bytes(range(256)) * 8192
        session = self.session(SMALL, to_server=large, to_client=large)
        self.assertEqual(self.loop.receive(session.server, len(large)), large)
        self.assertEqual(self.loop.receive(session.client, len(large)), large)
        self.assertEqual(session.counted(), (0, 0))

    def test_sent_before(self) -> None:
        """What the peers have sent before the relay begins is relayed."""
        session = self.prepared()
        session.client.send(b"early")
        session.server.send(b"bird")
        session.start(self.relay)
        self.assertEqual(self.loop.receive(session.server, 5), b"early")
        self.assertEqual(self.loop.receive(session.client, 4), b"bird")

    def test_large(self) -> None:
        """1 MiB and 64 MiB go both ways at once, every byte in its place."""
        stage = Stage(self.loop)
        self.addCleanup(stage.close)
        for size in (MIB, 64 * MIB):
            steps = (
                Step(Verb.SEND, size),
                Step(Verb.HALF_CLOSE),
                Step(Verb.TO_THE_END),
                Step(Verb.LEAVE),
            )
            schedule = Schedule(steps, steps)
            (record,) = stage.play(self.relay, [schedule], 120.0)
            self.assertEqual(violations(schedule, record), [])
            self.assertEqual((record.bytes_in, record.bytes_out), (size, size))

    def test_counters_meanwhile(self) -> None:
        """The counters are readable while bytes move, never fall, and never tell too much."""
        session = self.session(SMALL)
        received = sent = last = 0
        while received < 2 * MIB:
            try:
                sent += session.client.send(bytes(SMALL))
            except BlockingIOError:
                self.loop.reactor.iterate(0.001)
            counted = session.traffic.bytes_in
            self.assertTrue(last <= counted <= sent, (last, counted, sent))
            last = counted
            try:
                received += len(session.server.recv(SMALL))
            except BlockingIOError:
                continue
        self.assertGreater(last, 0)

    def test_stalled_reader(self) -> None:
        """A peer that does not read bounds what is taken from the other, and loses nothing."""
        session = self.session(SMALL)
        sent = self.loop.fill(session.server)
        self.assertLess(sent, MIB)
        self.assertLess(session.traffic.bytes_out, sent)
        self.assertEqual(len(self.loop.receive(session.client, sent)), sent)
        self.loop.until(lambda: session.counted() == (0, sent), "the counters")

    def test_stalled_way_leaves_the_other(self) -> None:
        """While one direction is stalled, the other goes on."""
        session = self.session(SMALL)
        self.loop.fill(session.server)
        session.client.send(b"still here")
        self.assertEqual(self.loop.receive(session.server, 10), b"still here")


class EndTests(ContractCase):
    def test_half_closes(self) -> None:
        """An end of input is passed on after the last byte; the other direction goes on."""
        for first, second in (("client", "server"), ("server", "client")):
            session = self.session()
            ending, going_on = getattr(session, first), getattr(session, second)
            ending.send(b"last words")
            ending.shutdown(socket.SHUT_WR)
            self.assertEqual(self.loop.receive(going_on, 100), b"last words")
            for _ in range(3):
                going_on.send(b"more")
                self.assertEqual(self.loop.receive(ending, 4), b"more")
            self.assertEqual(session.taker.endings, [])
            going_on.send(b"the last")
            going_on.close()
            self.assertEqual(self.loop.receive(ending, 100), b"the last")
            self.assertEqual(self.told(session), [Ending.NORMAL])

    def test_half_closed_both_at_once(self) -> None:
        """Both ends of input in one turn: everything arrives, and both see a FIN."""
        session = self.session()
        for each in (session.client, session.server):
            each.send(b"x" * 10_000)
            each.shutdown(socket.SHUT_WR)
        self.assertEqual(len(self.loop.receive(session.client, MIB)), 10_000)
        self.assertEqual(len(self.loop.receive(session.server, MIB)), 10_000)
        self.assertEqual(self.told(session), [Ending.NORMAL])

    def test_resets(self) -> None:
        """A side that resets is named; the other sees a FIN, having sent nothing."""
        for name, other, ending in (
            ("client", "server", Ending.CLIENT_ABORT),
            ("server", "client", Ending.SERVER_ABORT),
        ):
            session = self.session()
            reset(getattr(session, name))
            self.assertEqual(self.loop.end_of(getattr(session, other)), "fin")
            self.assertEqual(self.told(session), [ending])

    def test_reset_after_bytes(self) -> None:
        """What a side had sent before its reset, and the relay has read, arrives."""
        session = self.session()
        session.server.send(b"x" * 1000)
        self.loop.until(lambda: session.traffic.bytes_out == 1000, "the counters")
        reset(session.server)
        self.assertEqual(len(self.loop.receive(session.client, MIB)), 1000)
        self.assertEqual(self.told(session), [Ending.SERVER_ABORT])

    def test_reset_with_unread_bytes(self) -> None:
        """A side that resets while bytes wait for it ends the session, and the other's stall."""
        session = self.session(SMALL)
        self.loop.fill(session.server)
        reset(session.client)
        self.assertEqual(self.told(session), [Ending.CLIENT_ABORT])
        self.loop.end_of(session.server)

    def test_closed_with_unread_bytes(self) -> None:
        """A close that loses bytes is a reset (RFC 1122, 4.2.2.13)."""
        session = self.session()
        session.server.send(b"never read")
        self.loop.until(lambda: session.traffic.bytes_out == 10, "the counters")
        self.loop.turn()
        session.client.close()
        self.assertEqual(self.told(session), [Ending.CLIENT_ABORT])
        self.assertEqual(self.loop.end_of(session.server), "fin")

    def test_gone_before(self) -> None:
        """Peers that have closed or reset before the relay begins: an end like any other."""
        for close, endings in (
            (socket.socket.close, {Ending.NORMAL}),
            (reset, {Ending.CLIENT_ABORT, Ending.SERVER_ABORT}),
        ):
            session = self.prepared()
            close(session.client)
            close(session.server)
            session.start(self.relay)
            self.assertIn(self.told(session)[0], endings)
            self.assertEqual(len(session.taker.endings), 1)

    def test_one_gone_before(self) -> None:
        """One that had reset is named, and the other sees a FIN after its prelude."""
        session = self.prepared()
        reset(session.client)
        session.start(self.relay, to_server=b"prelude")
        self.assertEqual(self.loop.receive(session.server, 100), b"prelude")
        self.assertEqual(self.told(session), [Ending.CLIENT_ABORT])

    def test_taker(self) -> None:
        """The taker is told in the reactor's thread, and may call shut_down then."""
        session = self.prepared()
        threads = []

        @implementer(IRelayTaker)
        class Caller:
            def relay_ended(self, ending: Ending) -> None:
                threads.append(threading.get_ident())
                session.relayed.shut_down()

        taker: Any = Caller()
        session.taker = taker
        session.start(self.relay)
        reset(session.server)
        self.loop.until(lambda: threads, "the end of the session")
        self.assertEqual(self.loop.end_of(session.client), "fin")
        self.assertEqual(threads, [threading.get_ident()])

    def test_taker_that_raises(self) -> None:
        """A taker that raises is logged, and costs no other session anything."""
        failing, other = self.prepared(), self.session()

        @implementer(IRelayTaker)
        class Failing:
            def relay_ended(self, ending: Ending) -> None:
                raise ZeroDivisionError

        taker: Any = Failing()
        failing.taker = taker
        failing.start(self.relay)
        reset(failing.client)
        self.loop.until(lambda: self.flushLoggedErrors(ZeroDivisionError), "the log")
        other.client.send(b"alive")
        self.assertEqual(self.loop.receive(other.server, 5), b"alive")


class NativeBytesTests(BytesTests):
    make_relay = staticmethod(native_relay)


class NativeEndTests(EndTests):
    make_relay = staticmethod(native_relay)


class NativeOfTwoEndTests(EndTests):
    make_relay = staticmethod(native_relay_of_two)
