"""The ledger of one server's checks: pure bookkeeping; the time is told, not asked."""

from __future__ import annotations

from collections import deque

from attrs import define, field

FLAPS = 3
"""A server that went down so often..."""
FLAP_WINDOW = 60.0
"""...in so many seconds is flapping."""


@define
class Ledger:
    """HAProxy's health counter: 0 to rise + fall - 1, up from `rise` on (manual, `rise`).

    A server that has not been judged yet is down, one pass below `rise`. One that flaps must not
    only pass `rise` times, but pass for `hold_down` seconds.
    """

    rise: int
    fall: int
    health: int = 0
    judged: bool = False
    hold_down: float = 0.0
    _falls: deque[float] = field(factory=lambda: deque(maxlen=FLAPS))
    _passing_since: float | None = None

    @classmethod
    def starting(cls, rise: int, fall: int, up: bool, hold_down: float = 0.0) -> Ledger:
        """A new ledger: down until the first pass, or up, as HAProxy starts, until a failure."""
        return cls(rise, fall, rise if up else rise - 1, judged=up, hold_down=hold_down)

    @property
    def highest(self) -> int:
        return self.rise + self.fall - 1

    @property
    def up(self) -> bool:
        return self.health >= self.rise

    @property
    def settled(self) -> bool:
        """No verdict is in the making."""
        return self.health in (0, self.highest)

    def set(self, up: bool) -> None:
        """The operator says so; the next check may say otherwise."""
        self.health, self.judged = self.highest if up else 0, True
        self._passing_since = None

    def flapping(self, now: float) -> bool:
        """It went down three times within a minute."""
        return len(self._falls) == FLAPS and self._falls[0] > now - FLAP_WINDOW

    def observe(self, passed: bool, now: float = 0.0, conclusive: bool = False) -> bool:
        """Write down one check; True when that is a verdict: a flip, or the first.

        A conclusive failure needs no others to take the server down.
        """
        if conclusive and not passed:
            self.health = min(self.health, self.rise)
        before = (self.judged, self.up)
        self.judged = True
        if passed:
            self._passed(now)
        else:
            self._failed(now)
        return (self.judged, self.up) != before

    def _passed(self, now: float) -> None:
        if self._passing_since is None:
            self._passing_since = now
        held = self.flapping(now) and now - self._passing_since < self.hold_down
        if not self.up and held:
            self.health = min(self.health + 1, self.rise - 1)
            return
        self.health += 1
        if self.up:
            self.health = self.highest

    def _failed(self, now: float) -> None:
        self._passing_since = None
        was_up = self.up
        self.health -= 1
        if not self.up:
            self.health = 0
            if was_up:
                self._falls.append(now)

    def __str__(self) -> str:
        """HAProxy's status: UP, UP 1/3, DOWN or DOWN 1/2."""
        if self.up:
            left = self.health - self.rise + 1
            return "UP" if left == self.fall else f"UP {left}/{self.fall}"
        return f"DOWN {self.health}/{self.rise}" if self.health else "DOWN"
