"""The stats socket: a Unix stream socket, one line of commands a connection, EOF ends the answer.

The ways of HAProxy's (management guide, 9.3), but for its interactive mode.
"""

from __future__ import annotations

import re
import socket
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet import tcp, unix
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IDelayedCall, IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from vipproxy.admin.commands import Console, Level, execute
from vipproxy.config.options import StatsSocketOptions
from vipproxy.errors import ListenFailed
from vipproxy.interfaces import ICluster, IControl

log = Logger()

IDLE_TIMEOUT = 10.0
"""Seconds: HAProxy's default `stats timeout`."""
MAX_CONNECTIONS = 10
"""HAProxy's default `stats maxconn`; more users wait in the kernel's queue."""
MAX_LINE = 16384
"""Bytes of a line, as HAProxy's default `tune.bufsize`."""
BACKLOG = 50


@implementer(IHalfCloseableProtocol)
class CommandProtocol(Protocol):
    """Reads one line, answers its commands, and closes."""

    factory: CommandFactory

    def __init__(self) -> None:
        self._buffer = b""
        self._answered = False
        self._timer: IDelayedCall | None = None

    @property
    def _transport(self) -> Any:
        return self.transport

    def connectionMade(self) -> None:
        self.factory.connected(self)
        self._restart_timer()

    def dataReceived(self, data: bytes) -> None:
        if self._answered:
            return
        self._buffer += data
        self._restart_timer()
        lines, newline, _ = self._buffer.rpartition(b"\n")
        if newline:
            self._answer(lines)
        elif len(self._buffer) > MAX_LINE:
            self._transport.abortConnection()

    def _answer(self, lines: bytes) -> None:
        """Commands are separated by semicolons; lines that came together count as one."""
        self._answered = True
        self._buffer = b""
        commands = re.split(r"[;\n]", lines.decode("utf-8", "replace"))
        try:
            answer = "".join(execute(self.factory.console, each) for each in commands)
        except Exception:
            log.failure("a command of the stats socket failed")
            answer = "Internal error.\n\n"
        self._transport.write(answer.encode())
        self._transport.loseConnection()

    def readConnectionLost(self) -> None:
        """The user has said all; the answer, if there is one, still goes out."""
        self._transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """Nothing is written half-closed."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._stop_timer()
        self.factory.disconnected(self)

    def _restart_timer(self) -> None:
        self._stop_timer()
        self._timer = self.factory.reactor.callLater(IDLE_TIMEOUT, self._idle)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _idle(self) -> None:
        self._timer = None
        self._transport.abortConnection()


class CommandFactory(Factory):
    """Knows the open connections; the port stops accepting while there are too many."""

    noisy = False
    protocol = CommandProtocol  # type: ignore[assignment]

    def __init__(self, console: Console, reactor: Any) -> None:
        self.console = console
        self.reactor = reactor
        self.port: unix.Port | None = None
        self._open: set[CommandProtocol] = set()

    def connected(self, protocol: CommandProtocol) -> None:
        self._open.add(protocol)
        if self.port is not None and len(self._open) >= MAX_CONNECTIONS:
            self.port.stopReading()

    def disconnected(self, protocol: CommandProtocol) -> None:
        self._open.discard(protocol)
        if self.port is not None and len(self._open) < MAX_CONNECTIONS:
            self.port.startReading()

    def close_all(self) -> None:
        """End every connection."""
        self.port = None
        for protocol in list(self._open):
            protocol._transport.abortConnection()


class CommandPort(unix.Port):
    """Twisted binds, sets the mode and only then listens: nobody connects before the mode."""

    def doRead(self) -> None:
        """Accept one user at a time, so that the limit holds."""
        self.numberAccepts = 1
        super().doRead()

    def connectionLost(self, reason: Failure) -> None:
        """As Twisted's, but for the file, which the service removes."""
        tcp.Port.connectionLost(self, reason)


class StatsSocket(Service):
    """The socket as a service: made in `privilegedStartService`, removed when stopped.

    A stale socket file is replaced; raises ListenFailed where another process still listens, or
    where the path is something else, or cannot be made.
    """

    def __init__(
        self, cluster: ICluster, control: IControl, options: StatsSocketOptions, reactor: Any
    ) -> None:
        self._options = options
        console = Console(cluster, control, Level[options.level.upper()])
        self._factory = CommandFactory(console, reactor)
        self._reactor = reactor

    def privilegedStartService(self) -> None:
        path, mode = self._options.path, int(self._options.mode, 8)
        _make_room(path)
        port = CommandPort(bytes(path), self._factory, BACKLOG, mode, self._reactor)
        try:
            port.startListening()
        except (CannotListenError, OSError) as error:
            reason = getattr(error, "socketError", error)
            raise ListenFailed(f"cannot make the stats socket '{path}': {reason}") from error
        self._factory.port = port

    def startService(self) -> None:
        if self._factory.port is None:
            self.privilegedStartService()
        super().startService()

    def stopService(self) -> Any:
        """Remove the socket and end its connections; harmless when it was not made."""
        if self.running:
            super().stopService()
        port = self._factory.port
        if port is None:
            return None
        self._factory.close_all()
        with suppress(OSError):
            self._options.path.unlink()
        return port.stopListening()


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
