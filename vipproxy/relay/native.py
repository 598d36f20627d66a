"""The native engine: sockets are relayed in C, by threads that need no GIL."""

from __future__ import annotations

import math
import socket
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import classImplements, implementer

from vipproxy.config.options import KeepaliveOptions
from vipproxy.counters import Traffic
from vipproxy.dial.errors import dial_error
from vipproxy.dial.native import FAILED_DIAL
from vipproxy.interfaces import (
    ICopyingRelay,
    ICopyTaker,
    IDial,
    IDiallingRelay,
    IDialTaker,
    ILendable,
    IRelaySession,
    IRelayTaker,
    Side,
)
from vipproxy.native import _engine
from vipproxy.relay.twisted import TwistedRelay
from vipproxy.sockets import keepalive_options
from vipproxy.values import Address, Ending

log = Logger()

ENDINGS = (
    Ending.NORMAL,
    Ending.CLIENT_ABORT,
    Ending.SERVER_ABORT,
    Ending.CLIENT_TIMEOUT,
    Ending.SERVER_TIMEOUT,
    Ending.INTERNAL,
)
"""As the engine numbers them."""

SHORTEST_TICK = 0.01
"""Seconds: idle timeouts are no more exact than that."""


classImplements(_engine.Session, IRelaySession, IDial)


@implementer(IDiallingRelay, ICopyingRelay, IReadDescriptor)
class NativeRelay:
    """Relays sockets by itself, and leaves other transports (TLS, in memory) to the Twisted engine.

    The engine's news is read in the reactor's turn. Time is the reactor's, too: the engine learns
    it from us, a few times in each idle limit.
    """

    def __init__(self, reactor: Any, threads: int = 1) -> None:
        self._reactor = reactor
        self._engine = _engine.Engine(threads)
        self._others = TwistedRelay(reactor)
        self._reading = False
        self._tick: IDelayedCall | None = None
        self._shortest = math.inf
        """The shortest limit since all was idle, in seconds."""

    def relay(
        self,
        client: Side,
        server: Side,
        taker: IRelayTaker,
        traffic: Traffic,
        client_timeout: float,
        server_timeout: float,
        to_server: bytes = b"",
        to_client: bytes = b"",
    ) -> IRelaySession:
        if not (isinstance(client, socket.socket) and isinstance(server, socket.socket)):
            return self._others.relay(
                client, server, taker, traffic, client_timeout, server_timeout, to_server, to_client
            )
        self._begin(min(client_timeout, server_timeout))
        session = self._engine.relay(
            taker,
            client.fileno(),
            server.fileno(),
            traffic,
            None,
            client_timeout,
            server_timeout,
            to_server,
            to_client,
            self._reactor.seconds(),
        )
        client.detach()
        server.detach()
        return session

    def dial(
        self,
        client: socket.socket,
        address: Address,
        timeout: float,
        taker: IDialTaker,
        keepalive: KeepaliveOptions | None,
        greeting: bytes,
        relay_taker: IRelayTaker,
        traffic: Traffic,
        client_timeout: float,
        server_timeout: float,
    ) -> IDial:
        self._begin(min(timeout, client_timeout, server_timeout))
        try:
            return self._engine.dial(
                taker,
                relay_taker,
                client.fileno(),
                address.host,
                address.port,
                keepalive_options(keepalive),
                traffic,
                timeout,
                client_timeout,
                server_timeout,
                greeting,
                self._reactor.seconds(),
            )
        except OSError as error:
            taker.dial_failed(dial_error(error.errno or 0))
            return FAILED_DIAL

    def copy(
        self,
        client: ILendable,
        server: ILendable,
        taker: ICopyTaker,
        traffic: Traffic,
        also: Traffic,
        to_client: bool,
        count: int,
        client_timeout: float,
        server_timeout: float,
    ) -> IRelaySession:
        self._begin(min(client_timeout, server_timeout))
        return self._engine.copy(
            taker,
            client.fileno(),
            server.fileno(),
            traffic,
            also,
            to_client,
            count,
            client_timeout,
            server_timeout,
            self._reactor.seconds(),
        )

    def stop(self) -> None:
        """End the threads; leave nothing with the reactor."""
        if self._reading:
            self._reading = False
            self._reactor.removeReader(self)
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None
        self._engine.stop()
        self._others.stop()

    # -- news

    def fileno(self) -> int:
        return self._engine.fileno()

    def logPrefix(self) -> str:
        return "NativeRelay"

    def doRead(self) -> None:
        self._engine.collect(self._tell)

    def connectionLost(self, reason: Failure) -> None:
        """The reactor stops; `stop` ends the engine."""

    def _tell(self, kind: int, who: Any, detail: Any) -> None:
        try:
            if kind == _engine.ENDED:
                who.relay_ended(ENDINGS[detail])
            elif kind == _engine.CONNECTED:
                who.dialled(detail)
            elif kind == _engine.FAILED:
                who.dial_failed(dial_error(detail))
            elif kind == _engine.COPIED:
                ending, left = detail
                who.copied(ENDINGS[ending], left)
        except Exception:
            log.failure("a session did not end cleanly")

    # -- time

    def _begin(self, limit: float) -> None:
        """A session starts: see to it that news is read, and that the next tick comes in time."""
        if limit < self._shortest:
            self._shortest = limit
            if self._tick is not None:
                self._tick.reset(max(limit / 64, SHORTEST_TICK))
        if self._tick is None:
            self._tick = self._reactor.callLater(
                max(self._shortest / 64, SHORTEST_TICK), self._tick_now
            )
        if not self._reading:
            self._reading = True
            self._reactor.addReader(self)

    def _tick_now(self) -> None:
        self._tick = None
        pause = self._engine.tick(self._reactor.seconds())
        if pause:
            self._tick = self._reactor.callLater(max(pause, SHORTEST_TICK), self._tick_now)
        else:
            self._shortest = math.inf
