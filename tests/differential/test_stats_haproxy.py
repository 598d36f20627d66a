"""The statistics beside those of the real haproxy: same configuration, same questions."""

from __future__ import annotations

import csv
import http.client
import io
import re
import shutil
import socket
import subprocess
import tempfile
import time
from base64 import b64encode
from pathlib import Path
from typing import Any

from attrs import frozen
from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.ports import free_port
from tests.support import require
from vipproxy.admin.csv import HEADER
from vipproxy.testing import ProxyHarness
from vipproxy.values import AdminState, ClusterSnapshot

HAPROXY = """
global
    stats socket {directory}/theirs level admin
defaults
    mode tcp
    maxconn 500
    timeout connect 5s
    timeout client 30s
    timeout server 30s
listen monitor
    bind 127.0.0.1:{port},127.0.0.2:{port},127.0.0.3:{port},127.0.0.4:{port}
    mode http
    monitor-uri /status
    http-request use-service prometheus-exporter if {{ path /metrics }}
    stats enable
    stats admin if TRUE
    stats uri /admin
    stats realm Haproxy\\ Statistics
    stats auth root:redhat
    stats refresh 5s
frontend vip-db
    bind 127.0.0.1:{first}
    default_backend db
backend db
    server refused 127.0.0.1:{closed} check inter 100ms
    server limited 127.0.0.1:{port} maxconn 7 weight 3 check inter 100ms
    server unchecked 127.0.0.2:{port}
    server spare 127.0.0.3:{port} backup check inter 100ms
    server out 127.0.0.4:{port} disabled check inter 100ms
frontend vip-web
    mode http
    bind 127.0.0.1:{second}
    default_backend web
backend web
    mode http
    cookie S insert indirect nocache
    option httpchk GET /status
    server passes 127.0.0.1:{port} check inter 100ms cookie a
"""
OURS = """
[global]
stats-socket = {directory}/ours level=admin
[defaults]
maxconn = 500
timeout-connect = 5s
timeout-client = 30s
timeout-server = 30s
[frontend monitor]
protocol = stats
bind = 127.0.0.1:0
monitor-uri = /status
stats-uri = /admin
stats-realm = Haproxy Statistics
stats-auth = root:redhat
stats-refresh = 5s
stats-admin = on
metrics-auth = off
[frontend vip-db]
protocol = tcp
bind = 127.0.0.1:0
backend = db
[backend db]
check = tcp interval=100ms
server refused = 127.0.0.1:{closed}
server limited = 127.0.0.1:{port} maxconn=7 weight=3
server unchecked = 127.0.0.2:{port} check=off
server spare = 127.0.0.3:{port} backup
server out = 127.0.0.4:{port} disabled
[frontend vip-web]
protocol = http
bind = 127.0.0.1:0
backend = web
[backend web]
check = http interval=100ms path=/status
cookie = S insert indirect nocache
server passes = 127.0.0.1:{port} cookie=a
"""
NEVER_OURS = {("monitor", "BACKEND")}
"""Rows of a `listen` section without servers that a frontend does not have."""
MOVING = ("check_status", "check_code", "last_chk")
"""Cells that may be empty or not while a check runs."""
WIDTH = 62
"""Columns compared: those that every tool reads by position are the first 62."""


def ask(path: Path, text: bytes) -> str:
    """The answer of a stats socket."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5)
        client.connect(str(path))
        client.sendall(text)
        answer = b""
        while received := client.recv(65536):
            answer += received
    return answer.decode()


def table(text: str) -> tuple[list[str], dict[tuple[str, str], dict[str, str]]]:
    """The header's names, and the rows by proxy and server."""
    header, *rows = csv.reader(io.StringIO(text.removeprefix("# ").rstrip("\n")))
    found = [dict(zip(header, row, strict=True)) for row in rows]
    return header, {(row["pxname"], row["svname"]): row for row in found}


@frozen
class Reply:
    """What a client sees of an HTTP answer."""

    status: str
    headers: Any
    body: bytes
    closed: bool


def fetch(port: int, path: str, password: str | None = "root:redhat") -> Reply:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    token = b64encode(password.encode()).decode() if password else ""
    headers = {"Authorization": f"Basic {token}"} if password else {}
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    body = response.read()
    status = f"{response.version} {response.status} {response.reason}"
    closed = _is_closed(connection.sock)
    connection.close()
    return Reply(status, response.headers, body, closed)


