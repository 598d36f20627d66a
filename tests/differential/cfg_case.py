"""HAProxy and vipproxy, each started from the same haproxy.cfg and driven by the same script."""

from __future__ import annotations

import csv
import io
import socket
import socketserver
import subprocess
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.functional.harness import LOOPBACK, backlog, eventually
from tests.haproxy_command import install
from tests.ports import free_port
from tests.processes import environment
from tests.support import require

LIMIT = 30.0
"""Seconds that anything may take on a busy machine."""

Behaviour = Callable[["Node", socket.socket], None]


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 50
    node: Node

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Peers that reset are a part of the tests."""


class _Handler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, _Server)
        self.request.settimeout(LIMIT)
        self.server.node.behave(self.server.node, self.request)


class Node:
    """A server behind the proxies: what it does with a connection is a function."""

    def __init__(self, behave: Behaviour, port: int = 0) -> None:
        self.behave = behave
        self.heard: list[bytes] = []
        self.connections = 0
        self.port = port
        self._server: _Server | None = None
        self.open()
        assert self._server is not None
        self.port = self._server.server_address[1]

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    def open(self) -> None:
        if self._server is None:
            self._server = _Server((LOOPBACK, self.port), _Handler)
            self._server.node = self
            threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        """From now on connections are refused."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


def echo(name: bytes) -> Behaviour:
    """Says its name, and then whatever it hears."""

    def behave(node: Node, sock: socket.socket) -> None:
        node.connections += 1
        sock.sendall(name + b"\n")
        while data := sock.recv(65536):
            sock.sendall(data)

    return behave


def read_head(sock: socket.socket) -> bytes:
    """All of a message without a body; nothing where the peer has no more."""
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        more = sock.recv(65536)
        if not more:
            return b""
        data += more
    return data


def web(answer: bytes | Callable[[bytes], bytes]) -> Behaviour:
    """Answers every request with the same bytes, or what a function makes of it; keeps alive."""

    def behave(node: Node, sock: socket.socket) -> None:
        while head := read_head(sock):
            node.heard.append(head)
            sock.sendall(answer if isinstance(answer, bytes) else answer(head))

    return behave


def closing(answer: bytes) -> Behaviour:
    """Answers one request, and closes."""

    def behave(node: Node, sock: socket.socket) -> None:
        node.heard.append(read_head(sock))
        sock.sendall(answer)

    return behave


def page(body: bytes, head: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n%s" % (len(body), head, body)


class Door:
    """A proxy that runs: the way to its ports, and its stats socket."""

    def __init__(self, name: str, ports: dict[str, int], stats: Path) -> None:
        self.name, self.ports, self._stats = name, ports, stats

    def connect(self, frontend: str = "f") -> socket.socket:
        return socket.create_connection((LOOPBACK, self.ports[frontend]), LIMIT)

    def talk(self, sent: bytes = b"", frontend: str = "f") -> tuple[bytes, str]:
        """All that comes back for some bytes, and how it ends."""
        with self.connect(frontend) as client:
            client.sendall(sent)
            return rest(client)

    def line(self, frontend: str = "f") -> bytes:
        """The first line that a server says."""
        with self.connect(frontend) as client:
            return first_line(client)

    def ask(self, command: str) -> str:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(LIMIT)
            client.connect(str(self._stats))
            client.sendall(command.encode() + b"\n")
            return b"".join(iter(lambda: client.recv(65536), b"")).decode()

    def rows(self) -> dict[str, dict[str, str]]:
        text = self.ask("show stat").removeprefix("# ").rstrip("\n")
        return {
            f"{row['pxname']}/{row['svname']}": row for row in csv.DictReader(io.StringIO(text))
        }

    def row(self, name: str) -> dict[str, str]:
        return self.rows()[name]

    def until(self, name: str, **cells: str) -> None:
        """Wait for cells of a row."""

        def there() -> bool:
            row = self.row(name)
            return all(row[cell] == value for cell, value in cells.items())

        try:
            eventually(there, LIMIT)
        except TimeoutError:
            raise AssertionError(f"{self.name}: {name} is {self.row(name)}, not {cells}") from None


def rest(client: socket.socket) -> tuple[bytes, str]:
    """What comes until the end, and how that is."""
    data = b""
    try:
        while more := client.recv(65536):
            data += more
    except ConnectionResetError:
        return data, "reset"
    except TimeoutError:
        return data, "open"
    return data, "end"


def first_line(client: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\n"):
        more = client.recv(1)
        if not more:
            break
        data += more
    return data


def fields(answer: bytes) -> tuple[bytes, list[bytes], bytes]:
    """A response's status line, its fields in small letters and in order, and its body."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    named = [line.partition(b":") for line in lines]
    return status, sorted(name.lower() + b":" + value for name, _, value in named), body


class SameFile(SynchronousTestCase):
    """`both` runs a script through either proxy, and compares."""

    head = ""

    def node(self, behave: Behaviour) -> Node:
        node = Node(behave)
        self.addCleanup(node.close)
        return node

    def both(
        self, text: str, script: Callable[[Door], object], reset: Callable[[], None] = lambda: None
    ) -> Any:
        """What the script finds; the same through both. `text` has {f} and so on for ports."""
        expected = self.through("HAProxy", text, script)
        reset()
        found = self.through("vipproxy", text, script)
        self.assertEqual(found, expected)
        return found

    def through(self, name: str, text: str, script: Callable[[Door], object]) -> object:
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory)
            ports = {each: free_port() for each in ("f", "g", "s")}
            head = f"global\n    stats socket {path}/stats level admin\n"
            for key, port in ports.items():
                text = text.replace(f"{{{key}}}", f"{LOOPBACK}:{port}")
            (path / "haproxy.cfg").write_text(head + text)
            program = require("haproxy") if name == "HAProxy" else install(path)
            with (path / "log").open("wb") as log:
                process = subprocess.Popen(
                    [program, "-db", "-f", str(path / "haproxy.cfg")],
                    env=environment(), stdout=log, stderr=log,
                )  # fmt: skip
            try:
                bound = [port for key, port in ports.items() if f":{port}" in text]
                eventually(
                    lambda: process.poll() is not None or all(backlog(p) is not None for p in bound)
                )
                if process.poll() is not None:
                    raise AssertionError((path / "log").read_text())
                return script(Door(name, ports, path / "stats"))
            finally:
                process.kill()
                process.wait()
