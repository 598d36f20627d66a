"""HTTP clients and servers of other people: curl, requests, ab, wrk, Chromium; nginx and WSGI."""

from __future__ import annotations

import hashlib
import re
import socket
import subprocess
import time
from collections.abc import Iterator

import requests
from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.http_peers import read_all
from tests.real.browser import Browser
from tests.real.http_servers import BLOCK, BrowserSite, Haproxy, Nginx, WsgiSite
from tests.support import require
from vipproxy.testing import ProxyHarness

LIMIT = 100.0
BLOCKS = 128
SIZE = BLOCKS * len(BLOCK)
"""8 MiB."""
DIGEST = hashlib.sha256(BLOCK * BLOCKS).hexdigest()

CONFIG = """
[frontend web]
protocol = http
bind = 127.0.0.1:0
backend = pool
{frontend}
[backend pool]
cookie = SERVERID insert indirect nocache
{servers}
"""


def blocks() -> Iterator[bytes]:
    for _ in range(BLOCKS):
        yield BLOCK


class ClientCase(TestCase):
    timeout = 120

    async def start_proxy(self, *ports: int, frontend: str = "") -> str:
        """A proxy before servers on these ports; its URL."""
        servers = "\n".join(
            f"server s{at} = 127.0.0.1:{port} cookie=c{at}" for at, port in enumerate(ports)
        )
        self.proxy = ProxyHarness(reactor, CONFIG.format(servers=servers, frontend=frontend))
        self.addCleanup(self.proxy.stop)
        await self.proxy.start()
        return f"http://127.0.0.1:{self.proxy.port('web')}"

    def start_nginx(self) -> Nginx:
        nginx = Nginx()
        self.addCleanup(nginx.stop)
        (nginx.site / "page.html").write_text("<p>a page\n" * 1000)
        return nginx

    async def run_client(self, *command: str, data: bytes = b"") -> str:
        """What a client prints; it must not fail."""
        run = [require(command[0]), *command[1:]]
        done = await deferToThread(
            subprocess.run, run, input=data, capture_output=True, timeout=LIMIT
        )
        output: str = done.stdout.decode(errors="replace")
        self.assertEqual(done.returncode, 0, output + done.stderr.decode(errors="replace"))
        return output


class WsgiTests(ClientCase):
    """Python's requests and curl before two WSGI servers."""

    async def setUp(self) -> None:  # type: ignore[override]
        sites = [WsgiSite(reactor) for _ in range(2)]
        for site in sites:
            self.addCleanup(site.stop)
        self.url = await self.start_proxy(*[site.port for site in sites])

    async def test_keep_alive(self) -> None:
        """A requests session asks twenty times on one connection, and stays with its server."""
        chosen = await deferToThread(self.visit)
        self.assertEqual(len(chosen), 1)
        counters = self.proxy.snapshot().frontends[0].counters
        self.assertEqual((counters.sessions_total, counters.requests), (1, 20))

    def visit(self) -> set[str | None]:
        """The servers that answered, by their cookies."""
        with requests.Session() as session:
            for _ in range(20):
                session.get(f"{self.url}/digest", timeout=LIMIT).raise_for_status()
            return {cookie.value for cookie in session.cookies}

    async def test_uploads(self) -> None:
        """requests streams an upload, chunked and with a length; every byte arrives."""
        for data in blocks(), BLOCK * BLOCKS:
            answer = await deferToThread(
                requests.post, f"{self.url}/digest", data=data, timeout=LIMIT
            )
            self.assertEqual(answer.text, f"POST {SIZE} {DIGEST}")

    async def test_download(self) -> None:
        """requests streams a chunked download; every byte arrives."""
        digest = await deferToThread(self.download)
        self.assertEqual(digest, DIGEST)

    def download(self) -> str:
        digest = hashlib.sha256()
        url = f"{self.url}/stream?{BLOCKS}"
        with requests.get(url, stream=True, timeout=LIMIT) as answer:
            assert answer.headers["Transfer-Encoding"] == "chunked"
            for piece in answer.iter_content(10000):
                digest.update(piece)
        return digest.hexdigest()

    async def test_curl_uploads(self) -> None:
        """curl uploads chunked, and after `Expect: 100-continue`; an HTTP/1.0 client, too."""
        data = BLOCK * BLOCKS
        for options in (
            ["-T", "-"],
            ["--data-binary", "@-", "-H", "Expect: 100-continue"],
            ["--http1.0", "--data-binary", "@-"],
        ):
            said = await self.run_client(
                "curl", "-sS", *options, "-X", "POST", f"{self.url}/digest", data=data
            )
            self.assertEqual(said, f"POST {SIZE} {DIGEST}")

    async def test_old_client(self) -> None:
        """An HTTP/1.0 client gets a chunked answer plain, and all of it."""
        got = await self.run_client("curl", "-sS", "--http1.0", f"{self.url}/stream?16")
        self.assertEqual(got.encode(), BLOCK * 16)


