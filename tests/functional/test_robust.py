"""Robust from the first day: crowds, silence, stalled readers, shortages. Plugins that raise are
in test_doors."""

from __future__ import annotations

import resource
import select
import socket
import subprocess
import sys
import threading
import time

from twisted.trial.unittest import SynchronousTestCase

from tests.functional.harness import (
    LOOPBACK,
    RESET,
    Peer,
    ProxyCase,
    ProxyProcess,
    configuration,
    echo,
    eventually,
)
from vipproxy.limits import RESERVED

SESSIONS = 5000
GIB = 1 << 30
MIB = 1 << 20
SPARE = 200
"""Descriptors for everything but sessions."""

ECHO_SERVER = """
import resource, select, socket
limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
listening = socket.create_server(("127.0.0.1", 0), backlog=4096)
print(listening.getsockname()[1], flush=True)
poll, peers = select.epoll(), {}
poll.register(listening, select.EPOLLIN)
while True:
    for number, _ in poll.poll():
        if number == listening.fileno():
            peer, _ = listening.accept()
            peers[peer.fileno()] = peer
            poll.register(peer, select.EPOLLIN)
            continue
        try:
            data = peers[number].recv(65536)
        except ConnectionError:
            data = b""
        if data:
            peers[number].sendall(data)
        else:
            poll.unregister(number)
            peers.pop(number).close()
"""


class ProcessCase(SynchronousTestCase):
    def start(self, port: int, limit: int | None = None, **sections: str) -> ProxyProcess:
        text = configuration("", f"{LOOPBACK}:{port}", **sections)
        proxy = ProxyProcess(text.replace("127.0.0.1:0", "127.0.0.1:{port}"), limit)
        self.addCleanup(proxy.close)
        return proxy

    def echo_server(self) -> int:
        """The port of a server in a process of its own."""
        process = subprocess.Popen([sys.executable, "-c", ECHO_SERVER], stdout=subprocess.PIPE)
        assert process.stdout is not None
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return int(process.stdout.readline())

    def client(self, proxy: ProxyProcess) -> socket.socket:
        client = proxy.connect()
        self.addCleanup(client.close)
        return client

    def assert_calm(self, proxy: ProxyProcess) -> None:
        self.assertIsNone(proxy.process.poll())
        self.assertNotIn("Traceback", proxy.output())


class Crowd(ProcessCase):
    def setUp(self) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard != resource.RLIM_INFINITY and hard < 2 * SESSIONS + SPARE:
            self.skipTest(f"{hard} file descriptors are too few for {SESSIONS} sessions")
        needed = SESSIONS + SPARE
        if soft < needed:
            resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
            self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))

    def test_five_thousand(self) -> None:
        """5,000 sessions at once, and every one of them gets its own bytes back, twice."""
        proxy = self.start(self.echo_server(), frontend=f"maxconn = {SESSIONS}")
        clients = [self.client(proxy) for _ in range(SESSIONS)]
        for word in ("one", "two"):
            for number, client in enumerate(clients):
                client.sendall(f"{word}{number:05}".encode())
            for number, client in enumerate(clients):
                self.assertEqual(client.recv(8, socket.MSG_WAITALL), f"{word}{number:05}".encode())
        self.assert_calm(proxy)


