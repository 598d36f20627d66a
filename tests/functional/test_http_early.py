"""Servers that answer in the middle of a large upload, on loopback: what both sides get."""

from __future__ import annotations

import socket

from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.http_peers import TIMEOUT, Origin, read_all, read_request
from vipproxy.testing import ProxyHarness

TEXT = """
[frontend web]
protocol = http
bind = 127.0.0.1:0
backend = pool
[backend pool]
server s1 = 127.0.0.1:{port}
"""
MIB = 1 << 20
SIZE = 32 * MIB
BLOCK = b"x" * MIB
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % SIZE
LAST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
SHORT = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
REFUSAL = b"HTTP/1.1 413 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"


class EarlyAnswers(TestCase):
    timeout = 120

    async def setUp(self) -> None:  # type: ignore[override]
        self.origin = Origin()
        self.addCleanup(self.origin.close)
        self.uploaded: list[int] = []
        self.proxy = ProxyHarness(reactor, TEXT.format(port=self.origin.port))
        self.addCleanup(self.proxy.stop)
        await self.proxy.start()

    def upload(self) -> bytes:
        """All that a client gets that listens only when it has sent all, and asked once more."""
        with socket.create_connection(("127.0.0.1", self.proxy.port("web")), TIMEOUT) as client:
            client.sendall(POST)
            for _ in range(SIZE // MIB):
                client.sendall(BLOCK)
            client.sendall(LAST)
            return read_all(client)

    def stay(self, client: socket.socket) -> None:
        """Answer the upload's first bytes, read the rest, and answer the next request."""
        _, _, body = client.recv(65536).partition(b"\r\n\r\n")
        client.sendall(SHORT)
        size = len(body)
        while size < SIZE:
            size += len(client.recv(min(MIB, SIZE - size)))
        self.uploaded.append(size)
        if read_request(client):
            client.sendall(SHORT)

    def die(self, client: socket.socket) -> None:
        """Answer the upload's first bytes, and close: a reset, since the others are not read."""
        client.recv(65536)
        client.sendall(REFUSAL)

    async def test_server_stays(self) -> None:
        """It gets all of the upload, and the client's next request on the same connection."""
        self.origin.act = self.stay
        answer = await deferToThread(self.upload)
        self.assertEqual(self.uploaded, [SIZE])
        self.assertEqual(answer.count(b"\r\n\r\nok"), 2)
        self.assertEqual(len(self.origin.connections), 1)

    async def test_server_dies(self) -> None:
        """Its answer reaches a client that does not listen before it has sent all."""
        self.origin.act = self.die
        for _ in range(5):
            answer = await deferToThread(self.upload)
            self.assertTrue(answer.startswith(b"HTTP/1.1 413 No\r\n"), answer[:99])
            self.assertTrue(answer.endswith(b"\r\n\r\nno"), answer[-99:])
        await self.proxy.until(lambda now: now.backends[0].counters.sessions == 0)
