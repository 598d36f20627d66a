"""Rules that look at what a TCP client says first, beside the real HAProxy's."""

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

from tests.differential.test_check_steps import Talker
from tests.http_peers import TIMEOUT
from tests.ports import free_port
from tests.support import require
from tests.unit.test_framing_tls_hello import hello
from vipproxy.testing import ProxyHarness

THEIRS = """
defaults
    mode tcp
    timeout connect 5s
    timeout client 5s
    timeout server 5s
frontend names
    bind 127.0.0.1:{names}
    tcp-request inspect-delay 300ms
    acl tls req.ssl_hello_type 1
    tcp-request content accept if tls
    tcp-request content reject if {{ req_len gt 0 }}
    use_backend one if {{ req_ssl_sni -i one.example }}
    use_backend two if {{ req.ssl_sni,lower two.example }}
    default_backend rest
frontend patient
    bind 127.0.0.1:{patient}
    tcp-request inspect-delay 300ms
    tcp-request content accept if REQ_CONTENT
    tcp-request content reject if WAIT_END
    default_backend one
backend one
    server s 127.0.0.1:{one}
backend two
    server s 127.0.0.1:{two}
backend rest
    server s 127.0.0.1:{rest}
"""
OURS = """
[frontend names]
protocol = tcp
bind = 127.0.0.1:0
tcp-request-inspect-delay = 300ms
acl tls = req.ssl_hello_type 1
tcp-request-content = accept if tls
tcp-request-content = reject if {{ req_len gt 0 }}
use-backend = one if {{ req_ssl_sni -i one.example }}
use-backend = two if {{ req.ssl_sni,lower two.example }}
backend = rest
[frontend patient]
protocol = tcp
bind = 127.0.0.1:0
tcp-request-inspect-delay = 300ms
tcp-request-content = accept if REQ_CONTENT
tcp-request-content = reject if WAIT_END
backend = one
[backend one]
server s = 127.0.0.1:{one}
[backend two]
server s = 127.0.0.1:{two}
[backend rest]
server s = 127.0.0.1:{rest}
"""


def talk(port: int, pieces: list[bytes]) -> bytes:
    """Say it in pieces; the first that is heard, or nothing at the end."""
    with socket.create_connection(("127.0.0.1", port), TIMEOUT) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(ConnectionError):
            for piece in pieces:
                client.sendall(piece)
                time.sleep(0.01)
            return client.recv(100)
    return b""


class ContentTests(TestCase):
    timeout = 120

    async def setUp(self) -> None:  # type: ignore[override]
        haproxy = require("haproxy")
        self.servers = {name: Talker(answer=name.encode()) for name in ("one", "two", "rest")}
        for server in self.servers.values():
            self.addCleanup(server.close)
        self.places = {name: server.port for name, server in self.servers.items()}
        self.ports = {"names": free_port(), "patient": free_port()}
        await deferToThread(self.start_haproxy, haproxy)
        self.proxy = ProxyHarness(reactor, OURS.format(**self.places))
        self.addCleanup(self.proxy.stop)
        await self.proxy.start()

    def start_haproxy(self, haproxy: str) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        path = Path(directory.name) / "haproxy.cfg"
        path.write_text(THEIRS.format(**self.places, **self.ports))
        process = subprocess.Popen([haproxy, "-db", "-q", "-f", str(path)])
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        for _ in range(200):
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.ports["patient"])).close()
                return
            time.sleep(0.05)
        self.fail("haproxy does not listen")

    async def assert_same(self, name: str, *pieces: bytes) -> bytes:
        theirs = await deferToThread(talk, self.ports[name], list(pieces))
        ours = await deferToThread(talk, self.proxy.port(name), list(pieces))
        self.assertEqual(ours, theirs, pieces)
        return ours

    async def test_names(self) -> None:
        """TLS clients are routed by the name that they ask for, whole or in pieces."""
        for name, expected in (
            ("one.example", b"one"), ("ONE.example", b"one"), ("two.example", b"two"),
            ("three.example", b"rest"), (None, b"rest"),
        ):  # fmt: skip
            data = hello(name)
            self.assertEqual(await self.assert_same("names", data), expected)
            pieces = data[:3], data[3:70], data[70:]
            self.assertEqual(await self.assert_same("names", *pieces), expected)
        whole = hello("one.example")
        await self.assert_same("names", whole)
        self.assertIn(whole, self.servers["one"].heard)

    async def test_others(self) -> None:
        """Who speaks otherwise is refused at once, who says nothing goes on after the delay."""
        self.assertEqual(await self.assert_same("names", b"GET / HTTP/1.0\r\n\r\n"), b"")
        self.assertEqual(await self.assert_same("patient", b"hello"), b"one")
        self.assertEqual(await self.assert_same("patient"), b"")
        counters = self.proxy.snapshot().frontends[0].counters
        self.assertEqual(counters.denied_requests, 1)
