"""How long a client's connection may be idle, while the limit changes with every request."""

from __future__ import annotations

from collections.abc import Callable

from vipproxy.timers import IdleTimer


class Patience:
    """One connection's idle limit, watched by the timer of all of them.

    The timer looks at us no later than at the limit that it was told, and learns of a longer
    one then: only a shorter one has to be told, and a request costs the timer nothing.
    """

    __slots__ = ("_expired", "_timer", "_watched_until", "idle_limit", "last_active", "seconds")

    def __init__(
        self, timer: IdleTimer, seconds: Callable[[], float], expired: Callable[[], None]
    ) -> None:
        self._timer, self.seconds, self._expired = timer, seconds, expired
        self._watched_until = self.last_active = self.idle_limit = 0.0

    def limit(self, seconds: float) -> None:
        """From now on, nothing may happen for so long."""
        now = self.last_active = self.seconds()
        self.idle_limit = seconds
        if now >= self._watched_until or now + seconds < self._watched_until:
            self._watched_until = now + seconds
            self._timer.forget(self)
            self._timer.watch(self)

    def touch(self) -> None:
        """Something has happened."""
        self.last_active = self.seconds()

    def exhausted(self) -> bool:
        """Nothing has happened for as long as the limit says."""
        return self.seconds() - self.last_active >= self.idle_limit

    def forget(self) -> None:
        self._timer.forget(self)

    def idle_expired(self) -> None:
        self._watched_until = 0.0
        self._expired()
