"""`protocol = http`: requests balanced one by one, with persistence by cookie."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.protocol import Factory
from zope.interface import implementer

from vipproxy.interfaces import IBackend, ICopyingRelay, IFrontend, IProtocolPlugin
from vipproxy.protocols.http.client import HttpClient
from vipproxy.protocols.http.forwarded import Forwarding
from vipproxy.protocols.http.idle import IdleConnections
from vipproxy.protocols.http.options import HttpOptions
from vipproxy.protocols.http.route import Route, pages_of
from vipproxy.protocols.http.rules import RequestRules, has_rules
from vipproxy.sockets import address_of
from vipproxy.timers import IdleTimer


class HttpFactory(Factory):
    """Makes one `HttpClient` a client, and holds what they share."""

    noisy = False

    def __init__(self, frontend: IFrontend, options: HttpOptions) -> None:
        self.frontend, self.options = frontend, options
        self.timer = IdleTimer(frontend.clock)
        self.clients: set[HttpClient] = set()
        relay = frontend.relay
        self.bulk_relay = relay if ICopyingRelay.providedBy(relay) else None
        """Moves large bodies; None where it cannot."""
        self.keeps_clients = not options.httpclose
        """A client may send another request."""
        self.reuses_at_once = options.http_reuse == "always"
        """Also for the first request of a client, which no client would repeat by itself."""
        delay, limit = options.pool_purge_delay, options.pool_max_conn
        self.idle = IdleConnections(frontend.clock, delay, limit)
        self.forwarding = Forwarding(options.forwarded_for, options.forwarded)
        self.client_limit: float = frontend.options.timeout_client
        self.request_limit = options.timeout_http_request or self.client_limit
        self.keep_alive_limit = options.timeout_http_keep_alive or self.request_limit
        self.monitor_path = (options.monitor_uri or "").encode()
        """A request is for the monitor if its path is this, byte for byte; empty: none is."""

        self.pages = pages_of(options)
        self._routes: dict[str, Route] = {}
        self._ruled = has_rules(options, frontend.backend)
        backend = frontend.backend
        self.route = None if backend is None else self.route_to(backend)
        """Where requests go; None where rules alone say so."""
        self.rules = RequestRules(self) if self._ruled else None
        """None where there are none: a request then costs one look at this."""

    def route_to(self, backend: IBackend) -> Route:
        """The way to a backend."""
        route = self._routes.get(backend.name)
        if route is None:
            backend.watch(self.idle)
            route = Route(self.frontend, self.options, backend, self._ruled)
            self._routes[backend.name] = route
        return route

    def buildProtocol(self, addr: Any) -> HttpClient:  # type: ignore[override]
        return HttpClient(self, address_of(addr))

    def startFactory(self) -> None:
        self.idle.start()

    def stopFactory(self) -> None:
        """Nobody listens any more: close idle connections, let requests finish."""
        self.idle.stop()
        for client in list(self.clients):
            client.close_if_idle()

    def client_came(self, client: HttpClient) -> None:
        self.clients.add(client)
        self.idle.clients_changed(len(self.clients))

    def client_gone(self, client: HttpClient) -> None:
        """Without clients, nothing is left with the timer."""
        self.clients.discard(client)
        self.idle.clients_changed(len(self.clients))
        if not self.clients:
            self.timer.stop()


@implementer(IProtocolPlugin)
class HttpProtocol:
    """HTTP/1.0 and HTTP/1.1."""

    options = HttpOptions
    mode = "http"
    needs_backend = True

    def factory(self, frontend: IFrontend, options: Any) -> IProtocolFactory:
        return HttpFactory(frontend, options)
