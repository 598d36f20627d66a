"""The backend-pool service: promises 1 to 3 of the design, queues, maintenance, accounting."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import maybeDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.pools import CLIENT, FAIL, PASS, VIP, Diary, ask, fail, judge, make_pool, servers
from vipproxy.counters import Traffic
from vipproxy.errors import ConnectFailed, InternalError, NoServer, QueueTimeout
from vipproxy.interfaces import IBackend, IBalancer, ILease, IServer, LeaseRequest
from vipproxy.values import Address, AdminState, Ending

CHECKED = "check = tcp interval=1s\n"
PINNED = f"{CHECKED}stick = dst size=2\n"
THREE = servers("", "", "")
REQUEST = LeaseRequest(client=CLIENT, destination=VIP)


class BeforeTheFirstVerdict(SynchronousTestCase):
    """Promise 1: no traffic before the first verdict."""

    def test_waits(self) -> None:
        """A client that comes early waits, and is served at the first passed check."""
        pool = make_pool(CHECKED + THREE)
        client = ask(pool)
        self.assertIsNone(client.lease)
        judge(pool, PASS, "s2")
        self.assertEqual(client.server, "s2")

    def test_wait_is_bounded(self) -> None:
        """Without a verdict in time the client gets a QueueTimeout after timeout-queue."""
        clock = Clock()
        pool = make_pool(CHECKED + "timeout-queue = 2s\n" + THREE, clock)
        client = ask(pool)
        clock.advance(1.9)
        self.assertIsNone(client.error)
        clock.pump([0.1] * 2)
        self.assertIsInstance(client.error, QueueTimeout)

    def test_bound_is_timeout_connect(self) -> None:
        """timeout-queue is by default timeout-connect."""
        clock = Clock()
        pool = make_pool(CHECKED + "timeout-connect = 1s\n" + THREE, clock)
        client = ask(pool)
        clock.pump([1.0, 0.1])
        self.assertIsInstance(client.error, QueueTimeout)

    def test_all_fail(self) -> None:
        """When the last server's first check fails, whoever waits is refused at once."""
        pool = make_pool(CHECKED + THREE)
        client = ask(pool)
        judge(pool, FAIL)
        self.assertIsInstance(client.error, NoServer)

    def test_initial_state_up(self) -> None:
        """initial-state = up restores HAProxy's way: served at once, down at one failure."""
        pool = make_pool(CHECKED + "initial-state = up\n" + THREE)
        self.assertEqual(ask(pool).server, "s1")
        self.assertEqual(pool.servers[0].status, "UP 1/3")
        judge(pool, FAIL, "s1")
        self.assertEqual(pool.servers[0].status, "DOWN")

    def test_unchecked_servers_are_up(self) -> None:
        """A server without a check is used at once."""
        pool = make_pool(CHECKED + servers("", "check=off"))
        self.assertEqual(ask(pool).server, "s2")
        self.assertEqual(pool.servers[1].status, "no check")


class RefusedConnections(SynchronousTestCase):
    """Promise 2: a refused connection is news."""

    def setUp(self) -> None:
        self.pool = make_pool(CHECKED + THREE)
        judge(self.pool, PASS)

    def test_counts_as_failed_check(self) -> None:
        """Three refusals are three failed checks: the server is down."""
        for _ in range(3):
            client = ask(self.pool, connect=False, tried=frozenset({"s2", "s3"}))
            self.assertEqual(client.server, "s1")
            client.lease.refused(ConnectFailed("Connection refused"))
        self.assertEqual(self.pool.servers[0].status, "DOWN")
        self.assertEqual(self.pool.servers[0].failed_checks, 3)

    def test_next_server(self) -> None:
        """A client that was refused gets a server that it has not tried."""
        client = ask(self.pool, tried=frozenset({"s1", "s2"}), failed="s2")
        self.assertEqual(client.server, "s3")
        self.assertEqual(self.pool.counters.redispatches, 1)
        lost = [each.counters.redispatches for each in self.pool.servers]
        self.assertEqual(lost, [0, 1, 0])

    def test_without_redispatch(self) -> None:
        """redispatch = off keeps the client with the server that refused it, while it is up."""
        pool = make_pool("redispatch = off\n" + THREE)
        client = ask(pool, tried=frozenset({"s3"}), failed="s3")
        self.assertEqual(client.server, "s3")
        self.assertEqual(pool.counters.retries, 1)
        self.assertEqual((pool.counters.sessions_total, pool.counters.chosen), (0, 0))

    def test_sessions(self) -> None:
        """A client is one session of its backend, however often it asks, waits, or is refused."""
        pool = make_pool(servers("maxconn=1"))
        first, second = ask(pool), ask(pool)
        self.assertEqual((pool.counters.sessions, pool.counters.sessions_total), (2, 2))
        self.assertIsNone(second.lease)
        pool.forget(second)
        self.assertEqual(pool.counters.sessions, 1)
        first.lease.release(Ending.NORMAL)
        self.assertEqual((pool.counters.sessions, pool.counters.sessions_max), (0, 2))

    def test_no_server(self) -> None:
        """A client for whom there is no server was a session, too."""
        pool = make_pool(servers("disabled"))
        ask(pool)
        counters = pool.counters
        self.assertEqual((counters.sessions, counters.sessions_total), (0, 1))
        self.assertEqual(counters.connect_errors, 1)

    def test_own_shortage_is_no_news(self) -> None:
        """Running out of descriptors here says nothing about the server."""
        client = ask(self.pool, connect=False)
        client.lease.refused(InternalError("Too many open files"))
        self.assertEqual(self.pool.servers[0].status, "UP")


