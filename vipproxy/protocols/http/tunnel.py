"""What an HTTP connection becomes after `101 Switching Protocols`: bytes both ways."""

from __future__ import annotations

from typing import Any

from zope.interface import implementer

from vipproxy.counters import Traffic
from vipproxy.interfaces import (
    IBackend,
    IFrontend,
    IInspectable,
    ILease,
    IRelaySession,
    IRelayTaker,
    IRevocable,
)
from vipproxy.protocols.http.log import ClientLog
from vipproxy.sockets import address_of
from vipproxy.values import Address, Ending

SWITCHING_PROTOCOLS = 101


class TunnelTraffic:
    """Counts for the client's session, which had traffic before, and for the lease at once."""

    def __init__(self, session: Traffic, lease: Traffic) -> None:
        self._session, self._lease = session, lease

    @property
    def bytes_in(self) -> int:
        return self._lease.bytes_in

    @bytes_in.setter
    def bytes_in(self, value: int) -> None:
        self._session.bytes_in += value - self._lease.bytes_in
        self._lease.bytes_in = value

    @property
    def bytes_out(self) -> int:
        return self._lease.bytes_out

    @bytes_out.setter
    def bytes_out(self, value: int) -> None:
        self._session.bytes_out += value - self._lease.bytes_out
        self._lease.bytes_out = value


@implementer(IInspectable, IRevocable, IRelayTaker)
class Tunnel:
    """Holds the lease while the relay moves the bytes."""

    attempt = None

    def __init__(
        self, frontend: IFrontend, client: Any, lease: ILease, log: ClientLog | None = None
    ) -> None:
        self._frontend, self._client, self._lease, self._log = frontend, client, lease, log
        self._session: IRelaySession | None = None

    @property
    def peer(self) -> Address:
        return address_of(self._client.getPeer())

    @property
    def lease(self) -> ILease:
        return self._lease

    @property
    def wanted(self) -> IBackend:
        return self._lease.backend

    def start(
        self, server: Any, session: Traffic, timeout: float, to_client: bytes, to_server: bytes
    ) -> None:
        """Hand both transports to the relay; `timeout` is in seconds, for both sides."""
        self._lease.holder = self
        if self._log is not None:
            self._log.answered(SWITCHING_PROTOCOLS)
        self._session = self._frontend.relay.relay(
            self._client,
            server,
            self,
            TunnelTraffic(session, self._lease.traffic),  # type: ignore[arg-type]
            timeout,
            timeout,
            to_server=to_server,
            to_client=to_client,
        )

    def relay_ended(self, ending: Ending) -> None:
        self._lease.release(ending)
        self._write_down(ending)
        self._frontend.closed(self._client)

    def revoked(self, ending: Ending) -> None:
        assert self._session is not None
        self._session.shut_down()
        self._write_down(ending)
        self._frontend.closed(self._client)

    def _write_down(self, ending: Ending) -> None:
        if self._log is not None:
            self._log.end(ending, "-" if ending is Ending.NORMAL else "D")
            self._log.over()
