"""The HTTP frontend on loopback: a whole proxy, real sockets, real clients."""

from __future__ import annotations

import json
import socket
import subprocess
from typing import Any

from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.http_peers import Origin, read_all, talk
from tests.support import require
from vipproxy.testing import FakeCluster, ProxyHarness

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
BLOCK = b"x" * 65536

TEXT = """
[frontend web]
protocol = http
bind = 127.0.0.1:0
monitor-uri = /status
{frontend}
backend = pool

[backend pool]
{backend}
"""


class ClusterTests(TestCase):
    """Three fake nodes behind a cookie."""

    async def setUp(self) -> None:  # type: ignore[override]
        self.cluster = FakeCluster(reactor, {"web": "http"})
        self.cluster.start()
        self.addCleanup(self.cluster.stop)
        servers = [
            f"server {name} = {node.servers['web'].address} cookie=c-{name}"
            for name, node in self.cluster.nodes.items()
        ]
        backend = "\n".join(["cookie = SERVERID insert indirect nocache", *servers])
        self.proxy = ProxyHarness(reactor, TEXT.format(frontend="", backend=backend))
        self.addCleanup(self.proxy.stop)
        await self.proxy.start()
        self.port = self.proxy.port("web")

    async def test_balanced_one_by_one(self) -> None:
        """The requests of one connection go round the servers; every one brings its cookie."""
        answer: bytes = await deferToThread(talk, self.port, GET * 5 + LAST)
        for name in self.cluster.nodes:
            self.assertEqual(answer.count(b'"node": "%b"' % name.encode()), 2)
            self.assertEqual(answer.count(b"set-cookie: SERVERID=c-%b;" % name.encode()), 2)

    async def test_persistence(self) -> None:
        """The holder of a cookie comes back to its server."""
        request = GET.replace(b"\r\n\r\n", b"\r\nCookie: SERVERID=c-node2\r\n\r\n")
        answer: bytes = await deferToThread(talk, self.port, request * 4)
        self.assertEqual(answer.count(b'"node": "node2"'), 4)
        self.assertNotIn(b"set-cookie", answer)

    async def test_dead_server(self) -> None:
        """A client whose server has died is served by another, and told so."""
        await self.cluster.kill("node2")
        request = GET.replace(b"\r\n\r\n", b"\r\nCookie: SERVERID=c-node2\r\n\r\n")
        answer: bytes = await deferToThread(talk, self.port, request)
        self.assertIn(b"HTTP/1.1 200 OK\r\n", answer)
        self.assertIn(b"set-cookie: SERVERID=c-node", answer)

    async def test_counters(self) -> None:
        """Requests, answers, sessions and bytes are counted, and no session is left open."""
        await deferToThread(talk, self.port, GET * 3)
        now = await self.proxy.until(lambda now: now.frontends[0].counters.sessions == 0)
        frontend, backend = now.frontends[0].counters, now.backends[0].counters
        self.assertEqual((frontend.requests, frontend.sessions_total), (3, 1))
        self.assertEqual((backend.responses[1], backend.sessions_total), (3, 3))
        self.assertEqual(backend.sessions, 0)
        self.assertEqual(frontend.bytes_in, len(GET) * 3)

    async def test_curl(self) -> None:
        """curl uploads a chunked body and reads what the server has seen of it."""
        url = f"http://127.0.0.1:{self.port}/a?b=c"
        command = [require("curl"), "-sS", "-T", "-", "-X", "POST", url]
        ran = await deferToThread(
            subprocess.run, command, input=b"hello" * 1000, capture_output=True, timeout=60
        )
        seen = json.loads(ran.stdout)
        self.assertEqual((seen["method"], seen["path"]), ("POST", "/a?b=c"))
        self.assertEqual(seen["body"], "hello" * 1000)