class ThePin(SynchronousTestCase):
    """Promise 3: a pin moves only when its server is marked down, never while sessions live."""

    def setUp(self) -> None:
        self.diary = Diary()
        self.pool = make_pool(PINNED + THREE, observer=self.diary)
        judge(self.pool, PASS)

    def test_one_server_for_all(self) -> None:
        """Every client of a VIP gets the same server: the first in configuration order."""
        clients = [ask(self.pool, client=Address(f"10.0.0.{i}", 1)) for i in range(20)]
        self.assertEqual({client.server for client in clients}, {"s1"})

    def test_first_by_rule(self) -> None:
        """The first writer waits for the verdict on earlier servers, so that proxies agree."""
        pool = make_pool(PINNED + THREE)
        client = ask(pool)
        judge(pool, PASS, "s2", "s3")
        self.assertIsNone(client.lease)
        judge(pool, PASS, "s1")
        self.assertEqual(client.server, "s1")

    def test_refused_client_waits(self) -> None:
        """A client that the pinned server refuses is not sent elsewhere: it waits."""
        first = ask(self.pool, connect=False)
        first.lease.refused(ConnectFailed("Connection refused"))
        again = ask(self.pool, tried=frozenset({"s1"}))
        self.assertIsNone(again.lease)
        self.assertIsNone(again.error)
        return again

    def test_refused_client_follows_the_pin(self) -> None:
        """When the verdict is down, the waiting client gets the new pin's server."""
        again = self.test_refused_client_waits()
        fail(self.pool, "s1")
        self.assertEqual(again.server, "s2")

    def test_refused_client_comes_back(self) -> None:
        """When the verdict is up, the waiting client gets the pinned server."""
        again = self.test_refused_client_waits()
        judge(self.pool, PASS, "s1")
        self.assertEqual(again.server, "s1")

    def test_sessions_end_before_the_pin_moves(self) -> None:
        """A mark-down ends every session; whoever asks then gets the successor."""
        old = [ask(self.pool) for _ in range(5)]
        waiting = self.test_refused_client_waits()
        served: list[str | None] = []
        for client in old:
            client.revoked = lambda ending: served.append(waiting.server)  # type: ignore
        fail(self.pool, "s1")
        self.assertEqual(served, [None] * 5)
        self.assertEqual(waiting.server, "s2")
        self.assertEqual(self.pool.servers[0].sessions, 0)

    def test_no_fail_back(self) -> None:
        """A server that returns does not get its pin back."""
        ask(self.pool)
        fail(self.pool, "s1")
        self.assertEqual(ask(self.pool).server, "s2")
        judge(self.pool, PASS, "s1")
        judge(self.pool, PASS, "s1")
        self.assertEqual(self.pool.servers[0].status, "UP")
        self.assertEqual(ask(self.pool).server, "s2")

    def test_in_flight_connections_never_evict(self) -> None:
        """Any number of clients in flight, of many VIPs, leave a pin in use where it is."""
        ask(self.pool)
        for i in range(10):
            ask(self.pool, connect=False, destination=Address(f"10.0.0.{i}", 1))
        pins = self.pool.pins.as_mapping()
        self.assertEqual(pins["192.168.1.220"], "s1")
        self.assertEqual(len(pins), 2)

    def test_full_pinned_server_is_waited_for(self) -> None:
        """maxconn on the pinned server makes clients wait, not spread."""
        pool = make_pool(PINNED + servers("maxconn=1", ""))
        judge(pool, PASS)
        first, second = ask(pool), ask(pool)
        self.assertIsNone(second.lease)
        first.lease.release(Ending.NORMAL)
        self.assertEqual(second.server, "s1")

    def test_survives_a_restart(self) -> None:
        """Saved state brings the pin back, and its server's verdict is waited for."""
        ask(self.pool)
        fail(self.pool, "s1")
        ask(self.pool)
        pool = make_pool(PINNED + THREE)
        pool.restore(self.pool.state())
        client = ask(pool)
        judge(pool, PASS, "s1", "s3")
        self.assertIsNone(client.lease)
        judge(pool, PASS, "s2")
        self.assertEqual(client.server, "s2")

    def test_all_down(self) -> None:
        """While all are down the entry is kept; the first to return serves."""
        ask(self.pool)
        for name in ("s1", "s2", "s3"):
            fail(self.pool, name)
        self.assertIsInstance(ask(self.pool).error, NoServer)
        judge(self.pool, PASS, "s3")
        judge(self.pool, PASS, "s3")
        self.assertEqual(ask(self.pool).server, "s3")

    def test_source_pins(self) -> None:
        """stick = src pins each client to what the balancer chose for it."""
        pool = make_pool(CHECKED + "stick = src\n" + THREE)
        judge(pool, PASS)
        chosen = [ask(pool, client=Address(f"10.0.0.{i}", 1)).server for i in range(3)]
        self.assertEqual(chosen, ["s1", "s2", "s3"])
        again = [ask(pool, client=Address(f"10.0.0.{i}", 9)).server for i in range(3)]
        self.assertEqual(again, chosen)

    def test_expiry(self) -> None:
        """An entry expires when it has not been used for so long, but never while it is."""
        clock = Clock()
        pool = make_pool("stick = src expire=10s\n" + THREE, clock)
        client = ask(pool)
        clock.advance(20)
        self.assertEqual(ask(pool).server, "s1")
        client.lease.release(Ending.NORMAL)
        self.assertEqual(len(pool.pins.as_mapping()), 1)


