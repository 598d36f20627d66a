"""The whole proxy, as observers see it and operators change it."""

from __future__ import annotations

from zope.interface import Interface

from vipproxy.values import AdminState, ClusterSnapshot


class ICluster(Interface):
    """The whole proxy, seen by observers."""

    def snapshot() -> ClusterSnapshot:
        """Everything at this instant, frozen."""


class IControl(Interface):
    """What an operator may change while the proxy runs."""

    def set_admin_state(backend: str, server: str, state: AdminState) -> None:
        """Set what is wanted of a server; raises LookupError where there is none of that name."""


class IObserver(Interface):
    """Is told what happens to servers."""

    def server_changed(backend: str, server: str, text: str, severity: str) -> None:
        """A server changed between up and down, or its administrative state did.

        `text` is a sentence in HAProxy's words, `severity` one of emerg, alert, warning, notice.
        """
