"""The idle timer: nobody ends early, nobody is forgotten, nothing stays with the clock."""

from __future__ import annotations

from typing import Any

from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from vipproxy.timers import BUCKETS_PER_LIMIT, IdleTimer


@define(eq=False)
class Idler:
    clock: Clock
    idle_limit: float
    last_active: float = 0.0
    expired: list[float] = field(factory=list)
    on_expiry: Any = None

    def idle_expired(self) -> None:
        self.expired.append(self.clock.seconds())
        if self.on_expiry is not None:
            self.on_expiry()


class IdleTimers(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.timer = IdleTimer(self.clock)

    def idler(self, limit: float = 64.0) -> Idler:
        idler = Idler(self.clock, limit, self.clock.seconds())
        self.timer.watch(idler)
        return idler

    @settings(deadline=None)
    @given(
        st.lists(st.floats(min_value=0, max_value=5), min_size=1, max_size=20),
        st.floats(min_value=0.001, max_value=10),
        st.floats(min_value=0, max_value=1e9),
    )
    def test_expiry(self, pauses: list[float], limit: float, start: float) -> None:
        """However active: it ends once, not before its limit and at most a 64th later."""
        clock = Clock()
        clock.advance(start)
        timer = IdleTimer(clock)
        idler = Idler(clock, limit, clock.seconds())
        timer.watch(idler)
        for pause in pauses:
            clock.advance(pause)
            if idler.expired:
                break
            idler.last_active = clock.seconds()
        grain = 1e-6
        while clock.getDelayedCalls() and not idler.expired:
            next_call = min(call.getTime() for call in clock.getDelayedCalls())
            clock.advance(max(next_call - clock.seconds(), grain))
        (at,) = idler.expired
        self.assertTrue(at - idler.last_active >= limit - grain)
        self.assertEqual(clock.getDelayedCalls(), [])

    def test_late_by_a_64th(self) -> None:
        """Expiry is late by no more than a 64th of the limit."""
        idler = self.idler(64.0)
        self.clock.advance(63.9)
        self.assertEqual(idler.expired, [])
        self.clock.advance(64.0 / BUCKETS_PER_LIMIT + 0.1)
        self.assertEqual(len(idler.expired), 1)

    def test_a_call_that_comes_early(self) -> None:
        """A clock that rounds, and calls a hair too early, does not make it immortal."""
        clock = Clock()
        timer = IdleTimer(clock)
        idler = Idler(clock, 64.0)
        timer.watch(idler)
        (call,) = clock.getDelayedCalls()
        call.reset(64.0 - 1e-9)
        clock.pump([64.0 - 1e-9, 1.0])
        self.assertEqual(len(idler.expired), 1)

    def test_activity_costs_nothing(self) -> None:
        """A thousand idlers of one limit share one delayed call."""
        for _ in range(1000):
            self.idler()
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)

    def test_forget(self) -> None:
        """Who is forgotten does not end; a second time is harmless."""
        idler = self.idler()
        self.timer.forget(idler)
        self.timer.forget(idler)
        self.clock.advance(100)
        self.assertEqual(idler.expired, [])

    def test_one_ends_another(self) -> None:
        """An idler that ends may forget its neighbours of the same bucket, or watch new ones."""
        first, second = self.idler(), self.idler()
        first.on_expiry = lambda: self.timer.forget(second)
        second.on_expiry = lambda: self.timer.forget(first)
        self.clock.advance(65)
        self.assertEqual(len(first.expired) + len(second.expired), 1)

    def test_watched_anew_at_expiry(self) -> None:
        """An idler may be watched again from within its own expiry."""
        idler = self.idler()

        def again() -> None:
            idler.last_active = self.clock.seconds()
            self.timer.watch(idler)

        idler.on_expiry = again
        self.clock.pump([65, 65, 65])
        self.assertEqual(len(idler.expired), 3)

    def test_stop(self) -> None:
        """A stopped timer leaves the clock empty, and its idlers alone."""
        idler = self.idler()
        self.idler(3.0)
        self.timer.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.clock.advance(100)
        self.assertEqual(idler.expired, [])
