"""``tcp-check`` steps: send and expect, on one connection or several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

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
    for connect, steps_here in _connections(steps):
        place = _place(target, connect)
        async with conversation(place) as peer:
            await _converse(peer, steps_here)
            speaks = speaks or any(isinstance(each.action, Expect) for each in steps_here)
            peer.transport.abortConnection()
    return CheckResult(CheckStatus.L7_OK if speaks else CheckStatus.L4_OK)


def _connections(steps: Sequence[Step]) -> Iterator[tuple[Connect, list[Step]]]:
    """Each connection with what is said on it; the first need not be asked for."""
    connect, others = Connect(), list[Step]()
    for number, step in enumerate(steps):
        if not isinstance(step.action, Connect):
            others.append(step)
            continue
        if number:
            yield connect, others
        connect, others = step.action, []
    yield connect, others


def _place(target: CheckTarget, connect: Connect) -> CheckTarget:
    if connect.port is None:
        return target
    return evolve(target, address=Address(target.address.host, connect.port))


async def _converse(peer: Conversation, steps: list[Step]) -> None:
    heard, ended = b"", False
    for step in steps:
        if isinstance(step.action, Send):
            heard = b""
            peer.write(step.action.data)
        else:
            heard, ended = await _expect(peer, step, heard, ended)


async def _expect(peer: Conversation, step: Step, heard: bytes, ended: bool) -> tuple[bytes, bool]:
    """Wait until it matches, or never can any more; several expect of the same words."""
    expect: Expect = step.action
    while not matches(expect, heard):
        enough = expect.min_recv is not None and len(heard) >= max(1, expect.min_recv)
        if ended or enough or len(heard) >= RECEIVE_LIMIT:
            if expect.negated:
                return heard, ended
            raise _failure(step, heard)
        data = await peer.read()
        heard, ended = heard + data, not data
    if expect.negated:
        raise _failure(step, heard)
    return heard, ended


def _failure(step: Step, heard: bytes) -> CheckFailed:
    said = words_of_peer(heard.decode("latin-1")) or "nothing"
    about = f"{step.comment}: " if step.comment else ""
    text = f"{about}expected {wanted(step.action)}, got: {said}"
    return CheckFailed(CheckStatus.L7_RESPONSE, text)