class MarkDown(SynchronousTestCase):
    def test_sessions_live_on_by_default(self) -> None:
        """Without a stick, and without on-marked-down, sessions survive a mark-down."""
        pool = make_pool(CHECKED + servers(""))
        judge(pool, PASS)
        client = ask(pool)
        fail(pool, "s1")
        self.assertEqual(client.ended, [])

    def test_shutdown_sessions(self) -> None:
        """on-marked-down = shutdown-sessions ends them all in the turn of the verdict."""
        diary = Diary()
        text = CHECKED + "on-marked-down = shutdown-sessions\n" + servers("", "")
        pool = make_pool(text, observer=diary)
        judge(pool, PASS, "s1")
        clients = [ask(pool) for _ in range(7)]
        judge(pool, PASS, "s2")
        fail(pool, "s1")
        self.assertEqual([client.ended for client in clients], [[Ending.MARKED_DOWN]] * 7)
        self.assertEqual(pool.servers[0].counters.shutdowns, 7)
        self.assertIn(
            "Server b/s1 is DOWN, reason: Layer7 wrong status, code: 503, info: "
            '"Service Unavailable", check duration: 0ms. 1 active and 0 backup servers left. '
            "7 sessions active, 0 requeued, 0 remaining in queue.",
            diary.texts,
        )

    def test_a_failing_holder_costs_no_other(self) -> None:
        """A holder that raises while it is revoked does not keep the others open."""
        pool = make_pool(CHECKED + "on-marked-down = shutdown-sessions\n" + servers(""))
        judge(pool, PASS)
        bad, good = ask(pool), ask(pool)
        bad.revoked = lambda ending: 1 / 0  # type: ignore[method-assign,assignment]
        fail(pool, "s1")
        self.assertEqual(good.ended, [Ending.MARKED_DOWN])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_connecting_clients_go_elsewhere(self) -> None:
        """A client that is still connecting is revoked in any case: nothing has been sent."""
        pool = make_pool(CHECKED + servers(""))
        judge(pool, PASS)
        client = ask(pool, connect=False)
        fail(pool, "s1")
        self.assertEqual(client.ended, [Ending.MARKED_DOWN])

    def test_recovery_needs_rise(self) -> None:
        """A server comes back after `rise` passes."""
        pool = make_pool(CHECKED + servers(""))
        judge(pool, PASS)
        fail(pool, "s1")
        judge(pool, PASS)
        self.assertEqual(pool.servers[0].status, "DOWN 1/2")
        self.assertIsInstance(ask(pool).error, NoServer)
        judge(pool, PASS)
        self.assertEqual(ask(pool).server, "s1")

    def test_last_one_down_is_told(self) -> None:
        """The end of the last server is an event of the backend."""
        diary = Diary()
        pool = make_pool(CHECKED + servers(""), observer=diary)
        judge(pool, PASS)
        fail(pool, "s1")
        self.assertEqual(diary.texts[-1], "backend b has no server available!")


