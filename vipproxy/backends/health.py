"""The ledger of one server's checks: pure bookkeeping, without time or I/O."""

from __future__ import annotations

from attrs import define


@define
class Ledger:
    """HAProxy's health counter: 0 to rise + fall - 1, up from `rise` on (manual, `rise`).

    A server that has not been judged yet is down, one pass below `rise`.
    """

    rise: int
    fall: int
    health: int = 0
    judged: bool = False

    @classmethod
    def starting(cls, rise: int, fall: int, up: bool) -> Ledger:
        """A new ledger: down until the first pass, or up, as HAProxy starts, until a failure."""
        return cls(rise, fall, health=rise if up else rise - 1, judged=up)

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

    def observe(self, passed: bool) -> bool:
        """Write down one check; True when that is a verdict: a flip, or the first."""
        before = (self.judged, self.up)
        self.judged = True
        if passed:
            self.health += 1
            if self.up:
                self.health = self.highest
        else:
            self.health -= 1
            if not self.up:
                self.health = 0
        return (self.judged, self.up) != before

    def __str__(self) -> str:
        """HAProxy's status: UP, UP 1/3, DOWN or DOWN 1/2."""
        if self.up:
            left = self.health - self.rise + 1
            return "UP" if left == self.fall else f"UP {left}/{self.fall}"
        return f"DOWN {self.health}/{self.rise}" if self.health else "DOWN"
