"""The OpenStack guide's haproxy.cfg, mended, in front of three nodes on loopback."""

from __future__ import annotations

import base64
import os
import re
import selectors
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.functional.harness import eventually
from tests.haproxy_cfg import REFERENCE
from tests.processes import environment
from tests.unit.test_config_examples import PORTS

NETWORK = f"127.{os.getpid() % 200 + 20}.{os.getpid() // 200 % 250}"
"""Addresses that no other test process has."""
HORIZON = 8081
"""In the place of port 80, for those who may not bind it."""
SERVICES = {name: HORIZON if port == 80 else port for name, port in PORTS.items()}
NODES = (221, 222, 223)


def moved(text: str, directory: str) -> str:
    """The configuration with addresses of loopback, and files of its own."""
    text = re.sub(r"192\.168\.1(\.\d+):80\b", rf"192.168.1\1:{HORIZON}", text)
    return text.replace("192.168.1.", f"{NETWORK}.").replace("/var/lib/haproxy", directory)


class Nodes:
    """Every service of every node: each tells its name, and says it is well to whoever asks."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._sockets = []
        for node in NODES:
            for port in {*SERVICES.values(), 9200}:
                sock = socket.create_server((f"{NETWORK}.{node}", port))
                self._selector.register(sock, selectors.EVENT_READ, (node, port))
                self._sockets.append(sock)
        self._stopping = False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopping:
            for key, _ in self._selector.select(0.05):
                assert isinstance(key.fileobj, socket.socket)
                client, _ = key.fileobj.accept()
                node, port = key.data
                with client:
                    client.sendall(
                        b"HTTP/1.0 200 OK\r\n\r\n" if port == 9200 else f"{node}:{port}".encode()
                    )

    def stop(self) -> None:
        self._stopping = True
        self._thread.join()
        for each in self._sockets:
            each.close()


class ReferenceOnLoopback(SynchronousTestCase):
    def setUp(self) -> None:
        nodes = Nodes()
        self.addCleanup(nodes.stop)
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = Path(directory.name)
        (self.path / "haproxy.cfg").write_text(moved(REFERENCE, directory.name))
        with (self.path / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "vipproxy", "run", str(self.path / "haproxy.cfg")],
                env=environment(),
                stdout=log,
                stderr=log,
            )
        self.addCleanup(self.process.wait)
        self.addCleanup(self.process.terminate)
        eventually(
            lambda: self.answer(9300, b"GET /status HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 200")
        )

    def answer(self, port: int, request: bytes = b"") -> bytes:
        """Everything that a port of the virtual address says; nothing where nobody listens."""
        try:
            with socket.create_connection((f"{NETWORK}.220", port), 30) as client:
                client.sendall(request)
                return b"".join(iter(lambda: client.recv(65536), b""))
        except OSError:
            return b""

    def test_everything(self) -> None:
        """All 17 services are served, each in turn but the database, and so is the page."""
        for name, port in SERVICES.items():
            heard = [self.answer(port).decode() for _ in range(3)]
            expected = (
                {f"{NODES[0]}:{port}"} if name == "vip-db" else {f"{n}:{port}" for n in NODES}
            )
            self.assertEqual(set(heard), expected, name)
        login = base64.b64encode(b"root:redhat").decode()
        page = self.answer(
            9300, f"GET /admin;csv HTTP/1.0\r\nAuthorization: Basic {login}\r\n\r\n".encode()
        ).decode()
        rows = [line.split(",") for line in page.splitlines() if "," in line]
        fronts = {row[0] for row in rows if row[1] == "FRONTEND"}
        self.assertEqual(fronts, {*SERVICES, "monitor"})
        self.assertEqual(sum(row[1].startswith("rhos6-node") for row in rows), 51)
        self.assertIn(b" 401 ", self.answer(9300, b"GET /admin HTTP/1.0\r\n\r\n"))
