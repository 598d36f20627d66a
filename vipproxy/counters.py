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
    _highest: int = 0
    """Of the periods before."""
    _forgotten: int = 0
    """Of this period's count: what does not count as its highest."""

    def add(self, now: float) -> None:
        if not self.period <= now < self.period + 1:
            self._roll(int(now))
        self.count += 1

    def per_second(self, now: float) -> int:
        if not self.period <= now < self.period + 1:
            self._roll(int(now))
        return self.count + int(self.previous * (1.0 - now % 1.0))

    @property
    def highest(self) -> int:
        return max(self._highest, self.count - self._forgotten)

    def forget_highest(self) -> None:
        self._highest, self._forgotten = 0, self.count

    def _roll(self, period: int) -> None:
        self._highest = self.highest
        self.previous = self.count if period == self.period + 1 else 0
        self.count, self.period, self._forgotten = 0, period, 0


Times = tuple[float, float, float, float]
"""Seconds of one session: in queues, connecting, until the answer, in all."""

SAMPLES = 512
"""Sessions that an average is about: HAProxy's `TIME_STATS_SAMPLES`, for "the last 1024"."""
BATCH = 128
"""So many are put into the averages at once, which costs a session next to nothing."""


@define
class Timing:
    """Moving averages and maxima of what sessions took: HAProxy's `qtime` to `ttime_max`."""

    count: int = 0
    averages: list[float] = Factory(lambda: [0.0] * 4)
    highest: list[float] = Factory(lambda: [0.0] * 4)
    _news: list[Times] = Factory(list)

    def add(self, times: Times) -> None:
        news = self._news
        news.append(times)
        if len(news) >= BATCH:
            self.settle()

    def settle(self) -> None:
        """Take in what is new; averages and maxima are as good as their last `settle`.

        Up to `SAMPLES` sessions it is the plain mean, from then on older ones fade.
        """
        number = len(self._news)
        if not number:
            return
        self.count += number
        weight = max(number / self.count, 1.0 - (1.0 - 1.0 / SAMPLES) ** number)
        for at, column in enumerate(zip(*self._news, strict=True)):
            self.averages[at] += (sum(column) / number - self.averages[at]) * weight
            self.highest[at] = max(self.highest[at], *column)
        self._news.clear()

    @classmethod
    def joined(cls, parts: Iterable[Timing]) -> Timing:
        """What the parts, which must be settled, amount to together."""
        whole = cls()
        for part in parts:
            whole.count += part.count
            share = part.count / whole.count if part.count else 0.0
            for at in range(len(whole.averages)):
                whole.averages[at] += (part.averages[at] - whole.averages[at]) * share
            whole.highest = [max(pair) for pair in zip(whole.highest, part.highest, strict=True)]
        return whole


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


_NOW = frozenset({"sessions", "session_rate", "request_rate"})
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
    """Connections to a server that are kept for others, now; in snapshots alone, as the next."""
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
    timing: Timing = Factory(Timing)

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
        self.session_rate.forget_highest()
        self.request_rate.forget_highest()
        self.timing.settle()
        self.timing.highest = [0.0] * len(self.timing.highest)

    def copy(self) -> Counters:
        """An independent copy, for a snapshot."""
        self.timing.settle()
        return copy.deepcopy(self)
