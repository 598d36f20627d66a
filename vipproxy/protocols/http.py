"""`protocol = http`: requests balanced one by one, with persistence by cookie."""

from __future__ import annotations

from typing import Any

from attrs import frozen
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.protocol import Factory
from zope.interface import implementer

from vipproxy.config.declare import option
from vipproxy.config.kinds import DURATION, FLAG, TEXT
from vipproxy.framing.http1 import RequestHead
from vipproxy.interfaces import IBackend, IFrontend, IProtocolPlugin
from vipproxy.protocols.http_client import HttpClient
from vipproxy.protocols.http_cookie import Persistence
from vipproxy.timers import IdleTimer


@frozen
class HttpOptions:
    """What an http frontend adds to the keys of every frontend."""

    monitor_uri: str | None = option(
        TEXT,
        default=None,
        help="a path that the proxy itself answers, with 200, for whoever watches it",
        haproxy="monitor-uri",
    )
    timeout_http_request: float | None = option(
        DURATION,
        default=None,
        help="a request's head must be complete by then; by default timeout-client",
        haproxy="timeout http-request",
    )
    timeout_http_keep_alive: float | None = option(
        DURATION,
        default=None,
        help="longest wait for another request; by default timeout-http-request",
        haproxy="timeout http-keep-alive",
    )
    timeout_tunnel: float = option(
        DURATION,
        default=3600.0,
        help="an upgraded connection without traffic in either direction ends after it",
        haproxy="timeout tunnel",
    )
    forwarded_for: bool = option(
        FLAG,
        default=False,
        help="tell servers the client's address, in X-Forwarded-For",
        haproxy="option forwardfor",
    )

    def __attrs_post_init__(self) -> None:
        uri = self.monitor_uri
        if uri is not None and not (uri.startswith("/") and uri.isascii()):
            raise ValueError(f"the URI '{uri}' must begin with '/' and be plain ASCII")


class HttpFactory(Factory):
    """Makes one `HttpClient` a client, and holds what they share."""

    noisy = False

    def __init__(self, frontend: IFrontend, options: HttpOptions) -> None:
        self.frontend, self.options = frontend, options
        self.timer = IdleTimer(frontend.clock)
        self.clients: set[HttpClient] = set()
        cookie = self.backend.options.cookie
        self.persistence = None if cookie is None else Persistence(cookie, self.backend)
        client_limit: float = frontend.options.timeout_client
        self.request_limit = options.timeout_http_request or client_limit
        self.keep_alive_limit = options.timeout_http_keep_alive or self.request_limit
        self._monitor_uri = (options.monitor_uri or "").encode()

    @property
    def backend(self) -> IBackend:
        backend = self.frontend.backend
        assert backend is not None  # `needs_backend`
        return backend

    def buildProtocol(self, addr: Any) -> HttpClient:  # type: ignore[override]
        return HttpClient(self)

    def stopFactory(self) -> None:
        """Nobody listens any more: close idle connections, let requests finish."""
        for client in list(self.clients):
            client.close_if_idle()

    def client_gone(self, client: HttpClient) -> None:
        """Without clients, nothing is left with the clock."""
        self.clients.discard(client)
        if not self.clients:
            self.timer.stop()

    def monitors(self, head: RequestHead) -> bool:
        """Whether a request is for the monitor: its path, byte for byte."""
        return bool(self._monitor_uri) and head.path == self._monitor_uri


@implementer(IProtocolPlugin)
class HttpProtocol:
    """HTTP/1.0 and HTTP/1.1."""

    options = HttpOptions
    mode = "http"
    needs_backend = True

    def factory(self, frontend: IFrontend, options: Any) -> IProtocolFactory:
        return HttpFactory(frontend, options)
