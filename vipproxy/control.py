"""What operators may look into and change, by name: the service's `IControl`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twisted.logger import Logger
from zope.interface import implementer

from vipproxy.backends.operations import Operations
from vipproxy.backends.pool import Pool
from vipproxy.captures import Captures
from vipproxy.config.options import ServerConfig
from vipproxy.errors import Refused, Unknown
from vipproxy.frontend import Frontend
from vipproxy.interfaces import (
    CapturedMessage,
    Health,
    IControl,
    PinView,
    SessionView,
    TableView,
)
from vipproxy.limits import SessionLimit
from vipproxy.values import Address, AdminState

log = Logger()


@implementer(IControl)
class Control:
    """Finds whom a wish is for, and passes it on."""

    backends: Mapping[str, Pool]
    frontends: Mapping[str, Frontend]
    _limit: SessionLimit
    _captures: Captures
    _reactor: Any

    # -- servers

    def set_admin_state(self, backend: str, server: str, state: AdminState) -> None:
        self._pool(backend).set_admin_state(server, state)

    def set_weight(self, backend: str, server: str, weight: int) -> None:
        self._of(backend).set_weight(server, weight)

    def set_health(self, backend: str, server: str, health: Health) -> None:
        self._of(backend).set_health(server, health)

    def set_checking(self, backend: str, server: str, on: bool) -> None:
        self._of(backend).set_checking(server, on)

    def set_address(self, backend: str, server: str, address: Address) -> None:
        self._of(backend).set_address(server, address)

    def set_check_address(
        self, backend: str, server: str, host: str | None = None, port: int | None = None
    ) -> None:
        self._of(backend).set_check_address(server, host, port)

    def set_server_maxconn(self, backend: str, server: str, maxconn: int) -> None:
        self._of(backend).set_maxconn(server, maxconn)

    def add_server(self, backend: str, config: ServerConfig) -> None:
        self._of(backend).add(config)

    def remove_server(self, backend: str, server: str) -> None:
        self._of(backend).remove(server)

    def shut_server_sessions(self, backend: str, server: str) -> None:
        self._of(backend).end_sessions(server)

    # -- frontends

    def disable_frontend(self, name: str) -> None:
        self._frontend_named(name).disable()
        self._told(name, f"Paused frontend {name}.", "warning")

    def enable_frontend(self, name: str) -> None:
        self._frontend_named(name).enable()
        self._told(name, f"Resumed frontend {name}.", "warning")

    def shut_frontend(self, name: str) -> None:
        frontend = self._frontend_named(name)
        frontend.shut_down()
        total = frontend.counters.sessions_total
        text = f"Proxy {name} stopped (cumulated conns: FE: {total}, BE: 0)."
        self._told(name, text, "warning")

    def set_frontend_maxconn(self, name: str, maxconn: int) -> None:
        self._frontend_named(name).set_maxconn(maxconn)

    # -- the process

    def set_session_limit(self, limit: int) -> None:
        if limit > self._limit.ceiling:
            raise Refused("Value out of range.")
        self._limit.set_limit(limit)

    def set_session_rate(self, rate: int) -> None:
        self._limit.set_pace(self._reactor, rate)

    def clear_counters(self, everything: bool) -> None:
        for frontend in self.frontends.values():
            frontend.clear_counters(everything)
        for pool in self.backends.values():
            pool.operations.clear_counters(everything)

    # -- sessions and tables

    def sessions(self) -> list[SessionView]:
        return [view for frontend in self.frontends.values() for view in frontend.views()]

    def shut_session(self, number: int) -> bool:
        return any(frontend.shut(number) for frontend in self.frontends.values())

    def tables(self) -> list[TableView]:
        return [_table(pool) for pool in self.backends.values() if pool.pins is not None]

    def set_pin(self, backend: str, key: str, server: int | None) -> None:
        self._of(backend).set_pin(key, server)

    def drop_pins(self, backend: str, keys: Sequence[str]) -> None:
        self._of(backend).drop_pins(keys)

    def captures(self) -> tuple[int, list[CapturedMessage]]:
        return self._captures.total, self._captures.messages()

    # -- found

    def _pool(self, name: str) -> Pool:
        try:
            return self.backends[name]
        except KeyError:
            raise Unknown("No such backend.") from None

    def _of(self, backend: str) -> Operations:
        return self._pool(backend).operations

    def _frontend_named(self, name: str) -> Frontend:
        try:
            return self.frontends[name]
        except KeyError:
            raise Unknown("No such frontend.") from None

    def _told(self, subject: str, text: str, severity: str) -> None:
        log.info("{text}", text=text)
        self.server_changed(subject, "", text, severity)

    def server_changed(self, backend: str, server: str, text: str, severity: str) -> None:
        """The service's own: an event."""
        raise NotImplementedError


def _table(pool: Pool) -> TableView:
    pins, numbers = pool.pins, {server.name: server.number for server in pool.servers}
    assert pins is not None
    views = tuple(
        PinView(
            number=id(pin),
            key=key,
            server=pin.server,
            server_number=numbers.get(pin.server, 0),
            users=pin.users,
            expires_in=pins.expires_in(pin),
        )
        for key, pin in pins.entries()
    )
    return TableView(pool.name, pins.options.size, views)
