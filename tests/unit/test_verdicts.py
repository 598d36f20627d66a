"""What verdicts mean beyond up and down: fail-back, hold-down, last resort, relieved backups."""

from __future__ import annotations

from attrs import evolve
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.pools import FAIL, PASS, Client, Diary, ask, fail, judge, make_pool, servers
from vipproxy.interfaces import ILease
from vipproxy.values import CheckResult, CheckStatus, Ending

CHECKED = "check = tcp interval=1s hold-down=30s\n"
PINNED = f"{CHECKED}stick = dst\n"
DONOR = CheckResult(CheckStatus.L7_STATUS, "Donor/Desynced", 2, last_resort=True)


def recover(pool: object, name: str) -> None:
    for _ in range(2):
        judge(pool, PASS, name)  # type: ignore[arg-type]


class FailBack(SynchronousTestCase):
    def moved_pool(self, policy: str, clock: Clock | None = None):  # type: ignore[no-untyped-def]
        """A pool whose pin has moved from s1 to s2, and whose s1 is up again."""
        pool = make_pool(f"{PINNED}fail-back = {policy}\n{servers('', '')}", clock)
        judge(pool, PASS)
        ask(pool)
        fail(pool, "s1")
        client = ask(pool)
        self.assertEqual(client.server, "s2")
        recover(pool, "s1")
        return pool, client

    def test_never(self) -> None:
        """fail-back = never leaves the pin where it is, used or not."""
        pool, client = self.moved_pool("never")
        client.lease.release(Ending.NORMAL)
        self.assertEqual(ask(pool).server, "s2")

    def test_idle(self) -> None:
        """fail-back = idle waits until no session uses the pin."""
        pool, client = self.moved_pool("idle")
        second = ask(pool)
        self.assertEqual(second.server, "s2")
        client.lease.release(Ending.NORMAL)
        self.assertEqual(ask(pool).server, "s2")
        for each in list(pool.servers[1].leases):
            each.release(Ending.NORMAL)
        self.assertEqual(ask(pool).server, "s1")

    def test_after(self) -> None:
        """fail-back = after=10m moves the pin when the better server has been up for so long."""
        clock = Clock()
        pool, client = self.moved_pool("after=10m", clock)
        clock.advance(599)
        judge(pool, PASS)
        self.assertEqual(client.ended, [])
        clock.advance(1)
        judge(pool, PASS)
        self.assertEqual(client.ended, [Ending.KILLED])
        self.assertEqual(ask(pool).server, "s1")


class OneAtATime(SynchronousTestCase):
    def test_who_connects_starts_anew_last(self) -> None:
        """At a mark-down all sessions end before anyone who was still connecting starts anew."""
        pool = make_pool(PINNED + servers("", ""))
        judge(pool, PASS)
        connecting, session = ask(pool, connect=False), ask(pool)
        anew: list[Client] = []
        order: list[str] = []

        def revoked(ending: Ending) -> None:
            anew.append(ask(pool))
            order.append("connecting")

        connecting.revoked = revoked  # type: ignore[method-assign]
        session.revoked = lambda ending: order.append("session")  # type: ignore
        fail(pool, "s1")
        self.assertEqual(order, ["session", "connecting"])
        self.assertEqual([client.server for client in anew], ["s2"])


