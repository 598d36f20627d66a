"""How long something has been up or down: kept for servers and for whole pools."""

from __future__ import annotations

from attrs import define


@define
class Availability:
    """Times are seconds of one clock."""

    changed_at: float
    up: bool
    times_down: int = 0
    _downtime: float = 0.0

    def update(self, up: bool, now: float) -> None:
        """Note whether it is up now; harmless where that is no news."""
        if up == self.up:
            return
        if up:
            self._downtime += now - self.changed_at
        else:
            self.times_down += 1
        self.up, self.changed_at = up, now

    def downtime_at(self, now: float) -> float:
        """Seconds spent down, in all."""
        return self._downtime + (0.0 if self.up else now - self.changed_at)
