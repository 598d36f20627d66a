"""Clients behind another proxy, which tells who they are: `accept-proxy`."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from vipproxy.framing.proxy import V2_LIMIT, ProxyHeader, ProxyHeaderError, parse
from vipproxy.frontend import Frontend
from vipproxy.sockets import UNKNOWN
from vipproxy.values import Address

log = Logger()


class AnnouncedSocket(socket.socket):
    """A client's socket, between the addresses that its PROXY header names, if it names any.

    On a Unix socket clients have no address without it.
    """

    header = ProxyHeader()

    def getpeername(self) -> Any:
        client = self.header.client or self._nowhere
        return super().getpeername() if client is None else (client.host, client.port)

    def getsockname(self) -> Any:
        called = self.header.destination or self._nowhere
        return super().getsockname() if called is None else (called.host, called.port)

    @property
    def _nowhere(self) -> Address | None:
        return UNKNOWN if self.family == socket.AF_UNIX else None


Welcome = Callable[[AnnouncedSocket, Address], None]


@implementer(IReadDescriptor)
class Stranger:
    """A connection whose PROXY header has not come yet; it takes up a client's room.

    Not a byte beyond the header is read. What is no header, or is not there within
    `timeout-client`, ends the connection without a word, as in HAProxy.
    """

    def __init__(
        self,
        sock: AnnouncedSocket,
        peer: Address,
        frontend: Frontend,
        welcome: Welcome,
        gone: Callable[[Stranger], None],
    ) -> None:
        """`welcome` is called with the socket and the client's address; `gone` at every end."""
        self._sock, self._peer, self._frontend = sock, peer, frontend
        self._welcome, self._gone = welcome, gone
        self._seen = b""
        self._reactor = frontend.clock
        limit = frontend.options.timeout_client
        self._limit = self._reactor.callLater(limit, self._refuse, "it did not come in time")
        frontend.strangers += 1
        self._reactor.addReader(self)

    def fileno(self) -> int:
        return self._sock.fileno()

    def logPrefix(self) -> str:
        return f"Stranger {self._peer}"

    def connectionLost(self, reason: Failure) -> None:
        """The reactor stops."""
        self.close()

    def doRead(self) -> None:
        try:
            header = self._read()
        except BlockingIOError:
            return
        except (ProxyHeaderError, OSError) as error:
            self._refuse(str(error))
            return
        if header is not None:
            self._leave()
            self._sock.header = header
            self._welcome(self._sock, header.client or self._peer)

    def close(self) -> None:
        """End it."""
        self._leave()
        self._sock.close()

    def _read(self) -> ProxyHeader | None:
        """The header, once it is whole: looked at first, so that no more than it is taken.

        Raises ProxyHeaderError.
        """
        data = self._sock.recv(V2_LIMIT, socket.MSG_PEEK)
        if not data:
            raise ProxyHeaderError("the connection ended before it")
        found = parse(self._seen + data)
        if found is None:
            self._seen += self._sock.recv(len(data))
            return None
        header, length = found
        self._sock.recv(length - len(self._seen))
        return header

    def _refuse(self, why: str) -> None:
        log.debug("no PROXY header from {peer}: {why}", peer=self._peer, why=why)
        self.close()

    def _leave(self) -> None:
        if self._limit.active():
            self._limit.cancel()
        self._reactor.removeReader(self)
        self._frontend.strangers -= 1
        self._gone(self)
