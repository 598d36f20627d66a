"""Clients that wait for a server."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field

from vipproxy.interfaces import ILeaseTaker, LeaseRequest


@define(eq=False)
class Waiter:
    """A client in want of a server. An `Idler`: it expires when it has waited too long."""

    request: LeaseRequest
    taker: ILeaseTaker
    last_active: float
    idle_limit: float
    on_expiry: Callable[[Waiter], None]
    queue: Queue | None = None
    """Where it waits now, if it does."""
    served_before: int = 0
    """What the queue had served when it came."""

    def idle_expired(self) -> None:
        self.on_expiry(self)


@define(eq=False)
class Queue:
    """In order of arrival; anyone may leave from the middle."""

    longest: int = 0
    being_served: bool = False
    served: int = 0
    """Clients that were its first when they left."""
    _waiters: dict[Waiter, None] = field(factory=dict, init=False)

    def join(self, waiter: Waiter) -> None:
        self._waiters[waiter] = None
        waiter.queue, waiter.served_before = self, self.served
        self.longest = max(self.longest, len(self._waiters))

    def leave(self, waiter: Waiter) -> int:
        """Its position, as HAProxy logs it: how many were served meanwhile, itself included."""
        first = self.first() is waiter
        del self._waiters[waiter]
        waiter.queue = None
        position = self.served - waiter.served_before + 1
        self.served += first
        return position

    def first(self) -> Waiter | None:
        return next(iter(self._waiters), None)

    def __len__(self) -> int:
        return len(self._waiters)
