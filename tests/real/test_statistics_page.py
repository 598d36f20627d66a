"""The statistics page in a real browser."""

from __future__ import annotations

import subprocess
from tempfile import TemporaryDirectory

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.support import require
from vipproxy.testing import FakeCluster, ProxyHarness

CONFIG = """
[frontend monitor]
protocol = stats
bind = 127.0.0.1:0
stats-uri = /admin
stats-auth = root:redhat
[frontend shop]
protocol = tcp
bind = 127.0.0.1:0
backend = shop
[backend shop]
check = tcp interval=50ms
server one = {one}
server two = {two}
"""
BROWSER = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


class PageTests(TestCase):
    async def test_rendered(self) -> None:
        """Chromium logs in and shows each server with its state in words."""
        chromium = require("chromium")
        cluster = FakeCluster(reactor, {"shop": "tcp"}, nodes=2)
        cluster.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(cluster.stop()))
        one, two = (cluster.address(node, "shop") for node in ("node1", "node2"))
        proxy = ProxyHarness(reactor, CONFIG.format(one=one, two=two))
        self.addCleanup(lambda: Deferred.fromCoroutine(proxy.stop()))
        await proxy.start()
        await cluster.kill("node2")
        await proxy.until_down("shop", "two")
        page = await deferToThread(dump, chromium, proxy.port("monitor"))
        self.assertIn("Connection refused", page)
        self.assertIn("DOWN", page)
        self.assertIn("one", page)


def dump(chromium: str, port: int) -> str:
    """The page's document as the browser has it after loading."""
    with TemporaryDirectory() as profile:
        url = f"http://root:redhat@127.0.0.1:{port}/admin"
        run = [chromium, *BROWSER, f"--user-data-dir={profile}", "--dump-dom", url]
        done = subprocess.run(run, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout
