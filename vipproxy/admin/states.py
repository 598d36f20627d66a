"""States as the page shows them: a word, a symbol and a colour, so that none is needed alone."""

from __future__ import annotations

from attrs import frozen

from vipproxy.admin.verdict import Verdict, judge_pool
from vipproxy.values import AdminState, BackendSnapshot, FrontendSnapshot, ServerSnapshot


@frozen
class State:
    """`style` is a class of page.css."""

    word: str
    symbol: str
    style: str


_VERDICTS = {
    Verdict.OK: State("OK", "\N{BLACK CIRCLE}", "up"),
    Verdict.DEGRADED: State("DEGRADED", "\N{BLACK UP-POINTING TRIANGLE}", "failing"),
    Verdict.DOWN: State("DOWN", "\N{MULTIPLICATION X}", "down"),
}


LEGEND = (
    State("up", "\N{BLACK CIRCLE}", "up"),
    State("failing a check", "\N{BLACK UP-POINTING TRIANGLE}", "failing"),
    State("coming up", "\N{BLACK DOWN-POINTING TRIANGLE}", "down"),
    State("down", "\N{MULTIPLICATION X}", "down"),
    State("draining", "\N{CIRCLE WITH LEFT HALF BLACK}", "out"),
    State("in maintenance", "\N{BLACK SQUARE}", "out"),
    State("not checked", "\N{WHITE CIRCLE}", "plain"),
)
"""What the symbols of servers mean."""


def state_of_verdict(verdict: Verdict) -> State:
    return _VERDICTS[verdict]


def state_of_pool(backend: BackendSnapshot) -> State:
    return _VERDICTS[judge_pool(backend)]


def state_of_frontend(frontend: FrontendSnapshot) -> State:
    if frontend.status == "OPEN":
        return State("OPEN", "\N{BLACK CIRCLE}", "up")
    return State(frontend.status, "\N{MULTIPLICATION X}", "out")


def state_of_backend(backend: BackendSnapshot) -> State:
    """The pool's own row: UP or DOWN, as in HAProxy."""
    verdict = Verdict.OK if backend.up else Verdict.DOWN
    state = _VERDICTS[verdict]
    return State("UP" if backend.up else "DOWN", state.symbol, state.style)


def state_of_server(server: ServerSnapshot) -> State:
    """HAProxy's status word; what the operator did looks different from what happened."""
    if server.admin is AdminState.MAINT:
        return State(server.status, "\N{BLACK SQUARE}", "out")
    if not server.up:
        going_up = server.status != "DOWN"
        symbol = "\N{BLACK DOWN-POINTING TRIANGLE}" if going_up else "\N{MULTIPLICATION X}"
        return State(server.status, symbol, "down")
    if server.status == "DRAIN":
        return State(server.status, "\N{CIRCLE WITH LEFT HALF BLACK}", "out")
    if not server.checked:
        return State(server.status, "\N{WHITE CIRCLE}", "plain")
    if server.status != "UP":
        return State(server.status, "\N{BLACK UP-POINTING TRIANGLE}", "failing")
    return State(server.status, "\N{BLACK CIRCLE}", "up")
