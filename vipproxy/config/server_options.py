"""What is said of servers, and of how they are checked."""

from __future__ import annotations

from ipaddress import ip_address

from attrs import evolve, frozen

from vipproxy.config.declare import option
from vipproxy.config.http_kinds import COOKIE_VALUE
from vipproxy.config.kinds import (
    ADDRESS,
    DURATION,
    FLAG,
    FLAG_WORD,
    PAUSE,
    Kind,
    choice,
    integer,
    simple,
)
from vipproxy.values import Address

HOST: Kind[str] = simple("ADDRESS", lambda text: str(ip_address(text)))

OF_CHECKS = ("interval", "fastinter", "downinter", "rise", "fall")
"""What a server may say for itself of CheckOptions."""


@frozen
class CheckOptions:
    """``check = NAME interval=1s rise=2 fall=3``: pace and judgement, whatever is probed."""

    interval: float = option(
        DURATION,
        default=2.0,
        help="from the end of a check to the start of the next",
        haproxy="inter",
    )
    rise: int = option(integer(1, 255), default=2, help="passes that bring a server up")
    fall: int = option(integer(1, 255), default=3, help="failures that take a server down")
    timeout: float | None = option(
        DURATION,
        default=None,
        help="of one check; by default the interval",
        haproxy="timeout check",
    )
    fastinter: float | None = option(
        DURATION,
        default=None,
        help="interval while a verdict is in the making; by default 50ms after a refused "
        "connection, else the interval",
        haproxy="fastinter",
    )
    downinter: float | None = option(
        DURATION,
        default=None,
        help="interval while down; by default the interval",
        haproxy="downinter",
    )
    hold_down: float = option(
        PAUSE,
        default=30.0,
        help="a server that went down three times in a minute must pass for so long",
    )
    port: int | None = option(
        integer(1, 65535),
        default=None,
        help="checked instead of the server's own port",
        haproxy="port",
    )


@frozen
class ServerOptions:
    """``server NAME = ADDRESS:PORT weight=2``"""

    address: Address = option(ADDRESS, positional=True, help="where it listens")
    weight: int = option(
        integer(0, 256), default=1, help="its share; 0 takes it out", haproxy="weight"
    )
    backup: bool = option(FLAG_WORD, default=False, help="used when no other is up")
    maxconn: int = option(
        integer(0, 1_000_000), default=0, help="sessions at most; 0 is no limit", haproxy="maxconn"
    )
    check: bool = option(FLAG, default=True, help="off: always up", haproxy="check")
    check_addr: str | None = option(
        HOST, default=None, help="checked instead of its own address", haproxy="addr"
    )
    check_port: int | None = option(
        integer(1, 65535), default=None, help="checked instead of its own port", haproxy="port"
    )
    disabled: bool = option(FLAG_WORD, default=False, help="starts in maintenance")
    cookie: str | None = option(
        COOKIE_VALUE, default=None, help="the value that leads to it", haproxy="cookie"
    )
    interval: float | None = option(
        DURATION, default=None, help="of its checks, instead of the backend's", haproxy="inter"
    )
    fastinter: float | None = option(
        DURATION, default=None, help="of its checks, as the backend's", haproxy="fastinter"
    )
    downinter: float | None = option(
        DURATION, default=None, help="of its checks, as the backend's", haproxy="downinter"
    )
    rise: int | None = option(
        integer(1, 255), default=None, help="of its checks, as the backend's", haproxy="rise"
    )
    fall: int | None = option(
        integer(1, 255), default=None, help="of its checks, as the backend's", haproxy="fall"
    )
    on_marked_down: str | None = option(
        choice("none", "shutdown-sessions"),
        default=None,
        help="by default what the backend says",
        haproxy="on-marked-down",
    )

    send_proxy: str | None = option(
        choice("none", "v1", "v2"),
        default=None,
        help="whether it is told the client's address; by default what the backend says",
        haproxy="send-proxy",
    )

    def pace(self, common: CheckOptions) -> CheckOptions:
        """How this server is checked, in a backend whose check says `common`."""
        own = {name: getattr(self, name) for name in OF_CHECKS}
        return evolve(common, **{name: v for name, v in own.items() if v is not None})

    @property
    def says_pace(self) -> bool:
        """Whether it has a pace or judgement of its own."""
        return any(getattr(self, name) is not None for name in OF_CHECKS)
