"""The frontend's book of clients."""

from __future__ import annotations

from typing import Any

from attrs import define
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from vipproxy.config.options import FrontendOptions
from vipproxy.config.records import Chosen
from vipproxy.interfaces import IClosable, IFrontend, IListener
from vipproxy.limits import RESERVED, SessionLimit
from vipproxy.protocols.tcp import TcpProtocol
from vipproxy.testing import FakeBackend, memory_frontend
from vipproxy.testing.memory import VIP
from vipproxy.values import Address


@implementer(IClosable)
@define(eq=False)
class Client:
    frontend: Any
    aborted: bool = False

    def abortConnection(self) -> None:
        self.aborted = True
        self.frontend.closed(self)


@implementer(IListener)
@define(eq=False)
class CountingListener:
    destination: Address | None = None
    resumed: int = 0

    def resume(self) -> None:
        self.resumed += 1

    def disable(self) -> None:
        """Not its business."""

    def enable(self) -> None:
        """Not its business."""

    def stop(self) -> None:
        """Not its business."""


class Clients(SynchronousTestCase):
    def setUp(self) -> None:
        chosen = Chosen(name="tcp", plugin=TcpProtocol())
        options = FrontendOptions(protocol=chosen, bind=(VIP,), backend="backend", maxconn=50)
        self.frontend = memory_frontend(clock=Clock(), options=options)
        self.client = Client(self.frontend)

    def test_same_client_is_one_session(self) -> None:
        """Whoever says that a client has come, it is counted once and has one account."""
        first, second = self.frontend.opened(self.client), self.frontend.opened(self.client)
        self.assertIs(first, second)
        counters = self.frontend.counters
        self.assertEqual((counters.sessions, counters.sessions_total), (1, 1))

    def test_closed_twice(self) -> None:
        """A second goodbye, or one of a stranger, is harmless."""
        self.frontend.opened(self.client).bytes_in = 7
        for client in (self.client, self.client, Client(self.frontend)):
            self.frontend.closed(client)
        counters = self.frontend.counters
        self.assertEqual((counters.sessions, counters.bytes_in), (0, 7))

    def test_live_bytes(self) -> None:
        """A snapshot counts what open sessions have moved so far."""
        traffic = self.frontend.opened(self.client)
        traffic.bytes_in, traffic.bytes_out = 3, 4
        for _ in range(2):
            counters = self.frontend.snapshot(2).counters
            self.assertEqual((counters.bytes_in, counters.bytes_out), (3, 4))

    def test_drained(self) -> None:
        """drained fires when the last client has gone, and at once where there is none."""
        self.successResultOf(self.frontend.drained())
        other = Client(self.frontend)
        self.frontend.opened(self.client)
        self.frontend.opened(other)
        drained = self.frontend.drained()
        self.frontend.closed(self.client)
        self.assertNoResult(drained)
        self.frontend.closed(other)
        self.successResultOf(drained)

    def test_close_all(self) -> None:
        """Every client is aborted, also while the book changes under the loop."""
        clients = [Client(self.frontend) for _ in range(10)]
        for client in clients:
            self.frontend.opened(client)
        self.frontend.close_all()
        self.assertTrue(all(client.aborted for client in clients))
        self.assertEqual(self.frontend.counters.sessions, 0)

    def test_room_again(self) -> None:
        """Listeners are told to go on when a full frontend has room again, and only then."""
        listener = CountingListener()
        self.frontend.listeners = [listener]
        clients = [Client(self.frontend) for _ in range(self.frontend.options.maxconn)]
        for client in clients:
            self.frontend.opened(client)
        self.assertEqual(listener.resumed, 0)
        self.frontend.closed(clients[0])
        self.frontend.closed(clients[0])
        self.frontend.closed(clients[1])
        self.assertEqual(listener.resumed, 1)

    def test_room_after_a_crowd(self) -> None:
        """Clients who came by other doors may be more than maxconn; there is room after them."""
        listener = CountingListener()
        self.frontend.listeners = [listener]
        maxconn = self.frontend.options.maxconn
        clients = [Client(self.frontend) for _ in range(maxconn + 3)]
        for client in clients:
            self.frontend.opened(client)
        for expected in (0, 0, 0, 1):
            self.frontend.closed(clients.pop())
            self.assertEqual((listener.resumed, self.frontend.room > 0), (expected, expected == 1))

    def test_room(self) -> None:
        """It has room for maxconn clients, and no more."""
        maxconn = self.frontend.options.maxconn
        clients = [Client(self.frontend) for _ in range(maxconn)]
        for number, client in enumerate(clients):
            self.assertEqual(self.frontend.room, maxconn - number)
            self.frontend.opened(client)
        self.assertEqual(self.frontend.room, 0)
        self.frontend.closed(clients[0])
        self.assertEqual(self.frontend.room, 1)

    def test_destination(self) -> None:
        """With one bind of one address that is what all clients call; else each is asked."""
        self.assertIsNone(self.frontend.destination)
        self.frontend.listeners = [CountingListener(VIP)]
        self.assertEqual(self.frontend.destination, VIP)
        self.frontend.listeners = [CountingListener(VIP), CountingListener(VIP)]
        self.assertIsNone(self.frontend.destination)
        self.frontend.listeners = [CountingListener()]
        self.assertIsNone(self.frontend.destination)

    def test_backends(self) -> None:
        """The first backend is its own; others go by name, and strangers are a KeyError."""
        first, second = FakeBackend("a"), FakeBackend("b")
        frontend = memory_frontend(backends=[first, second])
        self.assertIs(frontend.backend, first)
        self.assertIs(frontend.backend_named("b"), second)
        self.assertRaises(KeyError, frontend.backend_named, "c")

    def test_interface(self) -> None:
        """It provides IFrontend."""
        verifyObject(IFrontend, self.frontend)


class ProcessLimit(SynchronousTestCase):
    def test_full(self) -> None:
        """The process's limit makes every frontend full, and an end anywhere tells of the room."""
        told: list[int] = []
        limit = SessionLimit(lambda: told.append(limit.open))
        limit.set_descriptors(2 * 3 + RESERVED)
        self.assertEqual(limit.limit, 3)
        limit.open = 3
        self.assertEqual(limit.room, 0)
        limit.closed()
        limit.closed()
        self.assertEqual((told, limit.room), ([2], 2))
