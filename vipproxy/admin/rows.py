"""The rows of a service's table on the statistics page."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from vipproxy.admin.html import Html, tags
from vipproxy.admin.states import State, state_of_backend, state_of_frontend, state_of_server
from vipproxy.admin.units import in_bytes, in_count, in_time
from vipproxy.counters import Counters
from vipproxy.values import BackendSnapshot, FrontendSnapshot, ServerSnapshot


@frozen
class Heading:
    """A column; `title` explains it when pointed at."""

    style: str
    text: str = ""
    title: str = ""

    def cell(self) -> Html:
        return tags.th(self.text, scope="col", class_=self.style, title=self.title)


HEADINGS = (
    Heading("name"),
    Heading("state", "State"),
    Heading("since", "Since", "time in this state"),
    Heading("check", "Last check", "what the last health check found, and how long it took"),
    Heading("weight", "Wt", "weight: its share of the sessions"),
    Heading("number", "Sess", "sessions open now"),
    Heading("number", "Max", "most sessions open at once"),
    Heading("limit", "Limit", "sessions allowed"),
    Heading("total", "Total", "sessions since the start"),
    Heading("pair", "Rate", "new sessions a second: now / most"),
    Heading("bytes", "In", "bytes from clients"),
    Heading("bytes", "Out", "bytes to clients"),
    Heading("pair", "Queue", "clients waiting for a server: now / most"),
    Heading("errors", "Deny", "requests and responses denied by a rule"),
    Heading("errors", "Req err", "malformed or aborted requests"),
    Heading("errors", "Conn err", "connections that failed"),
    Heading("errors", "Resp err", "responses that failed"),
    Heading("errors", "Retr", "retries"),
    Heading("errors", "Redis", "redispatches to another server"),
    Heading("errors", "Abort", "transfers that the client or the server broke off"),
    Heading("errors", "Shut", "sessions shut down because the server was marked down"),
    Heading("errors", "Down", "times marked down"),
    Heading("downtime", "Downtime", "time spent down, in all"),
)

PINS_TOLD = 10
COLUMN_WIDTHS = tags.colgroup([tags.col(class_=each.style) for each in HEADINGS])
COLUMN_HEADINGS = [each.cell() for each in HEADINGS[1:]]
"""All but the first, which is the service's name."""
_CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx", "other answers")
_NONE = ""
"""A column that a kind of row does not have."""


def frontend_row(frontend: FrontendSnapshot, now: float) -> Html:
    """Where clients come in."""
    counters = frontend.counters
    binds = " ".join(map(str, frontend.binds))
    return tags.tr(
        _name("frontend", binds, note=frontend.mode),
        _state(state_of_frontend(frontend)),
        _texts(("since", _NONE), ("check", _NONE), ("weight", _NONE)),
        _traffic(counters, frontend.session_limit, now, frontend.mode == "http"),
        _texts(("pair", _NONE)),
        _errors(
            counters.denied_requests + counters.denied_responses, counters.request_errors,
            None, None, None, None, None, None, None,
        ),
        _texts(("downtime", _NONE)),
        class_="frontend",
    )  # fmt: skip


def server_row(
    backend: BackendSnapshot, server: ServerSnapshot, now: float, checkbox: Html | str = ""
) -> Html:
    """One server, with what its last check said, and a checkbox where it can be chosen."""
    counters, state = server.counters, state_of_server(server)
    return tags.tr(
        _name(server.name, str(server.address), _roles(backend, server), checkbox),
        _state(state),
        _texts(("since", in_time(server.since_change))),
        _check(server),
        _texts(("weight", str(server.weight))),
        _traffic(counters, server.maxconn, now, backend.mode == "http"),
        _queue(server.queued, counters),
        _pool_errors(counters, server.times_down),
        _texts(("downtime", _downtime(server.downtime))),
        class_=f"server {state.style}",
    )


def backend_row(backend: BackendSnapshot, now: float) -> Html:
    """The sum of a pool's servers, and what happened before one was chosen."""
    counters, state = backend.counters, state_of_backend(backend)
    return tags.tr(
        _name("backend", backend.name, note=backend.balance),
        _state(state),
        _texts(("since", in_time(backend.since_change))),
        _pins(backend),
        _texts(("weight", str(backend.weight))),
        _traffic(counters, backend.session_limit, now, backend.mode == "http"),
        _queue(backend.queued, counters),
        _pool_errors(counters, backend.times_down),
        _texts(("downtime", _downtime(backend.downtime))),
        class_=f"backend {state.style}",
    )


