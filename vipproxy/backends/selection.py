"""Which server a client gets: persistence first, then the balancer among those that are free."""

from __future__ import annotations

from attrs import define, field
from twisted.logger import Logger

from vipproxy.backends.queue import Queue
from vipproxy.backends.server import Server
from vipproxy.backends.stick import Pin, StickTable
from vipproxy.config.options import BackendOptions
from vipproxy.errors import InternalError, NoServer
from vipproxy.interfaces import IBalancer, LeaseRequest

log = Logger()


@define(eq=False)
class Selection:
    """Chooses and queues, but changes nothing: no lease is given here."""

    backend: str
    options: BackendOptions
    servers: list[Server]
    pins: StickTable | None
    balancer: IBalancer
    queue: Queue = field(factory=Queue)
    """For clients whom any server may serve; each server has one for those bound to it."""
    usable: list[Server] = field(factory=list)
    """Active servers; without any, the first usable backup alone, or all (`all-backups`)."""
    _limited: bool = field(default=False, init=False)
    """Some usable server has a maxconn."""
    _by_name: dict[str, Server] = field(factory=dict, init=False)
    _by_cookie: dict[str, Server] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        self.refresh()

    def refresh(self) -> None:
        """A server has changed: find out again who is usable."""
        usable = [server for server in self.servers if server.usable]
        active = [server for server in usable if not server.backup]
        self.usable = active or (usable if self.options.all_backups else usable[:1])
        self._limited = any(server.maxconn for server in self.usable)
        self._by_name = {server.name: server for server in self.servers}
        self._by_cookie = {s.cookie: s for s in self.servers if s.cookie is not None}

    def choose(self, request: LeaseRequest) -> Server | Queue:
        """The server for a request, or the queue to wait in; raises NoServer, InternalError."""
        bound = self._bound(request)
        if bound is not None:
            return bound.queue if bound.full or self._awaits_verdict(bound) else bound
        if self.pins is not None and self.pins.exclusive:
            return self._writer()
        return self._balanced(request)

    def named(self, name: str) -> Server | None:
        return self._by_name.get(name)

    def of_cookie(self, value: str) -> Server | None:
        return self._by_cookie.get(value)

    def successor(self) -> Server | None:
        """The server that would get an exclusive pin now."""
        return next((server for server in self._by_preference() if server.usable), None)

    def _awaits_verdict(self, server: Server) -> bool:
        """A pin moves only at a mark-down, so its clients wait for one; others go elsewhere."""
        return server.unjudged or (server.suspect and self.pins is not None)

    def _bound(self, request: LeaseRequest) -> Server | None:
        """The only server that may serve the request, if there is one."""
        server = None
        if request.tried and not self.options.redispatch:
            server = self._bound_by_retry(request)
        if server is None and request.cookie:
            server = self._bound_by_cookie(request, request.cookie)
        if server is None and self.pins is not None:
            server = self._bound_by_pin(request, self.pins)
        return server

    def _bound_by_retry(self, request: LeaseRequest) -> Server | None:
        """Without redispatch a refused client stays with its server, as long as that is up."""
        server = self.named(next(iter(request.tried)))
        return server if server and server.keeps_clients else None

    def _bound_by_cookie(self, request: LeaseRequest, cookie: str) -> Server | None:
        """The server of the client's cookie, unless it is down or has refused this client."""
        server = self.of_cookie(cookie)
        if server is None or server.name in request.tried:
            return None
        return server if server.keeps_clients or server.unjudged else None

    def _bound_by_pin(self, request: LeaseRequest, pins: StickTable) -> Server | None:
        """The pinned server: also one that has refused, or is not judged since the restart."""
        pin = pins.lookup(pins.key_of(request))
        if pin is None or self._may_fail_back(pin):
            return None
        server = self.named(pin.server)
        return server if server and (server.keeps_clients or server.unjudged) else None

    def _may_fail_back(self, pin: Pin) -> bool:
        """`fail-back = idle`: a pin that no session uses is given anew, by preference."""
        policy = self.options.fail_back
        return policy is not None and policy.when == "idle" and not pin.users

    def _writer(self) -> Server | Queue:
        """Who gets an exclusive pin: the first usable server in the order of the configuration.

        It waits for the verdict on earlier ones, so that several proxies agree without talking.
        """
        for server in self._by_preference():
            if server.unjudged or (server.usable and server.full):
                return server.queue
            if server.usable:
                return server
        raise self._none()

    def _balanced(self, request: LeaseRequest) -> Server | Queue:
        free = self.usable
        if not free:
            if any(server.unjudged for server in self.servers):
                return self.queue
            raise self._none()
        if self._limited:
            free = [server for server in free if not server.full]
            if not free:
                return self.queue
        if request.tried:
            free = [server for server in free if server.name not in request.tried] or free
        return self._pick(free, request)

    def _pick(self, servers: list[Server], request: LeaseRequest) -> Server:
        """Ask the balancer, which may be a plugin: its mistakes cost this session alone."""
        try:
            # The one of ours, whatever came: a ValueError where it is none of them.
            return servers[servers.index(self.balancer.pick(servers, request))]  # type: ignore[arg-type]
        except Exception:
            log.failure("the balancer of backend {backend} failed", backend=self.backend)
            raise InternalError(f"the balancer of backend '{self.backend}' failed") from None

    def _by_preference(self) -> list[Server]:
        """In the order of the configuration, backups last."""
        return sorted(self.servers, key=lambda server: server.backup)

    def _none(self) -> NoServer:
        return NoServer(f"no server is available in backend '{self.backend}'")
