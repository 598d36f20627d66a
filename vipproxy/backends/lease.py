"""The right to use a server, from the grant to the release."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field
from twisted.logger import Logger
from zope.interface import implementer

from vipproxy.backends.server import Server
from vipproxy.backends.stick import Pin
from vipproxy.counters import Traffic
from vipproxy.errors import SessionError
from vipproxy.interfaces import ILease, IRevocable
from vipproxy.values import Ending

if TYPE_CHECKING:
    from vipproxy.backends.pool import Pool

log = Logger()


@implementer(ILease)
@define(eq=False)
class Lease:
    """Open until it is released, refused or revoked; whatever comes after that is harmless."""

    pool: Pool
    server: Server
    pin: Pin | None = None
    by_cookie: bool = False
    traffic: Traffic = field(factory=Traffic)
    holder: IRevocable | None = None
    established: bool = False
    closed: bool = False

    def connected(self) -> None:
        self.established = True

    def refused(self, error: SessionError) -> None:
        if not self.closed:
            self._close()
            self.pool.lease_refused(self, error)

    def release(self, ending: Ending) -> None:
        if not self.closed:
            self._close()
            self.pool.lease_released(self)

    def revoke(self, ending: Ending) -> None:
        """The pool takes it back; a holder that raises does not keep the others' sessions open."""
        if self.closed:
            return
        self._close()
        self.pool.lease_revoked(self)
        try:
            if self.holder is not None:
                self.holder.revoked(ending)
        except Exception:
            log.failure("session on {server} did not end cleanly", server=self.server.name)

    def _close(self) -> None:
        self.closed = True
        self.server.lease_closed(self, self.traffic)
