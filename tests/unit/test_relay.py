"""The Twisted engine: on transports in memory, and on real sockets where the kernel has a say."""

from __future__ import annotations

import select
import socket
from typing import Any

from attrs import define, field
from twisted.internet import reactor
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock, deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from vipproxy.counters import Traffic
from vipproxy.interfaces import IRelay, IRelaySession, IRelayTaker
from vipproxy.relay.twisted import TwistedRelay
from vipproxy.testing import MemoryTransport
from vipproxy.values import Ending

FOREVER = 1e6


@implementer(IRelayTaker)
@define(eq=False)
class Taker:
    endings: list[Ending] = field(factory=list)

    def relay_ended(self, ending: Ending) -> None:
        self.endings.append(ending)


class InMemory(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.relay = TwistedRelay(self.clock)
        self.addCleanup(self.relay.stop)
        self.client, self.server = MemoryTransport(), MemoryTransport()
        self.taker, self.traffic = Taker(), Traffic()

    def start(
        self,
        client_timeout: float = FOREVER,
        server_timeout: float = FOREVER,
        to_server: bytes = b"",
        to_client: bytes = b"",
    ) -> IRelaySession:
        return self.relay.relay(
            self.client,
            self.server,
            self.taker,
            self.traffic,
            client_timeout,
            server_timeout,
            to_server,
            to_client,
        )

    def test_both_ways(self) -> None:
        """Bytes go both ways, and are counted as they go."""
        self.start()
        self.client.deliver(b"question")
        self.server.deliver(b"answer!")
        self.assertEqual((self.server.value(), self.client.value()), (b"question", b"answer!"))
        self.assertEqual((self.traffic.bytes_in, self.traffic.bytes_out), (8, 7))

    def test_preludes(self) -> None:
        """What was already read goes first, and is not counted here."""
        self.start(to_server=b"head ", to_client=b"hello ")
        self.client.deliver(b"body")
        self.server.deliver(b"you")
        self.assertEqual((self.server.value(), self.client.value()), (b"head body", b"hello you"))
        self.assertEqual((self.traffic.bytes_in, self.traffic.bytes_out), (4, 3))

    def test_each_is_the_others_producer(self) -> None:
        """A side whose buffer is full pauses the reading of the other."""
        self.start()
        client_producer: Any = self.client.producer
        server_producer: Any = self.server.producer
        server_producer.pauseProducing()
        self.assertEqual(self.client.producerState, "paused")
        client_producer.pauseProducing()
        self.assertEqual(self.server.producerState, "paused")
        server_producer.resumeProducing()
        self.assertEqual(self.client.producerState, "producing")

    def test_half_closes(self) -> None:
        """The first end is passed on, the second ends the session; in both orders."""
        for first, second in (("client", "server"), ("server", "client")):
            self.setUp()
            self.start()
            ending, other = getattr(self, first), getattr(self, second)
            ending.end_input()
            self.assertTrue(other.half_closed)
            self.assertFalse(self.client.closed or self.server.closed)
            other.deliver(b"late")
            self.assertEqual(ending.value(), b"late")
            other.end_input()
            self.assertTrue(self.client.closed and self.server.closed)
            self.assertEqual(self.taker.endings, [Ending.NORMAL])

    def test_lost(self) -> None:
        """A side that breaks off ends the other, and is named in the ending."""
        for side, ending in (("client", Ending.CLIENT_ABORT), ("server", Ending.SERVER_ABORT)):
            self.setUp()
            self.start()
            getattr(self, side).closed = True
            getattr(self, side).protocol.connectionLost(Failure(ConnectionLost()))
            self.assertTrue(self.client.closed and self.server.closed)
            self.assertEqual(self.taker.endings, [ending])

    def test_shut_down(self) -> None:
        """shut_down ends both sides, says nothing to the taker, and is harmless later."""
        session = self.start()
        session.shut_down()
        self.assertTrue(self.client.closed and self.server.closed)
        session.shut_down()
        self.assertEqual((self.taker.endings, self.relay.timer._bucket_of), ([], {}))

    def test_idle(self) -> None:
        """The shorter timeout ends it, and is named in the ending."""
        cases = ((1.0, 9.0, Ending.CLIENT_TIMEOUT), (9.0, 1.0, Ending.SERVER_TIMEOUT))
        for client_timeout, server_timeout, ending in cases:
            self.setUp()
            self.start(client_timeout, server_timeout)
            self.clock.pump([0.9, 0.2])
            self.assertEqual(self.taker.endings, [ending])
            self.assertTrue(self.client.closed and self.server.closed)

    def test_traffic_of_either_direction(self) -> None:
        """Traffic in either direction keeps both sides."""
        self.start(1.0, 1.0)
        for side in (self.client, self.server) * 3:
            self.clock.pump([0.4, 0.4])
            side.deliver(b".")
        self.assertEqual(self.taker.endings, [])
        self.clock.pump([0.9, 0.2])
        self.assertEqual(len(self.taker.endings), 1)

    def test_clock_is_left_empty(self) -> None:
        """A stopped relay leaves nothing with the clock."""
        self.start(1.0, 1.0)
        self.relay.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_interfaces(self) -> None:
        """Relay and session provide what they promise."""
        verifyObject(IRelay, self.relay)
        verifyObject(IRelaySession, self.start())


class OnSockets(TestCase):
    timeout = 20

    def setUp(self) -> None:
        self.relay = TwistedRelay(reactor)
        self.addCleanup(self.relay.stop)
        self.taker, self.traffic = Taker(), Traffic()
        self.far_client, client = self.pair()
        self.far_server, server = self.pair()
        self.session = self.relay.relay(client, server, self.taker, self.traffic, FOREVER, FOREVER)
        self.addCleanup(self.finish)

    async def finish(self) -> None:
        self.session.shut_down()
        await deferLater(reactor, 0.01)

    def pair(self) -> tuple[socket.socket, socket.socket]:
        """The far end, which is the test's, and the relay's own."""
        with socket.create_server(("127.0.0.1", 0)) as listening:
            far = socket.create_connection(listening.getsockname())
            near, _ = listening.accept()
        far.setblocking(False)
        near.setblocking(False)
        self.addCleanup(far.close)
        return far, near

    async def turn(self) -> None:
        await deferLater(reactor, 0.02)

    def at_end(self, *sockets: socket.socket) -> bool:
        """Whether the kernel alone, without a reactor turn, tells each that it is over."""
        for each in sockets:
            select.select([each], [], [], 10)
        return {each.recv(1) for each in sockets} == {b""}

    async def test_shut_down_in_this_turn(self) -> None:
        """After shut_down returns both peers are at the end, without another reactor turn."""
        self.session.shut_down()
        self.assertTrue(self.at_end(self.far_client, self.far_server))

    async def test_shut_down_with_unsent_bytes(self) -> None:
        """The same while one of them does not read, and buffers are full."""
        self.fill(self.far_server)
        await self.turn()
        self.session.shut_down()
        self.assertTrue(self.at_end(self.far_server))
        await self.turn()
        while self.far_client.recv(1 << 20):
            pass

    def fill(self, sock: socket.socket) -> int:
        """Send until the kernel takes no more."""
        sent = 0
        while True:
            try:
                sent += sock.send(b"x" * 65536)
            except BlockingIOError:
                return sent

    async def test_bounded_buffers(self) -> None:
        """A reader that stalls stops the reading from the other side."""
        sent, quiet = self.fill(self.far_server), 0
        while quiet < 5:
            before = sent, self.traffic.bytes_out
            await self.turn()
            sent += self.fill(self.far_server)
            quiet = quiet + 1 if before == (sent, self.traffic.bytes_out) else 0
        self.assertTrue(self.traffic.bytes_out < sent)
        received = 0
        while received < sent:
            try:
                received += len(self.far_client.recv(1 << 20))
            except BlockingIOError:
                await self.turn()
        self.assertEqual(self.traffic.bytes_out, sent)

    async def test_end_after_the_last_byte(self) -> None:
        """What a side has sent before it ended arrives before the end."""
        self.far_server.send(b"x" * 100_000)
        self.far_server.shutdown(socket.SHUT_WR)
        self.far_client.shutdown(socket.SHUT_WR)
        received = 0
        while True:
            try:
                data = self.far_client.recv(1 << 20)
            except BlockingIOError:
                await self.turn()
                continue
            if not data:
                break
            received += len(data)
        self.assertEqual(received, 100_000)
        await self.turn()
        self.assertEqual(self.taker.endings, [Ending.NORMAL])
