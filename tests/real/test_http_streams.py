"""HTTP in bulk, with the proxy in a process of its own: memory, and fairness."""

from __future__ import annotations

import re
import socket
import statistics
import threading
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.http_peers import TIMEOUT, Client, read_all
from tests.ports import free_ports
from tests.real.galera import LOOPBACK, wait_until
from tests.real.proxy import Proxy

KIB, MIB = 1 << 10, 1 << 20
SIZE = 1 << 30
BLOCK = b"x" * MIB
STALL = 0.5
"""Seconds for which a peer does not read, at the beginning and in the middle."""
STREAMS = 8

CONFIG = """
[frontend web]
protocol = http
bind = 127.0.0.1:{port}
timeout-client = 60s
backend = pool
[backend pool]
timeout-server = 60s
server s1 = 127.0.0.1:{server}
"""
GET = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
POST = GET.replace(b"GET", b"POST")[:-2] + b"Content-Length: %d\r\n\r\n"
EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class BulkServer:
    """Sends a body of `size` to a GET; reads a POST's, with pauses. One request a connection."""

    def __init__(self) -> None:
        self.size = 0
        self.received = 0
        self._socket = socket.create_server((LOOPBACK, 0), backlog=200)
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        client.settimeout(TIMEOUT)
        with client:
            head, _, body = read_head(client)
            length = re.search(rb"Content-Length: ([0-9]+)", head)
            if length is not None:
                self.received = len(body) + read_with_pauses(client, int(length[1]) - len(body))
                client.sendall(EMPTY)
            elif self.size:
                send(
                    client, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % self.size, self.size
                )
            else:
                client.sendall(EMPTY)


def read_head(client: socket.socket) -> tuple[bytes, bytes, bytes]:
    """A head, and what came with it."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += client.recv(65536)
    return data.partition(b"\r\n\r\n")


def read_with_pauses(client: socket.socket, size: int) -> int:
    """Read so many bytes, with a pause before the first and one in the middle; how many came."""
    buffer, count, pauses = bytearray(MIB), 0, [0, size // 2]
    while count < size:
        if pauses and count >= pauses[0]:
            pauses.pop(0)
            time.sleep(STALL)
        got = client.recv_into(buffer)
        if not got:
            break
        count += got
    return count


def send(client: socket.socket, head: bytes, size: int) -> None:
    """A head, and a body of this size; a peer that leaves is no error."""
    try:
        client.sendall(head)
        for _ in range(size // MIB):
            client.sendall(BLOCK)
    except OSError:
        return


class StreamCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.server = BulkServer()
        self.addCleanup(self.server.close)
        self.port = free_ports(1)
        self.proxy = Proxy(CONFIG.format(port=self.port, server=self.server.port))
        self.addCleanup(self.proxy.stop)
        self.proxy.wait_ready()
        (pid,) = re.findall(r"(?m)^Pid: (\d+)$", self.proxy.ask("show info"))
        self.process = Path("/proc") / pid

    def connect(self) -> socket.socket:
        client = socket.create_connection((LOOPBACK, self.port), TIMEOUT)
        self.addCleanup(client.close)
        return client

    def ask(self, client: socket.socket) -> bytes:
        client.sendall(GET)
        return read_all(client)

    def memory(self, row: str) -> int:
        """A row of proc(5)'s status, in bytes: VmRSS, or VmHWM, its peak."""
        (found,) = re.findall(rf"(?m)^{row}:\s+(\d+) kB", (self.process / "status").read_text())
        return int(found) * KIB


class MemoryTests(StreamCase):
    def setUp(self) -> None:
        super().setUp()
        for _ in range(8):  # what the first requests load stays
            self.ask(self.connect())
            self.upload(0)
        (self.process / "clear_refs").write_text("5")  # the peak begins anew
        self.before = self.memory("VmRSS")

    def upload(self, size: int) -> bytes:
        client = self.connect()
        send(client, POST % size, size)
        return read_all(client)

    def assert_small(self, streams: int = 1) -> None:
        """At no time has the proxy held a mebibyte for a stream."""
        self.assertLess(self.memory("VmHWM") - self.before, streams * MIB)

    def test_download(self) -> None:
        """1 GiB to a client that stalls: all of it arrives, and little is held at any time."""
        self.server.size = SIZE
        client = self.connect()
        client.sendall(GET)
        body = read_head(client)[2]
        self.assertEqual(len(body) + read_with_pauses(client, SIZE - len(body)), SIZE)
        self.assert_small()

    def test_upload(self) -> None:
        """1 GiB to a server that stalls: the same."""
        self.assertTrue(self.upload(SIZE).startswith(b"HTTP/1.1 200 OK\r\n"))
        self.assertEqual(self.server.received, SIZE)
        self.assert_small()

    def test_many_stalled(self) -> None:
        """Clients that read nothing at all hold less than a mebibyte each."""
        self.server.size = SIZE
        clients = [self.connect() for _ in range(STREAMS)]
        for client in clients:
            client.sendall(GET)
        self.wait_for_silence()
        self.assert_small(STREAMS)

    def wait_for_silence(self) -> None:
        """Until nothing moves any more."""
        counts = [-1]

        def silent() -> bool:
            counts.append(int(self.proxy.rows()["web/FRONTEND"]["bout"]))
            time.sleep(STALL)
            return counts[-1] == counts[-2] > 0

        wait_until(silent, TIMEOUT, "the streams to stall")


class SlowHeadTests(StreamCase):
    NUMBER, REQUESTS, PAUSE = 100, 100, 0.05
    TRIES = 5
    """The best of several medians tells of the proxy, and not of what else the machine does."""

    def test_slow_heads(self) -> None:
        """A hundred clients that send a byte now and then do not slow down a normal one."""
        self.measure()
        alone = min(self.measure() for _ in range(self.TRIES))
        slow = [self.connect() for _ in range(self.NUMBER)]
        stop = threading.Event()
        dripping = threading.Thread(target=self.drip, args=[slow, stop], daemon=True)
        dripping.start()
        among_slow = min(self.measure() for _ in range(self.TRIES))
        stop.set()
        dripping.join()
        for client in slow:
            client.sendall(b"\r\n\r\n")
            self.assertTrue(client.recv(99).startswith(b"HTTP/1.1 200 OK\r\n"))
        self.assertLess(among_slow, 3 * alone)

    def drip(self, clients: list[socket.socket], stop: threading.Event) -> None:
        for client in clients:
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
        while not stop.wait(self.PAUSE):
            for client in clients:
                client.sendall(b"x")

    def measure(self) -> float:
        """The median of seconds that a request takes on a connection that stays."""
        client = Client(self.port)
        self.addCleanup(client.close)
        times = []
        for _ in range(self.REQUESTS):
            begin = time.perf_counter()
            answer = client.ask(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            times.append(time.perf_counter() - begin)
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n"), answer
        return statistics.median(times)
