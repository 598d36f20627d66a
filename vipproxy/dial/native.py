"""The native way to connect: the attempt is the transport that comes out of it."""

from __future__ import annotations

import errno

from zope.interface import implementer

from vipproxy.config.options import KeepaliveOptions
from vipproxy.dial.errors import dial_error
from vipproxy.interfaces import IDial, IDialler, IDialTaker
from vipproxy.sockets import keepalive_options
from vipproxy.streams import NativeStream, Streams
from vipproxy.timers import IdleTimer
from vipproxy.values import Address


@implementer(IDial)
class FailedDial:
    """Stands for a connect that had failed before it could be returned."""

    def cancel(self) -> bool:
        return True


FAILED_DIAL = FailedDial()


@implementer(IDialler)
class StreamDialler:
    """Connects native transports; all dials share one timer."""

    def __init__(self, streams: Streams) -> None:
        self.streams = streams
        self.timer = IdleTimer(streams.reactor)

    def dial(
        self,
        address: Address,
        timeout: float,
        taker: IDialTaker,
        keepalive: KeepaliveOptions | None,
        greeting: bytes,
    ) -> IDial:
        try:
            return StreamDial(self, address, timeout, taker, keepalive, greeting)
        except OSError as error:
            taker.dial_failed(dial_error(error.errno or 0))
            return FAILED_DIAL

    def stop(self) -> None:
        """Leave nothing with the clock."""
        self.timer.stop()


@implementer(IDial)
class StreamDial(NativeStream):
    """A connection to a server from its first packet on. An `Idler` for the connect's timeout.

    Its taker gives it a protocol before it returns.
    """

    def __init__(
        self,
        dialler: StreamDialler,
        address: Address,
        timeout: float,
        taker: IDialTaker,
        keepalive: KeepaliveOptions | None,
        greeting: bytes,
    ) -> None:
        """Raises OSError where the connect cannot begin."""
        streams = dialler.streams
        self._peer, self._when_lost = address, None
        self._timer, self._taker, self._greeting = dialler.timer, taker, greeting
        self.idle_limit, self.last_active = timeout, streams.reactor.seconds()
        streams.watch()
        super().dial(streams, address.host, address.port, keepalive_options(keepalive))
        self._timer.watch(self)

    def cancel(self) -> bool:
        self._timer.forget(self)
        super().cancel()
        return True

    def idle_expired(self) -> None:
        super().cancel()
        self._taker.dial_failed(dial_error(errno.ETIMEDOUT))

    def _dialled(self, code: int) -> None:
        """Called by the compiled part, once."""
        self._timer.forget(self)
        if code:
            self._taker.dial_failed(dial_error(code))
            return
        if self._greeting:
            self.write(self._greeting)
        self._taker.dialled(self)
