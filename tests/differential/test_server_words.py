"""What is logged about servers beside HAProxy's words: the same checks and orders, over syslog."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.differential.log_events import LOOPBACK, Way
from tests.functional.harness import Origin
from tests.ports import free_port
from tests.support import require
from vipproxy.testing import ProxyHarness

HAPROXY = """
global
    log {log} local0
    stats socket {stats} level admin
defaults
    log global
    mode {mode}
    timeout connect 1s
    timeout client 5s
    timeout server 5s
frontend f
    bind 127.0.0.1:{port}
    default_backend b
backend b
    {backend}
    server s1 {s1} check inter 100ms
    server s2 {s2} check inter 100ms backup
"""
OURS = """
[global]
log = {log}
stats-socket = {stats} level=admin
[frontend f]
protocol = {mode}
bind = 127.0.0.1:0
backend = b
[backend b]
{backend}
check = {check} interval=100ms fastinter=100ms hold-down=0s
server s1 = {s1}
server s2 = {s2} backup
"""
LINE = re.compile(r"<(\d+)>\w{3} [ \d]\d [\d:]{8} \w+\[\d+\]: (.*)")


class Syslog(DatagramProtocol):
    """Keeps what is said of servers, with its priority, but for how long checks took."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []
        self._waiting: list[tuple[str, Deferred[None]]] = []

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        match = LINE.fullmatch(datagram.decode().rstrip("\n"))
        assert match is not None, datagram
        self.said.append((match[1], re.sub(r"\d+ms", "Nms", match[2])))
        for entry in list(self._waiting):
            if entry[0] in match[2]:
                self._waiting.remove(entry)
                entry[1].callback(None)

    def heard(self, text: str) -> Deferred[None]:
        """Fires once a line with this text comes, from now on."""
        deferred: Deferred[None] = Deferred()
        self._waiting.append((text, deferred))
        return deferred


class SameWords(TestCase):
    timeout = 60

    async def start(self, mode: str, backend: str, our_backend: str, check: str) -> None:
        program = require("haproxy")
        directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, directory)
        self.origins = [Origin(), Origin()]
        self.theirs, self.ours = Syslog(), Syslog()
        ports = []
        for syslog in (self.theirs, self.ours):
            port: Any = reactor.listenUDP(0, syslog, interface=LOOPBACK)  # type: ignore[attr-defined]
            self.addCleanup(port.stopListening)
            ports.append(f"{LOOPBACK}:{port.getHost().port}")
        for origin in self.origins:
            self.addCleanup(lambda origin=origin: Deferred.fromCoroutine(origin.refuse()))
        places = {f"s{i}": str(origin.address) for i, origin in enumerate(self.origins, 1)}
        self.ways = [Way({}, str(directory / name)) for name in ("theirs", "ours")]
        given = {**places, "mode": mode, "check": check}
        text = OURS.format(log=ports[1], stats=self.ways[1].stats, backend=our_backend, **given)
        self.proxy = ProxyHarness(reactor, text)
        self.addCleanup(self.proxy.stop)
        await self.proxy.start()
        for server in ("s1", "s2"):
            await self.proxy.until_up("b", server)
        path = directory / "haproxy.cfg"
        path.write_text(
            HAPROXY.format(
                log=ports[0], stats=self.ways[0].stats, port=free_port(), backend=backend, **given
            )
        )
        process = subprocess.Popen(
            [program, "-db", "-f", str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        await deferToThread(self._all_checked, self.ways[0])
        await self.order("get weight b/s1")
        self.theirs.said.clear()
        self.ours.said.clear()

    def _all_checked(self, way: Way) -> None:
        """HAProxy says nothing of its first passed checks, so its statistics are asked."""
        for _ in range(400):
            try:
                if way.command("show stat").count(",L4OK,") == 2:
                    return
            except OSError:
                pass
            time.sleep(0.02)
        raise TimeoutError("haproxy has not checked its servers")

    async def order(self, command: str) -> None:
        for way in self.ways:
            await deferToThread(way.command, command)

    async def both(self, text: str, action: Any) -> None:
        """Do something, and wait until both have said it."""
        heard = self.theirs.heard(text), self.ours.heard(text)
        await action
        for each in heard:
            await each

    async def script(self) -> None:
        """Checks take servers down and bring them up; the operator drains and maintains them."""
        first, second = self.origins
        await self.both("Server b/s1 is DOWN", first.refuse())
        await self.both("has no server available", second.refuse())
        first.start()
        await self.both("Server b/s1 is UP", self.order("get weight b/s1"))
        second.start()
        await self.both("Server b/s2 is UP", self.order("get weight b/s1"))
        for state, said in (
            ("drain", "enters drain state"), ("ready", "leaving forced drain"),
            ("maint", "for maintenance"), ("ready", "leaving forced maintenance"),
        ):  # fmt: skip
            await self.both(said, self.order(f"set server b/s1 state {state}"))

    def assert_same(self, ours: list[tuple[str, str]]) -> None:
        """But for the last: after maintenance a server is not up before it has passed a check."""
        up, down = (f"Server b/s1 is {each}/READY (leaving" for each in ("UP", "DOWN"))
        expected = [(priority, text.replace(up, down)) for priority, text in self.theirs.said]
        self.assertEqual(_until(down, ours), _until(down, expected))

    async def test_changes(self) -> None:
        """Changes of servers are told in the same words, with the same priorities."""
        await self.start("tcp", "balance roundrobin", "balance = roundrobin", "tcp")
        await self.script()
        self.assert_same([each for each in self.ours.said if "Health check" not in each[1]])

    async def test_health_checks(self) -> None:
        """With log-health-checks so is what checks find out."""
        await self.start("tcp", "option log-health-checks", "log-health-checks = on", "tcp")
        await self.script()
        self.assert_same(self.ours.said)


def _until(text: str, said: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """What was said up to a line with this text."""
    end = next(at for at, each in enumerate(said) if text in each[1])
    return said[: end + 1]
