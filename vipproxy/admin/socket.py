"""The stats sockets: Unix sockets and TCP ports on which operators and tools give commands."""

from __future__ import annotations

import socket
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet import tcp, unix
from twisted.internet.defer import gatherResults, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.python.failure import Failure

from vipproxy.admin.commands import Console, Level
from vipproxy.admin.conversation import CommandFactory, Users
from vipproxy.config.options import GlobalOptions
from vipproxy.config.socket_options import StatsSocketOptions
from vipproxy.errors import ListenFailed
from vipproxy.interfaces import ICluster, IControl
from vipproxy.values import Address

BACKLOG = 50
DEFAULT_MODE = "0600"


class _OneByOne:
    """A port that accepts one user at a time, so that the limit holds."""

    numberAccepts: int

    def doRead(self) -> None:
        self.numberAccepts = 1
        super().doRead()  # type: ignore[misc]


class UnixPort(_OneByOne, unix.Port):
    """Twisted binds, sets the mode and only then listens: nobody connects before the mode."""

    def connectionLost(self, reason: Failure) -> None:
        """As Twisted's, but for the file, which the service removes."""
        tcp.Port.connectionLost(self, reason)


class TcpPort(_OneByOne, tcp.Port):
    """An ordinary port otherwise."""


class StatsSockets(Service):
    """The sockets as a service: made in `privilegedStartService`, removed when stopped.

    A stale socket file is replaced; raises ListenFailed where another process still listens,
    where a path is something else or cannot be made, or where a port cannot be bound.
    """

    def __init__(
        self, cluster: ICluster, control: IControl, options: GlobalOptions, reactor: Any
    ) -> None:
        self._options = options
        self._reactor = reactor
        self._users = Users(reactor, options.stats_maxconn)
        lines = [_line(each) for each in options.stats_socket]
        self._factories = [
            CommandFactory(
                Console(cluster, control, _level(each), lines, options.stats_timeout), self._users
            )
            for each in options.stats_socket
        ]

    @property
    def addresses(self) -> Sequence[Any]:
        """Where it listens, as Twisted's addresses."""
        return [port.getHost() for port in self._users.ports]

    def privilegedStartService(self) -> None:
        try:
            for options, factory in zip(self._options.stats_socket, self._factories, strict=True):
                self._users.ports.append(self._listen(options, factory))
        except ListenFailed:
            self._close()
            raise

    def _listen(self, options: StatsSocketOptions, factory: CommandFactory) -> Any:
        port = self._port(options, factory)
        try:
            port.startListening()
        except (CannotListenError, OSError) as error:
            reason = getattr(error, "socketError", error)
            text = f"cannot make the stats socket '{options.address}': {reason}"
            raise ListenFailed(text) from error
        return port

    def _port(self, options: StatsSocketOptions, factory: CommandFactory) -> Any:
        place = options.address
        if isinstance(place, Address):
            return TcpPort(place.port, factory, BACKLOG, place.host, self._reactor)
        _make_room(place)
        mode = int(options.mode or DEFAULT_MODE, 8)
        return UnixPort(bytes(place), factory, BACKLOG, mode, self._reactor)

    def startService(self) -> None:
        if not self._users.ports:
            self.privilegedStartService()
        super().startService()

    def stopService(self) -> Any:
        """Remove the sockets and end their connections; harmless when they were not made."""
        if self.running:
            super().stopService()
        return self._close()

    def _close(self) -> Any:
        ports = list(self._users.ports)
        self._users.ports.clear()
        self._users.end_all()
        for _, options in zip(ports, self._options.stats_socket, strict=False):
            if isinstance(options.address, Path):
                with suppress(OSError):
                    options.address.unlink()
        return gatherResults([maybeDeferred(port.stopListening) for port in ports])


def _level(options: StatsSocketOptions) -> Level:
    return Level[options.level.upper()]


def _line(options: StatsSocketOptions) -> str:
    """How ``show cli sockets`` shows it."""
    place = options.address
    kind = "unix" if isinstance(place, Path) else "ipv6" if ":" in place.host else "ipv4"
    return f"{kind}@{place} {options.level} all"


def _make_room(path: Path) -> None:
    """Make room for the socket, and the folder that it lives in."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not stat.S_ISSOCK(path.stat().st_mode):
            raise ListenFailed(f"the stats socket '{path}' exists and is not a socket")
        if _is_live(path):
            raise ListenFailed(f"another process listens on the stats socket '{path}'")
        path.unlink()
    except FileNotFoundError:
        return
    except OSError as error:
        raise ListenFailed(f"cannot make the stats socket '{path}': {error}") from error


def _is_live(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return False
        except BlockingIOError:
            return True  # its queue is full
        return True
