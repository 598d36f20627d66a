"""What the process can hold: file descriptors, and so sessions."""

from __future__ import annotations

import resource
from collections.abc import Callable

from attrs import Factory, define
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from vipproxy.counters import Rate

log = Logger()

RESERVED = 100
"""Descriptors for listeners, checks, logs and the statistics."""
SHORTEST_WAIT = 0.01
"""Seconds between two looks whether more clients may come."""


@define
class SessionLimit:
    """Sessions of all frontends together: beyond it clients wait in the kernel's queues.

    Without it the last descriptors would be accepted clients that no server can be found for
    (HAProxy derives its global `maxconn` in the same way).
    """

    tell_room: Callable[[], None] = lambda: None
    """Called when there was no room, and now is."""
    limit: int = 1_000_000
    open: int = 0
    ceiling: int = 1_000_000
    """What the process can hold; `limit` may be lower."""
    pace: Pace | None = None

    def set_descriptors(self, descriptors: int) -> None:
        """A session has two."""
        self.limit = self.ceiling = max(1, (descriptors - RESERVED) // 2)

    def set_limit(self, limit: int) -> None:
        """The operator wants fewer; 0 is as many as the process can hold."""
        self.limit = limit or self.ceiling
        self.tell_room()

    def set_pace(self, clock: IReactorTime, rate: int) -> None:
        """New sessions a second at most; 0 is no limit."""
        if self.pace is not None:
            self.pace.stop()
        self.pace = Pace(clock, rate, self.tell_room) if rate else None
        self.tell_room()

    @property
    def rate(self) -> int:
        """New sessions a second at most; 0 is no limit."""
        return 0 if self.pace is None else self.pace.rate

    def stop(self) -> None:
        """Leave nothing with the reactor."""
        if self.pace is not None:
            self.pace.stop()

    @property
    def room(self) -> int:
        """Sessions that may still be opened; none where it is not positive."""
        room = self.limit - self.open
        return room if self.pace is None else min(room, self.pace.room)

    def closed(self) -> None:
        """A session has ended; every end passes through here, so none can miss the limit."""
        was_open = self.open
        self.open = was_open - 1
        if was_open == self.limit:
            self.tell_room()


@define
class Pace:
    """New sessions a second, over HAProxy's sliding window; surplus clients wait."""

    clock: IReactorTime
    rate: int
    tell_room: Callable[[], None]
    _accepted: Rate = Factory(Rate)
    _wait: IDelayedCall | None = None

    @property
    def room(self) -> int:
        """Without any, `tell_room` is called when there may be some."""
        left = self.rate - self._accepted.per_second(self.clock.seconds())
        if left <= 0 and self._wait is None:
            self._wait = self.clock.callLater(max(1 / self.rate, SHORTEST_WAIT), self._over)
        return left

    def took(self, clients: int) -> None:
        now = self.clock.seconds()
        for _ in range(clients):
            self._accepted.add(now)

    def stop(self) -> None:
        if self._wait is not None:
            self._wait.cancel()
            self._wait = None

    def _over(self) -> None:
        self._wait = None
        self.tell_room()


def raise_descriptor_limit() -> int:
    """Raise the soft limit to the hard one, and return it: sessions need two sockets each."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        return soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError) as error:
        log.warn("the limit of {soft} file descriptors stays: {why}", soft=soft, why=error)
        return soft
    return hard
