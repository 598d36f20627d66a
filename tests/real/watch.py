"""Who holds client sessions, and when: asked of the servers themselves, and of the proxy."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pymysql  # type: ignore[import-untyped]
from attrs import define, evolve, field, frozen

from tests.real.galera import Node, client_sessions

PACE = 0.02
"""Seconds between two samples."""
GAP = 0.5
"""Between samples further apart (seconds) nothing is claimed: the node was frozen or dead."""
PATIENCE = 0.3

Session = tuple[str, int]
"""Node and connection id."""


@frozen
class Sample:
    """What was answered at some instant between `asked` and `answered` (time.monotonic())."""

    asked: float
    answered: float
    sessions: Mapping[int, bool]
    """By id: whether it waits for its client."""


@frozen
class Life:
    """A session was certainly there from `began` to `ended`, seen at both ends."""

    session: Session
    began: float
    ended: float
    served_until: float
    """When it last waited for its client. It may have worked off a last statement since, for a
    client that had gone: a node does not look at the socket before a commit has ended."""


def lives(node: str, samples: Iterable[Sample]) -> list[Life]:
    """The sessions of one node with the time during which each certainly lived.

    A session that is seen twice, without a gap, lived in between, because ids are never reused.
    """
    found: list[Life] = []
    alive: dict[int, Life] = {}
    before = 0.0
    for sample in samples:
        torn = sample.asked - before > GAP
        for number in list(alive):
            if torn or number not in sample.sessions:
                found.append(alive.pop(number))
        for number, idle in sample.sessions.items():
            at = sample.answered
            life = alive.get(number) or Life((node, number), began=at, ended=at, served_until=at)
            until = sample.asked if idle else life.served_until
            alive[number] = evolve(life, ended=sample.asked, served_until=until)
        before = sample.answered
    return [life for life in (*found, *alive.values()) if life.ended > life.began]


@frozen
class Moments:
    """How many of the sampled moments found two servers with client sessions."""

    two: int
    all: int

    def __str__(self) -> str:
        return f"{self.two} of {self.all}"


class Watch:
    """Samples every node's process list and the proxy's accounting, each in a thread."""

    def __init__(self, nodes: list[Node], accounting: Callable[[], Mapping[str, int]]) -> None:
        self._stop = threading.Event()
        self._servers = {node.name: _ServerWatch(node, self._stop) for node in nodes}
        self._accounting = _AccountingWatch(accounting, self._stop)
        runs = [*(watch.run for watch in self._servers.values()), self._accounting.run]
        self._threads = [threading.Thread(target=run, daemon=True) for run in runs]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def sessions(self, node: str) -> frozenset[int]:
        """The ids last seen on a node."""
        samples = self._servers[node].samples
        return frozenset(samples[-1].sessions) if samples else frozenset()

    def listed(self, since: float, ghosts: frozenset[Session] = frozenset()) -> Moments:
        """Moments at which two nodes listed sessions; `ghosts` are sessions that do not count."""
        spans = [(life.session[0], life.began, life.ended) for life in self._lives(ghosts)]
        return _moments(spans, since)

    def serving(self, since: float, ghosts: frozenset[Session] = frozenset()) -> Moments:
        """The same without sessions that only worked off their last statement."""
        spans = [(life.session[0], life.began, life.served_until) for life in self._lives(ghosts)]
        return _moments(spans, since)

    def _lives(self, ghosts: frozenset[Session]) -> list[Life]:
        return [
            life
            for node, watch in self._servers.items()
            for life in lives(node, watch.samples)
            if life.session not in ghosts
        ]

    def accounted(self, since: float) -> Moments:
        """Moments at which the proxy counted sessions on two servers."""
        samples = [counts for at, counts in self._accounting.samples if at > since]
        two = sum(sum(count > 0 for count in counts.values()) > 1 for counts in samples)
        return Moments(two, len(samples))

    def held(self, node: str, since: float) -> bool:
        """Whether the proxy counted a session on a node at any moment after `since`."""
        return any(counts[node] for at, counts in self._accounting.samples if at > since)


def _moments(spans: Sequence[tuple[str, float, float]], since: float) -> Moments:
    """Of spans of time on nodes."""
    until = max((end for _, _, end in spans), default=since)
    moments = [since + PACE * step for step in range(int(max(0.0, until - since) / PACE))]
    two = sum(len({node for node, begin, end in spans if begin <= at <= end}) > 1 for at in moments)
    return Moments(two, len(moments))


@define(eq=False)
class _ServerWatch:
    """The connection stays open, so that a sample costs the node next to nothing."""

    node: Node
    stop: threading.Event
    samples: list[Sample] = field(factory=list)
    _connection: Any = None

    def run(self) -> None:
        while not self.stop.wait(PACE):
            try:
                self._take()
            except (pymysql.err.MySQLError, OSError):
                self._connection = None  # dead or frozen

    def _take(self) -> None:
        if self._connection is None:
            self._connection = self.node.connect(PATIENCE)
        asked = time.monotonic()
        with self._connection.cursor() as cursor:
            sessions = client_sessions(cursor)
        self.samples.append(Sample(asked, time.monotonic(), sessions))


@define(eq=False)
class _AccountingWatch:
    accounting: Callable[[], Mapping[str, int]]
    stop: threading.Event
    samples: list[tuple[float, Mapping[str, int]]] = field(factory=list)

    def run(self) -> None:
        while not self.stop.wait(PACE):
            try:
                counts = self.accounting()
            except OSError:
                continue  # it is being restarted
            self.samples.append((time.monotonic(), counts))