class Stall(ProcessCase):
    LIMIT = 24 * MIB

    def setUp(self) -> None:
        self.server = socket.create_server((LOOPBACK, 0))
        self.server.settimeout(60)
        self.addCleanup(self.server.close)
        self.proxy = self.start(self.server.getsockname()[1])
        client = self.client(self.proxy)
        server, _ = self.server.accept()
        self.addCleanup(server.close)
        self.ends = {"client": client, "server": server}

    def stream(self, sender: socket.socket, reader: socket.socket) -> None:
        """One side sends a GiB; the other reads nothing until all buffers are full, then all."""
        before = self.proxy.resident()
        sending = threading.Thread(target=self.send, args=(sender,), daemon=True)
        sending.start()
        self.wait_until_stuck(sender)
        self.assertTrue(sending.is_alive())
        self.assertTrue(self.proxy.resident() - before < self.LIMIT)
        buffer, received, highest = bytearray(MIB), 0, 0
        while received < GIB:
            received += reader.recv_into(buffer)
            highest = max(highest, self.proxy.resident()) if received % 64 == 0 else highest
        sending.join()
        self.assertEqual(received, GIB)
        self.assertTrue(max(highest, self.proxy.resident()) - before < self.LIMIT)
        self.assert_calm(self.proxy)

    def send(self, sender: socket.socket) -> None:
        block = bytes(MIB)
        for _ in range(GIB // MIB):
            sender.sendall(block)

    def wait_until_stuck(self, sender: socket.socket) -> None:
        quiet = 0

        def stuck() -> bool:
            nonlocal quiet
            _, writable, _ = select.select([], [sender], [], 0)
            quiet = 0 if writable else quiet + 1
            return quiet > 15

        eventually(stuck)

    def test_client_stalls(self) -> None:
        """A client that stops reading a GiB costs a bounded amount of memory."""
        self.stream(self.ends["server"], self.ends["client"])

    def test_server_stalls(self) -> None:
        """So does a server that stops reading."""
        self.stream(self.ends["client"], self.ends["server"])


class Shortage(ProcessCase):
    def test_out_of_descriptors(self) -> None:
        """Out of descriptors the proxy waits, keeps its sessions, and goes on afterwards.

        The limit falls while it runs, below what it has reckoned with. A session takes two: with
        one limit the last is missing for the client, with the next for the server.
        """
        port = self.echo_server()
        outputs = []
        for limit in (64, 65):
            proxy = self.start(port, limit=400)
            self.client(proxy).close()
            resource.prlimit(proxy.process.pid, resource.RLIMIT_NOFILE, (limit, limit))
            outputs.append(self.starve(proxy))
        sentence = "cannot accept for now: Too many open files"
        self.assertTrue(any(sentence in output for output in outputs))

    def test_sessions_fit_the_descriptors(self) -> None:
        """More clients than the descriptors allow wait in the kernel's queue; none is refused."""
        proxy = self.start(self.echo_server(), limit=RESERVED + 2 * 10)
        crowd = [self.client(proxy) for _ in range(30)]
        for client in crowd:
            self.ask(client)
            client.close()
        self.assertNotIn("Too many open files", proxy.output())

    def starve(self, proxy: ProxyProcess) -> str:
        first = self.client(proxy)
        self.ask(first)
        crowd = [self.client(proxy) for _ in range(100)]
        time.sleep(0.3)  # more than one pause of the listener
        self.ask(first)
        for client in crowd:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            client.close()
        self.ask(first)
        eventually(lambda: self.served(proxy))
        self.assert_calm(proxy)
        return proxy.output()

    def ask(self, client: socket.socket) -> None:
        client.sendall(b"hello")
        self.assertEqual(client.recv(5, socket.MSG_WAITALL), b"hello")

    def served(self, proxy: ProxyProcess) -> bool:
        with proxy.connect() as client:
            try:
                client.sendall(b"hello")
                return client.recv(5) == b"hello"
            except ConnectionError:
                return False


class Silence(ProxyCase):
    async def test_silent_clients(self) -> None:
        """Clients that connect and say nothing are let go, and others are served meanwhile."""
        await self.proxy("", self.origin(echo), frontend="timeout-client = 2s")
        silent = [await self.connect() for _ in range(200)]
        client = await self.connect(lambda peer: peer.send(b"hello"))
        await client.hear(b"hello")
        for each in silent:
            await each.end()
        await self.until(lambda: self.sessions() <= 1)

    async def test_silent_servers(self) -> None:
        """Servers that accept and say nothing cost a session its timeout, no more."""
        origin = self.origin(Peer.stall)
        await self.proxy("timeout-server = 300ms", origin)
        clients = [await self.connect() for _ in range(200)]
        for each in clients:
            each.send(b"hello?")
        for each in clients:
            self.assertEqual(await each.end(), b"")
        await self.until(lambda: self.sessions() == 0)
        self.assertEqual(self.pool().counters.server_aborts, 200)
