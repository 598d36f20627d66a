"""The galera check against a real cluster of two nodes, in every state that it can be put into."""

from __future__ import annotations

import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.real.galera import CHECK_PASSWORD, CHECK_USER, GaleraCluster, Node
from vipproxy.checks import CheckFailed
from vipproxy.checks.galera import GaleraCheck, GaleraCheckOptions
from vipproxy.checks.mysql_account import PasswordFile
from vipproxy.interfaces import CheckTarget
from vipproxy.values import Address, CheckResult, CheckStatus

PATIENCE = 20.0


@cache
def cluster() -> GaleraCluster:
    """Started once for all tests; it ends with the module or, under trial, with the process."""
    started = GaleraCluster(nodes=2)
    started.start()
    return started


def tearDownModule() -> None:
    if cluster.cache_info().currsize:
        cluster().stop()


class GaleraCheckTests(TestCase):
    timeout = 120

    def setUp(self) -> None:
        self.node = cluster().nodes[1]
        directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, directory)
        self.password = directory / "password"
        self.password.write_text(CHECK_PASSWORD)

    async def probe(self, **changes: Any) -> CheckResult:
        """One check of the second node, as the monitor does it."""
        file = PasswordFile(self.password)
        options = GaleraCheckOptions(user=CHECK_USER, password_file=file, **changes)
        address = Address("127.0.0.1", self.node.port)
        target = CheckTarget("db", "node", address, 1.0, reactor)
        probe = Deferred.fromCoroutine(GaleraCheck().probe(target, options))
        try:
            result: CheckResult = await probe.addTimeout(1.0, reactor)
        except CheckFailed as failed:
            return CheckResult(failed.status, failed.info, failed.code)
        return result

    async def until(self, code: int | None, **changes: Any) -> CheckResult:
        """The first result with that code; states change a moment after they were asked for."""
        for _ in range(int(PATIENCE / 0.1)):
            result = await self.probe(**changes)
            if result.code == code:
                return result
            await deferLater(reactor, 0.1)
        raise AssertionError(f"no check with code {code}; the last was {result}")

    def healed(self, node: Node) -> None:
        cluster().heal(node)

    async def test_synced(self) -> None:
        """A synced node passes with its own words."""
        result = await self.until(4)
        self.assertEqual(result, CheckResult(CheckStatus.L7_OK, "Synced, Primary, size 2", 4))

    async def test_desynced(self) -> None:
        """A desynced node is the last resort, or, with donor=use, as good as any."""
        self.addCleanup(self.node.desync, False)
        self.node.desync()
        words = "Donor/Desynced, Primary, size 2"
        result = await self.until(2)
        expected = CheckResult(CheckStatus.L7_STATUS, words, 2, last_resort=True)
        self.assertEqual(result, expected)
        result = await self.until(2, donor="use")
        self.assertEqual(result, CheckResult(CheckStatus.L7_OK, words, 2))

    async def test_read_only(self) -> None:
        """A read-only node fails, or passes with read-only=use."""
        self.addCleanup(self.node.sql, "SET GLOBAL read_only=OFF")
        await self.until(4)
        self.node.sql("SET GLOBAL read_only=ON")
        words = "Synced, Primary, size 2, read_only=ON"
        self.assertEqual(await self.probe(), CheckResult(CheckStatus.L7_STATUS, words, 4))
        self.assertTrue((await self.probe(read_only="use")).passed)

    async def test_non_primary(self) -> None:
        """A node that is cut off fails conclusively, in its own words."""
        self.addCleanup(self.healed, self.node)
        self.node.isolate()
        result = await self.until(0)
        self.assertTrue(result.conclusive)
        words = "Initialized, non-Primary, size 1, wsrep_ready=OFF"
        self.assertEqual((result.status, result.info), (CheckStatus.L7_STATUS, words))

    async def test_waiting_for_writes(self) -> None:
        """A node that makes its clients wait for all writes answers the check all the same."""
        self.addCleanup(self.healed, self.node)
        self.addCleanup(self.node.sql, "SET GLOBAL wsrep_sync_wait=DEFAULT")
        self.node.sql("SET GLOBAL wsrep_sync_wait=31")
        self.assertTrue((await self.until(4)).passed)
        self.node.isolate()
        self.assertTrue((await self.until(0)).conclusive)

    async def test_rejecting(self) -> None:
        """A node that was told to reject queries calls itself ready; it fails conclusively."""
        self.addCleanup(self.node.sql, "SET GLOBAL wsrep_reject_queries=NONE")
        await self.until(4)
        self.node.sql("SET GLOBAL wsrep_reject_queries=ALL")
        words = "Synced, Primary, size 2, wsrep_reject_queries=ALL"
        expected = CheckResult(CheckStatus.L7_STATUS, words, 4, conclusive=True)
        self.assertEqual(await self.probe(), expected)

    async def test_frozen(self) -> None:
        """A frozen node is a timeout."""
        self.addCleanup(self.healed, self.node)
        await self.until(4)
        self.node.freeze()
        self.assertEqual((await self.probe()).status, CheckStatus.L7_TIMEOUT)

    async def test_gone_and_back(self) -> None:
        """A node that ends is refused; coming back, it passes only once it is synced."""
        self.node.shutdown()
        self.node.wait_down()
        result = await self.probe()
        self.assertEqual(result, CheckResult(CheckStatus.L4_CONNECTION, "Connection refused"))
        returning = deferToThread(self.healed, self.node)
        seen = []
        while not returning.called:
            seen.append(await self.probe())
            await deferLater(reactor, 0.02)
        await returning
        wrong = [each for each in seen if each.passed and not each.info.startswith("Synced, Pri")]
        self.assertEqual(wrong, [])
        self.assertTrue((await self.until(4)).passed)

    async def test_wrong_password(self) -> None:
        """A refused login fails with the server's words."""
        self.password.write_text("wrong")
        result = await self.probe()
        self.assertEqual((result.status, result.code), (CheckStatus.L7_STATUS, 1045))
        self.assertIn(f"Access denied for user '{CHECK_USER}'", result.info)
