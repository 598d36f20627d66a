"""Which rows of the statistics are wanted."""

from __future__ import annotations

from attrs import frozen

from vipproxy.admin.stat_fields import BACKEND, FRONTEND, SERVER
from vipproxy.values import AdminState, BackendSnapshot, FrontendSnapshot, ServerSnapshot

ALL = -1


@frozen
class Filter:
    """As ``show stat`` and the page take it; by default, all rows.

    `proxy` is a name, or a number; `types` is a sum of 1 (frontends), 2 (backends) and 4 (servers),
    or -1; `server` is a server's number, or -1. `part` is a part of the name of each proxy, `names`
    are the names of all that may be shown, where there are any.
    """

    proxy: str = str(ALL)
    types: int = ALL
    server: int = ALL
    up: bool = False
    """Without servers that are down, unless they are on their way up."""
    no_maint: bool = False
    """Without servers in maintenance."""
    part: str = ""
    names: tuple[str, ...] = ()

    @property
    def counts_servers(self) -> bool:
        """Where servers are left out, backends tell how many are up."""
        return self.up or self.no_maint

    def takes_proxy(self, proxy: FrontendSnapshot | BackendSnapshot) -> bool:
        if self.part not in proxy.name or (self.names and proxy.name not in self.names):
            return False
        return self.proxy in (str(ALL), proxy.name, str(proxy.number))

    def takes_server(self, server: ServerSnapshot) -> bool:
        if not (self.types >> SERVER & 1 and self.server in (ALL, server.number)):
            return False
        out = server.admin is AdminState.MAINT
        if self.up:
            return not out and (server.up or server.health > 0)
        return not (self.no_maint and out)

    @property
    def takes_frontends(self) -> bool:
        """Whatever `server` is, as in HAProxy."""
        return bool(self.types >> FRONTEND & 1)

    @property
    def takes_backends(self) -> bool:
        """Whatever `server` is, as in HAProxy."""
        return bool(self.types >> BACKEND & 1)
