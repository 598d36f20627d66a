"""The connection of one probe: opened, spoken on and always closed."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.error import (
    ConnectBindError,
    ConnectError,
    ConnectingCancelledError,
    TimeoutError,
)
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from vipproxy.checks import CheckFailed
from vipproxy.interfaces import CheckTarget
from vipproxy.values import CheckStatus

# HAProxy's default buffer size: no answer to a check needs more.
RECEIVE_LIMIT = 16384


class Conversation(Protocol):
    """Lets a coroutine write to a server, and wait for what it says."""

    transport: Any
    """An ITCPTransport that is also a push producer."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._ended = False
        self._reader: Deferred[None] | None = None
        self._tls = False
        self._tls_error = ""

    def start_tls(self, context: object) -> None:
        """Go on in TLS, as a client; `context` is Twisted's CertificateOptions.

        Raises CheckFailed (L6_RESPONSE) where something was said in the clear that is not read
        yet: it would pass for protected.
        """
        if self._received:
            raise CheckFailed(CheckStatus.L6_RESPONSE, "the server spoke before the TLS handshake")
        self._tls = True
        self.transport.startTLS(context)

    def write(self, data: bytes) -> None:
        """Send bytes; harmless where the server has gone."""
        self.transport.write(data)

    async def read(self) -> bytes:
        """The bytes that have come, at least one; empty once the server has closed or reset.

        Raises CheckFailed: L7_TIMEOUT when the probe is cancelled meanwhile, L6_RESPONSE with
        OpenSSL's words where TLS has failed.
        """
        if not self._received and not self._ended:
            self._reader = Deferred()
            try:
                await self._reader
            except CancelledError:
                raise CheckFailed(CheckStatus.L7_TIMEOUT) from None
            finally:
                self._reader = None
        if self._tls_error and not self._received:
            raise CheckFailed(CheckStatus.L6_RESPONSE, self._tls_error)
        data = bytes(self._received)
        self._received.clear()
        self.transport.resumeProducing()
        return data

    def dataReceived(self, data: bytes) -> None:
        self._received += data
        if len(self._received) >= RECEIVE_LIMIT:
            self.transport.pauseProducing()
        self._wake()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._ended = True
        if self._tls:
            self._tls_error = _tls_words(reason)
        self._wake()

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.called:
            self._reader.callback(None)


class _Conversations(Factory):
    noisy = False
    protocol = Conversation


@asynccontextmanager
async def conversation(target: CheckTarget) -> AsyncIterator[Conversation]:
    """Connect to the probed server; ``async with conversation(target) as peer``.

    Raises CheckFailed: L4_CONNECTION with the kernel's words, L4_TIMEOUT when the probe is
    cancelled or times out while it connects, SOCKET_ERROR where no socket could be made. After
    the block what was written is sent and the connection closed; after an exception in it the
    connection is reset.
    """
    peer = await _connect(target)
    try:
        yield peer
    except BaseException:
        peer.transport.abortConnection()
        raise
    peer.transport.loseConnection()


async def _connect(target: CheckTarget) -> Conversation:
    try:
        peer = await _endpoint(target).connect(_Conversations())
    except (CancelledError, ConnectingCancelledError, TimeoutError):
        raise CheckFailed(CheckStatus.L4_TIMEOUT) from None
    except ConnectBindError as error:
        raise CheckFailed(CheckStatus.SOCKET_ERROR, _words(error)) from None
    except ConnectError as error:
        raise CheckFailed(CheckStatus.L4_CONNECTION, _words(error)) from None
    assert isinstance(peer, Conversation)
    return peer


def _endpoint(target: CheckTarget) -> IStreamClientEndpoint:
    kind = TCP6ClientEndpoint if ":" in target.address.host else TCP4ClientEndpoint
    address = target.address
    return kind(target.reactor, address.host, address.port, timeout=target.timeout)


def _tls_words(reason: Failure) -> str:
    """What OpenSSL complains of, such as "certificate verify failed"; empty for other ends."""
    from OpenSSL.SSL import Error  # type: ignore[import-not-found,unused-ignore]  # an extra

    if not isinstance(reason.value, Error):
        return ""
    complaints = reason.value.args[0] if reason.value.args else ()
    return "; ".join(str(each[-1]) for each in complaints) or "TLS failed"


def _words(error: ConnectError) -> str:
    """HAProxy's info text is the system's own: "Connection refused"."""
    return os.strerror(error.osError) if isinstance(error.osError, int) else str(error)
