"""What an operator may change of a pool while it runs; each change is carried out whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vipproxy.backends.health import Ledger
from vipproxy.backends.server import Server
from vipproxy.backends.stick import StickTable
from vipproxy.config.options import ServerConfig
from vipproxy.errors import Refused, Unknown
from vipproxy.interfaces import Health
from vipproxy.values import Address, AdminState

if TYPE_CHECKING:
    from vipproxy.backends.pool import Pool


class Operations:
    """Of one pool. Servers are named; a name that nobody has is `Unknown`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def server(self, name: str) -> Server:
        server = self._pool.selection.named(name)
        if server is None:
            raise Unknown("No such server.")
        return server

    def set_weight(self, name: str, weight: int) -> None:
        server = self.server(name)
        server.weight = weight
        self._pool.verdicts.refresh(server)
        self._changed()

    def set_maxconn(self, name: str, maxconn: int) -> None:
        self.server(name).maxconn = maxconn
        self._pool.selection.refresh()
        self._pool.serve_all()

    def set_health(self, name: str, health: Health) -> None:
        self._pool.verdicts.set_health(self.server(name), health)

    def set_checking(self, name: str, on: bool) -> None:
        """Pause checks or go on; a server without checks has none to go on with."""
        server = self.server(name)
        if server.ledger is None:
            if on:
                raise Refused("Health check was not configured on this server, cannot enable.")
            return
        server.checks_paused = not on
        self._pool.monitor.hurry(server)

    def set_address(self, name: str, address: Address) -> None:
        server = self.server(name)
        if address != server.address:
            self._pool.verdicts.moved(server, address)
            self._pool.monitor.moved(server)
            self._changed()

    def set_check_address(self, name: str, host: str | None, port: int | None) -> None:
        server = self._checked(name)
        server.check_host = server.check_host if host is None else host
        server.check_port = server.check_port if port is None else port or None
        self._pool.monitor.moved(server)

    def _checked(self, name: str) -> Server:
        server = self.server(name)
        if server.ledger is None:
            raise Refused("health checks are not enabled on this server")
        return server

    def end_sessions(self, name: str) -> None:
        self._pool.verdicts.shut_sessions(self.server(name))

    # -- which servers there are --------------------------------------------------------

    def add(self, config: ServerConfig) -> Server:
        """In maintenance, with the lowest number that is free, as in HAProxy."""
        pool = self._pool
        if pool.selection.named(config.name) is not None:
            raise Refused("Already exists a server with the same name in backend.")
        taken = {server.number for server in pool.servers}
        number = next(n for n in range(1, len(taken) + 2) if n not in taken)
        server = pool.new_server(config, number)
        server.admin, server.added = AdminState.MAINT, True
        pool.servers.append(server)
        if server.ledger is not None:
            pool.monitor.add(server)
        pool.verdicts.refresh(server)
        self._changed()
        return server

    def remove(self, name: str) -> None:
        server = self.server(name)
        if server.admin is not AdminState.MAINT:
            raise Refused("Only servers in maintenance mode can be deleted.")
        kept = any(watcher.kept(server)[0] for watcher in self._pool.watchers)
        if server.leases or len(server.queue) or kept:
            raise Refused("Server still has connections attached to it, cannot remove it.")
        self._drop_pins_of(server)
        self._pool.monitor.remove(server)
        self._pool.servers.remove(server)
        self._pool.selection.refresh()
        self._changed()

    def _drop_pins_of(self, server: Server) -> None:
        pins = self._pool.pins
        for key, pin in pins.entries() if pins else ():
            if pin.server == server.name:
                assert pins is not None
                pins.drop(key)

    # -- the stick table ----------------------------------------------------------------

    def _pins(self) -> StickTable:
        if self._pool.pins is None:
            raise Unknown("No such table")
        return self._pool.pins

    def set_pin(self, key: str, number: int | None) -> None:
        """Pin a key by hand.

        Of an exclusive pin the old server's sessions end first: no two serve at once.
        """
        pins = self._pins()
        if number is None:
            pins.touch(key)
            return
        server = next((each for each in self._pool.servers if each.number == number), None)
        if server is None:
            raise Unknown("No such server.")
        holder = pins.holder()
        if holder is not None and holder != server.name:
            self._pool.verdicts.hand_over(holder, server, "set table")
        pins.set(key, server.name)
        self._changed()

    def drop_pins(self, keys: Sequence[str]) -> None:
        """Raises Refused where the only key is in use."""
        pins = self._pins()
        dropped = [pins.drop(key) for key in keys]
        if dropped == [False]:
            raise Refused("Entry currently in use, cannot remove")
        self._changed()

    # -- counters -----------------------------------------------------------------------

    def clear_counters(self, everything: bool) -> None:
        """What open sessions have moved so far is set off, since it counts at their end."""
        pool = self._pool
        live = [lease.traffic for server in pool.servers for lease in server.leases]
        pool.counters.clear(everything, live)
        pool.selection.queue.longest = 0
        for server in pool.servers:
            server.counters.clear(everything, [lease.traffic for lease in server.leases])
            server.queue.longest = 0
            if everything:
                server.failed_checks, server.session_at = 0, None

    def _changed(self) -> None:
        self._pool.serve_all()
        self._pool.state_changed()


def fresh_ledger(pool: Pool, server: Server) -> Ledger | None:
    """What was known of its health is of no use any more."""
    server.suspect = server.stopping = server.said_down = False
    return pool.new_ledger(server.config)
