"""Idle timeouts in buckets: thousands of sessions share a few delayed calls.

txaio's batched timer is not used: it rounds to whole seconds.
"""

from __future__ import annotations

import math
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

BUCKETS_PER_LIMIT = 64


class Idler(Protocol):
    """Something that ends when it has been idle for too long."""

    last_active: float
    """The clock's seconds at the last traffic; its owner just writes it."""
    idle_limit: float
    """Seconds."""

    def idle_expired(self) -> None:
        """Nothing has moved for `idle_limit` seconds."""


Bucket = tuple[float, int]
"""A width in seconds, and the number of the bucket of that width."""


class IdleTimer:
    """Watches idlers; traffic itself costs nothing here.

    An idler that was active meanwhile moves to a later bucket when its own comes up, so each is
    looked at about once an idle limit. Expiry is late by up to a 64th of the limit.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._buckets: dict[Bucket, set[Idler]] = {}
        self._calls: dict[Bucket, IDelayedCall] = {}
        self._bucket_of: dict[Idler, Bucket] = {}

    def watch(self, idler: Idler) -> None:
        """Begin to watch, counting from the idler's `last_active`."""
        width = idler.idle_limit / BUCKETS_PER_LIMIT
        bucket = (width, math.ceil((idler.last_active + idler.idle_limit) / width))
        if bucket not in self._buckets:
            self._buckets[bucket] = set()
            delay = max(0.0, bucket[1] * width - self._clock.seconds())
            self._calls[bucket] = self._clock.callLater(delay, self._due, bucket)
        self._buckets[bucket].add(idler)
        self._bucket_of[idler] = bucket

    def forget(self, idler: Idler) -> None:
        """Watch it no longer. Harmless where it is not watched."""
        bucket = self._bucket_of.pop(idler, None)
        if bucket in self._buckets:  # not the one that is due just now
            self._buckets[bucket].discard(idler)

    def stop(self) -> None:
        """Forget all, and leave nothing with the clock."""
        for call in self._calls.values():
            call.cancel()
        self._buckets.clear()
        self._calls.clear()
        self._bucket_of.clear()

    def _due(self, bucket: Bucket) -> None:
        now = self._clock.seconds()
        del self._calls[bucket]
        for idler in self._buckets.pop(bucket):
            if self._bucket_of.get(idler) != bucket:
                continue  # forgotten by one that expired before it
            del self._bucket_of[idler]
            if idler.last_active + idler.idle_limit <= now:
                idler.idle_expired()
            else:
                self.watch(idler)
