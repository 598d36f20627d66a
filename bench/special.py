"""What is measured on proxies of its own: many idle sessions, many checks, fairness."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise

from attrs import define, field

from bench.processes import Child
from bench.results import AT_MOST, DIFFERENCE, Goal, Row, Sample
from bench.setting import Server, Service
from bench.stage import PORTFORWARD, Contender, Proxy, service
from bench.workloads import MIB, Crew, Workload, result_of

RESERVED = 400
"""Descriptors of a proxy that are not for sessions."""


def idle_sessions(descriptors: int, *, quick: bool) -> int:
    """10,000, or what the limit of descriptors allows: a session has two."""
    return min(2_000 if quick else 10_000, (descriptors - RESERVED) // 2)


@define
class Idle(Workload):
    """Sessions that have exchanged a request and a reply, and then say nothing."""

    sessions: int
    seconds: float = 3.0
    rows: Sequence[Row] = field(init=False)
    cost: float = field(default=8.0, init=False)
    _origin: tuple[Child, list[int]] | None = field(default=None, init=False)

    @rows.default
    def _rows(self) -> list[Row]:
        idle = f"{self.sessions:,} idle TCP sessions"
        return [
            Row("idle-memory", f"{idle}: memory of one", "KiB", Goal(1.0, 0.7)),
            Row("idle-wakeups", f"{idle}: wake-ups", "a second"),
        ]

    def prepare(self, crew: Crew) -> None:
        self._origin = crew.stage.origin("reply", "reply")

    def measure(self, crew: Crew, contender: Contender) -> Mapping[str, Sample]:
        assert self._origin is not None
        proxy = crew.stage.start(contender, [service("idle", "tcp", self._origin[1])])
        try:
            empty = proxy.usage().resident
            child = crew.stage.load("--port", proxy.port("idle"), "--connections", self.sessions)
            time.sleep(0.5)
            before = proxy.usage()
            time.sleep(self.seconds)
            after = proxy.usage()
            child.stop()
        finally:
            proxy.stop()
        resident = {"resident": after.resident / MIB}
        wakeups = (after.switches - before.switches) / self.seconds
        return {
            "idle-memory": {"value": (after.resident - empty) / self.sessions / 1024, **resident},
            "idle-wakeups": {"value": wakeups, **resident},
        }

    def clear(self) -> None:
        if self._origin is not None:
            self._origin[0].stop()


@define
class Checks(Workload):
    """A backend of 500 servers, each checked every second."""

    check: str
    seconds: float = 3.0
    servers: int = 500
    rows: Sequence[Row] = field(init=False)
    cost: float = field(default=3.1, init=False)
    _origin: Child | None = field(default=None, init=False)
    _proxies: dict[Contender, Proxy] = field(factory=dict, init=False)

    @rows.default
    def _rows(self) -> list[Row]:
        title = f"{self.servers} servers, {self.check.upper()} checks every second"
        return [Row(f"checks-{self.check}", title, "ms CPU a second")]

    def plays(self, contender: Contender) -> bool:
        return contender.program != PORTFORWARD

    def prepare(self, crew: Crew) -> None:
        self._origin, ports = crew.stage.origin(*["note"] * self.servers)
        servers = [Server(port) for port in ports]
        many = Service("many", "tcp", 0, servers, self.check, "1s")
        for each in filter(self.plays, crew.contenders):
            self._proxies[each] = crew.stage.start(each, [many])
        time.sleep(1)

    def measure(self, crew: Crew, contender: Contender) -> Mapping[str, Sample]:
        proxy = self._proxies[contender]
        before = proxy.usage()
        time.sleep(self.seconds)
        after = proxy.usage()
        cpu = (after.cpu - before.cpu) / self.seconds
        return {self.rows[0].key: {"value": cpu * 1000, "resident": after.resident / MIB}}

    def clear(self) -> None:
        for proxy in self._proxies.values():
            proxy.stop()
        if self._origin is not None:
            self._origin.stop()


@define
class Fairness(Workload):
    """Modest clients, HTTP checks and the statistics page beside four streams that saturate.

    Streams and their servers run with a lower priority than the modest clients and theirs, so
    that they stand in each other's way in the proxy alone. (A TCP check of HAProxy's is reset
    before its server can see it: what comes is noted of HTTP checks.)
    """

    seconds: float = 3.0
    interval: float = 0.5
    """Of the checks, in seconds."""
    rate: int = 200
    """Requests a second of the modest clients."""
    pages: int = 5
    rows: Sequence[Row] = field(init=False)
    cost: float = field(default=5.0, init=False)
    _origins: list[Child] = field(factory=list, init=False)
    _proxies: dict[Contender, tuple[Proxy, Child]] = field(factory=dict, init=False)

    @rows.default
    def _rows(self) -> list[Row]:
        beside = "beside 4 saturating streams"
        return [
            Row("fair-p99", f"p99 of TCP requests {beside}", "µs p99", Goal(1.0)),
            Row("fair-checks", f"checks {beside}: off interval", "%", Goal(10, None, AT_MOST)),
            Row("fair-page", f"statistics page {beside}", "ms", Goal(100, None, DIFFERENCE)),
        ]

    def plays(self, contender: Contender) -> bool:
        return contender.program != PORTFORWARD

    def prepare(self, crew: Crew) -> None:
        streams, stream_ports = crew.stage.origin("reply", "reply", niceness=10)
        replies, reply_ports = crew.stage.origin("reply", "reply")
        self._origins = [streams, replies]
        for each in filter(self.plays, crew.contenders):
            notes, note_ports = crew.stage.origin("note", "note")
            pairs = zip(reply_ports, note_ports, strict=True)
            modest = [Server(port, check_port) for port, check_port in pairs]
            services = [
                service("stream", "tcp", stream_ports),
                Service("modest", "tcp", 0, modest, "http", f"{self.interval * 1000:.0f}ms"),
            ]
            self._proxies[each] = crew.stage.start(each, services), notes

    def measure(self, crew: Crew, contender: Contender) -> Mapping[str, Sample]:
        proxy, notes = self._proxies[contender]
        streams = crew.stage.load(
            "--port", proxy.port("stream"), "--connections", 4, "--reply", 16 * MIB,
            "--seconds", self.seconds + 1, niceness=10,
        )  # fmt: skip
        modest = crew.stage.load(
            "--port", proxy.port("modest"), "--connections", 8,
            "--rate", self.rate, "--seconds", self.seconds,
        )  # fmt: skip
        try:
            return self._beside(streams, modest, proxy, notes)
        finally:
            modest.stop()
            streams.stop()

    def _beside(
        self, streams: Child, modest: Child, proxy: Proxy, notes: Child
    ) -> Mapping[str, Sample]:
        streams.tell("go")
        time.sleep(0.5)
        noted(notes)
        modest.tell("go")
        page = self._page(proxy)
        found = result_of(modest)
        times = noted(notes)
        rate = result_of(streams)
        return {
            "fair-p99": {**found, "value": found["p99"]},
            "fair-checks": {"value": off_interval(times, self.interval) * 100},
            "fair-page": {"value": page * 1000, "rate": rate["operations"] / rate["seconds"]},
        }

    def _page(self, proxy: Proxy) -> float:
        """Seconds of the slowest of several."""
        slowest = 0.0
        for _ in range(self.pages):
            start = time.monotonic()
            proxy.statistics()
            slowest = max(slowest, time.monotonic() - start)
            time.sleep(self.seconds / self.pages / 2)
        return slowest

    def clear(self) -> None:
        for proxy, notes in self._proxies.values():
            proxy.stop()
            notes.stop()
        for origin in self._origins:
            origin.stop()


def noted(origin: Child) -> list[list[float]]:
    """When clients came since the last call, in seconds, a list for each listener."""
    origin.tell("report")
    times: list[list[float]] = json.loads(origin.hear())
    return times


def off_interval(times: Sequence[Sequence[float]], interval: float) -> float:
    """The largest deviation from the interval, as a share of it; 1 where checks did not come."""
    gaps = [later - earlier for each in times for earlier, later in pairwise(each)]
    return max((abs(gap / interval - 1) for gap in gaps), default=1.0)
