"""One non-blocking connect, straight on the reactor: a socket comes out, not a transport."""

from __future__ import annotations

import errno
import socket
from typing import Any

from twisted.internet.interfaces import IWriteDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from vipproxy.config.options import KeepaliveOptions
from vipproxy.dial.errors import dial_error
from vipproxy.errors import SessionError
from vipproxy.interfaces import IDial, IDialler, IDialTaker
from vipproxy.sockets import prepare, stream_socket
from vipproxy.timers import IdleTimer
from vipproxy.values import Address


@implementer(IDialler)
class ReactorDialler:
    """Connects on a Twisted reactor; all dials share one timer."""

    def __init__(self, reactor: Any) -> None:
        self.reactor = reactor
        self.timer = IdleTimer(reactor)

    def dial(
        self,
        address: Address,
        timeout: float,
        taker: IDialTaker,
        keepalive: KeepaliveOptions | None,
        greeting: bytes,
    ) -> Dial:
        dial = Dial(self, address, timeout, taker, keepalive, greeting)
        dial.start()
        return dial

    def stop(self) -> None:
        """Leave nothing with the clock."""
        self.timer.stop()


@implementer(IDial, IWriteDescriptor)
class Dial:
    """connect(2): EINPROGRESS, then writable, then SO_ERROR tells. An `Idler` for its timeout."""

    __slots__ = (
        "_address", "_dialler", "_fileno", "_greeting", "_keepalive", "_sock", "_taker",
        "idle_limit", "last_active",
    )  # fmt: skip

    def __init__(
        self,
        dialler: ReactorDialler,
        address: Address,
        timeout: float,
        taker: IDialTaker,
        keepalive: KeepaliveOptions | None,
        greeting: bytes,
    ) -> None:
        self._dialler, self._address = dialler, address
        self._keepalive, self._greeting = keepalive, greeting
        self._taker: IDialTaker | None = taker
        self._sock: socket.socket | None = None
        self.idle_limit, self.last_active = timeout, dialler.reactor.seconds()

    def start(self) -> None:
        """Begin; the taker may hear of a failure before this returns."""
        address = self._address
        try:
            self._sock = sock = stream_socket(address)
            sock.connect((address.host, address.port))
        except BlockingIOError:
            pass
        except OSError as error:
            self._failed(dial_error(error.errno or 0))
            return
        self._fileno = sock.fileno()
        self._dialler.reactor.addWriter(self)
        self._dialler.timer.watch(self)

    def cancel(self) -> bool:
        """Stop at once; the taker hears nothing more."""
        if self._taker is not None:
            self._taker = None
            self._stop_watching()
            self._close()
        return True

    def idle_expired(self) -> None:
        self._stop_watching()
        self._failed(dial_error(errno.ETIMEDOUT))

    def fileno(self) -> int:
        return self._fileno

    def logPrefix(self) -> str:
        return "Dial"

    def doWrite(self) -> None:
        self._stop_watching()
        code = self._error_code() or self._greet()
        if code:
            self._failed(dial_error(code))
        elif self._taker is not None:
            taker, self._taker = self._taker, None
            taker.dialled(self._sock)

    def connectionLost(self, reason: Failure) -> None:
        """The reactor's way to say that the connect has failed."""
        if self._taker is not None:
            self._stop_watching()
            self._failed(dial_error(self._error_code() or errno.ECONNREFUSED))

    def _failed(self, error: SessionError) -> None:
        taker, self._taker = self._taker, None
        self._close()
        if taker is not None:
            taker.dial_failed(error)

    def _error_code(self) -> int:
        assert self._sock is not None
        return self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    def _greet(self) -> int:
        """An errno where the server has accepted, and reset at once; else 0.

        A fresh socket's buffer takes the few bytes of a greeting whole.
        """
        assert self._sock is not None
        try:
            prepare(self._sock, self._keepalive)
            if self._greeting:
                self._sock.send(self._greeting)
        except OSError as error:
            return error.errno or errno.ECONNRESET
        return 0

    def _close(self) -> None:
        if self._sock is not None:
            self._sock.close()

    def _stop_watching(self) -> None:
        self._dialler.reactor.removeWriter(self)
        self._dialler.timer.forget(self)