class NginxTests(ClientCase):
    """curl, ab and wrk before nginx."""

    async def setUp(self) -> None:  # type: ignore[override]
        self.nginx = self.start_nginx()
        self.url = await self.start_proxy(self.nginx.port)

    async def test_curl_keeps(self) -> None:
        """curl asks for three pages on one connection."""
        said = await self.run_client(
            "curl", "-sS", "-w", "%{http_code} %{num_connects}\n", "-o", "/dev/null",
            "-o", "/dev/null", "-o", "/dev/null", *[f"{self.url}/page.html"] * 3,
        )  # fmt: skip
        self.assertEqual(said.splitlines(), ["200 1", "200 0", "200 0"])

    async def test_too_large(self) -> None:
        """An upload that nginx refuses at once: curl and requests read its 413, however large."""
        for expect in "Expect: 100-continue", "Expect:":
            said = await self.run_client(
                "curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "-H", expect,
                "--data-binary", "@-", f"{self.url}/small", data=BLOCK * BLOCKS,
            )  # fmt: skip
            self.assertEqual(said, "413")
        answer = await deferToThread(
            requests.post, f"{self.url}/small", data=BLOCK * BLOCKS, timeout=LIMIT
        )
        self.assertEqual(answer.status_code, 413)

    async def test_ab(self) -> None:
        """ab asks 2000 times, with and without keep-alive (HTTP/1.0), and nothing fails."""
        for options, kept in (["-k"], 2000), ([], 0):
            said = await self.run_client(
                "ab", "-q", *options, "-n", "2000", "-c", "16", f"{self.url}/page.html"
            )
            self.assertIn("Complete requests:      2000\n", said)
            self.assertIn("Failed requests:        0\n", said)
            self.assertNotIn("Non-2xx", said)
            if kept:
                self.assertIn(f"Keep-Alive requests:    {kept}\n", said)

    async def test_wrk(self) -> None:
        """wrk finds no wrong status and no broken connection."""
        said = await self.run_client(
            "wrk", "-t1", "-c16", "-d1s", "--timeout", "30s", f"{self.url}/hello"
        )
        self.assertIn("requests in", said)
        self.assertNotIn("Non-2xx", said)
        self.assertNotIn("Socket errors", said)

    async def test_same_as_haproxy(self) -> None:
        """One script of curl's through HAProxy and through vipproxy: the same bytes."""
        haproxy = Haproxy(self.nginx.port)
        self.addCleanup(haproxy.stop)
        through = [
            [await self.transcript(url, *options) for options in SCRIPT]
            for url in (f"http://127.0.0.1:{haproxy.port}", self.url)
        ]
        for theirs, ours, options in zip(*through, SCRIPT, strict=True):
            self.assertEqual(ours, theirs, options)

    async def transcript(self, url: str, path: str, *options: str) -> str:
        """Heads and bodies as curl got them, without the time of day."""
        said = await self.run_client("curl", "-sS", "-i", "--raw", *options, url + path)
        said = re.sub(r"(?m)^[\w-]+:", lambda name: name[0].lower(), said)
        return re.sub(r"(?m)^date: .*\n", "", said)


SCRIPT = (
    ("/hello",), ("/page.html",), ("/missing",), ("/moved",), ("/moved", "-L"), ("/nothing",),
    ("/page.html", "-I"), ("/page.html", "-r", "10-19"), ("/page.html", "-r", "99999-"),
    ("/page.html", "-H", "If-Modified-Since: Tue, 01 Jan 2999 00:00:00 GMT"),
    ("/page.html", "-H", "Cookie: a=1; SERVERID=c0; b=2"),
    ("/page.html", "-H", "Connection: close"), ("/hello", "--http1.0"), ("/hello", "-X", "PUT"),
    ("/page.html", "-d", "x=y"), ("/hello", "-d", "x=y"),
    ("/hello", "-H", "Transfer-Encoding: chunked", "-d", "x=y"),
)  # fmt: skip

UPGRADE = (
    b"GET /socket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


class BrowserTests(ClientCase):
    async def test_chromium(self) -> None:
        """A page, its session by cookie, and its WebSocket: all with one server of two.

        The cookie that the proxy sets leads the page's own requests and the WebSocket to the
        server that knows the session.
        """
        sites = [BrowserSite("left"), BrowserSite("right")]
        for site in sites:
            self.addCleanup(site.stop)
        url = await self.start_proxy(*[site.port for site in sites])
        page = await deferToThread(self.dump, url)
        (name,) = {site.name for site in sites if site.visits}
        for words in (
            f"visit 1 to {name}; visit 2 to {name}; visit 3 to {name}; ",
            f"{name} said ping; {name} said 70000 characters; closed 1000; ",
        ):
            self.assertIn(words, page)
        now = await self.proxy.until(lambda now: now.backends[0].counters.sessions == 0)
        self.assertEqual(now.backends[0].counters.responses[0], 1)  # 101

    async def test_idle_tunnel(self) -> None:
        """A WebSocket outlives timeout-client, and ends when it was idle for timeout-tunnel."""
        site = BrowserSite("left")
        self.addCleanup(site.stop)
        limits = "timeout-http-request = 30s\ntimeout-client = 300ms\ntimeout-tunnel = 4s"
        await self.start_proxy(site.port, frontend=limits)
        said = await deferToThread(self.converse, self.proxy.port("web"))
        self.assertEqual(said, b"\x81\x0eleft said ping")
        await self.proxy.until(lambda now: now.frontends[0].counters.sessions == 0)

    def converse(self, port: int) -> bytes:
        """What the site says on a WebSocket to a word after a while, up to its end."""
        with socket.create_connection(("127.0.0.1", port), LIMIT) as client:
            client.sendall(UPGRADE)
            while not client.recv(4096).endswith(b"\r\n\r\n"):
                pass
            time.sleep(0.6)
            client.sendall(b"\x81\x84\0\0\0\0ping")
            return read_all(client)

    def dump(self, url: str) -> str:
        """What the page says when it is loaded to its last image."""
        browser = Browser(require("chromium"))
        try:
            browser.open(url)
            text: str = browser.read("document.body.textContent")
        finally:
            browser.close()
        return text
