"""`protocol = http`: requests balanced one by one, with persistence by cookie."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.protocol import Factory
from zope.interface import implementer

from vipproxy.framing.http_fields import FieldChanges
from vipproxy.interfaces import (
    ICopyingRelay,
    IFrontend,
    IProtocolPlugin,
    IRequestBalancerPlugin,
)
from vipproxy.protocols.http_client import HttpClient
from vipproxy.protocols.http_cookie import Persistence
from vipproxy.protocols.http_forwarded import Forwarding
from vipproxy.protocols.http_idle import IdleConnections
from vipproxy.protocols.http_options import HttpOptions
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
        assert frontend.backend is not None  # `needs_backend`
        self.backend = frontend.backend
        self.keeps_servers = self._keeps_servers()
        """Connections to servers outlive a request."""
        self.reuses_at_once = self.keeps_servers and options.http_reuse == "always"
        """Also for the first request of a client, which no client would repeat by itself."""
        delay, limit = options.pool_purge_delay, options.pool_max_conn
        self.idle = IdleConnections(frontend.clock, delay, limit)
        self.backend.watch(self.idle)
        self.forwarding = Forwarding(options.forwarded_for, options.forwarded)
        self._read_backend_options()
        self.client_limit: float = frontend.options.timeout_client
        self.server_limit: float = self.backend.options.timeout_server
        self.request_limit = options.timeout_http_request or self.client_limit
        self.keep_alive_limit = options.timeout_http_keep_alive or self.request_limit
        self.monitor_path = (options.monitor_uri or "").encode()
        """A request is for the monitor if its path is this, byte for byte; empty: none is."""

    def _read_backend_options(self) -> None:
        """Header changes in HAProxy's order: first where the message comes by first."""
        own, backend = self.options, self.backend.options
        self.request_changes = _changes(own.request_header, backend.request_header)
        self.response_changes = _changes(backend.response_header, own.response_header)
        clock = self.frontend.clock
        self.persistence = (
            None
            if backend.cookie is None
            else Persistence(backend.cookie, self.backend, clock.seconds)
        )
        balance = backend.balance
        self.key_of = (
            balance.plugin.key_reader(balance.options)
            if IRequestBalancerPlugin.providedBy(balance.plugin)
            else None
        )

    def _keeps_servers(self) -> bool:
        """Not where a PROXY header has tied the connection to one client."""
        return self.options.http_reuse != "never" and self.backend.options.send_proxy is None

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


def _changes(*sections: Any) -> tuple[FieldChanges, ...]:
    """What each section changes, in their order; nothing for those that change nothing."""
    return tuple(FieldChanges.of(section) for section in sections if section)


@implementer(IProtocolPlugin)
class HttpProtocol:
    """HTTP/1.0 and HTTP/1.1."""

    options = HttpOptions
    mode = "http"
    needs_backend = True

    def factory(self, frontend: IFrontend, options: Any) -> IProtocolFactory:
        return HttpFactory(frontend, options)
