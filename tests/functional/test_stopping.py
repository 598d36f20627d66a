"""How a real `twistd vipproxy` ends, and how it refuses to begin."""

from __future__ import annotations

import signal
import socket

from twisted.trial.unittest import SynchronousTestCase

from tests.functional.harness import LOOPBACK, ProxyProcess, backlog, configuration, eventually


class ProcessCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.server = socket.create_server((LOOPBACK, 0))
        self.server.settimeout(15)
        self.addCleanup(self.server.close)

    def start(self, head: str = "", backend: str = "", frontend: str = "") -> ProxyProcess:
        address = f"{LOOPBACK}:{self.server.getsockname()[1]}"
        text = configuration(backend, address, head=head, frontend=frontend)
        proxy = ProxyProcess(text.replace("127.0.0.1:0", "127.0.0.1:{port}"))
        self.addCleanup(proxy.close)
        return proxy

    def session(self, proxy: ProxyProcess) -> tuple[socket.socket, socket.socket]:
        """A client and its connection at the server, over which bytes have gone."""
        client = proxy.connect()
        self.addCleanup(client.close)
        client.sendall(b"hello")
        server, _ = self.server.accept()
        self.addCleanup(server.close)
        server.settimeout(15)
        self.assertEqual(server.recv(100), b"hello")
        return client, server

    def end(self, client: socket.socket, server: socket.socket) -> None:
        server.close()
        self.assertEqual(client.recv(100), b"")
        client.close()

    def assert_clean(self, proxy: ProxyProcess, status: int = 0) -> None:
        self.assertEqual(proxy.status(), status, proxy.output())
        self.assertNotIn("Traceback", proxy.output())
        self.assertNotIn("Unhandled", proxy.output())


class Stopping(ProcessCase):
    def test_sessions_may_finish(self) -> None:
        """SIGTERM: no new clients, a session goes on to its end, and the status is 0."""
        proxy = self.start(head="[global]\ngrace = 30s\n")
        client, server = self.session(proxy)
        proxy.signal(signal.SIGTERM)
        eventually(proxy.refuses)
        client.sendall(b"still here")
        self.assertEqual(server.recv(100), b"still here")
        server.sendall(b"me too")
        self.assertEqual(client.recv(100), b"me too")
        self.assertIsNone(proxy.process.poll())
        self.end(client, server)
        self.assert_clean(proxy)

    def test_grace(self) -> None:
        """Sessions that do not end are closed when the grace is over."""
        proxy = self.start(head="[global]\ngrace = 300ms\n")
        client, server = self.session(proxy)
        proxy.signal(signal.SIGTERM)
        self.assertEqual(client.recv(100), b"")
        self.assertEqual(server.recv(100), b"")
        self.assert_clean(proxy)

    def test_no_sessions(self) -> None:
        """Without sessions it does not wait for the grace."""
        proxy = self.start(head="[global]\ngrace = 1h\n", backend="check = tcp interval=50ms")
        eventually(lambda: "is UP" in proxy.output())
        proxy.signal(signal.SIGTERM)
        self.assert_clean(proxy)

    def test_interrupt(self) -> None:
        """Ctrl-C is the same."""
        proxy = self.start()
        self.end(*self.session(proxy))
        proxy.signal(signal.SIGINT)
        self.assert_clean(proxy)

    def test_twice(self) -> None:
        """A second SIGTERM during the grace changes nothing, and the status is still 0."""
        proxy = self.start(head="[global]\ngrace = 1s\n")
        client, _ = self.session(proxy)
        proxy.signal(signal.SIGTERM)
        eventually(proxy.refuses)
        proxy.signal(signal.SIGTERM)
        self.assertEqual(client.recv(100), b"")
        self.assert_clean(proxy)

    def test_waiting_clients(self) -> None:
        """Clients that wait for a server are let go when the grace is over."""
        head, backend = "[global]\ngrace = 300ms\n", "check = tcp interval=1h\ntimeout-queue = 1h"
        proxy = self.start(head, backend + "\nstick = dst")
        self.server.close()
        client = proxy.connect()
        eventually(lambda: backlog(proxy.port) == 0)
        proxy.signal(signal.SIGTERM)
        self.assertEqual(client.recv(100), b"")
        client.close()
        self.assert_clean(proxy)


class NotStarting(ProcessCase):
    def test_taken_bind(self) -> None:
        """A bind that is taken: a sentence, no traceback, status 1."""
        address = f"{LOOPBACK}:{self.server.getsockname()[1]}"
        text = configuration("", "127.0.0.1:1").replace("127.0.0.1:0", address)
        proxy = ProxyProcess(text)
        self.addCleanup(proxy.close)
        self.assert_clean(proxy, status=1)
        sentence = f"vipproxy: frontend 'f' cannot listen on {address}: Address already in use\n"
        self.assertTrue(proxy.output().endswith(sentence), proxy.output())

    def test_bad_configuration(self) -> None:
        """A configuration with errors: the report that `vipproxy check` prints, status 1."""
        proxy = ProxyProcess(configuration("chek = tcp", "127.0.0.1:1"))
        self.addCleanup(proxy.close)
        self.assert_clean(proxy, status=1)
        report = proxy.output()
        self.assertIn(f"{proxy.config}:8:1: error: unknown key 'chek' in backend 'b'", report)
        self.assertIn("did you mean 'check'?", report)
