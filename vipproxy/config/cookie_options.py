"""``cookie = NAME ...``: what a backend's persistence cookie is like."""

from __future__ import annotations

from attrs import frozen

from vipproxy.config.declare import option
from vipproxy.config.http_kinds import ATTRIBUTE, DOMAIN, TOKEN
from vipproxy.config.kinds import DURATION, FLAG_WORD, Repeated

MODES = ("insert", "prefix", "rewrite")

OF_INSERTION = ("nocache", "httponly", "secure", "domain", "maxidle", "maxlife", "attr")
"""What is said of cookies that the proxy itself sets."""


@frozen
class CookieOptions:
    """``cookie = SERVERID insert indirect nocache``"""

    name: str = option(TOKEN, positional=True, help="the cookie's name")
    insert: bool = option(FLAG_WORD, default=False, help="the proxy sets the cookie itself")
    prefix: bool = option(
        FLAG_WORD, default=False, help="the server's value is put before the application's cookie"
    )
    rewrite: bool = option(
        FLAG_WORD, default=False, help="the server's value replaces the application's cookie"
    )
    indirect: bool = option(
        FLAG_WORD,
        default=False,
        help="with insert, servers do not see the cookie; whoever has a good one gets no other",
    )
    nocache: bool = option(FLAG_WORD, default=False, help="answers with it are not cacheable")
    preserve: bool = option(
        FLAG_WORD, default=False, help="where the server sets the cookie, that one passes"
    )
    httponly: bool = option(FLAG_WORD, default=False, help="scripts do not see it: HttpOnly")
    secure: bool = option(FLAG_WORD, default=False, help="it is sent over TLS alone: Secure")
    domain: tuple[str, ...] = option(
        Repeated(DOMAIN), default=(), help="the domain that it is for; may be repeated"
    )
    maxidle: float | None = option(
        DURATION, default=None, help="a cookie not used for so long counts no more"
    )
    maxlife: float | None = option(
        DURATION, default=None, help="a cookie that was set so long ago counts no more"
    )
    attr: tuple[str, ...] = option(
        Repeated(ATTRIBUTE), default=(), help="such as SameSite=Lax; may be repeated"
    )

    def __attrs_post_init__(self) -> None:
        modes = [mode for mode in MODES if getattr(self, mode)]
        if len(modes) > 1:
            raise ValueError(f"a cookie cannot be both '{modes[0]}' and '{modes[1]}'")
        if self.rewrite and self.indirect:
            raise ValueError("'indirect' would remove the cookie that 'rewrite' needs")
        if self.preserve and not (self.insert or self.indirect):
            raise ValueError("'preserve' needs 'insert' or 'indirect'")
        for word in OF_INSERTION:
            if getattr(self, word) and not self.insert:
                raise ValueError(f"'{word}' of a cookie has no effect without 'insert'")
