"""All servers down, and a crowd of clients: the work stays within bounds."""

from __future__ import annotations

from typing import Any, ClassVar

from attrs import define
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.pools import PASS, make_pool, servers
from vipproxy.backends.pool import Pool
from vipproxy.config.options import KeepaliveOptions
from vipproxy.connector import Connector
from vipproxy.errors import ConnectFailed, SessionError
from vipproxy.interfaces import (
    CheckTarget,
    ICheckPlugin,
    IConnectTaker,
    IDialler,
    IDialTaker,
    ILease,
    LeaseRequest,
    Side,
)
from vipproxy.testing.memory import CLIENT, VIP
from vipproxy.values import Address, CheckResult, CheckStatus

CROWD = 1000
REFUSED = CheckResult(CheckStatus.L4_CONNECTION, "Connection refused")


@implementer(ICheckPlugin)
class Probe:
    """`check = tests.unit.test_storms:Probe`: says what the test says, and counts."""

    options = None
    result: ClassVar[CheckResult] = PASS
    count: ClassVar[int] = 0

    def probe(self, target: CheckTarget, options: Any) -> CheckResult:
        Probe.count += 1
        return Probe.result


@implementer(IDialler)
@define
class RefusingDialler:
    """Every dial is refused in the next turn, as on a network."""

    clock: Clock
    count: int = 0

    def dial(
        self,
        address: Address,
        timeout: float,
        taker: IDialTaker,
        keepalive: KeepaliveOptions | None,
        greeting: bytes,
    ) -> Any:
        self.count += 1
        error = ConnectFailed("Connection refused")
        return self.clock.callLater(0.001, taker.dial_failed, error)


@implementer(IConnectTaker)
class Refugee:
    """A client that does not come back."""

    error: SessionError | None = None

    def connected(self, lease: ILease, server: Side) -> None:
        raise AssertionError("nobody is there")

    def connect_failed(self, error: SessionError) -> None:
        self.error = error


class StormCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.patch(Probe, "result", PASS)
        self.patch(Probe, "count", 0)
        self.clock = Clock()
        self.dialler = RefusingDialler(self.clock)
        self.connector = Connector(self.clock, self.dialler)

    def pool(self, options: str) -> Pool:
        """Three servers that are up, and refuse from now on."""
        pool = make_pool(f"{options}\n{servers('', '', '')}", self.clock)
        pool.startService()
        self.addCleanup(pool.stopService)
        self.run_for(1)
        Probe.result, Probe.count = REFUSED, 0
        return pool

    def come(self, pool: Pool, number: int) -> list[Refugee]:
        refugees = [Refugee() for _ in range(number)]
        for each in refugees:
            self.connector.connect(pool, LeaseRequest(client=CLIENT, destination=VIP), each)
        return refugees

    def run_for(self, seconds: int) -> None:
        self.clock.pump([0.001] * (seconds * 1000))


class CheckedServers(StormCase):
    CHECK = "check = tests.unit.test_storms:Probe interval=1s"

    def test_crash(self) -> None:
        """Of a crowd in which all are refused, each tries each server at most once."""
        pool = self.pool(self.CHECK)
        refugees = self.come(pool, CROWD)
        self.run_for(10)
        self.assertTrue(all(each.error for each in refugees))
        self.assertLessEqual(self.dialler.count, CROWD * 3)

    def test_while_down(self) -> None:
        """While all are down nobody is dialled, and checks keep to their interval."""
        pool = self.pool(self.CHECK)
        self.come(pool, 20)
        self.run_for(5)
        self.dialler.count = Probe.count = 0
        for _ in range(10):
            refugees = self.come(pool, CROWD)
            self.run_for(1)
            self.assertTrue(all(each.error for each in refugees))
        self.assertEqual(self.dialler.count, 0)
        self.assertLessEqual(Probe.count, 3 * 11)

    def test_pinned_crowd(self) -> None:
        """Clients that wait for the verdict on a pinned server cost the clock next to nothing."""
        pool = self.pool(f"{self.CHECK} fall=30\nstick = dst\ntimeout-queue = 5s")
        self.come(pool, 1)
        self.run_for(1)
        self.dialler.count = 0
        refugees = self.come(pool, CROWD)
        self.assertEqual(self.dialler.count, 0)
        self.assertLess(len(self.clock.getDelayedCalls()), 20)
        self.run_for(10)
        self.assertTrue(all(each.error for each in refugees))


class UncheckedServers(StormCase):
    def test_retries(self) -> None:
        """Without checks nobody is ever marked down: `retries` bounds what each client costs."""
        pool = self.pool("retries = 3")
        refugees = self.come(pool, CROWD)
        self.run_for(10)
        self.assertTrue(all(each.error for each in refugees))
        self.assertEqual(self.dialler.count, CROWD * 4)
