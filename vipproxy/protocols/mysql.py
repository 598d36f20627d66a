"""`protocol = mysql`: leases at once, because the server greets; refuses in MySQL's own words."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IProtocolFactory
from zope.interface import implementer

from vipproxy.errors import ServersFull, SessionError
from vipproxy.framing import mysql
from vipproxy.interfaces import IFrontend, IProtocolPlugin
from vipproxy.protocols.tcp import PassThroughFactory, TcpOptions

TOO_MANY_CONNECTIONS = (1040, "08004")
"""What a server says whose own limit is reached (MariaDB, ER_CON_COUNT_ERROR)."""
NOT_READY = (1047, "08S01")
"""What a Galera node answers that is not ready to serve (MariaDB, ER_UNKNOWN_COM_ERROR)."""


def error_packet(error: SessionError) -> bytes:
    """The packet that a client reads instead of a greeting; it prints number, state and text."""
    number, state = TOO_MANY_CONNECTIONS if isinstance(error, ServersFull) else NOT_READY
    return mysql.build_error(number, state, f"vipproxy: {error}")


@implementer(IProtocolPlugin)
class MysqlProtocol:
    """TCP with the error packets of MySQL and MariaDB."""

    options = TcpOptions
    mode = "tcp"
    needs_backend = True

    def factory(self, frontend: IFrontend, options: Any) -> IProtocolFactory:
        return PassThroughFactory(frontend, options, error_packet)
