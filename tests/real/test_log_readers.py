"""Other people's programs read our logs: HAProxy's halog, a parser from PyPI, and rsyslog."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.differential.log_events import (
    EVENTS,
    LOOPBACK,
    Server,
    Way,
    echo,
    serve_http,
)
from tests.functional.harness import eventually
from tests.ports import free_port
from tests.support import require
from vipproxy.testing import ProxyHarness

PROXY = """
[global]
{log}
[frontend http]
protocol = http
bind = 127.0.0.1:0
timeout-http-request = 500ms
capture-request-header Host = 20
capture-request-header User-Agent = 20
capture-response-header Server = 20
backend = web
[backend web]
timeout-server = 500ms
server s1 = {http}
[frontend http-refused]
protocol = http
bind = 127.0.0.1:0
backend = nobody
[backend nobody]
retries = 0
server s1 = {closed}
[frontend tcp]
protocol = tcp
bind = 127.0.0.1:0
backend = plain
[backend plain]
server s1 = {echo}
"""
FRONTENDS = ("http", "http-refused", "tcp")
SCRIPT = (
    "http: answered", "http: kept alive", "http: an error of the server's", "http: server timeout",
    "http: closed without an answer", "http: refused", "http: bad request", "http: request timeout",
    "tcp: the client ends", "tcp: the client resets",
)  # fmt: skip
LINES = len(SCRIPT) + 1
STATUSES = {"200": 3, "400": 1, "408": 1, "500": 1, "502": 1, "503": 1, "504": 1}


RSYSLOG = """
module(load="imudp")
module(load="imuxsock" SysSock.Use="off")
input(type="imudp" address="127.0.0.1" port="{port}")
input(type="imuxsock" Socket="{directory}/socket" CreatePath="on")
template(name="facts" type="list") {{
    property(name="syslogfacility-text") constant(value=" ")
    property(name="syslogseverity-text") constant(value=" ")
    property(name="programname") constant(value=" ")
    property(name="procid") constant(value=" ")
    property(name="hostname") constant(value=" ")
    property(name="protocol-version") constant(value="|")
    property(name="msg") constant(value="\\n")
}}
action(type="omfile" file="{directory}/out" template="facts")
"""


class LogCase(TestCase):
    timeout = 60

    async def write(self, log: str) -> None:
        """Run the script through a proxy that logs as this line of [global] says."""
        servers = {"http": Server(serve_http), "echo": Server(echo)}
        for server in servers.values():
            self.addCleanup(server.close)
        places = {name: f"{LOOPBACK}:{server.port}" for name, server in servers.items()}
        text = PROXY.format(log=log, closed=f"{LOOPBACK}:{free_port()}", **places)
        proxy = ProxyHarness(reactor, text)
        self.addCleanup(proxy.stop)
        await proxy.start()
        way = Way({name: proxy.port(name) for name in FRONTENDS}, "")
        for event in SCRIPT:
            await deferToThread(EVENTS[event], way)

    def directory(self) -> Path:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        return Path(directory.name)

    async def written(self, path: Path, number: int = LINES) -> list[str]:
        """The lines of a file, once there are so many."""

        def lines() -> list[str]:
            return path.read_text().splitlines() if path.exists() else []

        await deferToThread(eventually, lambda: len(lines()) >= number)
        return lines()


class HalogTests(LogCase):
    def halog(self, path: Path, *arguments: str) -> list[list[str]]:
        """Words of halog's lines; it must have nothing to complain of."""
        result = subprocess.run(
            [require("halog"), *arguments],
            input=path.read_bytes(), capture_output=True, timeout=20, check=True,
        )  # fmt: skip
        complaints = result.stderr.decode()
        self.assertRegex(complaints, r"^\d+ lines in, \d+ lines out, 0 parsing errors\n$")
        return [line.split() for line in result.stdout.decode().splitlines()]

    async def test_halog(self) -> None:
        """halog counts statuses, endings, servers, times and captured headers, without an error."""
        path = self.directory() / "log"
        await self.write(f"log = file@{path}")
        await self.written(path)
        statuses = self.halog(path, "-H", "-st")
        self.assertEqual({status: int(n) for status, n in statuses}, STATUSES)
        endings = {state: int(n) for state, n in self.halog(path, "-H", "-tc")}
        self.assertEqual(endings, {"--": 4, "sH": 1, "SH": 1, "SC": 1, "PR": 1, "cR": 1})
        (server,) = (row for row in self.halog(path, "-srv", "-H") if row[0] == "web/s1")
        self.assertEqual(server[1:8], ["0", "3", "0", "0", "3", "0", "6"])
        urls = {row[-1]: int(row[0]) for row in self.halog(path, "-H", "-u")[1:]}
        self.assertEqual((urls["/1"], urls["/hang"], urls["/close"]), (1, 1, 1))
        agents = self.halog(path, "-H", "-hdr", "1:2")
        self.assertIn("test#7B1#7C2#7D", {word for row in agents for word in row})
        self.assertGreater(len(self.halog(path, "-H", "-pct")), 10)


class AnalysisTests(LogCase):
    def analyse(self, path: Path, command: str) -> dict[str, Any]:
        code = "from haproxy.main import console_script; console_script()"
        arguments = ["-l", str(path), "-c", command, "--json"]
        result = subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, timeout=30, check=True
        )
        self.assertEqual(result.stderr, b"")
        return json.loads(result.stdout.decode().partition("RESULTS")[2])

    async def test_analysis(self) -> None:
        """haproxy_log_analysis understands every line of an HTTP exchange."""
        path = self.directory() / "log"
        await self.write(f"log = file@{path}")
        lines = await self.written(path)
        http = path.with_name("http.log")
        http.write_text("".join(f"{line}\n" for line in lines if " http" in line))
        (counted,) = self.analyse(http, "status_codes_counter").values()
        self.assertEqual({key: each[key] for each in counted for key in each}, STATUSES)
        self.assertEqual(self.analyse(http, "counter"), {"COUNTER": sum(STATUSES.values())})


class RsyslogTests(LogCase):
    def start_rsyslog(self, directory: Path, port: int) -> None:
        """A server that writes down what it has understood."""
        program = require("rsyslogd")
        config = directory / "rsyslog.conf"
        config.write_text(RSYSLOG.format(directory=directory, port=port))
        process = subprocess.Popen(
            [program, "-n", "-f", str(config), "-i", str(directory / "pid")],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        eventually(lambda: (directory / "socket").exists())
        time.sleep(0.2)

    async def facts(self, log: str) -> tuple[set[str], list[str]]:
        """What rsyslog has understood: headers but for the pid, and texts."""
        directory = self.directory()
        port = free_port()
        await deferToThread(self.start_rsyslog, directory, port)
        await self.write(log.format(port=port, socket=directory / "socket"))
        lines = await self.written(directory / "out")
        parted = [line.partition("|")[::2] for line in lines]
        return {re.sub(r" \d+ ", " PID ", header, count=1) for header, _ in parted}, [
            text for _, text in parted
        ]

    async def test_formats(self) -> None:
        """rsyslog understands both formats, over UDP and its socket."""
        for log, version in (
            ("log = 127.0.0.1:{port} facility=local3 format=rfc5424", "1"),
            ("log = 127.0.0.1:{port} facility=local3 format=rfc3164", "0"),
            ("log = {socket} facility=local3", "0"),
        ):
            headers, texts = await self.facts(log)
            host = socket.gethostname()
            self.assertEqual(headers, {f"local3 info vipproxy PID {host} {version}"})
            for text in texts:
                self.assertRegex(text, r"^ ?127\.0\.0\.1:\d+ \[")
