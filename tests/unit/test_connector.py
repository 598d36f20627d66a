"""The connector: which server is tried when, and how it ends. Dialling itself is played."""

from __future__ import annotations

from typing import Any

from attrs import define, evolve, field
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.pools import FAIL, PASS, fail, judge, make_pool, servers
from vipproxy.config.options import KeepaliveOptions
from vipproxy.connector import Attempt, Connector
from vipproxy.errors import (
    ConnectFailed,
    ConnectTimeout,
    InternalError,
    NoServer,
    QueueTimeout,
    ServerMarkedDown,
    SessionError,
)
from vipproxy.framing import proxy
from vipproxy.interfaces import (
    IAttempt,
    IConnector,
    IConnectTaker,
    IDial,
    IDialler,
    IDialTaker,
    ILease,
    IRevocable,
    LeaseRequest,
    Side,
)
from vipproxy.testing import FakeBackend, FakeServerEntry
from vipproxy.testing.memory import CLIENT, VIP
from vipproxy.values import Address, Ending

SERVER = "a connected server"
REFUSED = ConnectFailed("Connection refused")


@implementer(IDial)
@define(eq=False)
class FakeDial:
    """The test says whether the server accepts."""

    address: Address
    timeout: float
    taker: Any
    keepalive: KeepaliveOptions | None
    greeting: bytes
    cancelled: bool = False
    accepted: bool = False
    """The server has accepted, and the taker was not told yet."""

    def cancel(self) -> bool:
        self.cancelled = not self.accepted
        return self.cancelled


@implementer(IDialler)
@define
class FakeDialler:
    made: list[FakeDial] = field(factory=list)
    at_once: list[SessionError] = field(factory=list)
    """Errors of dials that fail before `dial` returns."""

    def dial(
        self,
        address: Address,
        timeout: float,
        taker: IDialTaker,
        keepalive: KeepaliveOptions | None,
        greeting: bytes,
    ) -> FakeDial:
        dial = FakeDial(address, timeout, taker, keepalive, greeting)
        self.made.append(dial)
        if self.at_once:
            taker.dial_failed(self.at_once.pop())
        return dial


@implementer(IConnectTaker, IRevocable)
@define(eq=False)
class Taker:
    """Notes what it is told."""

    lease: ILease | None = None
    error: SessionError | None = None
    server: Any = None
    calls: int = 0
    revocations: list[Ending] = field(factory=list)

    def connected(self, lease: ILease, server: Side) -> None:
        self.lease, self.calls = lease, self.calls + 1
        lease.holder = self
        self.server = server

    def connect_failed(self, error: SessionError) -> None:
        self.error, self.calls = error, self.calls + 1

    def revoked(self, ending: Ending) -> None:
        self.revocations.append(ending)


class ConnectorCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.dialler = FakeDialler()
        self.connector = Connector(self.clock, self.dialler)

    def connect(self, backend: Any) -> tuple[Taker, Any]:
        taker = Taker()
        request = LeaseRequest(client=CLIENT, destination=VIP)
        return taker, self.connector.connect(backend, request, taker)

    @property
    def dial(self) -> FakeDial:
        return self.dialler.made[-1]

    def accept(self) -> None:
        self.dial.taker.dialled(SERVER)

    def refuse(self, error: SessionError = REFUSED) -> None:
        self.dial.taker.dial_failed(error)


