"""``check = mysql user=NAME password-file=PATH``: the server greets, and lets the user in."""

from __future__ import annotations

from attrs import frozen
from zope.interface import implementer

from vipproxy.checks import CheckFailed, words_of_peer
from vipproxy.checks.conversation import conversation
from vipproxy.checks.mysql_account import LoginOptions
from vipproxy.checks.mysql_login import Packets, decline, refuse_error, session
from vipproxy.config.declare import option
from vipproxy.config.kinds import TEXT, BadValue
from vipproxy.framing.mysql import (
    COM_QUIT,
    ER_ACCESS_DENIED,
    ER_ACCESS_DENIED_NO_PASSWORD,
    Greeting,
    PacketError,
    build_login,
    encode,
    is_ok,
)
from vipproxy.interfaces import CheckTarget, ICheckPlugin
from vipproxy.values import CheckResult, CheckStatus

NOBODY = "vipproxy"
"""The user of checks that name none."""


@frozen
class MysqlCheckOptions(LoginOptions):
    """``check = mysql ...``"""

    user: str | None = option(
        TEXT,
        default=None,
        help="must be let in; without it, a login that is refused passes",
        haproxy="option mysql-check user",
    )

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if self.user is None and (self.password_file or self.tls or self.server_public_key):
            raise BadValue("the check has no 'user' to log in", hint="add user=NAME")


@implementer(ICheckPlugin)
class MysqlCheck:
    """Logs in, pings, and takes leave in an orderly way.

    A client that goes away before it has tried to log in counts towards the server's
    `max_connect_errors`, whichever way it closes; after that many checks the server would block
    the proxy's address. A refused login does not count (the `sum_connect_errors` of MariaDB's
    host_cache are errors of the handshake alone). So the probe without a user logs in as
    `vipproxy` without a password: a refusal is as good an answer as a welcome. Create that user,
    without any privilege, to keep the refusals out of the server's log.
    """

    options = MysqlCheckOptions

    async def probe(self, target: CheckTarget, options: MysqlCheckOptions) -> CheckResult:
        """L7_OK with the server's version, or CheckFailed.

        L7_STATUS: an error packet, with its number and words; L7_RESPONSE: anything else that
        is not MySQL; more in `session`.
        """
        if options.user is None:
            greeting = await _greet(target)
        else:
            async with session(target, options.user, options) as server:
                await server.ping()
            greeting = server.greeting
        # MariaDB puts 5.5.5- before its version, for old replicas; its clients do not show it.
        version = greeting.version.removeprefix("5.5.5-")
        return CheckResult(CheckStatus.L7_OK, words_of_peer(version))


async def _greet(target: CheckTarget) -> Greeting:
    """The server's greeting; it must answer a login, in whichever way."""
    async with conversation(target) as peer:
        packets = Packets(peer)
        try:
            greeting = await packets.read_greeting()
            reply = await decline(packets, build_login(NOBODY))
            refuse_error(reply, but=(ER_ACCESS_DENIED, ER_ACCESS_DENIED_NO_PASSWORD))
        except PacketError as error:
            raise CheckFailed(CheckStatus.L7_RESPONSE, str(error)) from None
        if is_ok(reply.payload):
            peer.write(encode(0, COM_QUIT))
    return greeting
