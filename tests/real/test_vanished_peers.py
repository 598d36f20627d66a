"""Peers that are gone without a word: who notices, and how soon."""

from __future__ import annotations

import select
import socket
import subprocess
import sys
import time
from collections.abc import Mapping

from attrs import frozen
from twisted.trial.unittest import SynchronousTestCase

from tests.ports import free_ports
from tests.real.galera import LOOPBACK
from tests.real.namespaces import ADDRESSES, CLIENT, PROXY, SERVER, Network
from tests.real.proxy import Proxy

DETECTION = 3.0
"""Seconds that all the numbers below add up to."""
WATCHED = 2 * DETECTION
KEEPALIVE = "keepalive = idle=1s interval=1s count=2"
VARIANTS = {"plain": "", "keepalive": KEEPALIVE, "both": f"{KEEPALIVE} user-timeout=3s"}
"""What the sockets of both sides have."""

FROZEN = """
import os, signal, socket, sys
client = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
print("connected", flush=True)
os.kill(os.getpid(), signal.SIGSTOP)
"""


def configuration(bind: str, ports: Mapping[str, int], server: str) -> str:
    """A frontend and a backend for each variant."""
    text = "[defaults]\ntimeout-client = 10m\ntimeout-server = 10m\n"
    for name, options in VARIANTS.items():
        text += (
            f"[frontend {name}]\nprotocol = tcp\nbind = {bind}:{ports[name]}\nbackend = {name}\n"
            f"{options}\n[backend {name}]\n{options}\nserver s1 = {server}\n"
        )
    return text


def watch(sockets: Mapping[str, socket.socket]) -> set[str]:
    """Whose connection ends while they are watched."""
    ended: set[str] = set()
    deadline = time.monotonic() + WATCHED
    while (left := deadline - time.monotonic()) > 0:
        waiting = {sock: name for name, sock in sockets.items() if name not in ended}
        for sock in select.select(list(waiting), [], [], left)[0]:
            if has_ended(sock):
                ended.add(waiting[sock])
    return ended


def has_ended(sock: socket.socket) -> bool:
    try:
        return sock.recv(65536) == b""
    except OSError:
        return True


@frozen
class Pair:
    """Both ends of a session, past the proxy."""

    client: socket.socket
    server: socket.socket


class OutOfReach(SynchronousTestCase):
    """The cable is cut: nothing arrives from there any more, and nobody says so."""

    def setUp(self) -> None:
        self.network = Network()
        self.addCleanup(self.network.close)
        self.listener = self.network.socket(SERVER)
        self.addCleanup(self.listener.close)
        self.listener.bind((ADDRESSES[SERVER], 7000))
        self.listener.listen()
        self.listener.settimeout(10)
        self.ports = {name: port for port, name in enumerate(VARIANTS, 8000)}
        text = configuration(PROXY[CLIENT], self.ports, f"{ADDRESSES[SERVER]}:7000")
        self.proxy = Proxy(text, self.network.proxy_prefix)
        self.addCleanup(self.proxy.stop)
        self.proxy.wait_ready()
        self.pairs = {
            f"{name}, {state}": self.pair(name) for name in VARIANTS for state in ("idle", "busy")
        }

    def pair(self, name: str) -> Pair:
        client = self.network.socket(CLIENT)
        self.addCleanup(client.close)
        client.settimeout(10)
        client.connect((PROXY[CLIENT], self.ports[name]))
        client.sendall(b"hello")
        server, _ = self.listener.accept()
        self.addCleanup(server.close)
        server.settimeout(10)
        self.assertEqual(server.recv(5), b"hello")
        return Pair(client, server)

    def noticed(self, gone: str, others: Mapping[str, socket.socket]) -> set[str]:
        """One side vanishes while the others speak to it, or are silent: which of them learn it."""
        self.network.vanish(gone)
        for name, other in others.items():
            if name.endswith("busy"):
                other.sendall(b"are you there?")
        return watch(others)

    def counted(self, column: str) -> dict[str, tuple[str, ...]]:
        """Open sessions of frontend and server, and the aborts that a column counts."""
        rows = self.proxy.rows()
        return {
            name: (
                rows[f"{name}/FRONTEND"]["scur"],
                rows[f"{name}/s1"]["scur"],
                rows[f"{name}/s1"][column],
            )
            for name in VARIANTS
        }

    def test_client(self) -> None:
        """Keepalive finds a client that vanished when idle, user-timeout also when data waits."""
        servers = {name: pair.server for name, pair in self.pairs.items()}
        noticed = self.noticed(CLIENT, servers)
        self.assertEqual(noticed, {"keepalive, idle", "both, idle", "both, busy"})
        expected = {"plain": ("2", "2", "0"), "keepalive": ("1", "1", "1"), "both": ("0", "0", "2")}
        self.assertEqual(self.counted("cli_abrt"), expected)

    def test_server(self) -> None:
        """The same holds for servers: their clients see the end."""
        clients = {name: pair.client for name, pair in self.pairs.items()}
        noticed = self.noticed(SERVER, clients)
        self.assertEqual(noticed, {"keepalive, idle", "both, idle", "both, busy"})
        expected = {"plain": ("2", "2", "0"), "keepalive": ("1", "1", "1"), "both": ("0", "0", "2")}
        self.assertEqual(self.counted("srv_abrt"), expected)


class Frozen(SynchronousTestCase):
    """The process is stopped, and its kernel goes on answering for it."""

    def setUp(self) -> None:
        self.listener = socket.create_server((LOOPBACK, 0))
        self.addCleanup(self.listener.close)
        self.listener.settimeout(10)
        first = free_ports(len(VARIANTS))
        self.ports = {name: port for port, name in enumerate(VARIANTS, first)}
        server = f"{LOOPBACK}:{self.listener.getsockname()[1]}"
        self.proxy = Proxy(configuration(LOOPBACK, self.ports, server))
        self.addCleanup(self.proxy.stop)
        self.proxy.wait_ready()

    def server_of_frozen_client(self, name: str) -> socket.socket:
        """The server's end of a session whose client is frozen."""
        command = [sys.executable, "-c", FROZEN, str(self.ports[name])]
        client = subprocess.Popen(command, stdout=subprocess.PIPE)
        self.addCleanup(client.communicate)
        self.addCleanup(client.kill)
        server, _ = self.listener.accept()
        self.addCleanup(server.close)
        assert client.stdout is not None
        client.stdout.readline()
        return server

    def test_client(self) -> None:
        """Keepalive does not find it; user-timeout does, once nothing more fits into its window."""
        servers = {
            "both, idle": self.server_of_frozen_client("both"),
            "both, full": self.server_of_frozen_client("both"),
            "keepalive, full": self.server_of_frozen_client("keepalive"),
        }
        for name, server in servers.items():
            if name.endswith("full"):
                fill(server)
        self.assertEqual(watch(servers), {"both, full"})
        rows = self.proxy.rows()
        self.assertEqual((rows["both/s1"]["scur"], rows["both/s1"]["cli_abrt"]), ("1", "1"))


def fill(sock: socket.socket) -> None:
    """Send until nothing more is taken for a while."""
    sock.settimeout(0.5)
    try:
        while True:
            sock.sendall(b"x" * 65536)
    except TimeoutError:
        pass
