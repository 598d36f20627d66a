"""Marked down means closed, with real servers: every client sees the end, and all counts agree."""

from __future__ import annotations

import json
import select
import shutil
import socket
import subprocess
import tempfile
import threading
import urllib.request
from pathlib import Path

import pymysql  # type: ignore[import-untyped]
from twisted.trial.unittest import SynchronousTestCase

from tests.functional.harness import ProxyCase
from tests.ports import free_ports
from tests.real.crowd import Crowd
from tests.real.galera import LOOPBACK, wait_until
from tests.real.proxy import Proxy
from tests.real.test_mysql_check import Server as Mariadb
from tests.support import require
from vipproxy.values import AdminState

FEW = 20
MANY = 2000
NGINX = """
error_log stderr;
pid {directory}/pid;
events {{ worker_connections 200; }}
http {{
    access_log off;
    client_body_temp_path {directory}; proxy_temp_path {directory};
    fastcgi_temp_path {directory}; uwsgi_temp_path {directory}; scgi_temp_path {directory};
    server {{ listen {address}; root {directory}; limit_rate 1k; }}
}}
"""
"""A thousand bytes a second: its answers take an hour."""
SIZE = 4_000_000


class CheckPort:
    """What the checks connect to: closed, it takes its server down, and only in their eyes."""

    def __init__(self) -> None:
        self.number = free_ports(1)
        self._listener: socket.socket | None = None

    def open(self) -> None:
        self._listener = socket.create_server((LOOPBACK, self.number))

    def close(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None


class MarkedDownCase(SynchronousTestCase):
    protocol = "tcp"

    def setUp(self) -> None:
        self.port, self.statistics = free_ports(1), free_ports(1)
        self.check = CheckPort()
        self.addCleanup(self.check.close)

    def start_proxy(self, port: int, backend: str, backup: str = "") -> Proxy:
        """The server listens on `port`; it is up once its check port is open."""
        proxy = Proxy(
            f"[frontend f]\nprotocol = {self.protocol}\nbind = {LOOPBACK}:{self.port}\n"
            f"maxconn = 3000\nbackend = b\ntimeout-client = 1h\n"
            f"[frontend statistics]\nprotocol = stats\nbind = {LOOPBACK}:{self.statistics}\n"
            f"stats-uri = /\n"
            f"[backend b]\nbalance = first\ncheck = tcp interval=50ms\ntimeout-server = 1h\n"
            f"{backend}\nserver s1 = {LOOPBACK}:{port} check-port={self.check.number}\n{backup}\n"
        )
        self.addCleanup(proxy.stop)
        proxy.wait_ready()
        return proxy

    def crowd(self, *arguments: object) -> Crowd:
        crowd = Crowd(*arguments)
        self.addCleanup(crowd.stop)
        return crowd

    def agree(self, proxy: Proxy, server: str, number: int) -> None:
        """Log and snapshot say that so many sessions of the server were shut down; none is left."""
        self.assertEqual(proxy.rows()[f"b/{server}"]["scur"], "0")
        self.assertEqual(proxy.logged_shutdowns()[-1], number)
        with urllib.request.urlopen(f"http://{LOOPBACK}:{self.statistics}/;snapshot") as answer:
            found = json.load(answer)
        servers = {each["name"]: each for each in found["backends"][0]["servers"]}
        self.assertEqual(servers[server]["counters"]["shutdowns"], number)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
GREETINGS = {"tcp": b"welcome", "mysql": b"welcome", "http": HEAD}
"""What the server says first, by protocol; of the HTTP answer it is the head alone."""
QUESTIONS = {"tcp": b"", "mysql": b"", "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"}


class OneTurnTests(ProxyCase):
    """The proxy runs in the test's own reactor, so that nothing else runs before the sockets
    are looked at."""

    SESSIONS = 200

    async def all_in_one_turn(self, protocol: str) -> None:
        origin = self.origin(lambda peer: peer.send(GREETINGS[protocol]))
        options = "on-marked-down = shutdown-sessions\ncheck = tcp interval=1h"
        proxy = await self.proxy(options, origin, protocol=protocol)
        clients = [self.raw_client(proxy.port("f")) for _ in range(self.SESSIONS)]
        for client in clients:
            client.sendall(QUESTIONS[protocol])
        await self.until(lambda: len(readable(clients)) == self.SESSIONS)
        for client in clients:
            self.assertTrue(client.recv(4096))
        self.assertEqual(readable(clients), [])
        proxy.service.set_admin_state("b", "s1", AdminState.MAINT)
        self.assertEqual(len(readable(clients)), self.SESSIONS)
        self.assertEqual({client.recv(1) for client in clients}, {b""})
        self.assertEqual(self.server().counters.shutdowns, self.SESSIONS)

    def raw_client(self, port: int) -> socket.socket:
        client = socket.create_connection((LOOPBACK, port))
        self.addCleanup(client.close)
        return client

    async def test_tcp(self) -> None:
        """When the verdict returns, every client's socket has its end."""
        await self.all_in_one_turn("tcp")

    async def test_mysql(self) -> None:
        """The same for MySQL."""
        await self.all_in_one_turn("mysql")

    async def test_http(self) -> None:
        """The same for HTTP, in the middle of an answer."""
        await self.all_in_one_turn("http")


def readable(sockets: list[socket.socket]) -> list[tuple[int, int]]:
    """Which have bytes, or their end, waiting in the kernel."""
    poll = select.poll()
    for each in sockets:
        poll.register(each, select.POLLIN)
    return poll.poll(0)


class ManyTests(MarkedDownCase):
    def start(self, port: int) -> Crowd:
        server = self.crowd("serve", port)
        server.wait_for()
        return server

    def test_marked_down(self) -> None:
        """2,000 sessions: each client, and each of the server's sockets, sees an orderly end."""
        port = free_ports(1)
        server = self.start(port)
        self.check.open()
        proxy = self.start_proxy(port, "on-marked-down = shutdown-sessions")
        proxy.wait_ready("b/s1")
        clients = self.crowd("clients", self.port, MANY, 0)
        server.wait_for(opened=MANY)
        self.check.close()
        clients.wait_for(ended=MANY)
        server.wait_for(ended=MANY)
        self.assertEqual(clients.counts()["reset"], 0)
        self.agree(proxy, "s1", MANY)
        self.assertEqual(proxy.rows()["f/FRONTEND"]["scur"], "0")

    def test_marked_up(self) -> None:
        """on-marked-up = shutdown-backup-sessions ends those on the backup in the same way."""
        port = free_ports(2)
        first, backup = self.start(port), self.start(port + 1)
        proxy = self.start_proxy(
            port,
            "on-marked-up = shutdown-backup-sessions",
            f"server s2 = {LOOPBACK}:{port + 1} backup check=off",
        )
        proxy.wait_for("b/s1", status="DOWN")
        clients = self.crowd("clients", self.port, MANY, 0)
        backup.wait_for(opened=MANY)
        self.check.open()
        clients.wait_for(ended=MANY)
        backup.wait_for(ended=MANY)
        self.assertEqual(clients.counts()["reset"], 0)
        self.agree(proxy, "s2", MANY)
        self.crowd("clients", self.port, 1, 0)
        first.wait_for(opened=1)


class MysqlTests(MarkedDownCase):
    protocol = "mysql"

    def setUp(self) -> None:
        super().setUp()
        self.server = Mariadb()
        self.addCleanup(self.server.stop)
        self.server.sql("CREATE USER app@'%' IDENTIFIED BY 'secret'")

    def connect(self) -> pymysql.Connection:
        return pymysql.connect(
            host=LOOPBACK, port=self.port, user="app", password="secret", read_timeout=20
        )

    def test_sessions_end(self) -> None:
        """Idle sessions see the end, those in a query lose their connection to the server."""
        self.check.open()
        proxy = self.start_proxy(self.server.port, "on-marked-down = shutdown-sessions")
        proxy.wait_ready("b/s1")
        idle = [self.connect() for _ in range(FEW)]
        busy = [Query(self.connect()) for _ in range(FEW)]
        wait_until(lambda: self.queries() == FEW, 10.0, "the queries")
        self.check.close()
        for query in busy:
            query.join(10)
        self.assertEqual([query.error for query in busy], [LOST] * FEW)
        self.assertEqual(sum(has_ended(each._sock) for each in idle), FEW)
        self.agree(proxy, "s1", 2 * FEW)

    def queries(self) -> int:
        """How many clients are in one now."""
        sleeping = "SELECT 1 FROM information_schema.PROCESSLIST WHERE INFO LIKE 'SELECT SLEEP%'"
        return len(self.server.sql(sleeping))


LOST = 2013
"""The client library's number for a connection that was lost during a query."""


class Query(threading.Thread):
    """A query that takes longer than the test."""

    def __init__(self, connection: pymysql.Connection) -> None:
        super().__init__(daemon=True)
        self._connection = connection
        self.error: int | None = None
        self.start()

    def run(self) -> None:
        try:
            self._connection.cursor().execute("SELECT SLEEP(60)")
        except pymysql.err.OperationalError as error:
            self.error = error.args[0]


class HttpTests(MarkedDownCase):
    protocol = "http"

    def setUp(self) -> None:
        super().setUp()
        self.directory = Path(tempfile.mkdtemp(prefix="vipproxy-nginx-"))
        self.addCleanup(shutil.rmtree, self.directory)
        self.directory.chmod(0o755)
        self.server = free_ports(1)
        (self.directory / "file").write_bytes(b"x" * SIZE)
        config = self.directory / "nginx.conf"
        address = f"{LOOPBACK}:{self.server}"
        config.write_text(NGINX.format(directory=self.directory, address=address))
        command = [require("nginx"), "-c", str(config), "-g", "daemon off; master_process off;"]
        nginx = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        self.addCleanup(nginx.wait)
        self.addCleanup(nginx.kill)

    def test_sessions_end(self) -> None:
        """Answers that are under way break off, and so are not taken for whole ones."""
        self.check.open()
        proxy = self.start_proxy(self.server, "on-marked-down = shutdown-sessions")
        proxy.wait_ready("b/s1")
        clients = [self.get() for _ in range(FEW)]
        self.check.close()
        for client in clients:
            self.assertLess(read_to_the_end(client), SIZE)
        self.agree(proxy, "s1", FEW)

    def get(self) -> socket.socket:
        """A client whose answer has begun."""
        client = socket.create_connection((LOOPBACK, self.port), 10)
        self.addCleanup(client.close)
        client.sendall(b"GET /file HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertIn(b"200 OK", client.recv(4096))
        return client


def read_to_the_end(sock: socket.socket) -> int:
    """How many bytes there were."""
    return sum(len(data) for data in iter(lambda: sock.recv(65536), b""))


def has_ended(sock: socket.socket) -> bool:
    readable, _, _ = select.select([sock], [], [], 0)
    return bool(readable) and sock.recv(1) == b""