def _is_closed(sock: socket.socket | None) -> bool:
    if sock is None:
        return True
    sock.settimeout(0.3)
    try:
        return sock.recv(1) == b""
    except TimeoutError:
        return False


def exchange(port: int, request: bytes) -> bytes:
    """The bytes of an answer, as far as they come at once."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.sendall(request)
        answer = client.recv(65536)
        client.settimeout(0.2)
        try:
            while received := client.recv(65536):
                answer += received
        except TimeoutError:
            pass
        return answer


def _all_judged(snapshot: ClusterSnapshot) -> bool:
    """Servers in maintenance are not checked."""
    servers = [server for backend in snapshot.backends for server in backend.servers]
    used = [each for each in servers if each.checked and each.admin is AdminState.READY]
    return all(each.last_check is not None for each in used)


class Beside(TestCase):
    """Starts both."""

    async def start(self) -> None:
        binary = require("haproxy")
        self.directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.directory)
        ports = {name: free_port() for name in ("port", "closed", "first", "second")}
        self.their_port = ports["port"]
        places = {"directory": self.directory, **ports}
        config = self.directory / "haproxy.cfg"
        config.write_text(HAPROXY.format(**places))
        process = subprocess.Popen(
            [binary, "-db", "-f", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        self.theirs, self.ours = self.directory / "theirs", self.directory / "ours"
        await deferToThread(self._wait_for_their_socket)
        self.proxy = ProxyHarness(reactor, OURS.format(**places))
        self.addCleanup(self.proxy.stop)
        self.proxy.service.startService()
        await self.proxy.until(_all_judged, what="a first check of every server in service")
        self.our_port = self.proxy.port("monitor")

    def _wait_for_their_socket(self) -> None:
        for _ in range(200):
            try:
                ask(self.theirs, b"show info\n")
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise TimeoutError("haproxy did not start")

    async def both_ask(self, text: bytes) -> tuple[str, str]:
        """HAProxy's answer, and ours."""
        theirs = await deferToThread(ask, self.theirs, text)
        return theirs, await deferToThread(ask, self.ours, text)

    async def both_fetch(self, path: str, password: str | None = "root:redhat") -> Any:
        theirs = await deferToThread(fetch, self.their_port, path, password)
        return theirs, await deferToThread(fetch, self.our_port, path, password)


class SocketTests(Beside):
    async def settled(self) -> tuple[Any, Any]:
        """Both tables, once the refusing server is down on both sides."""
        for _ in range(100):
            theirs, ours = (table(text)[1] for text in await self.both_ask(b"show stat\n"))
            down = [each["db", "refused"]["status"] == "DOWN" for each in (theirs, ours)]
            checked = theirs["web", "passes"]["check_status"] not in ("INI", "* INI")
            if all(down) and checked:
                break
        else:
            self.fail("the refusing server did not go down")
        return theirs, ours

    async def test_header(self) -> None:
        """The header is HAProxy's, column by column, as far as ours goes."""
        await self.start()
        theirs, ours = await self.both_ask(b"show stat\n")
        self.assertEqual(ours.splitlines()[0] + "\n", HEADER)
        self.assertTrue(theirs.startswith(HEADER.rstrip("\n")))
        self.assertTrue(theirs.endswith("\n\n"))
        self.assertTrue(ours.endswith(",\n\n"))

    async def test_cells(self) -> None:
        """The same rows have the same cells filled."""
        await self.start()
        theirs, ours = await self.settled()
        self.assertEqual(set(theirs) - NEVER_OURS, set(ours))
        for key, row in ours.items():
            for name, cell in row.items():
                if name and name not in MOVING:
                    self.assertEqual(bool(cell), bool(theirs[key][name]), f"{key} {name}")

    async def test_values(self) -> None:
        """Cells that do not depend on time or traffic are equal."""
        await self.start()
        theirs, ours = await self.settled()
        names = (
            "status", "slim", "weight", "act", "bck", "qcur", "pid", "sid", "type", "tracked",
            "throttle", "rate_lim", "check_desc", "check_rise", "check_fall", "check_health",
            "addr", "cookie", "mode", "algo",
        )  # fmt: skip
        for key, row in ours.items():
            for name in names:
                self.assertEqual(row[name], theirs[key][name], f"{key} {name}")

    async def test_info_keys(self) -> None:
        """`show info` has HAProxy's keys in HAProxy's order."""
        await self.start()
        theirs, ours = (
            [line.partition(": ")[0] for line in text.splitlines()]
            for text in await self.both_ask(b"show info\n")
        )
        self.assertEqual(ours, theirs)

    async def test_errors(self) -> None:
        """Mistakes are answered in HAProxy's words."""
        await self.start()
        for text in (
            b"set server\n",
            b"set server db\n",
            b"set server x/refused state ready\n",
            b"set server db/x state ready\n",
            b"set server db/refused state\n",
            b"set server db/refused state foo\n",
            b"set server db/refused state maint\n",
            b"set server db/refused state ready;set server x/y\n",
        ):
            theirs, ours = await self.both_ask(text)
            self.assertEqual(ours, theirs, text)

    async def test_unknown_commands(self) -> None:
        """Unknown commands and help begin with HAProxy's sentence, and list in its form."""
        await self.start()
        for text in (b"\n", b"show foo\n", b"help\n", b"help show info\n"):
            theirs, ours = (answer.splitlines() for answer in await self.both_ask(text))
            self.assertEqual(ours[0], theirs[0], text)
            for line in ours[1:-1]:
                self.assertTrue(re.match(r"  .{40}: \S", line), line)

    async def test_states(self) -> None:
        """The states that an operator sets show in the same words."""
        await self.start()
        await self.settled()
        for state in (b"drain", b"maint"):
            command = b"set server db/limited state %b\n" % state
            self.assertEqual(await self.both_ask(command), ("\n", "\n"))
            theirs, ours = (
                table(text)[1]["db", "limited"] for text in await self.both_ask(b"show stat\n")
            )
            self.assertEqual(ours["status"], theirs["status"], state)


