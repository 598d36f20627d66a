"""What is remembered of one session or exchange, until its line is written."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define
from zope.interface import implementer

from vipproxy.interfaces import IBackend, ILease, ITrail
from vipproxy.values import Address, Ending


@implementer(ITrail)
@define(eq=False)
class Record:
    """Times are the clock's seconds; bytes of heads are kept as they came, and read later."""

    client: Address
    destination: Address
    accepted_at: float
    """When the connection came, or was ready for another request."""
    began_at: float
    """When the request's first byte came."""
    requested_at: float | None
    """When the request's head was complete, if it ever was; TCP has none, and begins at once."""
    bytes_in: int = 0
    bytes_out: int = 0
    request: bytes = b""
    """The request's lines, before anything was changed."""
    response: bytes = b""
    """The server's lines, before anything was changed..."""
    edited: bytes = b""
    """...and after the persistence cookie was."""
    added: bytes = b""
    """The persistence fields added to the response."""
    cookie: str | None = None
    """The server's value in the client's persistence cookie, where it was understood."""
    cookie_flags: Callable[[Record], str] | None = None
    """Knows the last two letters of the termination state, where there is persistence."""
    status: int = -1
    lease: ILease | None = None
    """The last one."""
    waited: float | None = None
    """Seconds in queues, once that is known."""
    retries: int = 0
    """Attempts after the first."""
    redispatched: bool = False
    server_queue: int = 0
    backend_queue: int = 0
    backend: IBackend | None = None
    ending: Ending = Ending.NORMAL
    phase: str = "-"
    """The second letter of HAProxy's termination state (manual, 8.5)."""
    ended_at: float = 0.0
    early: bool = False
    """Written before its end (`logasap`)."""
    process_sessions: int = 0
    frontend_sessions: int = 0
    backend_sessions: int = 0
    server_sessions: int = 0
    number: int = 0

    # -- what the connector and the pool tell

    def leased(self, lease: ILease, redispatched: bool) -> None:
        self.lease, self.waited = lease, lease.waited
        self.redispatched = self.redispatched or redispatched

    def retried(self) -> None:
        self.retries += 1

    def left_queue(self, waited: float, of_server: bool, position: int) -> None:
        self.lease, self.waited = None, waited
        if of_server:
            self.server_queue += position
        else:
            self.backend_queue += position

    # -- what it amounts to

    @property
    def failed(self) -> bool:
        """HAProxy's idea of an error, for `dontlog-normal` and `log-separate-errors`."""
        wrong = self.ending is not Ending.NORMAL and self.ending is not Ending.LOCAL
        return wrong or self.retries > 0 or self.redispatched or self.status >= 500

    @property
    def connecting(self) -> float | None:
        """Seconds from the lease to the connected server."""
        lease = self.lease
        return lease.connected_at - lease.opened_at if lease and lease.established else None

    @property
    def answering(self) -> float | None:
        """Seconds from there to the server's answer."""
        lease = self.lease
        if lease is None or not lease.established or lease.answered_at is None:
            return None
        return lease.answered_at - lease.connected_at
