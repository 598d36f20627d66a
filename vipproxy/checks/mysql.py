"""``check = mysql``: the server greets, and answers a login."""

from __future__ import annotations

from zope.interface import implementer

from vipproxy.checks import CheckFailed, words_of_peer
from vipproxy.checks.conversation import RECEIVE_LIMIT, Conversation, conversation
from vipproxy.framing.mysql import (
    COM_QUIT,
    ER_ACCESS_DENIED,
    ER_ACCESS_DENIED_NO_PASSWORD,
    Packet,
    PacketError,
    PacketReader,
    build_login,
    encode,
    is_auth_switch,
    is_error,
    is_ok,
    parse_error,
    parse_greeting,
)
from vipproxy.interfaces import CheckTarget, ICheckPlugin
from vipproxy.values import CheckResult, CheckStatus

USER = "vipproxy"


@implementer(ICheckPlugin)
class MysqlCheck:
    """Reads the server's greeting, then takes leave in an orderly way.

    A client that goes away before it has tried to log in counts towards the server's
    `max_connect_errors`, whichever way it closes; after that many checks the server would block
    the proxy's address. A refused login does not count (the `sum_connect_errors` of MariaDB's
    host_cache are errors of the handshake alone). So the probe logs in as `vipproxy` without a
    password: a refusal is as good an answer as a welcome. Create that user, without any
    privilege, to keep the refusals out of the server's log.
    """

    options = None

    async def probe(self, target: CheckTarget, options: None) -> CheckResult:
        """L7_OK with the server's version, or CheckFailed.

        L7_STATUS: an error packet, with its number and words; L7_RESPONSE: anything else that
        is not MySQL.
        """
        async with conversation(target) as peer:
            packets = _Packets(peer)
            try:
                first = await packets.read()
                _refuse_error(first)
                greeting = parse_greeting(first.payload)
                await _leave(packets)
            except PacketError as error:
                raise CheckFailed(CheckStatus.L7_RESPONSE, str(error)) from None
        # MariaDB puts 5.5.5- before its version, for old replicas; its clients do not show it.
        version = greeting.version.removeprefix("5.5.5-")
        return CheckResult(CheckStatus.L7_OK, words_of_peer(version))


class _Packets:
    """The server's packets in one conversation."""

    def __init__(self, peer: Conversation) -> None:
        self.peer = peer
        self._reader = PacketReader(RECEIVE_LIMIT)

    async def read(self) -> Packet:
        while (packet := self._reader.next_packet()) is None:
            data = await self.peer.read()
            if not data:
                raise PacketError("the server closed the connection")
            self._reader.receive_data(data)
        return packet


async def _leave(packets: _Packets) -> None:
    """Try to log in, so that the server does not count an interrupted handshake."""
    packets.peer.write(build_login(USER))
    reply = await packets.read()
    if is_auth_switch(reply.payload):
        packets.peer.write(encode(reply.sequence + 1, b""))  # no password, in any method
        reply = await packets.read()
    if is_ok(reply.payload):
        packets.peer.write(encode(0, COM_QUIT))
    else:
        _refuse_error(reply, but=(ER_ACCESS_DENIED, ER_ACCESS_DENIED_NO_PASSWORD))


def _refuse_error(packet: Packet, but: tuple[int, ...] = ()) -> None:
    """An error packet fails the check with its own words."""
    if is_error(packet.payload):
        error = parse_error(packet.payload)
        if error.code not in but:
            raise CheckFailed(CheckStatus.L7_STATUS, words_of_peer(error.message), error.code)
