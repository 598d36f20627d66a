"""One tree of errors: each knows whose fault it is and whether a retry is safe."""

from __future__ import annotations

from typing import ClassVar

from vipproxy.values import Ending


class VipproxyError(Exception):
    """The root. Its text is a sentence for an operator."""


class ConfigError(VipproxyError):
    """The configuration has errors; `report` is what `vipproxy check` prints."""

    def __init__(self, report: str) -> None:
        super().__init__(report)
        self.report = report


class SessionError(VipproxyError):
    """A session that cannot go on."""

    side: ClassVar[str] = "proxy"
    """client, server or proxy."""
    retry_is_safe: ClassVar[bool] = False
    """True only where not a byte was sent to a server."""
    ending: ClassVar[Ending] = Ending.PROXY


class NoServer(SessionError):
    """No server of the backend is usable."""

    side = "server"
    ending = Ending.SERVER_ABORT


class QueueTimeout(SessionError):
    """No server became free, or got its verdict, in time (`timeout-queue`)."""

    side = "server"
    ending = Ending.SERVER_TIMEOUT


class ServersFull(QueueTimeout):
    """The wait was for a server with `maxconn` sessions, and none of them ended in time."""


class ConnectFailed(SessionError):
    """A server refused the connection, or could not be reached."""

    side = "server"
    retry_is_safe = True
    ending = Ending.SERVER_ABORT


class ConnectTimeout(ConnectFailed):
    """A server did not accept the connection in time (`timeout-connect`)."""

    ending = Ending.SERVER_TIMEOUT


class ServerMarkedDown(SessionError):
    """The server was marked down, or put into maintenance, under the session."""

    side = "server"
    ending = Ending.MARKED_DOWN


class ClientGone(SessionError):
    """The client left before there was an answer."""

    side = "client"
    ending = Ending.CLIENT_ABORT


class ClientTimeout(SessionError):
    """The client did not send what it had begun in time."""

    side = "client"
    ending = Ending.CLIENT_TIMEOUT


class BadRequest(SessionError):
    """The client sent what its protocol does not allow."""

    side = "client"
    ending = Ending.PROXY


class ServerTimeout(SessionError):
    """The server did not answer in time (`timeout-server`)."""

    side = "server"
    ending = Ending.SERVER_TIMEOUT


class BadResponse(SessionError):
    """The server answered what its protocol does not allow, or nothing.

    `data` is what it answered, where that was not understood.
    """

    data = b""

    side = "server"
    ending = Ending.SERVER_ABORT


class MalformedResponse(BadResponse):
    """The server answered, but not what its protocol allows."""

    ending = Ending.PROXY


class ResponseDenied(SessionError):
    """A rule refuses the server's response; `status` is what the client is told instead."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


class InternalError(SessionError):
    """A plugin raised, or the proxy has a fault of its own."""

    ending = Ending.INTERNAL


class Refused(VipproxyError):
    """What an operator asked for cannot be done; the text is HAProxy's."""


class Unknown(Refused, LookupError):
    """There is no backend, server or frontend of that name."""


class ListenFailed(VipproxyError):
    """A frontend cannot listen where it should."""
