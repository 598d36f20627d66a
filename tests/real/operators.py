"""A proxy in a process of its own, for tools that drive it through its stats socket."""

from __future__ import annotations

import csv
import io
import shutil
import socket
import socketserver
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.functional.harness import ProxyProcess, eventually

CONFIGURATION = """
[global]
stats-socket = {directory}/stats level=admin
state-file = {directory}/state.json
{head}
[frontend vip]
protocol = tcp
bind = 127.0.0.1:{{port}}
backend = pool
[backend pool]
check = tcp interval=200ms
on-marked-down = shutdown-sessions
server n1 = 127.0.0.1:{first}
server n2 = 127.0.0.1:{second}
"""


def ask(place: Path, text: str) -> str:
    """The answer of a stats socket to a line."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(place))
        client.sendall(text.encode() + b"\n")
        answer = b""
        while received := client.recv(65536):
            answer += received
    return answer.decode()


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        with suppress(ConnectionResetError):
            while data := self.request.recv(4096):
                self.request.sendall(data)


class OperatedCase(SynchronousTestCase):
    """`self.socket` is the stats socket of a proxy with two servers that are up."""

    head = ""
    """More of the [global] section."""

    def setUp(self) -> None:
        directory = Path(tempfile.mkdtemp(prefix="vipproxy-operated-"))
        self.addCleanup(shutil.rmtree, directory)
        self.socket = directory / "stats"
        first, second = (self._server() for _ in range(2))
        text = CONFIGURATION.format(directory=directory, head=self.head, first=first, second=second)
        self.proxy = ProxyProcess(text)
        self.addCleanup(self.proxy.close)
        eventually(lambda: self.statuses() == {"n1": "UP", "n2": "UP"}, 60)

    def _server(self) -> int:
        """The port of a server that echoes."""
        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        port: int = server.server_address[1]
        return port

    def statuses(self) -> dict[str, str]:
        """The servers' status column; empty while there is nobody to ask."""
        return {name: row["status"] for name, row in self.rows().items()}

    def rows(self) -> dict[str, dict[str, str]]:
        try:
            text = ask(self.socket, "show stat")
        except OSError:
            return {}
        rows = csv.DictReader(io.StringIO(text.removeprefix("# ").rstrip("\n")))
        return {row["svname"]: row for row in rows if row["type"] == "2"}
