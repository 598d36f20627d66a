"""What a workload works with: cores, the proxies that compete, and the servers behind them."""

from __future__ import annotations

import csv
import io
import json
import os
import socket
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import mkdtemp
from urllib.request import urlopen

from attrs import evolve, frozen

from bench.processes import Child, Failure, free_ports
from bench.setting import (
    LOOPBACK,
    STATISTICS_URI,
    Server,
    Service,
    Setting,
    forwarded,
    haproxy_text,
    nginx_text,
    portforward_arguments,
    vipproxy_text,
)
from bench.tools import SOURCES, Tools
from bench.usage import Usage, usage

START_LIMIT = 30.0
"""Seconds within which a proxy must have found its servers up."""

HAPROXY, VIPPROXY, PORTFORWARD = "HAProxy", "vipproxy", "portforward"


def load_cores(threads: int, available: Sequence[int]) -> tuple[int, ...]:
    """Where the load runs: on the cores that proxies with so many threads leave.

    Where fewer than two are left beside a proxy with several threads, it shares all of them.
    Raises Failure where there is one core alone.
    """
    if len(available) < 2:
        raise Failure("the benchmark needs two cores: one for the proxy, one for the load")
    others = tuple(available[threads:])
    return others if threads == 1 or len(others) > 1 else tuple(available)


@frozen
class Contender:
    """A proxy program with a number of threads, on as many cores."""

    program: str
    threads: int = 1

    @property
    def name(self) -> str:
        return self.program if self.threads == 1 else f"{self.program}, {self.threads} threads"


@frozen
class Proxy:
    """A contender that runs."""

    contender: Contender
    setting: Setting
    process: Child

    def port(self, service: str) -> int:
        return self.setting.service(service).port

    def usage(self) -> Usage:
        """Raises Failure where the proxy has ended."""
        if self.process.ended:
            raise Failure(f"{self.contender.name} has ended: {self.process.last_words()}")
        return usage(self.process.pid)

    def statistics(self, form: str = "") -> str:
        """The statistics page, or what `form` asks for (`;csv`)."""
        url = f"http://{LOOPBACK}:{self.setting.statistics_port}{STATISTICS_URI}{form}"
        with urlopen(url, timeout=10) as page:
            return str(page.read().decode())

    def stop(self) -> None:
        self.process.stop()

    def servers_up(self) -> bool:
        """Whether it listens and all servers have passed their checks."""
        if self.process.ended:
            raise Failure(f"{self.contender.name} did not start: {self.process.last_words()}")
        if self.contender.program == PORTFORWARD:
            return all(_answers(each.port) for each in forwarded(self.setting))
        try:
            rows = list(csv.DictReader(io.StringIO(self.statistics(";csv")[2:])))
        except OSError:
            return False
        states = [row["status"] for row in rows if row["type"] == "2"]
        return bool(states) and all(state == "UP" for state in states)


@frozen
class Stage:
    """Starts proxies and origins; everything it starts is a child that ends with the run."""

    tools: Tools
    directory: Path
    available: Sequence[int]
    """Cores; a proxy has as many of them as it has threads."""
    load_cores: Sequence[int]

    def origin(self, *kinds: str, niceness: int = 0) -> tuple[Child, list[int]]:
        """Servers of these kinds (see origin.c) in one process, and their ports."""
        child = Child(
            [self.tools.origin, *kinds],
            self.load_cores,
            self.directory,
            speaks=True,
            niceness=niceness,
        )
        return child, json.loads(child.hear())

    def nginx(self) -> list[int]:
        """The HTTP servers' ports."""
        ports = free_ports(2)
        path = self.directory / f"nginx-{ports[0]}.conf"
        path.write_text(nginx_text(self.directory, ports))
        command = [self.tools.nginx, "-p", str(self.directory), "-c", str(path)]
        child = Child(command, self.load_cores, self.directory)
        _wait(lambda: child.ended or all(map(_answers, ports)), "nginx")
        if child.ended:
            raise Failure(f"nginx did not start: {child.last_words()}")
        return ports

    def load(self, *arguments: object, niceness: int = 0) -> Child:
        """Clients (see load.c) that have opened their connections and wait for a line."""
        child = Child(
            [self.tools.load, *map(str, arguments)],
            self.load_cores,
            self.directory,
            speaks=True,
            niceness=niceness,
        )
        if child.hear() != "ready":
            raise Failure("the load generator is out of order")
        return child

    def wrk(self, script: Path, port: int, connections: int, seconds: int) -> dict[str, float]:
        """Runs to its end; the result as heads.LUA prints it."""
        command = [self.tools.wrk, "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"]
        child = Child(
            [*command, "-s", str(script), f"http://{LOOPBACK}:{port}"],
            self.load_cores,
            self.directory,
            speaks=True,
        )
        try:
            while not (line := child.hear()).startswith("{"):
                pass
        finally:
            child.stop()
        result: dict[str, float] = json.loads(line)
        return result

    def start(self, contender: Contender, services: Iterable[Service]) -> Proxy:
        """The proxy, with its servers up."""
        directory = Path(mkdtemp(prefix="proxy-", dir=self.directory))
        services = list(services)
        *ports, statistics_port = free_ports(len(services) + 1)
        own = [evolve(each, port=port) for each, port in zip(services, ports, strict=True)]
        setting = Setting(own, statistics_port, directory, contender.threads)
        child = Child(
            self._command(contender, setting),
            self.available[: contender.threads],
            directory,
            environment=self.tools.environment,
        )
        proxy = Proxy(contender, setting, child)
        _wait(proxy.servers_up, contender.name)
        return proxy

    def _command(self, contender: Contender, setting: Setting) -> list[str]:
        if contender.program == PORTFORWARD:
            return [
                sys.executable,
                str(SOURCES / "portforward.py"),
                *portforward_arguments(setting),
            ]
        if contender.program == HAPROXY:
            path = setting.directory / "haproxy.cfg"
            path.write_text(haproxy_text(setting))
            return [self.tools.haproxy, "-db", "-f", str(path)]
        path = setting.directory / "vipproxy.ini"
        path.write_text(vipproxy_text(setting))
        return [sys.executable, "-m", "vipproxy", "run", str(path)]


def available_cores() -> list[int]:
    return sorted(os.sched_getaffinity(0))


def service(name: str, protocol: str, ports: Sequence[int]) -> Service:
    """One whose own port is chosen when a proxy starts."""
    return Service(name, protocol, 0, [Server(port) for port in ports])


def _answers(port: int) -> bool:
    try:
        socket.create_connection((LOOPBACK, port), timeout=1).close()
    except OSError:
        return False
    return True


def _wait(condition: object, name: str) -> None:
    assert callable(condition)
    limit = time.monotonic() + START_LIMIT
    while not condition():
        if time.monotonic() > limit:
            raise Failure(f"{name} was not ready after {START_LIMIT:.0f} seconds")
        time.sleep(0.05)
