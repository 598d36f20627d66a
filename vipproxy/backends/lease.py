"""The right to use a server, from the grant to the release."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define
from twisted.logger import Logger
from zope.interface import implementer

from vipproxy.backends.server import Server
from vipproxy.backends.stick import Pin
from vipproxy.counters import Traffic
from vipproxy.errors import SessionError
from vipproxy.interfaces import IAttempt, ILease, IRevocable
from vipproxy.values import Ending

if TYPE_CHECKING:
    from vipproxy.backends.pool import Pool

log = Logger()


@implementer(ILease)
@define(eq=False, weakref_slot=False)
class Lease:
    """Open until it is released, refused or revoked; whatever comes after that is harmless."""

    pool: Pool
    server: Server
    pin: Pin | None = None
    by_cookie: bool = False
    opened_at: float = 0.0
    holder: IRevocable | None = None
    established: bool = False
    closed: bool = False
    waited: float = 0.0
    """Seconds until it was granted."""
    connected_at: float = 0.0
    answered_at: float | None = None
    _traffic: Traffic | None = None

    @property
    def backend(self) -> Pool:
        return self.pool

    @property
    def traffic(self) -> Traffic:
        """Its own, unless its user has set one."""
        if self._traffic is None:
            self._traffic = Traffic()
        return self._traffic

    @traffic.setter
    def traffic(self, traffic: Traffic) -> None:
        self._traffic = traffic

    def connected(self) -> None:
        self.established = True
        self.connected_at = self.answered_at = self.pool.seconds()

    def refused(self, error: SessionError) -> None:
        if not self.closed:
            self._close()
            self.pool.lease_refused(self, error)

    def release(self, ending: Ending) -> None:
        if not self.closed:
            self._close()
            self.pool.lease_released(self)

    def settle(self) -> None:
        """Find out whether the server has accepted meanwhile, and end the connect if not."""
        if not self.established and IAttempt.providedBy(self.holder):
            self.holder.settle()

    def revoke(self, ending: Ending) -> None:
        """The pool takes it back; a holder that raises does not keep the others' sessions open."""
        if self.closed:
            return
        self.settle()
        holder = self.holder
        self._close()
        self.pool.lease_revoked(self)
        try:
            if holder is not None:
                holder.revoked(ending)
        except Exception:
            log.failure("session on {server} did not end cleanly", server=self.server.name)

    def _close(self) -> None:
        """Lease and holder know each other; only without a cycle are both freed at once."""
        self.closed, self.holder = True, None