class WithFakeBackend(ConnectorCase):
    def setUp(self) -> None:
        super().setUp()
        entries = [FakeServerEntry(f"s{i}", Address("192.0.2.1", i)) for i in (1, 2, 3)]
        self.backend = FakeBackend(servers=entries)

    def option(self, **options: Any) -> None:
        self.backend.options = evolve(self.backend.options, **options)

    def test_connected(self) -> None:
        """A server that accepts: the taker gets the lease, marked as established."""
        taker, _ = self.connect(self.backend)
        self.assertIsNone(taker.lease)
        self.accept()
        assert taker.lease is not None
        self.assertTrue(taker.lease.established)
        self.assertEqual((taker.calls, self.backend.counters.connects), (1, 1))

    def test_timeout_connect(self) -> None:
        """Each dial has timeout-connect."""
        self.option(timeout_connect=7.0)
        self.connect(self.backend)
        self.assertEqual(self.dial.timeout, 7.0)

    def test_refused_goes_to_the_next(self) -> None:
        """A refused client tries the next server at once, and says whom it has tried."""
        taker, _ = self.connect(self.backend)
        self.refuse()
        self.assertEqual(self.dial.address.port, 2)
        self.assertEqual(self.backend.requests[-1].tried, frozenset({"s1"}))
        self.assertEqual(self.backend.leases[0].error, REFUSED)
        self.accept()
        assert taker.lease is not None
        self.assertEqual(taker.lease.server.name, "s2")

    def test_retries_exhausted(self) -> None:
        """After `retries` more attempts the last error is the answer."""
        self.option(retries=2)
        taker, _ = self.connect(self.backend)
        last = ConnectTimeout("Connection timed out")
        for error in (REFUSED, REFUSED, last):
            self.refuse(error)
        self.assertIs(taker.error, last)
        self.assertEqual((len(self.dialler.made), taker.calls), (3, 1))

    def test_no_retries(self) -> None:
        """With retries = 0 the first refusal is the answer."""
        self.option(retries=0)
        taker, _ = self.connect(self.backend)
        self.refuse()
        self.assertIs(taker.error, REFUSED)

    def test_turn_around(self) -> None:
        """A server that has refused this client is tried again after a second."""
        self.backend.servers = self.backend.servers[:1]
        self.connect(self.backend)
        self.refuse()
        self.clock.advance(0.99)
        self.assertEqual(len(self.dialler.made), 1)
        self.clock.advance(0.02)
        self.assertEqual(len(self.dialler.made), 2)

    def test_short_turn_around(self) -> None:
        """Where timeout-connect is shorter than a second, the turn-around is as short."""
        self.option(timeout_connect=0.1)
        self.backend.servers = self.backend.servers[:1]
        self.connect(self.backend)
        self.refuse()
        self.clock.advance(0.11)
        self.assertEqual(len(self.dialler.made), 2)

    def test_waited(self) -> None:
        """The time spent so far goes with the next request."""
        self.connect(self.backend)
        self.clock.advance(2)
        self.refuse()
        self.assertEqual(self.backend.requests[-1].waited, 2)

    def test_own_shortage(self) -> None:
        """Out of descriptors: no other server would help, so there is no retry."""
        taker, _ = self.connect(self.backend)
        self.refuse(InternalError("Too many open files"))
        self.assertIsInstance(taker.error, InternalError)
        self.assertEqual(len(self.dialler.made), 1)

    def test_fails_at_once(self) -> None:
        """Dials that fail before they return are retried all the same, and one answer comes."""
        self.option(retries=2)
        self.dialler.at_once = [REFUSED] * 10
        taker, attempt = self.connect(self.backend)
        self.assertEqual((taker.calls, len(self.dialler.made)), (1, 3))
        attempt.cancel()
        self.assertEqual(taker.calls, 1)

    def test_no_server(self) -> None:
        """The backend's refusal is passed on."""
        self.backend.error = NoServer("none")
        taker, _ = self.connect(self.backend)
        self.assertIs(taker.error, self.backend.error)

    def test_cancel_while_dialling(self) -> None:
        """A client that leaves ends the dial and releases the lease, and hears nothing more."""
        taker, attempt = self.connect(self.backend)
        attempt.cancel()
        self.assertTrue(self.dial.cancelled)
        self.assertIs(self.backend.leases[0].ending, Ending.CLIENT_ABORT)
        self.assertEqual(taker.calls, 0)

    def test_cancel_in_the_pause(self) -> None:
        """A client that leaves in the turn-around leaves nothing with the clock."""
        self.backend.servers = self.backend.servers[:1]
        _, attempt = self.connect(self.backend)
        self.refuse()
        attempt.cancel()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.backend.servers[0].sessions, 0)

    def test_revoked_while_dialling(self) -> None:
        """A mark-down before the server has accepted sends the client on."""
        taker, _ = self.connect(self.backend)
        first = self.dial
        self.backend.leases[0].revoke(Ending.MARKED_DOWN)
        self.assertTrue(first.cancelled)
        self.assertEqual(self.dial.address.port, 2)
        self.accept()
        self.assertEqual((taker.calls, taker.error), (1, None))

    def test_revoked_too_often(self) -> None:
        """Mark-downs count as attempts; in the end the client hears of it."""
        self.option(retries=1)
        taker, _ = self.connect(self.backend)
        for _ in range(2):
            self.backend.leases[-1].revoke(Ending.MARKED_DOWN)
        self.assertIsInstance(taker.error, ServerMarkedDown)

    def test_revoked_later(self) -> None:
        """Once connected, a mark-down is the taker's business."""
        taker, _ = self.connect(self.backend)
        self.accept()
        self.backend.leases[0].revoke(Ending.MARKED_DOWN)
        self.assertEqual(taker.revocations, [Ending.MARKED_DOWN])

    def test_interfaces(self) -> None:
        """Connector and attempt provide what they promise."""
        verifyObject(IConnector, self.connector)
        verifyObject(IAttempt, self.connect(self.backend)[1])


