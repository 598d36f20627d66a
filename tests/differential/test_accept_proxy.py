"""`accept-proxy`: the same headers before the same requests, through HAProxy and through us."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.differential.test_http_haproxy import EMPTY, LAST, normal
from tests.http_peers import TIMEOUT, Origin, read_all
from tests.ports import free_port
from tests.support import require
from vipproxy.framing.proxy import SIGNATURE, V1_LIMIT, build
from vipproxy.testing import ProxyHarness
from vipproxy.values import Address

CLIENT, VIP = Address("192.0.2.7", 40000), Address("192.0.2.80", 443)
CLIENT6, VIP6 = Address("2001:db8::7", 40000), Address("2001:db8::80", 443)

THEIRS = """
defaults
    timeout connect 5s
    timeout client 1s
    timeout server 5s
frontend web
    mode http
    bind 127.0.0.1:{web} accept-proxy
    option forwardfor
    http-request set-header X-Called %[dst]:%[dst_port]
    http-request deny if {{ src 192.0.2.9 }}
    default_backend web
backend web
    mode http
    server s 127.0.0.1:{origin}
frontend raw
    mode tcp
    bind 127.0.0.1:{raw} accept-proxy
    tcp-request connection reject if {{ src 192.0.2.7 }}
    tcp-request content reject if {{ src 192.0.2.9 }}
    default_backend raw
backend raw
    mode tcp
    server s 127.0.0.1:{origin} send-proxy
"""
OURS = """
[defaults]
timeout-client = 1s
[frontend web]
protocol = http
bind = 127.0.0.1:0
accept-proxy = on
forwarded-for = on
http-request = set-header X-Called %[dst]:%[dst_port]
http-request = deny if {{ src 192.0.2.9 }}
backend = web
[backend web]
server s = 127.0.0.1:{origin}
[frontend raw]
protocol = tcp
bind = 127.0.0.1:0
accept-proxy = on
tcp-request-connection = reject if {{ src 192.0.2.7 }}
tcp-request-content = reject if {{ src 192.0.2.9 }}
backend = raw
[backend raw]
send-proxy = v1
server s = 127.0.0.1:{origin}
"""

GOOD = {
    "v1": build("v1", CLIENT, VIP),
    "v2": build("v2", CLIENT, VIP),
    "v1-6": build("v1", CLIENT6, VIP6),
    "v2-6": build("v2", CLIENT6, VIP6),
    "refused": build("v2", Address("192.0.2.9", 1), VIP),
    "more": SIGNATURE + b"\x21\x11\x00\x10" + build("v2", CLIENT, VIP)[16:] + b"\x04\x00\x01x",
}
BAD = {
    "none": b"",
    "other": b"HELO a\r\n",
    "long": b"PROXY " + b"x" * V1_LIMIT,
    "version": SIGNATURE + b"\x11\x11\x00\x0c" + bytes(12),
    "command": SIGNATURE + b"\x22\x11\x00\x0c" + bytes(12),
    "short": SIGNATURE + b"\x21\x11\x00\x0b" + bytes(11),
}


def talk(port: int, pieces: list[bytes]) -> bytes:
    """Say it in pieces, and hear all; a reset is an end."""
    with socket.create_connection(("127.0.0.1", port), TIMEOUT) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(ConnectionError):
            for piece in pieces:
                client.sendall(piece)
                time.sleep(0.002)
            return read_all(client)
    return b""


class Case(TestCase):
    timeout = 120

    async def setUp(self) -> None:  # type: ignore[override]
        haproxy = require("haproxy")
        self.origin = Origin()
        self.origin.answer = EMPTY
        self.addCleanup(self.origin.close)
        self.ports = {"web": free_port(), "raw": free_port()}
        await deferToThread(self.start_haproxy, haproxy)
        self.proxy = ProxyHarness(reactor, OURS.format(origin=self.origin.port))
        self.addCleanup(self.proxy.stop)
        await self.proxy.start()

    def start_haproxy(self, haproxy: str) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        path = Path(directory.name) / "haproxy.cfg"
        path.write_text(THEIRS.format(origin=self.origin.port, **self.ports))
        process = subprocess.Popen([haproxy, "-db", "-q", "-f", str(path)])
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        for _ in range(200):
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.ports["raw"])).close()
                return
            time.sleep(0.05)
        self.fail("haproxy does not listen")

    async def assert_same(self, name: str, *pieces: bytes) -> tuple[bytes, list[bytes]]:
        found = []
        for port in (self.ports[name], self.proxy.port(name)):
            self.origin.seen = []
            got = await deferToThread(talk, port, list(pieces))
            found.append((normal(got), [normal(each) for each in self.origin.seen]))
        theirs, ours = found
        self.assertEqual(ours, theirs, pieces)
        return ours

    async def test_good(self) -> None:
        """Servers, rules and logs see the client, and the address that it called."""
        for name in ("web", "raw"):
            for header in GOOD.values():
                await self.assert_same(name, header + LAST)
        _, seen = await self.assert_same("web", GOOD["v1"] + LAST)
        self.assertIn(b"x-forwarded-for: 192.0.2.7\r\n", seen[0])
        self.assertIn(b"x-called: 192.0.2.80:443\r\n", seen[0])
        got, seen = await self.assert_same("raw", GOOD["refused"] + LAST)
        self.assertEqual((got, seen), (b"", []))

    async def test_pieces(self) -> None:
        """Here a header may come byte by byte; HAProxy closes where it is not whole at once."""
        for header in (GOOD["v1"], GOOD["v2-6"]):
            whole = await self.assert_same("web", header + LAST)
            pieces = [*(header[i : i + 1] for i in range(len(header))), LAST]
            self.origin.seen = []
            got = await deferToThread(talk, self.proxy.port("web"), pieces)
            self.assertEqual((normal(got), [normal(each) for each in self.origin.seen]), whole)
        got = await deferToThread(talk, self.ports["web"], [GOOD["v1"][:9], GOOD["v1"][9:] + LAST])
        self.assertEqual(got, b"")

    async def test_bad(self) -> None:
        """What is no header is closed, and nothing of it reaches a server."""
        for header in BAD.values():
            for name in ("web", "raw"):
                got, seen = await self.assert_same(name, header + LAST)
                self.assertEqual((got, seen), (b"", []), header)

    async def test_never(self) -> None:
        """Who says nothing, or not enough, is closed after timeout-client."""
        for pieces in ([], [b"PROXY TCP4 "]):
            self.assertEqual(await self.assert_same("raw", *pieces), (b"", []))
        snapshot = await self.proxy.until(lambda now: now.frontends[1].counters.sessions == 0)
        self.assertEqual(snapshot.frontends[1].counters.sessions_total, 0)
