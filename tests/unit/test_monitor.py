"""The monitor on a clock: when checks run, when they do not, and what a bad plugin costs."""

from __future__ import annotations

import itertools
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.pools import FAIL, PASS, PatientCheck, ask, make_pool, servers
from vipproxy.backends.monitor import HURRY, STAGGER
from vipproxy.backends.pool import Pool
from vipproxy.checks import CheckFailed
from vipproxy.errors import ConnectFailed
from vipproxy.interfaces import CheckTarget, ICheckPlugin
from vipproxy.values import AdminState, CheckResult, CheckStatus

CHECK = "check = tests.unit.test_monitor:Patient interval=1s rise=2 fall=3"
TICK = 0.01


class Patient(PatientCheck):
    """Probes of this module alone; `times` are the seconds at which they began."""

    probes: list[tuple[str, Deferred[CheckResult]]] = []
    times: list[tuple[str, float]] = []

    def probe(self, target: CheckTarget, options: Any) -> Deferred[CheckResult]:
        self.times.append((target.server, target.reactor.seconds()))
        return super().probe(target, options)


@implementer(ICheckPlugin)
class Scripted:
    """Answers whatever the test has put here."""

    options = None
    answer: Any = None

    def probe(self, target: CheckTarget, options: Any) -> Any:
        return Scripted.answer()


@implementer(ICheckPlugin)
class Aimed:
    """Remembers what it was aimed at."""

    options = None
    targets: list[CheckTarget] = []

    def probe(self, target: CheckTarget, options: Any) -> CheckResult:
        self.targets.append(target)
        return PASS


class MonitorCase(SynchronousTestCase):
    def setUp(self) -> None:
        Patient.probes.clear()
        Patient.times.clear()
        self.clock = Clock()

    def pool(self, *options: str, check: str = CHECK) -> Pool:
        pool = make_pool(f"{check}\n{servers(*(options or ('',)))}", self.clock)
        pool.startService()
        self.addCleanup(pool.stopService)
        return pool

    def wait(self, seconds: float) -> None:
        self.clock.pump([TICK] * round(seconds / TICK))

    def answer(self, result: CheckResult = PASS) -> None:
        """Let every running probe end."""
        probes = list(Patient.probes)
        Patient.probes.clear()
        for _, probe in probes:
            probe.callback(result)

    def settle(self, result: CheckResult, times: int, pause: float = 1.0) -> None:
        """So many checks of a single server in a row."""
        for _ in range(times):
            self.wait(pause)
            self.answer(result)


class Pace(MonitorCase):
    def test_first_checks_at_once(self) -> None:
        """All servers are checked at the start, not an interval later."""
        self.pool("", "", "", "")
        self.wait(0.05)
        self.assertEqual([name for name, _ in Patient.times], ["s1", "s2", "s3", "s4"])
        self.assertTrue(Patient.times[-1][1] <= 3 * STAGGER + TICK)

    def test_spread_afterwards(self) -> None:
        """From the second on, checks are spread over the interval."""
        self.pool("", "", "", "")
        self.wait(0.05)
        self.answer()
        self.wait(2)
        second = [at for _, at in Patient.times[4:]]
        gaps = [later - earlier for earlier, later in itertools.pairwise(second)]
        for gap in gaps:
            self.assertApproximates(gap, 0.25, 3 * TICK)

    def test_next_after_the_last_ended(self) -> None:
        """A check that took 0.6 s is followed by the next 1.6 s after it began."""
        self.pool()
        self.wait(0.6)
        self.answer()
        self.wait(0.97)
        self.assertEqual(len(Patient.times), 1)
        self.wait(0.06)
        self.assertEqual(len(Patient.times), 2)

    def test_own_pace(self) -> None:
        """A server may have intervals of its own."""
        self.pool("interval=200ms", "")
        for _ in range(5):
            self.wait(0.25)
            self.answer()
        names = [name for name, _ in Patient.times]
        self.assertGreater(names.count("s1"), names.count("s2") + 1)

    def test_own_address(self) -> None:
        """check-addr and check-port say where a server is probed."""
        plugin = "check = tests.unit.test_monitor:Aimed port=9"
        Aimed.targets.clear()
        self.pool("check-addr=127.0.0.9 check-port=8", "check-addr=::1", check=plugin)
        self.wait(0.05)
        found = [str(target.address) for target in Aimed.targets]
        self.assertEqual(found, ["127.0.0.9:8", "[::1]:9"])

    def test_one_at_a_time(self) -> None:
        """While a check of a server runs, no other of it begins."""
        self.pool(check=f"{CHECK} timeout=10s")
        self.wait(5)
        self.assertEqual(len(Patient.times), 1)

    def test_timeout(self) -> None:
        """A check that takes longer than its timeout is cancelled and has failed."""
        pool = self.pool(check=f"{CHECK} timeout=300ms")
        self.wait(0.35)
        (server,) = pool.servers
        assert server.last_check is not None
        self.assertIs(server.last_check.status, CheckStatus.L7_TIMEOUT)
        self.assertEqual(server.status, "DOWN")

    def test_interval_is_the_default_timeout(self) -> None:
        """Without a timeout the interval is one, as in HAProxy."""
        pool = self.pool()
        self.wait(0.9)
        self.assertIsNone(pool.servers[0].last_check)
        self.wait(0.2)
        self.assertIsNotNone(pool.servers[0].last_check)

    def test_duration(self) -> None:
        """A result carries how long the check took, in seconds."""
        pool = self.pool()
        self.wait(0.5)
        self.answer()
        last = pool.servers[0].last_check
        assert last is not None
        self.assertApproximates(last.duration, 0.5, 2 * TICK)

    def test_target(self) -> None:
        """A server's own check-port goes before the check's port, and that before its port."""
        pool = make_pool(f"{CHECK} port=9200\n{servers('', 'check-port=9300', 'check=off')}")
        loops = pool.monitor._loops.values()
        self.assertEqual([loop._target().address.port for loop in loops], [9200, 9300])