class WhatTheDiallerGets(WithFakeBackend):
    def test_proxy_header(self) -> None:
        """send-proxy: the server is greeted with the header before anybody else gets it."""
        self.option(send_proxy="v1")
        self.connect(self.backend)
        greeting = b"PROXY TCP4 192.0.2.7 192.0.2.220 40000 3306\r\n"
        self.assertEqual(self.dial.greeting, greeting)

    def test_proxy_header_of_one(self) -> None:
        """What a server says for itself comes before what its backend says."""
        for backend, own, told in (
            (None, "v2", proxy.SIGNATURE), ("v1", "v2", proxy.SIGNATURE), ("v1", "none", b""),
            ("v1", None, b"PROXY TCP4 "), (None, None, b""),
        ):  # fmt: skip
            self.option(send_proxy=backend)
            for server in self.backend.servers:
                server.send_proxy = own
            self.connect(self.backend)
            greeting = self.dial.greeting
            self.assertTrue(greeting.startswith(told) and bool(greeting) == bool(told), greeting)

    def test_plain(self) -> None:
        """Without send-proxy and keepalive there is neither greeting nor keepalive."""
        self.connect(self.backend)
        self.assertEqual((self.dial.greeting, self.dial.keepalive), (b"", None))

    def test_keepalive(self) -> None:
        """The backend's keepalive is for the dialler to set."""
        keepalive = KeepaliveOptions(idle=60.0)
        self.option(keepalive=keepalive)
        self.connect(self.backend)
        self.assertIs(self.dial.keepalive, keepalive)

    def test_own_dialler(self) -> None:
        """A client may bring its own dialler; the connection is what that makes of it."""
        own, taker = FakeDialler(), Taker()
        request = LeaseRequest(client=CLIENT, destination=VIP)
        self.connector.connect(self.backend, request, taker, dialler=own)
        (dial,) = own.made
        dial.taker.dialled(SERVER)
        self.assertEqual((taker.server, self.dialler.made), (SERVER, []))


class AcceptedBeforeWeKnew(WithFakeBackend):
    """A dial that cannot be cancelled any more: the server has accepted in the meantime."""

    def test_cancel(self) -> None:
        """The taker, who wants to leave, gets the connection, and has to end it."""
        taker, attempt = self.connect(self.backend)
        self.dial.accepted = True
        attempt.cancel()
        assert taker.lease is not None
        self.assertTrue(taker.lease.established)
        self.assertIs(taker.server, self.dial)

    def test_revoked(self) -> None:
        """A mark-down at that moment is one of an established session."""
        taker, _ = self.connect(self.backend)
        self.dial.accepted = True
        self.backend.leases[0].revoke(Ending.MARKED_DOWN)
        self.assertIs(taker.server, self.dial)
        self.assertEqual((taker.revocations, taker.calls), ([Ending.MARKED_DOWN], 1))


