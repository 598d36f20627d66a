"""``check = tcp``: the server accepts connections."""

from __future__ import annotations

from zope.interface import implementer

from vipproxy.checks.conversation import conversation
from vipproxy.checks.tcp_script import run_script
from vipproxy.interfaces import CheckTarget, ICheckPlugin
from vipproxy.values import CheckResult, CheckStatus


@implementer(ICheckPlugin)
class TcpCheck:
    """Connects and closes, as HAProxy's ``check`` does without further options, or converses."""

    options = None

    async def probe(self, target: CheckTarget, options: None) -> CheckResult:
        """L4_OK, or CheckFailed where the connection is refused or not accepted in time.

        With steps, as they say.
        """
        if target.steps:
            return await run_script(target, target.steps)
        async with conversation(target) as peer:
            # Like HAProxy a reset and no FIN: thousands of checks leave nothing in TIME_WAIT.
            peer.transport.abortConnection()
        return CheckResult(CheckStatus.L4_OK)
