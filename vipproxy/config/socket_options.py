"""The options of a stats socket."""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

from vipproxy.config.declare import option
from vipproxy.config.kinds import PERMISSIONS, PLACE, choice
from vipproxy.values import Address


@frozen
class StatsSocketOptions:
    """``stats-socket = PATH level=admin mode=0600``, ``stats-socket = 127.0.0.1:9999``"""

    address: Path | Address = option(
        PLACE, positional=True, help="where a Unix socket is made, or a TCP port"
    )
    level: str = option(
        choice("user", "operator", "admin"), default="operator", help="what its users may do"
    )
    mode: str | None = option(
        PERMISSIONS, default=None, help="permissions of a Unix socket, in octal; by default 0600"
    )

    def __attrs_post_init__(self) -> None:
        if self.mode is not None and isinstance(self.address, Address):
            raise ValueError(f"'mode' is for Unix sockets, and {self.address} is a TCP port")