class WithPool(ConnectorCase):
    def test_pinned_client_is_never_redispatched(self) -> None:
        """Promise 3: a pinned server that refuses is waited for, and followed when it moves."""
        pool = make_pool("check = tcp\nstick = dst\n" + servers("", ""), self.clock)
        judge(pool, PASS)
        taker, _ = self.connect(pool)
        self.refuse()
        self.assertEqual(len(self.dialler.made), 1)
        fail(pool, "s1")
        self.assertEqual(self.dial.address.host, "127.0.0.2")
        self.accept()
        self.assertEqual(taker.calls, 1)

    def test_accepted_before_we_knew(self) -> None:
        """A session that we learn of at the mark-down ends before anybody goes to the next."""
        pool = make_pool("check = tcp\nstick = dst\n" + servers("", ""), self.clock)
        judge(pool, PASS)
        self.connect(pool)
        late, _ = self.connect(pool)
        self.dial.accepted = True
        kind, ended = type(self.dialler), []
        dial = kind.dial

        def dial_elsewhere(*args: Any) -> Any:
            ended.append(list(late.revocations))
            return dial(*args)

        self.patch(kind, "dial", dial_elsewhere)
        fail(pool, "s1")
        self.assertEqual(ended, [[Ending.MARKED_DOWN]])
        self.assertEqual(pool.counters.shutdowns, 1)

    def test_bounded(self) -> None:
        """Without a verdict the pinned client waits no longer than timeout-queue."""
        text = "check = tcp\nstick = dst\ntimeout-queue = 3s\n" + servers("", "")
        pool = make_pool(text, self.clock)
        judge(pool, PASS)
        taker, _ = self.connect(pool)
        self.clock.advance(1)
        self.refuse()
        self.clock.pump([1.9, 0.2])
        self.assertIsInstance(taker.error, QueueTimeout)

    def test_without_redispatch(self) -> None:
        """redispatch = off: the same server again, after the turn-around."""
        pool = make_pool("redispatch = off\n" + servers("", ""), self.clock)
        self.connect(pool)
        self.refuse()
        self.clock.advance(1)
        self.assertEqual([dial.address.host for dial in self.dialler.made], ["127.0.0.1"] * 2)
        self.assertEqual(pool.counters.retries, 1)

    def test_all_at_once(self) -> None:
        """Thousands who wait, and whose dials all fail at once, are all answered."""
        pool = make_pool("check = tcp\nretries = 0\n" + servers(""), self.clock)
        takers = [self.connect(pool)[0] for _ in range(3000)]
        self.dialler.at_once = [InternalError("Too many open files") for _ in takers]
        judge(pool, PASS)
        self.assertEqual({taker.calls for taker in takers}, {1})

    def test_refusal_makes_room(self) -> None:
        """A refused connection frees its place for the next who waits for that server."""
        pool = make_pool("cookie = C insert\n" + servers("maxconn=1 cookie=a"), self.clock)
        request = LeaseRequest(client=CLIENT, destination=VIP, cookie="a")
        first, second = Taker(), Taker()
        self.connector.connect(pool, request, first)
        self.connector.connect(pool, request, second)
        self.assertEqual(len(self.dialler.made), 1)
        self.refuse(InternalError("Too many open files"))
        self.assertEqual(len(self.dialler.made), 2)

    def test_mark_down_moves_who_is_connecting(self) -> None:
        """Clients on their way to a server that falls arrive elsewhere, and lose nothing."""
        pool = make_pool("check = tcp\n" + servers("", ""), self.clock)
        judge(pool, PASS)
        takers = [self.connect(pool)[0] for _ in range(4)]
        judge(pool, FAIL, "s1")
        fail(pool, "s1", 2)
        for dial in list(self.dialler.made):
            if not dial.cancelled:
                dial.taker.dialled(SERVER)
        names = {taker.lease.server.name for taker in takers if taker.lease}
        self.assertEqual((names, [taker.error for taker in takers]), ({"s2"}, [None] * 4))


class AttemptIsHarmlessLater(ConnectorCase):
    def test_cancel_after_connecting(self) -> None:
        """Cancelling late releases the lease once."""
        backend = FakeBackend()
        _, attempt = self.connect(backend)
        self.accept()
        assert isinstance(attempt, Attempt)
        attempt.cancel()
        attempt.cancel()
        self.assertEqual(backend.servers[0].sessions, 0)
