"""WebSockets of other people through the proxy: Python's websockets, and OpenStack's websockify.

nova-novncproxy, which shows a virtual machine's screen in a browser, is websockify with a login.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import subprocess
import threading
from collections.abc import Callable
from queue import Queue
from typing import Any

from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.sync.server import serve

from tests.ports import free_ports
from tests.real.galera import LOOPBACK, wait_until
from tests.support import require
from vipproxy.testing import ProxyHarness
from vipproxy.values import AdminState

PATIENCE = 60.0
MIB = 1 << 20

CONFIG = """
[frontend web]
protocol = http
bind = 127.0.0.1:0
timeout-client = 5s
timeout-tunnel = 1h
backend = pool
[backend pool]
cookie = SERVERID insert indirect nocache
timeout-server = 5s
on-marked-down = shutdown-sessions
{servers}
"""


class Site:
    """A WebSocket server that says its name, and then echoes; `/no` is forbidden."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._server: Any = serve(
            self._talk, LOOPBACK, 0, process_request=self._judge, max_size=None
        )
        self.port: int = self._server.socket.getsockname()[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()

    def _judge(self, connection: Any, request: Any) -> Any:
        return connection.respond(403, "no\n") if request.path == "/no" else None

    def _talk(self, connection: Any) -> None:
        connection.send(self.name)
        with contextlib.suppress(ConnectionClosed):
            for message in connection:
                connection.send(message)


class WebSocketCase(TestCase):
    timeout = 120

    async def start_proxy(self, *ports: int) -> None:
        servers = "\n".join(
            f"server s{at} = {LOOPBACK}:{port} cookie=c{at}" for at, port in enumerate(ports)
        )
        self.proxy = ProxyHarness(reactor, CONFIG.format(servers=servers))
        self.addCleanup(self.proxy.stop)
        await self.proxy.start()

    def connect(self, path: str = "/", **options: Any) -> Any:
        url = f"ws://{LOOPBACK}:{self.proxy.port('web')}{path}"
        return connect(url, proxy=None, max_size=None, open_timeout=PATIENCE, **options)

    async def converse(self, script: Callable[[], Any]) -> Any:
        """Run a client in a thread; then nothing of it is left in the proxy."""
        result = await deferToThread(script)
        await self.proxy.until(lambda now: now.frontends[0].counters.sessions == 0)
        await self.proxy.until(lambda now: now.backends[0].counters.sessions == 0)
        return result


class SiteTests(WebSocketCase):
    async def setUp(self) -> None:  # type: ignore[override]
        sites = [Site("left"), Site("right")]
        for site in sites:
            self.addCleanup(site.stop)
        await self.start_proxy(*[site.port for site in sites])

    async def test_messages(self) -> None:
        """Text, a mebibyte, fragments, pings and the closing code pass, compressed or not."""
        for compression in "deflate", None:
            self.assertEqual(await self.converse(lambda c=compression: self.talk(c)), (1000, "bye"))

    def talk(self, compression: str | None) -> tuple[int, str]:
        with self.connect(compression=compression) as client:
            extensions = client.response.headers.get("Sec-WebSocket-Extensions", "")
            assert extensions.startswith("permessage-deflate") == bool(compression)
            assert client.recv(PATIENCE) in ("left", "right")
            for message in "Grüße", os.urandom(MIB):
                client.send(message)
                assert client.recv(PATIENCE) == message
            client.send(iter(["one, ", "two, ", "three"]))
            assert client.recv(PATIENCE) == "one, two, three"
            assert client.ping().wait(PATIENCE)
            client.close(1000, "bye")
            return client.close_code, client.close_reason

    async def test_session(self) -> None:
        """The answer that opens a WebSocket brings the cookie, and whoever has it comes back."""
        names = await self.converse(self.come_back)
        self.assertEqual(len(set(names)), 1)

    def come_back(self) -> list[str]:
        with self.connect() as client:
            names = [client.recv(PATIENCE)]
            cookie = client.response.headers["Set-Cookie"].partition(";")[0]
        for _ in range(3):
            with self.connect(additional_headers={"Cookie": cookie}) as client:
                assert "Set-Cookie" not in client.response.headers
                names.append(client.recv(PATIENCE))
        return names

    async def test_forbidden(self) -> None:
        """A server that refuses has answered a request: its client reads the status."""

        def script() -> int:
            try:
                with self.connect("/no"):
                    return 101
            except InvalidStatus as error:
                return error.response.status_code

        self.assertEqual(await self.converse(script), 403)
        self.assertEqual(self.proxy.snapshot().backends[0].counters.responses[3], 1)

    async def test_maintenance(self) -> None:
        """Where sessions are shut down with their server, a WebSocket is one of them."""
        names: Queue[str] = Queue()
        ending: Any = deferToThread(self.stay, names)
        name = await deferToThread(names.get, True, PATIENCE)
        server = {"left": "s0", "right": "s1"}[name]
        self.proxy.service.set_admin_state("pool", server, AdminState.MAINT)
        self.assertEqual(self.proxy.snapshot().backends[0].counters.sessions, 0)
        await self.assertFailure(ending, ConnectionClosed)

    def stay(self, names: Queue[str]) -> None:
        with self.connect() as client:
            names.put(client.recv(PATIENCE))
            client.recv(PATIENCE)


class Screen:
    """What is behind websockify: a TCP server that echoes."""

    def __init__(self) -> None:
        self._socket = socket.create_server((LOOPBACK, 0))
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                threading.Thread(target=self._echo, args=[client], daemon=True).start()

    def _echo(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            while data := client.recv(65536):
                client.sendall(data)


class WebsockifyTests(WebSocketCase):
    async def setUp(self) -> None:  # type: ignore[override]
        screen, port = Screen(), free_ports(1)
        self.addCleanup(screen.stop)
        run = [require("websockify"), f"{LOOPBACK}:{port}", f"{LOOPBACK}:{screen.port}"]
        process = subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        await deferToThread(wait_until, lambda: self.listens(port), PATIENCE, "websockify")
        await self.start_proxy(port)

    def listens(self, port: int) -> bool:
        with contextlib.suppress(OSError):
            socket.create_connection((LOOPBACK, port)).close()
            return True
        return False

    async def test_screen(self) -> None:
        """Megabytes there and back, as noVNC asks for them: every byte arrives."""
        sent, received = await self.converse(self.exchange)
        self.assertEqual(received, sent)

    def exchange(self) -> tuple[str, str]:
        """The digests of what was sent, and of what came back."""
        sent, received, size = hashlib.sha256(), hashlib.sha256(), 0
        with self.connect(subprotocols=["binary"]) as client:
            for _ in range(64):
                block = os.urandom(65536)
                client.send(block)
                sent.update(block)
                size += len(block)
                while size > 0:
                    data = client.recv(PATIENCE)
                    received.update(data)
                    size -= len(data)
        return sent.hexdigest(), received.hexdigest()
