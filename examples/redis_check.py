"""A check plugin from outside the package: does this Redis server work, and is it the master?

    [backend redis]
    check = examples.redis_check:RedisCheck role=master interval=1s

With ``role=master`` the virtual address always leads to the node that takes writes.
"""

from __future__ import annotations

import re
from typing import Any

from attrs import frozen
from zope.interface import implementer

from vipproxy.checks import CheckFailed, words_of_peer
from vipproxy.checks.conversation import Conversation, conversation
from vipproxy.config import choice, option
from vipproxy.interfaces import CheckTarget, ICheckPlugin
from vipproxy.values import CheckResult, CheckStatus

LONGEST_ANSWER = 4096
ERROR = re.compile(rb"^-([^\r]*)\r\n", re.MULTILINE)
ROLE = re.compile(rb"\+PONG\r\n\*\d+\r\n\$\d+\r\n(\w+)\r\n")
"""A PONG, and an array that begins with the role's name."""


@frozen
class RedisOptions:
    role: str = option(choice("any", "master", "slave"), default="any", help="what it must be")


@implementer(ICheckPlugin)
class RedisCheck:
    """Sends PING, which a server that is still loading its data refuses, and asks for the role."""

    options = RedisOptions

    async def probe(self, target: CheckTarget, options: Any) -> CheckResult:
        async with conversation(target) as peer:
            peer.write(b"PING\r\nROLE\r\n")
            role = await read_role(peer)
        if options.role not in ("any", role):
            raise CheckFailed(CheckStatus.L7_STATUS, f"its role is {role}")
        return CheckResult(CheckStatus.L7_OK, role)


async def read_role(peer: Conversation) -> str:
    """The role, once it is there; an error of the server's, or nonsense, fails the check."""
    answer = b""
    while len(answer) < LONGEST_ANSWER and (data := await peer.read()):
        answer += data
        if error := ERROR.search(answer):
            raise CheckFailed(CheckStatus.L7_STATUS, words_of_peer(error[1].decode("latin-1")))
        if role := ROLE.match(answer):
            return role[1].decode()
    raise CheckFailed(CheckStatus.L7_RESPONSE, "this is not Redis")
