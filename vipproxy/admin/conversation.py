"""A user of the stats socket: lines of commands, answers, and the prompt of the interactive mode.

The ways of HAProxy's (management guide, 9.3).
"""

from __future__ import annotations

import re
from collections import deque
from typing import Any

from attrs import define, evolve, field
from twisted.internet.interfaces import IDelayedCall, IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from vipproxy.admin.commands import Console, execute

log = Logger()

MAX_CONNECTIONS = 10
"""HAProxy's default `stats maxconn`; more users wait in the kernel's queue."""
MAX_LINE = 16384
"""Bytes of a line, as HAProxy's default `tune.bufsize`."""
_SEPARATOR = re.compile(r"(?<!\\)[;\n]")


@implementer(IHalfCloseableProtocol, IPushProducer)
class CommandProtocol(Protocol):
    """Answers the first line, or lines that come together, and closes; stays in interactive mode.

    As a producer it learns from the transport whether its answers are read: until they are, no
    further command is.
    """

    factory: CommandFactory

    def __init__(self, console: Console) -> None:
        self._console = console
        self._buffer = b""
        self._commands: deque[str] = deque()
        """Those of whole lines, not answered yet."""
        self._full = False
        self._ended = False
        """The user has said all."""
        self._over = False
        """What still comes is of no interest."""
        self._timer: IDelayedCall | None = None

    @property
    def _transport(self) -> Any:
        return self.transport

    def connectionMade(self) -> None:
        self.factory.connected(self)
        self._transport.registerProducer(self, True)
        self._restart_timer()

    def dataReceived(self, data: bytes) -> None:
        if not self._over:
            self._buffer += data
            self._restart_timer()
            self._advance()

    def _advance(self) -> None:
        """Commands are separated by semicolons and line feeds."""
        while not (self._full or self._over):
            if self._commands:
                self._answer(self._commands.popleft())
                continue
            lines, newline, rest = self._buffer.rpartition(b"\n")
            if not newline:
                break
            self._buffer = rest
            self._commands.extend(_SEPARATOR.split(lines.decode("utf-8", "replace")))
        if len(self._buffer) > MAX_LINE:
            self.abort()

    def _answer(self, command: str) -> None:
        console, answer = self._console, self._made(command)
        if console.interactive and not console.finished:
            answer += "> "
        self._transport.write(answer.encode())
        stays = console.interactive and not self._ended
        if console.finished or not (stays or self._commands):
            self._close()
        elif console.interactive:
            self._restart_timer()  # perhaps another one, by now

    def _made(self, command: str) -> str:
        """A fault of our own costs this answer, and no more."""
        try:
            return execute(self._console, command)
        except Exception:
            log.failure("a command of the stats socket failed")
            return "Internal error.\n\n"

    def _close(self) -> None:
        """Write what is left, and end; the timer remains for a user who reads nothing."""
        self._over = True
        self._buffer = b""
        self._commands.clear()
        self._transport.unregisterProducer()
        self._transport.loseConnection()

    def abort(self) -> None:
        """End it now."""
        self._over = True
        self._transport.abortConnection()

    # -- what the transport tells a producer

    def pauseProducing(self) -> None:
        self._full = True
        self._transport.pauseProducing()

    def resumeProducing(self) -> None:
        self._full = False
        self._transport.resumeProducing()
        self._restart_timer()
        self._advance()

    def stopProducing(self) -> None:
        """The connection is ending; `connectionLost` does the rest."""

    # -- ends

    def readConnectionLost(self) -> None:
        """The user has said all; what he has asked for is still answered."""
        self._ended = True
        if not (self._over or self._commands or b"\n" in self._buffer):
            self._close()

    def writeConnectionLost(self) -> None:
        """Nothing is written half-closed."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._over = True
        self._stop_timer()
        self.factory.disconnected(self)

    def _restart_timer(self) -> None:
        self._stop_timer()
        self._timer = self.factory.users.reactor.callLater(self._console.timeout, self._idle)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _idle(self) -> None:
        self._timer = None
        self.abort()


@define(eq=False)
class Users:
    """Who is connected, on all sockets together; while there are too many, none accepts."""

    reactor: Any
    limit: int = MAX_CONNECTIONS
    ports: list[Any] = field(factory=list)
    _open: set[CommandProtocol] = field(factory=set, init=False)

    def add(self, user: CommandProtocol) -> None:
        self._open.add(user)
        if len(self._open) == self.limit:
            for port in self.ports:
                port.stopReading()

    def remove(self, user: CommandProtocol) -> None:
        full = len(self._open) >= self.limit
        self._open.discard(user)
        if full and len(self._open) < self.limit:
            for port in self.ports:
                port.startReading()

    def end_all(self) -> None:
        """End every connection."""
        for user in list(self._open):
            user.abort()


class CommandFactory(Factory):
    """Of one socket: each user begins with a copy of its console."""

    noisy = False

    def __init__(self, console: Console, users: Users) -> None:
        self.console, self.users = console, users

    def buildProtocol(self, addr: Any) -> CommandProtocol:  # type: ignore[override]
        protocol = CommandProtocol(evolve(self.console))
        protocol.factory = self
        return protocol

    def connected(self, user: CommandProtocol) -> None:
        self.users.add(user)

    def disconnected(self, user: CommandProtocol) -> None:
        self.users.remove(user)