class Maintenance(SynchronousTestCase):
    def setUp(self) -> None:
        self.pool = make_pool(CHECKED + "cookie = C insert\n" + servers("cookie=a", "cookie=b"))
        judge(self.pool, PASS)

    def test_drain(self) -> None:
        """A drained server gets no new clients, but keeps those that a cookie binds to it."""
        self.pool.set_admin_state("s1", AdminState.DRAIN)
        self.assertEqual({ask(self.pool).server for _ in range(4)}, {"s2"})
        self.assertEqual(ask(self.pool, cookie="a").server, "s1")
        self.assertEqual(self.pool.servers[0].status, "DRAIN")

    def test_maintenance(self) -> None:
        """A server in maintenance loses its cookie holders, and its health counts no more."""
        self.pool.set_admin_state("s1", AdminState.MAINT)
        self.assertEqual(ask(self.pool, cookie="a").server, "s2")
        self.assertEqual(self.pool.servers[0].status, "MAINT")

    def test_back_from_maintenance(self) -> None:
        """Health and administrative state are separate: back means back to the checks."""
        self.pool.set_admin_state("s1", AdminState.MAINT)
        self.pool.set_admin_state("s1", AdminState.READY)
        self.assertEqual({ask(self.pool).server for _ in range(2)}, {"s2"})
        judge(self.pool, PASS, "s1")
        self.assertEqual({ask(self.pool).server for _ in range(2)}, {"s1", "s2"})

    def test_maintenance_ends_sessions(self) -> None:
        """Maintenance is a mark-down: pinned sessions end, the pin moves."""
        pool = make_pool(PINNED + THREE)
        judge(pool, PASS)
        client = ask(pool)
        pool.set_admin_state("s1", AdminState.MAINT)
        self.assertEqual(client.ended, [Ending.MARKED_DOWN])
        self.assertEqual(ask(pool).server, "s2")

    def test_disabled(self) -> None:
        """`disabled` starts a server in maintenance."""
        pool = make_pool(servers("disabled", ""))
        self.assertEqual({ask(pool).server for _ in range(3)}, {"s2"})

    def test_unknown_server(self) -> None:
        """An unknown name is a LookupError."""
        self.assertRaises(LookupError, self.pool.set_admin_state, "s9", AdminState.DRAIN)

    def test_survives_a_restart(self) -> None:
        """Administrative states are part of the saved state."""
        self.pool.set_admin_state("s2", AdminState.DRAIN)
        pool = make_pool(CHECKED + servers("", ""))
        pool.restore(self.pool.state())
        judge(pool, PASS)
        self.assertEqual({ask(pool).server for _ in range(3)}, {"s1"})


