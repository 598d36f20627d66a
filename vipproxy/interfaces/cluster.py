"""The whole proxy, as observers see it."""

from __future__ import annotations

from zope.interface import Interface

from vipproxy.interfaces.control import CapturedMessage, SessionView, TableView
from vipproxy.values import ClusterSnapshot


class ICluster(Interface):
    """The whole proxy, seen by observers."""

    def snapshot() -> ClusterSnapshot:
        """Everything at this instant, frozen."""

    def sessions() -> list[SessionView]:
        """Every session, and every client that waits for a server."""

    def tables() -> list[TableView]:
        """Every stick table."""

    def captures() -> tuple[int, list[CapturedMessage]]:
        """How many messages were refused so far, and the last ones, one for each proxy."""


class IObserver(Interface):
    """Is told what happens to servers."""

    def server_changed(backend: str, server: str, text: str, severity: str) -> None:
        """A server changed between up and down, or its administrative state did.

        `text` is a sentence in HAProxy's words, `severity` one of emerg, alert, warning, notice.
        """
