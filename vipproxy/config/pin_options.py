"""``stick = dst`` and ``fail-back = idle``: who stays on which server, and who returns."""

from __future__ import annotations

from attrs import frozen

from vipproxy.config.declare import option
from vipproxy.config.kinds import DURATION, choice, integer


@frozen
class StickOptions:
    """``stick = dst size=2``: clients with one key stay on one server."""

    key: str = option(
        choice("dst", "src"),
        positional=True,
        help="the client's address, or the one it called",
        haproxy="stick on",
    )
    size: int = option(
        integer(1, 100_000_000), default=100_000, help="entries at most", haproxy="stick-table"
    )
    expire: float | None = option(
        DURATION, default=None, help="an entry not used for so long is dropped; by default never"
    )


@frozen
class FailBackOptions:
    """``fail-back = never``, ``idle`` or ``after=10m``: may a pin return to a better server?"""

    when: str | None = option(
        choice("never", "idle"),
        positional=True,
        default=None,
        help="never, or as soon as no session uses the pin",
    )
    after: float | None = option(
        DURATION,
        default=None,
        help="when the better server has been up for so long; sessions are shut down first",
    )

    def __attrs_post_init__(self) -> None:
        if (self.when is None) == (self.after is None):
            raise ValueError("'fail-back' is never, idle, or after=DURATION")