class Queueing(SynchronousTestCase):
    def test_maxconn(self) -> None:
        """A full pool makes clients wait in order, and a release serves the first."""
        pool = make_pool(servers("maxconn=1", "maxconn=1"))
        first, second, third, fourth = (ask(pool) for _ in range(4))
        self.assertEqual([first.server, second.server], ["s1", "s2"])
        self.assertEqual(len(pool.selection.queue), 2)
        second.lease.release(Ending.NORMAL)
        self.assertEqual((third.server, fourth.server), ("s2", None))

    def test_timeout(self) -> None:
        """Waiting ends with a QueueTimeout after timeout-queue."""
        clock = Clock()
        pool = make_pool("timeout-queue = 500ms\n" + servers("maxconn=1"), clock)
        ask(pool)
        waiting = ask(pool)
        clock.pump([0.4, 0.1, 0.1])
        self.assertIsInstance(waiting.error, QueueTimeout)

    def test_waited_already_counts(self) -> None:
        """Time that a client has waited before is taken off its patience."""
        clock = Clock()
        clock.advance(100)
        pool = make_pool("timeout-queue = 1s\n" + servers("maxconn=1"), clock)
        ask(pool)
        waiting = ask(pool, waited=0.8)
        clock.pump([0.2, 0.1])
        self.assertIsInstance(waiting.error, QueueTimeout)

    def test_leaving(self) -> None:
        """A client that no longer wants a lease does not get one."""
        pool = make_pool(servers("maxconn=1"))
        first, gone, third = (ask(pool) for _ in range(3))
        pool.forget(gone)
        first.lease.release(Ending.NORMAL)
        self.assertEqual((gone.server, third.server), (None, "s1"))

    def test_cookie_holders_wait_for_their_server(self) -> None:
        """A client with a cookie waits in its own server's queue."""
        pool = make_pool("cookie = C insert\n" + servers("maxconn=1 cookie=a", "cookie=b"))
        first, bound, free = ask(pool), ask(pool, cookie="a"), ask(pool)
        self.assertEqual((bound.server, free.server), (None, "s2"))
        first.lease.release(Ending.NORMAL)
        self.assertEqual(bound.server, "s1")

    def test_stop_refuses_who_waits(self) -> None:
        """Stopping the service leaves nobody waiting."""
        pool = make_pool(servers("maxconn=1"))
        pool.startService()
        ask(pool)
        waiting = ask(pool)
        self.successResultOf(maybeDeferred(pool.stopService))
        self.assertIsInstance(waiting.error, NoServer)


class Backups(SynchronousTestCase):
    def test_used_when_no_other_is_up(self) -> None:
        """Backups serve when no active server is usable; without allbackups only the first."""
        pool = make_pool(servers("", "backup", "backup"))
        self.assertEqual({ask(pool).server for _ in range(3)}, {"s1"})
        pool.set_admin_state("s1", AdminState.MAINT)
        self.assertEqual({ask(pool).server for _ in range(3)}, {"s2"})

    def test_all_backups(self) -> None:
        """With all-backups they share the clients, and nobody comes before them."""
        pool = make_pool("all-backups = on\n" + servers("", "backup", "backup"))
        self.assertEqual({ask(pool).server for _ in range(4)}, {"s1"})
        pool.set_admin_state("s1", AdminState.MAINT)
        self.assertEqual({ask(pool).server for _ in range(4)}, {"s2", "s3"})
        self.assertEqual(pool.usable_servers, 2)


class OneServersOwn(SynchronousTestCase):
    """What a server says for itself, and not as its backend."""

    def test_judgement(self) -> None:
        """rise and fall of one server."""
        pool = make_pool(CHECKED + servers("fall=1 rise=3", ""))
        judge(pool, PASS)
        fail(pool, "s1", 1)
        fail(pool, "s2", 1)
        self.assertEqual([each.status for each in pool.servers], ["DOWN", "UP 2/3"])
        judge(pool, PASS, "s1")
        self.assertEqual(pool.servers[0].status, "DOWN 1/3")
        shown = pool.snapshot("tcp", 1, 1).servers
        self.assertEqual([(each.rise, each.fall) for each in shown], [(3, 1), (2, 3)])

    def test_mark_down(self) -> None:
        """on-marked-down of one server, against the backend's."""
        for backend, own, ended in (
            ("", "on-marked-down=shutdown-sessions", [Ending.MARKED_DOWN]),
            ("on-marked-down = shutdown-sessions\n", "on-marked-down=none", []),
            ("on-marked-down = shutdown-sessions\n", "", [Ending.MARKED_DOWN]),
        ):
            pool = make_pool(CHECKED + backend + servers(own))
            judge(pool, PASS)
            client = ask(pool)
            fail(pool, "s1")
            self.assertEqual(client.ended, ended)


