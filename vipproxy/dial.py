"""One non-blocking connect, straight on the reactor: a socket comes out, not a transport."""

from __future__ import annotations

import errno
import os
import socket
from typing import Any, Protocol

from twisted.internet.interfaces import IWriteDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from vipproxy.errors import ConnectFailed, ConnectTimeout, InternalError, SessionError
from vipproxy.sockets import stream_socket
from vipproxy.timers import IdleTimer
from vipproxy.values import Address

OUT_OF_RESOURCES = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL}
)
"""Faults of this host, of which no server is guilty."""


class Dialler(Protocol):
    """Who wants the socket."""

    def dialled(self, sock: socket.socket) -> None:
        """Connected; the socket is yours."""

    def dial_failed(self, error: SessionError) -> None:
        """ConnectFailed, ConnectTimeout, or InternalError where this host is short of something."""


@implementer(IWriteDescriptor)
class Dial:
    """connect(2): EINPROGRESS, then writable, then SO_ERROR tells. An `Idler` for its timeout."""

    __slots__ = (
        "_address", "_dialler", "_fileno", "_reactor", "_sock", "_timer", "idle_limit",
        "last_active",
    )  # fmt: skip

    def __init__(
        self, reactor: Any, timer: IdleTimer, address: Address, timeout: float, dialler: Dialler
    ) -> None:
        self._reactor, self._timer, self._address = reactor, timer, address
        self._dialler: Dialler | None = dialler
        self._sock: socket.socket | None = None
        self.idle_limit, self.last_active = timeout, reactor.seconds()

    def start(self) -> None:
        """Begin; the dialler may hear of a failure before this returns."""
        address = self._address
        try:
            self._sock = sock = stream_socket(address)
            sock.connect((address.host, address.port))
        except BlockingIOError:
            pass
        except OSError as error:
            self._failed(_error(error.errno or 0))
            return
        self._fileno = sock.fileno()
        self._reactor.addWriter(self)
        self._timer.watch(self)

    def cancel(self) -> None:
        """Stop at once; the dialler hears nothing more."""
        self._dialler = None
        self._stop_watching()
        self._close()

    def idle_expired(self) -> None:
        self._stop_watching()
        self._failed(ConnectTimeout("Connection timed out"))

    def fileno(self) -> int:
        return self._fileno

    def logPrefix(self) -> str:
        return "Dial"

    def doWrite(self) -> None:
        self._stop_watching()
        code = self._error_code()
        if code:
            self._failed(_error(code))
        elif self._dialler is not None and self._sock is not None:
            dialler, self._dialler = self._dialler, None
            dialler.dialled(self._sock)

    def connectionLost(self, reason: Failure) -> None:
        """The reactor's way to say that the connect has failed."""
        if self._dialler is not None:
            self._stop_watching()
            self._failed(_error(self._error_code() or errno.ECONNREFUSED))

    def _failed(self, error: SessionError) -> None:
        dialler, self._dialler = self._dialler, None
        self._close()
        if dialler is not None:
            dialler.dial_failed(error)

    def _error_code(self) -> int:
        assert self._sock is not None
        return self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    def _close(self) -> None:
        if self._sock is not None:
            self._sock.close()

    def _stop_watching(self) -> None:
        self._reactor.removeWriter(self)
        self._timer.forget(self)


def _error(code: int) -> SessionError:
    text = os.strerror(code)
    return InternalError(text) if code in OUT_OF_RESOURCES else ConnectFailed(text)