class HttpTests(Beside):
    async def test_monitor(self) -> None:
        """The monitor's answer is HAProxy's, byte for byte."""
        await self.start()
        for request in (
            b"GET /status HTTP/1.1\r\nhost: x\r\n\r\n",
            b"HEAD /status HTTP/1.1\r\nhost: x\r\n\r\n",
            b"GET /status HTTP/1.0\r\n\r\n",
            b"GET http://x/status HTTP/1.1\r\nhost: x\r\n\r\n",
            b"GET /status?x=1 HTTP/1.1\r\nhost: x\r\n\r\n",
            b"GET /elsewhere HTTP/1.1\r\nhost: x\r\n\r\n",
            b"GARBAGE\r\n\r\n",
        ):
            theirs = await deferToThread(exchange, self.their_port, request)
            ours = await deferToThread(exchange, self.our_port, request)
            self.assertEqual(ours, theirs, request)

    async def test_password(self) -> None:
        """Without the password: the same status, challenge, body and end of the connection."""
        await self.start()
        for password in (None, "root:wrong"):
            theirs, ours = await self.both_fetch("/admin", password)
            self.assertEqual(ours.status, theirs.status)
            self.assertEqual(ours.body, theirs.body)
            self.assertEqual(ours.closed, theirs.closed)
            for name in ("www-authenticate", "content-type", "content-length", "cache-control"):
                self.assertEqual(ours.headers[name], theirs.headers[name])

    async def test_documents(self) -> None:
        """Page, CSV and JSON: the same status and the same fields that browsers and tools read."""
        await self.start()
        for path in ("/admin", "/admin;csv", "/admin/;csv", "/admin;json", "/adminfoo",
                     "/admin;norefresh", "/admin;csv;norefresh", "/nothing"):  # fmt: skip
            theirs, ours = await self.both_fetch(path)
            self.assertEqual(ours.status, theirs.status, path)
            self.assertEqual(ours.closed, theirs.closed, path)
            for name in ("content-type", "refresh", "cache-control"):
                self.assertEqual(ours.headers[name], theirs.headers[name], f"{path} {name}")

    async def test_csv(self) -> None:
        """Over HTTP the same columns are hidden, and no empty line ends the answer."""
        await self.start()
        theirs, ours = await self.both_fetch("/admin;csv")
        hidden = [table(each.body.decode())[1]["web", "passes"] for each in (theirs, ours)]
        for name in ("addr", "cookie", "algo"):
            self.assertEqual([row[name] for row in hidden], ["", ""])
        for each in (theirs, ours):
            self.assertTrue(each.body.endswith(b",\n"))
            self.assertFalse(each.body.endswith(b"\n\n"))