class UsedAlone(SynchronousTestCase):
    def test_acquire(self) -> None:
        """Those who wait with a Deferred get the lease as its result."""
        pool = make_pool(servers(""))
        lease = self.successResultOf(pool.acquire(REQUEST))
        self.assertEqual(lease.server.name, "s1")

    def test_acquire_fails(self) -> None:
        """Without a server the Deferred fails."""
        pool = make_pool(servers("disabled"))
        self.failureResultOf(pool.acquire(REQUEST), NoServer)

    def test_cancelled(self) -> None:
        """Cancelling the Deferred leaves the queue."""
        pool = make_pool(CHECKED + servers(""))
        waiting = pool.acquire(REQUEST)
        waiting.cancel()
        self.failureResultOf(waiting)
        self.assertEqual(len(pool.selection.queue), 0)

    def test_interfaces(self) -> None:
        """Pool, server and lease provide what they promise."""
        pool = make_pool(servers(""))
        verifyObject(IBackend, pool)
        verifyObject(IServer, pool.servers[0])
        verifyObject(ILease, ask(pool).lease)


class Accounting(SynchronousTestCase):
    def test_live_bytes(self) -> None:
        """A snapshot counts what open sessions have moved so far, and the closed ones once."""
        pool = make_pool(servers(""))
        client = ask(pool)
        client.lease.traffic.bytes_in = 10
        client.lease.traffic.bytes_out = 20
        for _ in range(2):
            snapshot = pool.snapshot("tcp", 2, 100)
            self.assertEqual(snapshot.counters.bytes_in, 10)
            self.assertEqual(snapshot.servers[0].counters.bytes_out, 20)
            client.lease.release(Ending.NORMAL)
            client.lease.release(Ending.NORMAL)
        self.assertEqual(pool.snapshot("tcp", 2, 100).counters.sessions, 0)

    def test_downtime(self) -> None:
        """Downtime and changes are kept for the server and for the backend."""
        clock = Clock()
        pool = make_pool(CHECKED + servers(""), clock)
        judge(pool, PASS)
        clock.advance(10)
        fail(pool, "s1")
        clock.advance(5)
        snapshot = pool.snapshot("tcp", 2, 100)
        self.assertEqual((snapshot.downtime, snapshot.times_down), (5, 1))
        self.assertEqual(snapshot.servers[0].downtime, 5)


class TheLease(SynchronousTestCase):
    def test_lets_go_of_its_holder(self) -> None:
        """However it ends, lease and holder form no cycle that would wait for the collector."""
        pool = make_pool(servers(""))
        leases = [client.lease for client in (ask(pool), ask(pool), ask(pool, connect=False))]
        released, revoked, refused = [lease for lease in leases if lease is not None]
        released.release(Ending.NORMAL)
        revoked.revoke(Ending.KILLED)
        refused.refused(ConnectFailed("Connection refused"))
        self.assertEqual([each.holder for each in (released, revoked, refused)], [None] * 3)

    def test_traffic(self) -> None:
        """It has an account of its own, unless its user brings one; either is the server's."""
        pool = make_pool(servers(""))
        own, brought = ask(pool).lease, ask(pool).lease
        assert own is not None
        assert brought is not None
        own.traffic.bytes_in += 3
        brought.traffic = Traffic(bytes_in=4)
        self.assertEqual(pool.snapshot("tcp", 3, 0).counters.bytes_in, 7)
        own.release(Ending.NORMAL)
        brought.release(Ending.NORMAL)
        server = pool.servers[0].counters
        self.assertEqual((server.bytes_in, pool.counters.bytes_in, server.sessions), (7, 7, 0))

    def test_room_counts_only_where_there_is_a_limit(self) -> None:
        """Of servers with and without maxconn the full ones are left out, until there is room."""
        pool = make_pool(servers("maxconn=1", ""))
        first, *others = [ask(pool) for _ in range(4)]
        self.assertEqual([each.server for each in (first, *others)], ["s1", "s2", "s2", "s2"])
        assert first.lease is not None
        first.lease.release(Ending.NORMAL)
        self.assertEqual({ask(pool).server for _ in range(2)}, {"s1", "s2"})


@implementer(IBalancer)
class BrokenBalancer:
    def pick(self, servers: Sequence[IServer], request: LeaseRequest) -> IServer:
        raise ZeroDivisionError


class PluginsThatRaise(SynchronousTestCase):
    def test_balancer(self) -> None:
        """A balancer that raises costs the session an InternalError, not the proxy."""
        pool = make_pool(THREE)
        pool.selection.balancer = BrokenBalancer()
        self.assertIsInstance(ask(pool).error, InternalError)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
