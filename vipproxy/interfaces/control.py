"""What operators may look into and change while the proxy runs."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import TYPE_CHECKING

from attrs import frozen
from zope.interface import Interface

from vipproxy.values import Address, AdminState

if TYPE_CHECKING:
    from vipproxy.config.options import ServerConfig


class Health(Enum):
    """What an operator says of a server's health, until its next check."""

    UP = "up"
    STOPPING = "stopping"
    DOWN = "down"


@frozen
class SessionView:
    """A client that uses a server, or wants one. Times are in seconds."""

    number: int
    """What it is called by, as long as it is there."""
    frontend: str
    backend: str
    server: str
    """Empty while it waits for one."""
    source: Address
    server_address: Address | None
    age: float
    bytes_in: int
    bytes_out: int


@frozen
class PinView:
    """An entry of a stick table."""

    number: int
    key: str
    server: str
    server_number: int
    """0 where the server is gone."""
    users: int
    """Sessions that use it now."""
    expires_in: float
    """Seconds; 0 where it never expires."""


@frozen
class TableView:
    """A stick table, which is called as its backend."""

    name: str
    size: int
    pins: tuple[PinView, ...]


@frozen
class CapturedMessage:
    """The last message of a proxy that was refused; secrets in it are masked."""

    number: int
    """Counts all refused messages of the process from 0."""
    at: float
    """Unix time in seconds."""
    frontend: str
    backend: str
    """Of a response; empty for a request, which had no backend yet."""
    server: str
    source: Address
    reason: str
    data: bytes

    @property
    def is_response(self) -> bool:
        return bool(self.backend)


class IControl(Interface):
    """What an operator may change.

    Each change takes effect before the call returns. Every method may raise
    `vipproxy.errors.Refused`, whose text is HAProxy's; where there is no backend, server or
    frontend of the name it is `vipproxy.errors.Unknown`, which is also a LookupError.
    """

    def set_admin_state(backend: str, server: str, state: AdminState) -> None:
        """Set what is wanted of a server."""

    def set_weight(backend: str, server: str, weight: int) -> None:
        """Change a server's share; 0 drains it."""

    def set_health(backend: str, server: str, health: Health) -> None:
        """Take a server for up, down or stopping, until its next check says otherwise."""

    def set_checking(backend: str, server: str, on: bool) -> None:
        """Pause the checks of a server, or go on with them."""

    def set_address(backend: str, server: str, address: Address) -> None:
        """Move a server: what is known of its health is forgotten."""

    def set_check_address(
        backend: str, server: str, host: str | None = None, port: int | None = None
    ) -> None:
        """Check a server elsewhere; None leaves what was."""

    def set_server_maxconn(backend: str, server: str, maxconn: int) -> None:
        """Change how many sessions a server may have; 0 is no limit."""

    def add_server(backend: str, config: ServerConfig) -> None:
        """Add a server, in maintenance."""

    def remove_server(backend: str, server: str) -> None:
        """Remove a server that is in maintenance and has no sessions."""

    def shut_server_sessions(backend: str, server: str) -> None:
        """End all sessions of a server."""

    def shut_session(number: int) -> bool:
        """End one session; False where there is none of that number."""

    def disable_frontend(name: str) -> None:
        """Accept no clients until it is enabled again; sessions go on."""

    def enable_frontend(name: str) -> None:
        """Accept clients again."""

    def shut_frontend(name: str) -> None:
        """Accept no clients any more, and give the addresses free; sessions go on."""

    def set_frontend_maxconn(name: str, maxconn: int) -> None:
        """Change how many sessions a frontend may have."""

    def set_session_limit(limit: int) -> None:
        """Change how many sessions the process may have; 0 is as many as it can hold."""

    def set_session_rate(rate: int) -> None:
        """Accept at most so many clients a second; 0 is no limit."""

    def set_pin(backend: str, key: str, server: int | None) -> None:
        """Pin a key to the server of a number; None only marks the entry as used."""

    def drop_pins(backend: str, keys: Sequence[str]) -> None:
        """Remove entries of a stick table; those in use stay."""

    def clear_counters(everything: bool) -> None:
        """Forget the highest values, or all sums as well."""