class HoldDown(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.pool = make_pool(CHECKED + servers(""), self.clock)
        judge(self.pool, PASS)

    def fall_and_rise(self) -> None:
        fail(self.pool, "s1")
        recover(self.pool, "s1")
        self.clock.advance(5)

    def test_two_falls(self) -> None:
        """A server that went down twice in a minute comes back after `rise` passes."""
        for _ in range(2):
            self.fall_and_rise()
        self.assertEqual(self.pool.servers[0].status, "UP")

    def test_three_falls(self) -> None:
        """After the third it must pass for `hold-down` seconds."""
        for _ in range(3):
            self.fall_and_rise()
        self.assertEqual(self.pool.servers[0].status, "DOWN 1/2")
        self.clock.advance(24)
        judge(self.pool, PASS)
        self.assertFalse(self.pool.servers[0].up)
        self.clock.advance(1)
        judge(self.pool, PASS)
        self.assertEqual(self.pool.servers[0].status, "UP")

    def test_long_ago(self) -> None:
        """Falls that are more than a minute apart are not flapping."""
        for _ in range(4):
            self.fall_and_rise()
            self.clock.advance(30)
            self.assertEqual(self.pool.servers[0].status, "UP")


class LastResort(SynchronousTestCase):
    """A Galera donor serves only where no other server can."""

    def setUp(self) -> None:
        self.pool = make_pool(PINNED + servers("", ""))
        judge(self.pool, PASS)

    def donate(self, name: str) -> None:
        for _ in range(3):
            judge(self.pool, DONOR, name)

    def test_loses_its_clients(self) -> None:
        """A donor is marked down while another server is usable."""
        client = ask(self.pool)
        self.donate("s1")
        self.assertEqual(client.ended, [Ending.MARKED_DOWN])
        self.assertEqual(ask(self.pool).server, "s2")

    def test_last_one_left(self) -> None:
        """The last one left goes on serving: its sessions are not touched."""
        fail(self.pool, "s2")
        client = ask(self.pool)
        self.donate("s1")
        self.assertEqual(client.ended, [])
        self.assertEqual(ask(self.pool).server, "s1")

    def test_comes_up_when_alone(self) -> None:
        """A donor that was down is taken when all others have gone."""
        self.donate("s1")
        fail(self.pool, "s2")
        for _ in range(2):
            judge(self.pool, DONOR, "s1")
        self.assertEqual(ask(self.pool).server, "s1")

    def test_not_before_the_others_verdict(self) -> None:
        """At the start a donor waits for the first verdict on the others."""
        pool = make_pool(PINNED + servers("", ""))
        judge(pool, DONOR, "s1")
        judge(pool, PASS, "s2")
        self.assertEqual(ask(pool).server, "s2")


class Conclusive(SynchronousTestCase):
    def test_at_once(self) -> None:
        """A node that says itself that it cannot serve is down at the first such answer."""
        pool = make_pool(PINNED + servers("", ""))
        judge(pool, PASS)
        client = ask(pool)
        judge(pool, evolve(FAIL, conclusive=True), "s1")
        self.assertEqual(client.ended, [Ending.MARKED_DOWN])
        self.assertEqual(pool.servers[0].status, "DOWN")
        self.assertEqual(ask(pool).server, "s2")


class MarkedUp(SynchronousTestCase):
    def pool_on_backup(self, option: str):  # type: ignore[no-untyped-def]
        pool = make_pool(f"{CHECKED}{option}{servers('', 'backup')}")
        judge(pool, PASS)
        fail(pool, "s1")
        client = ask(pool)
        self.assertEqual(client.server, "s2")
        recover(pool, "s1")
        return client

    def test_backups_are_relieved(self) -> None:
        """on-marked-up = shutdown-backup-sessions ends the sessions on backups."""
        client = self.pool_on_backup("on-marked-up = shutdown-backup-sessions\n")
        self.assertEqual(client.ended, [Ending.BACKUP_RELIEVED])

    def test_by_default_not(self) -> None:
        """Without it they go on."""
        self.assertEqual(self.pool_on_backup("").ended, [])


class SlowIsNotFailed(SynchronousTestCase):
    def test_fall_decides(self) -> None:
        """A slow check is told as a warning, and the server stays up until `fall` of them."""
        diary = Diary()
        pool = make_pool(CHECKED + servers(""), observer=diary)
        judge(pool, PASS)
        judge(pool, evolve(FAIL, status=CheckStatus.L7_TIMEOUT, info="", code=None))
        self.assertEqual(
            diary.texts[-1],
            "Health check for server b/s1 failed, reason: Layer7 timeout, check duration: 0ms, "
            "status: 2/3 UP.",
        )
        judge(pool, PASS)
        self.assertEqual(pool.servers[0].status, "UP")


class Revocation(SynchronousTestCase):
    def test_lease_is_closed_before_the_holder_is_told(self) -> None:
        """A holder that releases in its own `revoked` counts nothing twice."""
        pool = make_pool(PINNED + servers("", ""))
        judge(pool, PASS)
        client = ask(pool)
        lease: ILease = client.lease  # type: ignore[assignment]
        client.revoked = lambda ending: lease.release(ending)  # type: ignore[method-assign]
        fail(pool, "s1")
        self.assertEqual(pool.counters.sessions, 0)
