"""The dates that a persistence cookie bears for `maxidle` and `maxlife`, as HAProxy writes them.

``NAME=VALUE|LAST|FIRST``: five characters of base64 each, for a number of four-second steps since
1970.
"""

from __future__ import annotations

import string

from attrs import frozen

from vipproxy.config.cookie_options import CookieOptions

_DIGITS = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"
_VALUES = {ord(digit): value for value, digit in enumerate(_DIGITS)}
_STEP = 4
_SIZE = 5
FAR_FUTURE = 86400
"""Seconds ahead of us at which a clock is not wrong by its time zone any more."""


@frozen
class CookieDates:
    """When a cookie was set last, and first, in seconds since 1970; 0 where it does not say."""

    last: int
    first: int

    @classmethod
    def parse(cls, text: bytes) -> CookieDates | None:
        """The dates after a cookie's value; None where there are none."""
        _, last, *rest = text.split(b"|", 2)
        dates = cls(_decoded(last), _decoded(rest[0]) if rest else 0)
        return dates if dates.last or dates.first else None

    def expired(self, now: float, options: CookieOptions) -> bool:
        """Whether the cookie counts no more."""
        return self.outlived(now, options) or _is_past(self.last, options.maxidle, now)

    def outlived(self, now: float, options: CookieOptions) -> bool:
        """Whether it is older than `maxlife`."""
        return _is_past(self.first, options.maxlife, now)


NO_DATES = CookieDates(0, 0)


def stamps(now: float, first: int, options: CookieOptions) -> bytes:
    """What is put after a server's value; `first` is when the cookie was first set, or 0."""
    today = _encoded(int(now) + _STEP - 1)
    if options.maxlife is None:
        return b"|" + today
    return b"|%b|%b" % (today, _encoded(first) if first else today)


def _is_past(date: int, limit: float | None, now: float) -> bool:
    if not date or limit is None:
        return False
    age = int(now) - date
    return age > limit or -age > FAR_FUTURE


def _encoded(seconds: int) -> bytes:
    steps = seconds // _STEP
    return "".join(_DIGITS[steps >> shift & 63] for shift in (24, 18, 12, 6, 0)).encode()


def _decoded(text: bytes) -> int:
    """0 for what is not a date; what follows the five characters is not looked at."""
    if len(text) < _SIZE:
        return 0
    steps = 0
    for digit in text[:_SIZE]:
        value = _VALUES.get(digit)
        if value is None:
            return 0
        steps = steps << 6 | value
    return steps * _STEP
