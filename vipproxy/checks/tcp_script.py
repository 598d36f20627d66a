"""``tcp-check`` steps: send and expect, on one connection or several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from attrs import evolve

from vipproxy.checks import CheckFailed, words_of_peer
from vipproxy.checks.conversation import RECEIVE_LIMIT, Conversation, conversation
from vipproxy.checks.expectation import matches, wanted
from vipproxy.config.check_steps import Connect, Expect, Send, Step
from vipproxy.interfaces import CheckTarget
from vipproxy.values import Address, CheckResult, CheckStatus


async def run_script(target: CheckTarget, steps: Sequence[Step]) -> CheckResult:
    """L7_OK where the server has said all that is expected, L4_OK where nothing is.

    CheckFailed: L7_RESPONSE where it said something else, and as `conversation` does.
    """
    speaks = False
    for connect, actions in _connections(steps):
        place = _place(target, connect)
        async with conversation(place) as peer:
            await _converse(peer, actions)
            speaks = speaks or any(isinstance(each, Expect) for each in actions)
            peer.transport.abortConnection()
    return CheckResult(CheckStatus.L7_OK if speaks else CheckStatus.L4_OK)


def _connections(steps: Sequence[Step]) -> Iterator[tuple[Connect, list[Any]]]:
    """Each connection with what is said on it; the first need not be asked for."""
    connect, actions = Connect(), list[Any]()
    for number, step in enumerate(steps):
        if not isinstance(step.action, Connect):
            actions.append(step.action)
            continue
        if number:
            yield connect, actions
        connect, actions = step.action, []
    yield connect, actions


def _place(target: CheckTarget, connect: Connect) -> CheckTarget:
    if connect.port is None:
        return target
    return evolve(target, address=Address(target.address.host, connect.port))


async def _converse(peer: Conversation, actions: list[Any]) -> None:
    heard, ended = b"", False
    for action in actions:
        if isinstance(action, Send):
            heard = b""
            peer.write(action.data)
        else:
            heard, ended = await _expect(peer, action, heard, ended)


async def _expect(
    peer: Conversation, expect: Expect, heard: bytes, ended: bool
) -> tuple[bytes, bool]:
    """Wait until it matches, or never can any more; several expect of the same words."""
    while not matches(expect, heard):
        enough = expect.min_recv is not None and len(heard) >= max(1, expect.min_recv)
        if ended or enough or len(heard) >= RECEIVE_LIMIT:
            if expect.negated:
                return heard, ended
            raise _failure(expect, heard)
        data = await peer.read()
        heard, ended = heard + data, not data
    if expect.negated:
        raise _failure(expect, heard)
    return heard, ended


def _failure(expect: Expect, heard: bytes) -> CheckFailed:
    said = words_of_peer(heard.decode("latin-1")) or "nothing"
    return CheckFailed(CheckStatus.L7_RESPONSE, f"expected {wanted(expect)}, got: {said}")
