"""The native engine copies exactly so many bytes one way, and gives the sockets back."""

from __future__ import annotations

import contextlib
import socket
import time
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.engines.engines import native_module
from vipproxy.counters import Traffic

PATIENCE = 30.0
SIZE = 3_000_000


class CopyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.native = native_module()
        self.engine = self.native.Engine(1)
        self.addCleanup(self.engine.stop)
        self.client, self.inner_client = socket.socketpair()
        self.inner_server, self.server = socket.socketpair()
        self.traffic = Traffic()
        for sock in (self.client, self.inner_client, self.inner_server, self.server):
            sock.settimeout(PATIENCE)
            self.addCleanup(sock.close)

    def copy(self, count: int, to_client: bool = True, limit: float = 60.0) -> Any:
        for sock in (self.inner_client, self.inner_server):
            sock.setblocking(False)
        descriptors = self.inner_client.fileno(), self.inner_server.fileno()
        return self.engine.copy(
            "taker", *descriptors, self.traffic, None, to_client, count, limit, limit, 0.0
        )

    def result(self) -> Any:
        told: list[Any] = []
        deadline = time.monotonic() + PATIENCE
        while not told:
            self.assertLess(time.monotonic(), deadline, "the engine has told nothing")
            self.engine.collect(lambda *event: told.append(event))
        kind, taker, detail = told[0]
        self.assertEqual((kind, taker), (self.native.COPIED, "taker"))
        return detail

    def test_exactly(self) -> None:
        """So many bytes, and not one more: the next stay in the socket, which is ours again."""
        self.server.sendall(b"x" * 100 + b"next")
        self.copy(100)
        self.assertEqual(self.result(), (0, 0))
        self.assertEqual(self.client.recv(1000), b"x" * 100)
        self.assertEqual(self.inner_server.recv(1000), b"next")
        self.inner_client.send(b"ours")
        self.assertEqual(self.client.recv(1000), b"ours")
        self.assertEqual(self.traffic, Traffic(0, 100))

    def test_to_server(self) -> None:
        """The other way; what the server says meanwhile is nobody's business."""
        self.server.sendall(b"100 Continue")
        self.client.sendall(b"x" * 100 + b"next")
        self.copy(100, to_client=False)
        self.assertEqual(self.result(), (0, 0))
        self.assertEqual(self.server.recv(1000), b"x" * 100)
        self.assertEqual(self.inner_server.recv(1000), b"100 Continue")
        self.assertEqual(self.traffic, Traffic(100, 0))

    def test_long(self) -> None:
        """Long ones are streamed, also to a reader who is slower."""
        self.copy(SIZE)
        self.server.setblocking(False)
        received = sent = 0
        while received < SIZE:
            with contextlib.suppress(BlockingIOError):
                sent += self.server.send(b"y" * min(50_000, SIZE - sent))
            received += len(self.client.recv(30_000))
        self.assertEqual(self.result(), (0, 0))
        self.assertEqual(self.traffic.bytes_out, SIZE)

    def test_source_ends(self) -> None:
        """A source that ends too early: whose fault it was, and how much is missing."""
        self.server.sendall(b"x" * 30)
        self.server.close()
        self.copy(100)
        self.assertEqual(self.result(), (2, 70))
        self.assertEqual(self.client.recv(1000), b"x" * 30)

    def test_sink_gone(self) -> None:
        """A sink that has gone ends it, though the source says nothing."""
        self.copy(100)
        self.client.close()
        self.assertEqual(self.result(), (1, 100))

    def test_idle(self) -> None:
        """A source that stops: the idle limit ends it, and the sockets are ours again."""
        self.copy(100, limit=10.0)
        self.engine.tick(30.0)
        self.assertEqual(self.result(), (3, 100))
        self.inner_client.send(b"sorry")
        self.assertEqual(self.client.recv(1000), b"sorry")
