"""Frontends on Unix sockets."""

from __future__ import annotations

import socket
import tempfile
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.http_peers import TIMEOUT, Origin, read_all
from tests.http_peers import read_request as read_answer
from vipproxy.errors import ListenFailed
from vipproxy.framing.proxy import build
from vipproxy.testing import ProxyHarness
from vipproxy.unix_sockets import name_of
from vipproxy.values import Address

GET = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
HEADER = build("v1", Address("192.0.2.7", 1), Address("192.0.2.80", 2))
TEXT = """
{head}
[frontend web]
protocol = http
bind = unix@{directory}/web 127.0.0.1:0
http-request = set-header X-From %[src]
backend = b
[frontend raw]
protocol = tcp
bind = unix@{directory}/raw abns@vipproxy-test-{number}
backend = b
[frontend told]
protocol = http
bind = unix@{directory}/told
accept-proxy = on
http-request = set-header X-From %[src]
backend = b
[backend b]
server s = 127.0.0.1:{port}
"""


def talk(name: str | bytes, request: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(TIMEOUT)
        client.connect(name)
        client.sendall(request)
        return read_all(client)


class NativeBinds(TestCase):
    timeout = 60
    head = ""

    async def setUp(self) -> None:  # type: ignore[override]
        self.origin = Origin()
        self.addCleanup(self.origin.close)
        self.origin.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        self.number = self.origin.port
        self.proxy = await self.start()

    async def start(self) -> ProxyHarness:
        text = TEXT.format(
            directory=self.directory, number=self.number, port=self.origin.port, head=self.head
        )
        proxy = ProxyHarness(reactor, text)
        self.addCleanup(proxy.stop)
        await proxy.start()
        return proxy

    async def talk(self, name: str | bytes, request: bytes = GET) -> bytes:
        return await deferToThread(talk, name, request)

    async def test_http(self) -> None:
        """Clients without an address are served; those on a port beside them have theirs."""
        got = await self.talk(str(self.directory / "web"))
        self.assertTrue(got.endswith(b"\r\n\r\nhi"), got)
        self.assertIn(b"X-From: 0.0.0.0\r\n", self.origin.seen[-1])
        port = self.proxy.service.bound("web")[1].port

        def over_tcp() -> bytes:
            with socket.create_connection(("127.0.0.1", port), TIMEOUT) as client:
                client.sendall(GET)
                return read_answer(client)

        await deferToThread(over_tcp)
        self.assertIn(b"X-From: 127.0.0.1\r\n", self.origin.seen[-1])

    async def test_tcp(self) -> None:
        """By path, and by a name in the abstract namespace."""
        for name in (f"unix@{self.directory}/raw", f"abns@vipproxy-test-{self.number}"):
            got = await self.talk(name_of(Address(name, 0)))
            self.assertTrue(got.endswith(b"\r\n\r\nhi"), got)

    async def test_announced(self) -> None:
        """A proxy before them tells who they are, or that it does not know."""
        for header, source in ((HEADER, b"192.0.2.7"), (b"PROXY UNKNOWN\r\n", b"0.0.0.0")):
            await self.talk(str(self.directory / "told"), header + GET)
            self.assertIn(b"X-From: %b\r\n" % source, self.origin.seen[-1])

    async def test_path(self) -> None:
        """The path goes with the proxy; one that was left behind is replaced, others stay."""
        path = self.directory / "raw"
        self.assertTrue(path.is_socket())
        with self.assertRaises(ListenFailed):
            await self.start()  # somebody takes clients there
        self.assertTrue((await self.talk(str(path))).endswith(b"hi"))
        await self.proxy.stop()
        self.assertFalse(path.exists())
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))
        proxy = await self.start()
        self.assertTrue((await self.talk(str(path))).endswith(b"hi"))
        await proxy.stop()
        path.write_text("a file")
        with self.assertRaises(ListenFailed):
            await self.start()
        self.assertEqual(path.read_text(), "a file")


class PythonBinds(NativeBinds):
    head = "[global]\nrelay = twisted\n"