class Transitions(MonitorCase):
    def up(self, options: str = "") -> Pool:
        """A server that is up, its next check an interval away."""
        pool = self.pool(check=f"{CHECK} {options}")
        self.wait(TICK)
        self.answer()
        return pool

    def checks_within(self, seconds: float) -> int:
        before = len(Patient.times)
        self.wait(seconds)
        return len(Patient.times) - before

    def test_fastinter(self) -> None:
        """While a verdict is in the making, checks come at fastinter."""
        self.up("fastinter=100ms")
        self.wait(1)
        self.answer(FAIL)
        self.assertEqual(self.checks_within(0.12), 1)

    def test_downinter(self) -> None:
        """While a server is down, checks come at downinter."""
        self.up("downinter=5s")
        self.settle(FAIL, 3, pause=1.02)
        self.assertEqual(self.checks_within(4.9), 0)
        self.assertEqual(self.checks_within(0.2), 1)

    def test_slow_is_not_refused(self) -> None:
        """Without fastinter a bad answer is asked again after the interval."""
        self.up()
        self.wait(1)
        self.answer(FAIL)
        self.assertEqual(self.checks_within(0.9), 0)

    def test_refused_is_news(self) -> None:
        """After a refused connection checks hurry, until the verdict."""
        pool = self.up()
        client = ask(pool, connect=False)
        assert client.lease is not None
        client.lease.refused(ConnectFailed("Connection refused"))
        refused = CheckResult(CheckStatus.L4_CONNECTION, "Connection refused")
        for _ in range(2):
            self.assertEqual(self.checks_within(HURRY + TICK), 1)
            self.answer(refused)
        self.assertFalse(pool.servers[0].up)
        self.assertEqual(self.checks_within(0.9), 0)

    def test_refused_though_the_sidecar_answers(self) -> None:
        """Checks hurry also where a sidecar answers, with bad news, for the server that refused."""
        pool = self.up()
        client = ask(pool, connect=False)
        assert client.lease is not None
        client.lease.refused(ConnectFailed("Connection refused"))
        for _ in range(2):
            self.assertEqual(self.checks_within(HURRY + TICK), 1)
            self.answer(FAIL)
        self.assertFalse(pool.servers[0].up)

    def test_hurry_keeps_an_earlier_check(self) -> None:
        """Hurrying does not put off a check that comes sooner anyway."""
        pool = self.up()
        self.wait(0.98)
        pool.monitor.hurry(pool.servers[0])
        self.assertEqual(self.checks_within(0.03), 1)


