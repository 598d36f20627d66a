"""The statistics page in a real browser."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase
from twisted.web.resource import Resource
from twisted.web.server import Site

from tests.real.browser import Browser
from tests.support import require
from vipproxy.testing import FakeCluster, ProxyHarness
from vipproxy.values import AdminState

CONFIG = """
[frontend monitor]
protocol = stats
bind = 127.0.0.1:0
stats-uri = /admin
stats-auth = root:redhat
stats-admin = on
[frontend shop]
protocol = tcp
bind = 127.0.0.1:0
backend = shop
[backend shop]
check = tcp interval=50ms
server one = {one}
server two = {two}
"""


class Page(Resource):
    """A site with one page."""

    isLeaf = True

    def __init__(self, text: bytes) -> None:
        super().__init__()
        self._text = text

    def render_GET(self, request: object) -> bytes:
        return self._text


class PageTests(TestCase):
    timeout = 240

    async def start(self) -> None:
        """A shop with a server that is up, and one that refuses."""
        cluster = FakeCluster(reactor, {"shop": "tcp"}, nodes=2)
        cluster.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(cluster.stop()))
        one, two = (cluster.address(node, "shop") for node in ("node1", "node2"))
        self.proxy = ProxyHarness(reactor, CONFIG.format(one=one, two=two))
        self.addCleanup(lambda: Deferred.fromCoroutine(self.proxy.stop()))
        await self.proxy.start()
        await cluster.kill("node2")
        await self.proxy.until_down("shop", "two")
        self.port = self.proxy.port("monitor")
        self.url = f"http://root:redhat@127.0.0.1:{self.port}/admin"

    async def browse(self, visit: Callable[[Browser], None]) -> None:
        """A visit of a browser, which blocks."""

        def visited() -> None:
            browser = Browser(require("chromium"))
            try:
                visit(browser)
            finally:
                browser.close()

        await deferToThread(visited)

    def state(self, server: str) -> AdminState:
        (pool,) = self.proxy.snapshot().backends
        return next(each.admin for each in pool.servers if each.name == server)

    async def test_rendered(self) -> None:
        """Chromium logs in, and shows each server with its state and its check in words."""
        await self.start()

        def visit(browser: Browser) -> None:
            browser.open(self.url)
            text = browser.read("document.body.innerText")
            for word in ("Connection refused", "DOWN", "DEGRADED", "one", "two"):
                self.assertIn(word, text)
            self.assertTrue(browser.read("document.documentElement.scrollWidth <= innerWidth"))

        await self.browse(visit)

    async def test_actions(self) -> None:
        """Check a server, choose, apply: it is drained, and the page says so."""
        await self.start()

        def visit(browser: Browser) -> None:
            browser.open(self.url)
            shown = "getComputedStyle(document.querySelector('.actions')).display"
            self.assertEqual(browser.read(shown), "none")
            browser.click("input[value=one]")
            browser.until(f"{shown} != 'none'")
            browser.read("document.querySelector('.actions select').value = 'drain'")
            browser.click(".actions button")
            browser.until("document.querySelector('.outcome')?.innerText.startsWith('Done.')")
            self.assertIn("DRAIN", browser.read("document.body.innerText"))
            browser.click(".outcome a")
            browser.until("!!document.querySelector('.overview')")
            browser.until("!document.querySelector('.outcome')")

        await self.browse(visit)
        self.assertEqual(self.state("one"), AdminState.DRAIN)

    async def test_another_site(self) -> None:
        """A form of another site, in the same browser with its password, is denied."""
        await self.start()
        evil = (
            f"""<form method="post" action="http://127.0.0.1:{self.port}/admin">"""
            """<input name="s" value="one"><input name="b" value="shop">"""
            """<input name="action" value="maint"></form>"""
            """<script>document.forms[0].submit()</script>"""
        )
        port = reactor.listenTCP(0, Site(Page(evil.encode())), interface="127.0.0.1")
        self.addCleanup(port.stopListening)

        def visit(browser: Browser) -> None:
            browser.open(self.url)
            browser.open(f"http://localhost:{port.getHost().port}/")
            browser.until("location.pathname == '/admin;st=DENY'")
            browser.until("document.querySelector('.outcome')?.innerText.startsWith('Denied')")

        await self.browse(visit)
        self.assertEqual(self.state("one"), AdminState.READY)
