"""One scene for HAProxy and vipproxy: the same servers, timeouts and clients, and then the CSV."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from attrs import field, frozen
from twisted.internet import reactor
from twisted.internet.defer import gatherResults
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.differential.counter_servers import Server
from tests.differential.test_stats_haproxy import ask, table
from tests.ports import free_port
from tests.support import require
from vipproxy.testing import ProxyHarness

COUNTERS = (
    "qmax", "scur", "smax", "stot", "dreq", "dresp", "ereq", "econ", "eresp", "wretr",
    "wredis", "lbtot", "hrsp_1xx", "hrsp_2xx", "hrsp_3xx", "hrsp_4xx", "hrsp_5xx", "hrsp_other",
    "req_tot", "cli_abrt", "srv_abrt", "conn_tot", "intercepted", "connect", "reuse", "eint",
    "srv_icur", "idle_conn_cur", "safe_conn_cur",
)  # fmt: skip
"""The columns that are compared."""
BYTES = ("bin", "bout")
"""Compared in TCP; in HTTP, HAProxy counts its own representation of messages."""

THEIRS = """
global
    stats socket {directory}/theirs level admin
    nbthread 1
    hard-stop-after 1s
defaults
    mode {mode}
    timeout connect 400ms
    timeout client {client}
    timeout server {server}
    timeout queue 400ms
    timeout http-request {request}
    retries {retries}
    {redispatch}
frontend f
    bind 127.0.0.1:{port}
    {extra}
    default_backend b
backend b
{servers}
"""
OURS = """
[global]
stats-socket = {directory}/ours level=admin
relay = {relay}
[frontend f]
protocol = {mode}
bind = 127.0.0.1:0
timeout-client = {client}
{request}
{extra}
backend = b
[backend b]
timeout-connect = 400ms
timeout-server = {server}
timeout-queue = 400ms
retries = {retries}
redispatch = {redispatch}
{shuts}
{servers}
"""

Client = Callable[[int], Any]
Rows = Mapping[str, Mapping[str, str]]


@frozen
class Scene:
    """Servers by kind (counter_servers.py), with what their lines say further in both files."""

    servers: tuple[str, ...] = ("http",)
    mode: str = "http"
    maxconn: int = 0
    retries: int = 1
    redispatch: bool = True
    client: str = "5s"
    server: str = "5s"
    request: str = "5s"
    disabled: bool = False
    shuts: bool = False
    """Sessions are shut down when their server is marked down."""
    bytes_too: bool = True
    """Bytes are compared, in TCP: HAProxy reads before it has a server, vipproxy does not."""
    relay: str = "auto"
    lines: tuple[str, str] = field(default=("", ""))
    """A line more of HAProxy's frontend, and of ours."""

    def theirs(self, directory: Path, port: int, ports: list[int]) -> str:
        more = (f" maxconn {self.maxconn}" if self.maxconn else "") + " disabled" * self.disabled
        more += " on-marked-down shutdown-sessions" * self.shuts
        servers = [f"    server s{n} 127.0.0.1:{p}{more}" for n, p in enumerate(ports, 1)]
        return THEIRS.format(
            directory=directory,
            mode=self.mode,
            port=port,
            client=self.client,
            server=self.server,
            request=self.request,
            retries=self.retries,
            redispatch="option redispatch" if self.redispatch else "",
            extra=self.lines[0],
            servers="\n".join(servers),
        )

    def ours(self, directory: Path, ports: list[int]) -> str:
        more = (f" maxconn={self.maxconn}" if self.maxconn else "") + " disabled" * self.disabled
        servers = [f"server s{n} = 127.0.0.1:{p}{more}" for n, p in enumerate(ports, 1)]
        return OURS.format(
            directory=directory,
            mode=self.mode,
            client=self.client,
            server=self.server,
            request=f"timeout-http-request = {self.request}" if self.mode == "http" else "",
            retries=self.retries,
            redispatch="on" if self.redispatch else "off",
            extra=self.lines[1],
            servers="\n".join(servers),
            relay=self.relay,
            shuts="on-marked-down = shutdown-sessions" if self.shuts else "",
        )


class CounterCase(TestCase):
    """Plays scenes on both stages at once."""

    timeout = 60

    async def play(self, scene: Scene, *acts: Client, meanwhile: bytes = b"") -> tuple[Rows, Rows]:
        """HAProxy's rows and ours after the acts, by svname, once no session is left.

        `meanwhile` is a command for the stats sockets, in the middle of the acts.
        """
        binary = require("haproxy")
        directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, directory)
        servers = [Server(kind) for kind in scene.servers]
        for each in servers:
            self.addCleanup(each.stop)
        ports, port = [each.port for each in servers], free_port()
        config = directory / "haproxy.cfg"
        config.write_text(scene.theirs(directory, port, ports))
        process = subprocess.Popen(
            [binary, "-db", "-f", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        proxy = ProxyHarness(reactor, scene.ours(directory, ports))
        self.addCleanup(proxy.stop)
        await proxy.start()
        await deferToThread(_until_up, directory / "theirs")
        for act in acts:
            playing = [deferToThread(act, port), deferToThread(act, proxy.port("f"))]
            if meanwhile:
                await deferLater(reactor, 0.4)
                for name in ("theirs", "ours"):
                    answer = await deferToThread(ask, directory / name, meanwhile)
                    self.assertEqual(answer, "\n")
            await gatherResults(playing, consumeErrors=True)
        theirs = await self.settled(directory / "theirs")
        return theirs, await self.settled(directory / "ours")

    async def settled(self, path: Path) -> Rows:
        """The rows, once no session is left, and twice the same."""
        before: Rows = {}
        for _ in range(300):
            rows = rows_of(await deferToThread(ask, path, b"show stat\n"))
            if rows == before and all(row["scur"] == "0" for row in rows.values()):
                return rows
            before = rows
            await deferLater(reactor, 0.1)
        raise AssertionError(f"sessions are left: {before}")

    async def compare(
        self, scene: Scene, *acts: Client, meanwhile: bytes = b"", **different: str
    ) -> None:
        """The counters are equal, but for those that differ: ``f_econ="1 2"`` is theirs, ours."""
        theirs, ours = await self.play(scene, *acts, meanwhile=meanwhile)
        columns = COUNTERS + (BYTES if scene.mode == "tcp" and scene.bytes_too else ())
        found = {
            f"{kind}_{column}": f"{theirs[name][column] or '-'} {row[column] or '-'}"
            for name, row in ours.items()
            for kind, column in ((_kind(name), column) for column in columns)
            if row[column] != theirs[name][column]
        }
        if found != different:
            self.fail(f"theirs and ours differ: {found}, not {different}")


def rows_of(text: str) -> Rows:
    return {name: row for (_, name), row in table(text)[1].items()}


def _kind(name: str) -> str:
    return {"FRONTEND": "f", "BACKEND": "b"}.get(name, name)


def _until_up(path: Path) -> None:
    for _ in range(500):
        try:
            ask(path, b"show info\n")
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise TimeoutError("haproxy did not start")
