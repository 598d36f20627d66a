"""What is measured on proxies that all run at once: one request after the other."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from attrs import define, field, frozen

from bench.heads import LUA, heads
from bench.processes import Child, Failure
from bench.results import Goal, Row, Sample
from bench.setting import Service
from bench.stage import PORTFORWARD, Contender, Proxy, Stage, service

MIB = 1024 * 1024
SETTLED = 0.3
"""Seconds of the unmeasured round before the first."""


class Workload:
    """One kind of work; `rows` are what it contributes to the table."""

    rows: Sequence[Row]
    cost: float
    """About how many seconds one measurement takes."""

    def plays(self, contender: Contender) -> bool:
        """Whether this proxy can do it."""
        return True

    def prepare(self, crew: Crew) -> None:
        """Once, before the first round."""

    def measure(self, crew: Crew, contender: Contender) -> Mapping[str, Sample]:
        """One sample for each row, by its key."""
        raise NotImplementedError

    def clear(self) -> None:
        """Once, after the last round."""


@define
class Crew:
    """The proxies that run all the time, with the servers that they share."""

    stage: Stage
    contenders: Sequence[Contender]
    proxies: dict[Contender, Proxy] = field(factory=dict, init=False)
    _children: list[Child] = field(factory=list, init=False)

    def start(self) -> None:
        services = self._services()
        for each in self.contenders:
            self.proxies[each] = self.stage.start(each, services)

    def stop(self) -> None:
        for each in self.proxies.values():
            each.stop()
        for child in self._children:
            child.stop()

    def ask(self, contender: Contender, target: str, arguments: Sequence[object]) -> Sample:
        """One run of the load generator: its result, with what the proxy has used meanwhile."""
        proxy = self.proxies[contender]
        child = self.stage.load("--port", proxy.port(target), *arguments)
        try:
            before = proxy.usage()
            child.tell("go")
            result = result_of(child)
            after = proxy.usage()
        finally:
            child.stop()
        return sample(result, after.cpu - before.cpu, after.resident)

    def _services(self) -> list[Service]:
        kinds = ("reply", "once", "mysql", "amqp")
        child, ports = self.stage.origin(*(kind for kind in kinds for _ in range(2)))
        self._children.append(child)
        return [
            service("reply", "tcp", ports[0:2]),
            service("once", "tcp", ports[2:4]),
            service("mysql", "mysql", ports[4:6]),
            service("amqp", "tcp", ports[6:8]),
            service("http", "http", self.stage.nginx()),
        ]


def result_of(child: Child) -> Mapping[str, float]:
    """What a load generator prints at its end; raises Failure where answers were missing."""
    result: Mapping[str, float] = json.loads(child.hear())
    if result["errors"] or not result["operations"]:
        raise Failure(f"{result['errors']:.0f} connections failed: {child.last_words()}")
    return result


def sample(result: Mapping[str, float], cpu: float, resident: int) -> dict[str, float]:
    """`value` is the CPU time of an operation, in microseconds."""
    return {
        "value": cpu / result["operations"] * 1e6,
        "rate": result["operations"] / result["seconds"],
        "p50": result["p50"],
        "p99": result["p99"],
        "resident": resident / MIB,
        "busy": cpu / result["seconds"],
    }


@frozen
class Ask(Workload):
    """A closed loop of the load generator through one service."""

    key: str
    title: str
    service: str
    arguments: Sequence[object]
    goal: Goal | None = None
    seconds: float = 1.0
    unit: str = "µs CPU"
    scale: float = 1.0
    """From microseconds of an operation to `unit`."""
    rows: Sequence[Row] = field(init=False)

    @rows.default
    def _rows(self) -> list[Row]:
        return [Row(self.key, self.title, self.unit, self.goal)]

    @property
    def cost(self) -> float:  # type: ignore[override]
        return self.seconds + 0.3

    def prepare(self, crew: Crew) -> None:
        for each in crew.contenders:
            crew.ask(each, self.service, [*self.arguments, "--seconds", SETTLED])

    def measure(self, crew: Crew, contender: Contender) -> Mapping[str, Sample]:
        arguments = [*self.arguments, "--seconds", self.seconds]
        found = crew.ask(contender, self.service, arguments)
        return {self.key: {**found, "value": found["value"] * self.scale}}


@define
class Http(Workload):
    """wrk, with half of the requests carrying the cookie."""

    key: str
    title: str
    goal: Goal
    close: bool = False
    seconds: int = 1
    rows: Sequence[Row] = field(init=False)
    _script: Path | None = field(default=None, init=False)

    @rows.default
    def _rows(self) -> list[Row]:
        return [Row(self.key, self.title, "µs CPU", self.goal)]

    @property
    def cost(self) -> float:  # type: ignore[override]
        return self.seconds + 0.4

    def plays(self, contender: Contender) -> bool:
        return contender.program != PORTFORWARD

    def prepare(self, crew: Crew) -> None:
        path = write_heads(crew.stage, self.key, close=self.close)
        self._script = path.with_suffix(".lua")
        self._script.write_text(LUA.format(path=path))

    def measure(self, crew: Crew, contender: Contender) -> Mapping[str, Sample]:
        assert self._script is not None
        proxy = crew.proxies[contender]
        before = proxy.usage()
        result = crew.stage.wrk(self._script, proxy.port("http"), 64, self.seconds)
        after = proxy.usage()
        if result["errors"] or not result["operations"]:
            raise Failure(f"wrk counts {result['errors']} errors")
        return {self.key: sample(result, after.cpu - before.cpu, after.resident)}


@define
class Latency(Workload):
    """An open loop at a rate that is half of what the slower of the proxies can do."""

    key: str
    title: str
    service: str
    arguments: Sequence[object]
    goal: Goal
    seconds: float = 2.0
    rows: Sequence[Row] = field(init=False)
    _rate: float = field(default=0.0, init=False)

    @rows.default
    def _rows(self) -> list[Row]:
        return [Row(self.key, self.title, "µs p99", self.goal)]

    @property
    def cost(self) -> float:  # type: ignore[override]
        return self.seconds + 0.4

    def plays(self, contender: Contender) -> bool:
        return contender.program != PORTFORWARD or self.service != "http"

    def prepare(self, crew: Crew) -> None:
        if self.service == "http":
            self.arguments = [*self.arguments, "--heads", write_heads(crew.stage, self.key)]
        capacities = [
            crew.ask(each, self.service, [*self.arguments, "--seconds", 2 * SETTLED])["rate"]
            for each in crew.contenders
            if each.program != PORTFORWARD
        ]
        self._rate = min(capacities) / 2

    def measure(self, crew: Crew, contender: Contender) -> Mapping[str, Sample]:
        pace = ["--seconds", self.seconds, "--rate", round(self._rate)]
        found = crew.ask(contender, self.service, [*self.arguments, *pace])
        return {self.key: {**found, "value": found["p99"]}}


def write_heads(stage: Stage, key: str, *, close: bool = False) -> Path:
    path = stage.directory / f"{key}.heads"
    path.write_bytes(heads(close=close).encode())
    return path
