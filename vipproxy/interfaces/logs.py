"""What is written down of sessions, for the logs."""

from __future__ import annotations

from typing import Any

from zope.interface import Attribute, Interface

from vipproxy.interfaces.pools import IBackend, ILease
from vipproxy.values import Address, Ending


class ITrail(Interface):
    """What is remembered of a client's way to its server."""

    def leased(lease: ILease, redispatched: bool) -> None:
        """It may use a server, perhaps in the place of one that has refused."""

    def retried() -> None:
        """It has to try again."""

    def left_queue(waited: float, of_server: bool, position: int) -> None:
        """It has waited, for `waited` seconds in all; `position` is counted from 1."""


class ITrafficLog(Interface):
    """A frontend's log; where there is none, nothing is remembered."""

    early: bool = Attribute("Lines are written when the server has answered (`logasap`).")

    def begin(client: Address, destination: Address) -> Any:
        """A `vipproxy.logs.record.Record` of a session that begins now."""

    def finish(record: Any, backend: IBackend | None, ending: Ending, phase: str) -> None:
        """It has ended, with HAProxy's letter for the phase: its line may be written."""