class OriginTests(TestCase):
    """One server that says what the test wants."""

    async def start(self, frontend: str = "", backend: str = "") -> int:
        self.origin = Origin()
        self.addCleanup(self.origin.close)
        server = f"{backend}\nserver s1 = 127.0.0.1:{self.origin.port}"
        self.proxy = ProxyHarness(reactor, TEXT.format(frontend=frontend, backend=server))
        self.addCleanup(self.proxy.stop)
        await self.proxy.start()
        return self.proxy.port("web")

    async def test_download_with_a_slow_reader(self) -> None:
        """A client that reads slowly gets all of a large body, and the proxy waits with it."""
        port = await self.start()
        size = 32 * 1024 * 1024
        self.origin.answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size
        client = socket.create_connection(("127.0.0.1", port), 20)
        client.sendall(LAST)
        await deferLater(reactor, 0.3)
        session = self.proxy.snapshot().frontends[0].counters
        self.assertLess(session.bytes_out, size)
        answer: bytes = await deferToThread(read_all, client)
        client.close()
        self.assertEqual(len(answer.partition(b"\r\n\r\n")[2]), size)

    async def test_upload(self) -> None:
        """A large body arrives whole."""
        port = await self.start()
        self.origin.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        size = len(BLOCK) * 256
        head = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size
        answer = await deferToThread(talk, port, head + BLOCK * 256)
        self.assertTrue(answer.startswith(b"HTTP/1.1 200 OK\r\n"))
        self.assertEqual(len(self.origin.seen[0].partition(b"\r\n\r\n")[2]), size)

    async def test_refusal_is_heard(self) -> None:
        """A client that is refused in the middle of a large body still reads its 400."""
        port = await self.start()
        head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n"
        answer = await deferToThread(talk, port, head + BLOCK * 4)
        self.assertTrue(answer.startswith(b"HTTP/1.1 400 Bad request\r\n"))

    async def test_reset_by_the_server(self) -> None:
        """A server that dies in a close-delimited body resets the client: the cut is seen."""
        port = await self.start()
        self.origin.answer, self.origin.resets = b"HTTP/1.1 200 OK\r\n\r\nabc", True
        with self.assertRaises(ConnectionResetError):
            await deferToThread(talk, port, GET)

    async def test_tunnel(self) -> None:
        """After an upgrade bytes pass both ways, at once with the head too."""
        port = await self.start("timeout-tunnel = 5s")
        self.origin.answer = b"HTTP/1.1 101 Ok\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello"
        request = b"GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n"
        answer = await deferToThread(talk, port, request)
        self.assertTrue(answer.startswith(b"HTTP/1.1 101 Ok\r\n"))
        self.assertTrue(answer.endswith(b"\r\n\r\nhello"))
        await self.proxy.until(lambda now: now.frontends[0].counters.sessions == 0)
        await self.proxy.until(lambda now: now.backends[0].counters.sessions == 0)

    async def test_slow_heads(self) -> None:
        """Clients with half a head are told so in time, and hinder nobody."""
        port = await self.start("timeout-http-request = 3s")
        self.origin.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        slow = [socket.create_connection(("127.0.0.1", port), 20) for _ in range(100)]
        for each in slow:
            each.sendall(GET[:9])
        answer = await deferToThread(talk, port, GET)
        self.assertTrue(answer.startswith(b"HTTP/1.1 200 OK\r\n"))
        for each in slow:
            answer = await deferToThread(read_all, each)
            self.assertTrue(answer.startswith(b"HTTP/1.1 408 "))
            each.close()

    async def test_mark_down(self) -> None:
        """Sessions end at the mark-down, where the backend says so."""
        port = await self.start(
            backend="check = tcp interval=1s fall=1\non-marked-down = shutdown-sessions"
        )
        self.origin.answer = None
        asking: Any = deferToThread(talk, port, GET, False)
        await self.proxy.until(lambda now: now.backends[0].counters.sessions == 1)
        self.origin.close()
        self.assertEqual(await asking, b"")
        now = await self.proxy.until(lambda now: now.frontends[0].counters.sessions == 0)
        self.assertEqual(now.backends[0].servers[0].counters.shutdowns, 1)
