"""Checks that talk: the same bytes, and the same verdicts, as the real HAProxy's."""

from __future__ import annotations

import contextlib
import csv
import io
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from attrs import define, field, frozen
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.differential.test_http_haproxy import normal
from tests.support import require
from vipproxy.testing import ProxyHarness
from vipproxy.values import CheckStatus


@define
class Talker:
    """A server: says its greeting, and then an answer to whatever it hears."""

    greeting: bytes = b""
    answer: bytes = b""
    closes: bool = False
    """After its answer; else it waits for more."""
    heard: set[bytes] = field(factory=set)
    _socket: socket.socket = field(factory=lambda: socket.create_server(("127.0.0.1", 0)))

    def __attrs_post_init__(self) -> None:
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        port: int = self._socket.getsockname()[1]
        return port

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                threading.Thread(target=self._talk, args=[client], daemon=True).start()

    def _talk(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            client.settimeout(20)
            client.sendall(self.greeting)
            while data := client.recv(65536):
                self.heard.add(data)
                client.sendall(self.answer)
                if self.closes:
                    return


@frozen
class Script:
    """One backend: its lines (HAProxy's, which are ours but for the `=`), and the server."""

    lines: tuple[str, ...]
    greeting: bytes = b""
    answer: bytes = b""
    closes: bool = False
    options: str = ""
    """Of our check, as ``option httpchk`` says it to HAProxy."""
    httpchk: str = ""


PONG = b"+PONG\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nready"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nrea\r\n2\r\ndy\r\n0\r\n\r\n"
SORRY = b"HTTP/1.1 503 Sorry\r\nContent-Length: 0\r\n\r\n"

TCP = {
    "none": Script(()),
    "greeting": Script(("expect string hello",), b"hello\r\n"),
    "other-greeting": Script(("expect string hello",), b"go away\r\n", closes=True),
    "ping": Script(("connect", r"send PING\r\n", "expect string +PONG"), answer=PONG),
    "not-pong": Script((r"send PING\r\n", "expect string +PONG"), answer=b"-ERR\r\n", closes=True),
    "silent": Script(("expect string hello",)),
    "rstring": Script((r"send PING\r\n", "expect rstring ^.P[O0]NG"), answer=PONG),
    "binary": Script(("send-binary 50494e47", "expect binary 504f4e47"), answer=PONG),
    "twice": Script(("expect string hel", "expect string lo"), b"hello\r\n"),
    "negated": Script(("expect ! string bad",), b"good", closes=True),
    "negated-bad": Script(("expect ! string bad",), b"bad"),
    "min-recv": Script(("expect min-recv 3 ! string bad",), b"good"),
    "again": Script(("connect", "expect string a", "connect", "expect string a"), b"a"),
    "comment": Script(("connect comment c", "expect comment 'is it' string a"), b"a"),
    "quoted": Script((r'send "two words\n"', "expect string +PONG"), answer=PONG),
}
HTTP = {
    "plain": Script((), answer=OK),
    "status": Script(("expect status 200,300-399",), answer=OK),
    "not-status": Script(("expect ! status 200",), answer=OK),
    "rstatus": Script(("expect rstatus ^[23]",), answer=OK),
    "wrong-status": Script(("expect status 200",), answer=SORRY),
    "not-rstatus": Script(("expect ! rstatus ^5",), answer=SORRY),
    "string": Script(("expect string ready",), answer=OK),
    "rstring": Script(("expect rstring re.dy",), answer=OK),
    "no-string": Script(("expect string steady",), answer=OK),
    "not-string": Script(("expect ! string steady",), answer=OK),
    "chunked": Script(("expect string ready",), answer=CHUNKED),
    "both": Script(("expect status 200", "expect string ready"), answer=OK),
    "send": Script(
        ('send meth GET uri /health ver HTTP/1.1 hdr Host h.example hdr X-A "b c"',), answer=OK
    ),
    "body": Script(("send meth POST uri / body hello",), answer=OK),
    "options": Script((), answer=OK, options=" method=HEAD path=/up", httpchk=" HEAD /up"),
    "not-http": Script(("expect status 200",), answer=b"what?\r\n\r\n", closes=True),
}


OPTIONS = {
    "tcp": "tcp-check", "http": "httpchk", "smtp": "smtpchk", "pgsql": "pgsql-check user joe",
    "redis": "redis-check", "ldap": "ldap-check", "ssl-hello": "ssl-hello-chk",
}  # fmt: skip
CHECKS = {"pgsql": " user=joe"}
SSL_ALERT = b"\x15\x03\x00\x00\x02\x02\x28"
SMTP = {
    "good": Script((), b"220 hi ESMTP\r\n", b"250 ok\r\n"),
    "refuses": Script((), b"554 no\r\n", b"250 ok\r\n"),
    "odd": Script((), b"hello\r\n", b"250 ok\r\n"),
    "lines": Script((), b"220 hi\r\n", b"250-ok\r\n250 SIZE\r\n", httpchk=" EHLO mail.x",
                    options=" hello=EHLO domain=mail.x"),
}  # fmt: skip
PGSQL = {
    "good": Script((), answer=bytes.fromhex("520000000c0000000500000000")),
    "sasl": Script((), answer=bytes.fromhex("52000000170000000a534352414d2d5348412d3235360000")),
    "refuses": Script((), answer=b"E\0\0\0\x10SFATAL\0\0\0\0"),
}
OTHERS = {
    "redis": {"good": Script((), answer=PONG)},
    "ldap": {
        "good": Script((), answer=bytes.fromhex("300c02010161070a010004000400")),
        "refuses": Script((), answer=bytes.fromhex("300c02010161070a013104000400")),
    },
}
SSL = {
    "alert": Script((), answer=SSL_ALERT),
    "other": Script((), answer=b"HTTP/1.0 400 Bad\r\n\r\n"),
}


def _timeless(heard: bytes) -> bytes:
    """An SSL hello has the time in it."""
    return heard[:11] + bytes(4) + heard[15:] if heard.startswith(b"\x16\3\0") else heard


class StepTests(TestCase):
    timeout = 120

    async def compare(self, kind: str, scripts: dict[str, Script]) -> None:
        haproxy = require("haproxy")
        servers = {
            name: [Talker(each.greeting, each.answer, each.closes) for _ in range(2)]
            for name, each in scripts.items()
        }
        for pair in servers.values():
            for server in pair:
                self.addCleanup(server.close)
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        theirs, ours = "", "[frontend f]\nprotocol = tcp\nbind = 127.0.0.1:0\nuse-backend = none\n"
        ours = ours.replace("none", next(iter(scripts)))
        for name, each in scripts.items():
            option = OPTIONS[kind] + each.httpchk
            lines = "".join(f"  {kind}-check {line}\n" for line in each.lines)
            theirs += f"backend {name}\n  option {option}\n{lines}"
            theirs += f"  server s 127.0.0.1:{servers[name][0].port} check inter 400ms\n"
            lines = "".join(f"{kind}-check = {line}\n" for line in each.lines)
            check = f"{kind}{CHECKS.get(kind, '')}{each.options} interval=400ms"
            ours += f"[backend {name}]\ncheck = {check}\n{lines}"
            ours += f"server s = 127.0.0.1:{servers[name][1].port}\n"
        await deferToThread(self.start_haproxy, haproxy, Path(directory.name), theirs)
        self.proxy = ProxyHarness(reactor, ours)
        self.addCleanup(self.proxy.stop)
        await self.proxy.start()
        for name, pair in servers.items():
            await self.assert_same(name)
            heard = [{_timeless(normal(each)) for each in server.heard} for server in pair]
            self.assertEqual(heard[1], heard[0], name)

    def start_haproxy(self, haproxy: str, directory: Path, text: str) -> None:
        path = directory / "haproxy.cfg"
        self.stats = directory / "stats"
        head = f"global\n  stats socket {self.stats}\ndefaults\n  timeout connect 400ms\n"
        path.write_text(head + "  timeout server 5s\n  timeout client 5s\n" + text)
        process = subprocess.Popen([haproxy, "-db", "-q", "-f", str(path)])
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        for _ in range(200):
            with contextlib.suppress(OSError):
                self.theirs()
                return
            time.sleep(0.05)
        self.fail("haproxy does not listen")

    def theirs(self) -> dict[str, str]:
        """The check_status of each backend's server, once it is final."""
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self.stats))
            client.sendall(b"show stat\n")
            text = b""
            while piece := client.recv(65536):
                text += piece
        found = csv.DictReader(io.StringIO(text.decode().removeprefix("# ").rstrip("\n")))
        return {
            row["pxname"]: row["check_status"].removeprefix("* ")
            for row in found
            if row["svname"] == "s"
        }

    async def assert_same(self, name: str) -> None:
        """Both come to say the same of a server; a check may be under way."""
        for _ in range(100):
            last = self.proxy.server(name, "s").last_check
            found = (last.status if last else CheckStatus.INITIAL).value
            expected = (await deferToThread(self.theirs))[name]
            if found == expected:
                return
            await deferLater(reactor, 0.05)
        self.assertEqual(found, expected, (name, last))

    async def test_tcp(self) -> None:
        """tcp-check."""
        await self.compare("tcp", TCP)

    async def test_http(self) -> None:
        """http-check."""
        await self.compare("http", HTTP)

    async def test_handshakes(self) -> None:
        """Checks that know a protocol."""
        await self.compare("smtp", SMTP)
        await self.compare("pgsql", PGSQL)
        for kind, scripts in OTHERS.items():
            await self.compare(kind, scripts)
        await self.compare("ssl-hello", SSL)