def _name(name: str, detail: str, note: str, checkbox: Html | str = "") -> Html:
    parts: list[Any] = [
        checkbox,
        tags.span(name, class_="who"),
        " ",
        tags.span(detail, class_="where"),
    ]
    if note:
        parts += [" ", tags.span(note, class_="note")]
    return tags.th(parts, scope="row", class_="name", title=f"{name} {detail} {note}".rstrip())


def _roles(backend: BackendSnapshot, server: ServerSnapshot) -> str:
    roles = ["backup"] if server.backup else []
    keys = [key for key, name in backend.pins.items() if name == server.name]
    if server.pinned:
        roles.append("pinned" if len(keys) < 2 else f"{len(keys)} pins")
    return " ".join(roles)


def _state(state: State) -> Html:
    symbol = tags.span(state.symbol, class_="symbol")
    return tags.td(symbol, state.word, class_=f"state {state.style}")


def _check(server: ServerSnapshot) -> Html:
    result = server.last_check
    if not server.checked:
        return tags.td("not checked", class_="check none")
    if result is None:
        return tags.td("waiting for the first check", class_="check none")
    code = "" if result.code is None else f"/{result.code}"
    took = f"{round(result.duration * 1000)}ms"
    words = f"{result.status.value}{code} {took}"
    info = result.info or ("" if result.passed else result.status.description)
    return tags.td(
        tags.span(words, class_="found"), " ", info,
        class_="check" if result.passed else "check failed",
        title=f"{result} in {took}",
    )  # fmt: skip


def _pins(backend: BackendSnapshot) -> Html:
    """Where the stick table leads, if it is short enough to say."""
    where = ", ".join(f"{key}: {name}" for key, name in list(backend.pins.items())[:PINS_TOLD])
    names = set(backend.pins.values())
    text = f"{len(backend.pins)} pins" if len(names) > 1 else "".join(f"pin: {n}" for n in names)
    return tags.td(text, class_="check", title=where)


def _traffic(counters: Counters, limit: int, now: float, http: bool) -> list[Html]:
    style = "number full" if limit and counters.sessions >= limit else "number"
    rate = counters.session_rate
    cells: list[tuple[str, str]] = [
        (style, in_count(counters.sessions)),
        ("number", in_count(counters.sessions_max)),
        ("limit", in_count(limit) if limit else "\N{EN DASH}"),
    ]
    total = tags.td(
        in_count(counters.sessions_total), class_="total", title=_in_detail(counters, http)
    )
    pace = ("pair", f"{in_count(rate.per_second(now))} / {in_count(rate.highest)}")
    moved = [_bytes(counters.bytes_in), _bytes(counters.bytes_out)]
    return [*_texts(*cells), total, *_texts(pace), *moved]


def _in_detail(counters: Counters, http: bool) -> str:
    """What the sessions were, a line a number."""
    numbers = {
        "sessions": counters.sessions_total,
        "chosen by the balancer": counters.chosen,
        "connections made": counters.connects,
        "connections reused": counters.reuses,
        "idle connections now": counters.idle,
        "intercepted": counters.intercepted,
        "internal errors": counters.internal_errors,
    }
    if http:
        numbers["requests"] = counters.requests
        numbers.update(zip(_CLASSES, counters.responses, strict=True))
    return "\n".join(f"{name}: {in_count(number)}" for name, number in numbers.items() if number)


def _bytes(count: int) -> Html:
    return tags.td(in_bytes(count), class_="bytes", title=f"{count:,} bytes")


def _queue(queued: int, counters: Counters) -> Html:
    style = "pair full" if queued else "pair"
    return tags.td(f"{in_count(queued)} / {in_count(counters.queue_max)}", class_=style)


def _pool_errors(counters: Counters, times_down: int) -> list[Html]:
    """Of a server, or of all in a pool."""
    by_clients, by_servers = counters.client_aborts, counters.server_aborts
    aborts = f"by clients: {in_count(by_clients)}\nby servers: {in_count(by_servers)}"
    return [
        *_errors(
            counters.denied_requests + counters.denied_responses, None, counters.connect_errors,
            counters.response_errors, counters.retries, counters.redispatches,
        ),
        _error(by_clients + by_servers, aborts),
        *_errors(counters.shutdowns, times_down),
    ]  # fmt: skip


def _errors(*counts: int | None) -> list[Html]:
    return [_error(count) for count in counts]


def _error(count: int | None, title: str = "") -> Html:
    """None is a column that this kind of row does not have; zeros stay in the background."""
    text = _NONE if count is None else in_count(count)
    return tags.td(text, class_="errors some" if count else "errors", title=title)


def _downtime(seconds: float) -> str:
    return in_time(seconds) if seconds >= 1 else "0"


def _texts(*cells: tuple[str, str]) -> list[Html]:
    return [tags.td(text, class_=style) for style, text in cells]
