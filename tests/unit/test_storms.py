"""All servers down, and a crowd of clients: the work stays within bounds."""

from __future__ import annotations

from typing import Any, ClassVar

from attrs import define
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.pools import PASS, make_pool, servers
from vipproxy import connector as connector_module
from vipproxy.backends.pool import Pool
from vipproxy.connector import Connector
from vipproxy.errors import ConnectFailed, SessionError
from vipproxy.interfaces import (
    CheckTarget,
    ICheckPlugin,
    IConnectTaker,
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


@define(eq=False)
class RefusedDial:
    """A dial that is refused in the next turn, as on a network."""

    reactor: Any
    timer: Any
    address: Address
    timeout: float
    dialler: Any
    count: ClassVar[int] = 0
    cancelled: bool = False

    def start(self) -> None:
        RefusedDial.count += 1
        self.reactor.callLater(0.001, self._refuse)

    def cancel(self) -> None:
        self.cancelled = True

    def _refuse(self) -> None:
        if not self.cancelled:
            self.dialler.dial_failed(ConnectFailed("Connection refused"))


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
        self.patch(connector_module, "Dial", RefusedDial)
        self.patch(Probe, "result", PASS)
        self.patch(Probe, "count", 0)
        self.patch(RefusedDial, "count", 0)
        self.clock = Clock()
        self.connector = Connector(self.clock)

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
        self.assertLessEqual(RefusedDial.count, CROWD * 3)

    def test_while_down(self) -> None:
        """While all are down nobody is dialled, and checks keep to their interval."""
        pool = self.pool(self.CHECK)
        self.come(pool, 20)
        self.run_for(5)
        RefusedDial.count = Probe.count = 0
        for _ in range(10):
            refugees = self.come(pool, CROWD)
            self.run_for(1)
            self.assertTrue(all(each.error for each in refugees))
        self.assertEqual(RefusedDial.count, 0)
        self.assertLessEqual(Probe.count, 3 * 11)

    def test_pinned_crowd(self) -> None:
        """Clients that wait for the verdict on a pinned server cost the clock next to nothing."""
        pool = self.pool(f"{self.CHECK} fall=30\nstick = dst\ntimeout-queue = 5s")
        self.come(pool, 1)
        self.run_for(1)
        RefusedDial.count = 0
        refugees = self.come(pool, CROWD)
        self.assertEqual(RefusedDial.count, 0)
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
        self.assertEqual(RefusedDial.count, CROWD * 4)
