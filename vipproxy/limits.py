"""What the process can hold: file descriptors, and so sessions."""

from __future__ import annotations

import gc
import resource
from collections.abc import Callable

from attrs import define
from twisted.logger import Logger

log = Logger()

RESERVED = 100
"""Descriptors for listeners, checks, logs and the statistics."""
COLLECTOR_THRESHOLDS = (50_000, 10, 10)


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

    def set_descriptors(self, descriptors: int, maxconn: int | None = None) -> None:
        """A session has two; there are never more than `maxconn`, where that is given."""
        self.limit = max(1, (descriptors - RESERVED) // 2)
        if maxconn is not None:
            self.limit = min(self.limit, maxconn)

    @property
    def room(self) -> int:
        """Sessions that may still be opened; none where it is not positive."""
        return self.limit - self.open

    def closed(self) -> None:
        """A session has ended; every end passes through here, so none can miss the limit."""
        was_open = self.open
        self.open = was_open - 1
        if was_open == self.limit:
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


def spare_the_collector() -> None:
    """What is here now stays, and sessions are freed without the collector: it need not look at
    the first, and seldom for the second."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTOR_THRESHOLDS)
