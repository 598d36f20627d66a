"""Connections to servers between two requests: kept, found again, and closed in time.

What HAProxy calls `http-reuse`: the connection that was used last is used next, and no more are
kept than there were sessions at once, so that single requests do not pile connections up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer

from vipproxy.interfaces import IServer, IServerWatcher

if TYPE_CHECKING:
    from vipproxy.protocols.http.server import ServerConnection

ALWAYS_ROOM = 32
"""Idle connections that a frontend may keep however few clients it has.

Beyond them there is one for each client, whose own second descriptor is not in use meanwhile:
so idle connections leave the process's limit of sessions as it is.
"""

SWEEPS = 64
"""Expiry is late by no more than the timeout's share of it."""


@define(eq=False)
class Shelf:
    """One server's idle connections, with the times since when they are; the latest is last."""

    connections: dict[ServerConnection, float] = field(factory=dict)
    falls: int = 0
    """How often the server has fallen: what was connected before is worth nothing after."""


@implementer(IServerWatcher)
class IdleConnections:
    """One frontend's."""

    def __init__(self, clock: IReactorTime, timeout: float, limit: int | None) -> None:
        """`timeout` is in seconds; `limit` is for each server, None without one."""
        self._clock, self.timeout, self.limit = clock, timeout, limit
        self._shelves: dict[IServer, Shelf] = {}
        self._sweep_call: IDelayedCall | None = None
        self._stopped = False
        self._room = ALWAYS_ROOM
        self._count = 0

    def falls_of(self, server: IServer) -> int:
        """How often a server has fallen so far; to be remembered by each connection to it."""
        return self._shelf(server).falls

    def take(self, server: IServer) -> ServerConnection | None:
        """The connection to a server that was used last; None where none is idle."""
        shelf = self._shelves.get(server)
        if shelf is None or not shelf.connections:
            return None
        self._count -= 1
        connection = shelf.connections.popitem()[0]
        connection.reused = True
        return connection

    def keep(self, connection: ServerConnection) -> bool:
        """Put one back, while its lease still counts as a session; False where it must close."""
        server = connection.server
        shelf = self._shelves[server]
        if self._stopped or connection.falls != shelf.falls or not self._has_room(server, shelf):
            return False
        self._count += 1
        shelf.connections[connection] = self._clock.seconds()
        if self._sweep_call is None:
            self._sweep_call = self._clock.callLater(self.timeout, self._sweep)
        return True

    def forget(self, connection: ServerConnection) -> None:
        """The server has closed it. Harmless where it is not idle."""
        if self._shelves[connection.server].connections.pop(connection, None) is not None:
            self._count -= 1

    def make_room(self, server: IServer) -> None:
        """The server is about to be dialled: idle connections count towards its `maxconn`."""
        shelf = self._shelf(server)
        if 0 < server.maxconn < server.sessions + len(shelf.connections) and shelf.connections:
            self._close(shelf, next(iter(shelf.connections)))

    def clients_changed(self, clients: int) -> None:
        """So many clients are connected to the frontend now."""
        self._room = max(ALWAYS_ROOM, clients)
        if self._count > self._room:
            fullest = max(self._shelves.values(), key=lambda shelf: len(shelf.connections))
            self._close(fullest, next(iter(fullest.connections)))

    def server_fell(self, server: IServer) -> None:
        shelf = self._shelf(server)
        shelf.falls += 1
        for connection in list(shelf.connections):
            self._take_off(shelf, connection)
            connection.hang_up()

    def kept(self, server: IServer) -> tuple[int, int]:
        """HAProxy calls a connection safe once it has been used again."""
        shelf = self._shelves.get(server)
        connections = () if shelf is None else shelf.connections
        return len(connections), sum(connection.reused for connection in connections)

    def start(self) -> None:
        """Keep them, again after a stop."""
        self._stopped = False

    def stop(self) -> None:
        """Close them all, and keep no more."""
        self._stopped = True
        for shelf in self._shelves.values():
            for connection in list(shelf.connections):
                self._close(shelf, connection)
        if self._sweep_call is not None:
            self._sweep_call.cancel()
            self._sweep_call = None

    def _shelf(self, server: IServer) -> Shelf:
        shelf = self._shelves.get(server)
        if shelf is None:
            shelf = self._shelves[server] = Shelf()
        return shelf

    def _has_room(self, server: IServer, shelf: Shelf) -> bool:
        idle = len(shelf.connections)
        if self._count >= self._room or (self.limit is not None and idle >= self.limit):
            return False
        return idle + server.sessions <= server.counters.sessions_max

    def _sweep(self) -> None:
        """Close what has been idle for too long; come back for the oldest of the others."""
        now = self._clock.seconds()
        oldest = now
        for shelf in self._shelves.values():
            for connection, since in list(shelf.connections.items()):
                if since + self.timeout > now:
                    oldest = min(oldest, since)
                    break
                self._close(shelf, connection)
        self._sweep_call = None
        if self._count:
            delay = max(oldest + self.timeout - now, self.timeout / SWEEPS)
            self._sweep_call = self._clock.callLater(delay, self._sweep)

    def _close(self, shelf: Shelf, connection: ServerConnection) -> None:
        self._take_off(shelf, connection)
        connection.abort()

    def _take_off(self, shelf: Shelf, connection: ServerConnection) -> None:
        del shelf.connections[connection]
        self._count -= 1
