"""Idle timeouts in buckets: thousands of sessions share a few delayed calls.

txaio's batched timer is not used: it rounds to whole seconds.
"""

from __future__ import annotations

import math
from typing import Protocol

from attrs import define, field
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


Key = tuple[float, int]
"""Of a bucket: a width in seconds, and a number among the buckets of that width."""


@define(eq=False)
class _Bucket:
    """Idlers that are looked at together."""

    call: IDelayedCall
    idlers: dict[Idler, None] = field(factory=dict)


class IdleTimer:
    """Watches idlers; traffic itself costs nothing here.

    An idler that was active meanwhile moves to a later bucket when its own comes up, so each is
    looked at about once an idle limit. Expiry is late by up to a 64th of the limit.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._buckets: dict[Key, _Bucket] = {}
        self._bucket_of: dict[Idler, _Bucket] = {}

    def watch(self, idler: Idler) -> None:
        """Begin to watch, counting from the idler's `last_active`."""
        width = idler.idle_limit / BUCKETS_PER_LIMIT
        number = math.ceil((idler.last_active + idler.idle_limit) / width)
        bucket = self._buckets.get((width, number)) or self._new_bucket(width, number)
        bucket.idlers[idler] = None
        self._bucket_of[idler] = bucket

    def forget(self, idler: Idler) -> None:
        """Watch it no longer. Harmless where it is not watched."""
        bucket = self._bucket_of.pop(idler, None)
        if bucket is not None:
            bucket.idlers.pop(idler, None)  # it is gone already from the one that is due just now

    def stop(self) -> None:
        """Forget all, and leave nothing with the clock."""
        for bucket in self._buckets.values():
            bucket.call.cancel()
        self._buckets.clear()
        self._bucket_of.clear()

    def _new_bucket(self, width: float, number: int) -> _Bucket:
        key = (width, number)
        delay = max(0.0, number * width - self._clock.seconds())
        bucket = self._buckets[key] = _Bucket(self._clock.callLater(delay, self._due, key))
        return bucket

    def _due(self, key: Key) -> None:
        now = self._clock.seconds()
        bucket = self._buckets.pop(key)
        idlers, bucket.idlers = bucket.idlers, {}
        for idler in idlers:
            if self._bucket_of.get(idler) is not bucket:
                continue  # forgotten by one that expired before it
            del self._bucket_of[idler]
            if idler.last_active + idler.idle_limit <= now:
                idler.idle_expired()
            else:
                self.watch(idler)
