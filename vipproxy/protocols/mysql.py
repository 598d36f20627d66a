"""`protocol = mysql`: leases at once, because the server greets; refuses in MySQL's own words."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IProtocolFactory
from zope.interface import implementer

from vipproxy.errors import SessionError
from vipproxy.framing import mysql
from vipproxy.interfaces import IFrontend, IProtocolPlugin
from vipproxy.protocols.tcp import PassThroughFactory, TcpOptions

UNKNOWN_COM_ERROR = 1047
"""What a Galera node answers that is not ready to serve (MariaDB, ER_UNKNOWN_COM_ERROR)."""
COMMUNICATION_ERROR = "08S01"


def error_packet(error: SessionError) -> bytes:
    """The packet that a client reads instead of a greeting; it prints number, state and text."""
    return mysql.build_error(UNKNOWN_COM_ERROR, COMMUNICATION_ERROR, f"vipproxy: {error}")


@implementer(IProtocolPlugin)
class MysqlProtocol:
    """TCP with the error packets of MySQL and MariaDB."""

    options = TcpOptions
    mode = "tcp"
    needs_backend = True

    def factory(self, frontend: IFrontend, options: Any) -> IProtocolFactory:
        return PassThroughFactory(frontend, options, error_packet)
