"""Counters of frontends, backends and servers, named after what HAProxy's columns mean."""

from __future__ import annotations

import copy
from collections.abc import Iterable

from attrs import Factory, define, fields

from vipproxy import native


@define
class Traffic:
    """Bytes of one session, written by whoever moves them and readable at any time."""

    bytes_in: int = 0
    """From the client to the server."""
    bytes_out: int = 0
    """From the server to the client."""


if native.available:
    Traffic = native._engine.Traffic  # type: ignore[assignment,misc]  # its threads count, too


@define
class Rate:
    """Events in the last second: HAProxy's sliding window over two one-second periods."""

    count: int = 0
    previous: int = 0
    period: int = 0
    highest: int = 0

    def add(self, now: float) -> None:
        if int(now) != self.period:
            self._roll(int(now))
        self.count += 1
        if self.count > self.highest:
            self.highest = self.count

    def per_second(self, now: float) -> int:
        if int(now) != self.period:
            self._roll(int(now))
        return self.count + int(self.previous * (1.0 - now % 1.0))

    def _roll(self, period: int) -> None:
        self.previous = self.count if period == self.period + 1 else 0
        self.count, self.period = 0, period


@define
class Meter:
    """How fast a sum grows: between the last two looks that were a second or more apart.

    It costs nothing while nobody looks.
    """

    at: float
    total: float = 0.0
    rate: float = 0.0

    def read(self, now: float, total: float) -> float:
        """The growth in a second, after a look at the sum now."""
        elapsed = now - self.at
        if elapsed >= 1.0:
            self.rate = (total - self.total) / elapsed
            self.at, self.total = now, total
        return self.rate


OTHER = 5
"""The class of answers that are in none of HTTP's own."""
CLASS_OF_STATUS = [status // 100 - 1 if 100 <= status < 600 else OTHER for status in range(1000)]
"""0 for 1xx and so on; a status has three digits."""


_NOW = frozenset({"sessions", "idle", "idle_safe", "session_rate", "request_rate"})
"""What is so now, and no sum."""


@define
class Counters:
    """One shape for all three roles; columns that a role does not have stay zero."""

    sessions: int = 0
    """Open now."""
    sessions_max: int = 0
    sessions_total: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    denied_requests: int = 0
    denied_responses: int = 0
    denied_connections: int = 0
    """Clients that were turned away as they connected; they are no sessions."""
    request_errors: int = 0
    connect_errors: int = 0
    """Clients that got no server."""
    response_errors: int = 0
    retries: int = 0
    redispatches: int = 0
    client_aborts: int = 0
    server_aborts: int = 0
    queue_max: int = 0
    chosen: int = 0
    """Times the balancer chose it (lbtot)."""
    connects: int = 0
    """Connection attempts."""
    reuses: int = 0
    """Sessions that needed none: a connection was there."""
    internal_errors: int = 0
    idle: int = 0
    """Connections to servers that are kept for others, now."""
    idle_safe: int = 0
    """Those of them that have served more than one request."""
    shutdowns: int = 0
    """Sessions shut down because the server was marked down."""
    requests: int = 0
    intercepted: int = 0
    """Requests the proxy answered itself."""
    responses: list[int] = Factory(lambda: [0] * 6)
    """HTTP answers by class: 1xx to 5xx, then all others."""
    session_rate: Rate = Factory(Rate)
    request_rate: Rate = Factory(Rate)

    def session_opened(self, now: float) -> None:
        self.sessions += 1
        self.sessions_total += 1
        if self.sessions > self.sessions_max:
            self.sessions_max = self.sessions
        self.session_rate.add(now)

    def session_resumed(self) -> None:
        """One that was closed, and counted, goes on."""
        self.sessions += 1
        if self.sessions > self.sessions_max:
            self.sessions_max = self.sessions

    def session_closed(self, traffic: Traffic) -> None:
        self.sessions -= 1
        self.bytes_in += traffic.bytes_in
        self.bytes_out += traffic.bytes_out

    def request_received(self, now: float) -> None:
        self.requests += 1
        self.request_rate.add(now)

    def responded(self, status: int) -> None:
        self.responses[CLASS_OF_STATUS[status]] += 1

    def clear(self, everything: bool, live: Iterable[Traffic]) -> None:
        """Forget the highest values, or all but how many sessions are open.

        `live` is what open sessions have moved: it is set off, since it counts at their end.
        """
        if everything:
            fresh = Counters()
            for each in fields(Counters):
                if each.name not in _NOW:
                    setattr(self, each.name, getattr(fresh, each.name))
            for traffic in live:
                self.bytes_in -= traffic.bytes_in
                self.bytes_out -= traffic.bytes_out
        self.sessions_max = self.queue_max = 0  # as in HAProxy, whatever is open
        self.session_rate.highest = self.request_rate.highest = 0

    def copy(self) -> Counters:
        """An independent copy, for a snapshot."""
        return copy.deepcopy(self)