class Maintenance(MonitorCase):
    def test_paused(self) -> None:
        """A server in maintenance is not checked."""
        pool = self.pool()
        pool.set_admin_state("s1", AdminState.MAINT)
        self.wait(5)
        self.assertEqual(Patient.times, [])

    def test_result_that_comes_late(self) -> None:
        """A check that ends in maintenance is not written down."""
        pool = self.pool()
        self.wait(0.1)
        pool.set_admin_state("s1", AdminState.MAINT)
        self.answer(PASS)
        self.assertIsNone(pool.servers[0].last_check)

    def test_back(self) -> None:
        """Leaving maintenance brings a check soon."""
        pool = self.pool()
        pool.set_admin_state("s1", AdminState.MAINT)
        self.wait(2.5)
        pool.set_admin_state("s1", AdminState.READY)
        self.wait(HURRY + TICK)
        self.assertEqual(len(Patient.times), 1)


class Answers(MonitorCase):
    def result(self, answer: Any) -> CheckResult | None:
        """What is written down when the plugin does this."""
        Scripted.answer = staticmethod(answer)
        pool = self.pool(check="check = tests.unit.test_monitor:Scripted interval=1s")
        self.wait(0.05)
        return pool.servers[0].last_check

    def test_value(self) -> None:
        """A plugin may answer with a value."""
        self.assertEqual(self.result(lambda: PASS), PASS)

    def test_deferred(self) -> None:
        """A plugin may answer with a Deferred."""
        self.assertEqual(self.result(lambda: succeed(PASS)), PASS)

    def test_coroutine(self) -> None:
        """A plugin may answer with a coroutine."""

        async def probe() -> CheckResult:
            await succeed(None)
            return PASS

        self.assertEqual(self.result(probe), PASS)

    def test_check_failed(self) -> None:
        """CheckFailed is a result."""

        def probe() -> None:
            raise CheckFailed(CheckStatus.L7_STATUS, "Service Unavailable", 503)

        self.assertEqual(self.result(probe), FAIL)

    def test_raises(self) -> None:
        """Any other exception is a failed check with the exception's text, and is logged."""

        def probe() -> None:
            raise ZeroDivisionError("by zero")

        expected = CheckResult(CheckStatus.PROCESS_ERROR, "ZeroDivisionError: by zero")
        self.assertEqual(self.result(probe), expected)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_nonsense(self) -> None:
        """An answer that is no CheckResult is a failed check that says so."""
        text = "the check answered str, not a CheckResult"
        self.assertEqual(self.result(lambda: "ok"), CheckResult(CheckStatus.PROCESS_ERROR, text))

    def test_goes_on(self) -> None:
        """A check that raised is tried again an interval later."""
        answers: list[Any] = [lambda: Failure(ZeroDivisionError()).raiseException(), lambda: PASS]
        Scripted.answer = staticmethod(lambda: answers.pop(0)())
        pool = self.pool(check="check = tests.unit.test_monitor:Scripted interval=1s rise=1")
        self.wait(1.1)
        self.flushLoggedErrors(ZeroDivisionError)
        self.assertTrue(pool.servers[0].up)

    def test_deaf_to_cancelling(self) -> None:
        """A plugin that will not be cancelled fails at its timeout all the same."""

        async def probe() -> CheckResult:
            while True:
                try:
                    await Deferred()
                except BaseException as error:
                    if isinstance(error, GeneratorExit):
                        raise

        Scripted.answer = staticmethod(probe)
        pool = self.pool(check="check = tests.unit.test_monitor:Scripted interval=1s rise=1")
        self.wait(1.1)
        self.assertEqual(pool.servers[0].status, "DOWN")
        Scripted.answer = staticmethod(lambda: PASS)
        self.wait(1)
        self.assertEqual(pool.servers[0].status, "UP")


class Stopping(MonitorCase):
    def test_between_checks(self) -> None:
        """Stopping leaves nothing with the clock."""
        pool = self.pool("", "")
        self.wait(0.1)
        self.answer()
        pool.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_during_a_check(self) -> None:
        """Stopping cancels running checks, and their results are not written down."""
        pool = self.pool("", "")
        self.wait(0.1)
        pool.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual([server.last_check for server in pool.servers], [None, None])
        self.assertEqual([server.checking for server in pool.servers], [False, False])

    def test_again(self) -> None:
        """A stopped monitor can be started again."""
        pool = self.pool()
        self.wait(0.1)
        self.answer()
        pool.stopService()
        pool.startService()
        self.wait(0.1)
        self.assertEqual(len(Patient.times), 2)
