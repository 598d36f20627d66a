"""The statistics page: one table a service. Self-contained: no scripts, no further requests."""

from __future__ import annotations

import time
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from attrs import define, field, frozen
from twisted.web.template import Tag, flattenString, tags

from vipproxy.admin.rows import HEADINGS, backend_row, frontend_row, server_row
from vipproxy.admin.states import state_of_pool, state_of_verdict
from vipproxy.admin.units import in_count, in_time
from vipproxy.admin.verdict import is_missing, judge, judge_pool
from vipproxy.values import BackendSnapshot, ClusterSnapshot, FrontendSnapshot

STYLE = files("vipproxy.admin").joinpath("page.css").read_text("utf-8")
EVENTS_SHOWN = 12


@frozen
class PageOptions:
    """`uri` is where the page is; `refresh` in seconds, None where it does not reload."""

    uri: str
    refresh: float | None = None


@define
class Service:
    """What belongs together: a pool and the frontends that lead to it."""

    backend: BackendSnapshot | None
    frontends: list[FrontendSnapshot] = field(factory=list)

    @property
    def name(self) -> str:
        return ", ".join(each.name for each in self.frontends) or self._pool.name

    @property
    def anchor(self) -> str:
        number = self.frontends[0].number if self.frontends else self._pool.number
        return f"proxy-{number}"

    @property
    def _pool(self) -> BackendSnapshot:
        assert self.backend is not None
        return self.backend


def as_page(snapshot: ClusterSnapshot, options: PageOptions) -> bytes:
    """The whole HTML document, in UTF-8."""
    services = _services(snapshot)
    document = tags.html(
        _head(snapshot),
        tags.body(
            _strip(snapshot, options),
            _overview(services),
            tags.div([_table(each, snapshot.now) for each in services], role="main"),
            _events(snapshot),
            tags.footer(f"vipproxy {snapshot.process.version}, {snapshot.process.config_path}"),
        ),
        lang="en",
    )
    return b"<!DOCTYPE html>\n" + _flatten(document)


def _flatten(document: Tag) -> bytes:
    """Nothing in the document is asynchronous, so the text is there at once."""
    done: list[bytes] = []
    flattenString(None, document).addCallback(done.append)
    return done[0]


def _services(snapshot: ClusterSnapshot) -> list[Service]:
    """In order of their numbers; a pool stands with the first frontend that leads to it."""
    pools = {each.name: each for each in snapshot.backends}
    found: dict[str, Service] = {}
    for frontend in snapshot.frontends:
        key = frontend.backend or f"\0{frontend.name}"
        service = found.setdefault(key, Service(pools.pop(frontend.backend, None)))
        service.frontends.append(frontend)
    return [*found.values(), *(Service(each) for each in pools.values())]


def _head(snapshot: ClusterSnapshot) -> Tag:
    return tags.head(
        tags.meta(charset="utf-8"),
        tags.meta(name="viewport", content="width=device-width, initial-scale=1"),
        tags.meta(name="color-scheme", content="light dark"),
        tags.link(rel="icon", href="data:,"),
        tags.title(f"{judge(snapshot).verdict.value} - {snapshot.process.node} - vipproxy"),
        tags.style(STYLE),
    )


def _strip(snapshot: ClusterSnapshot, options: PageOptions) -> Tag:
    """The top line: the verdict, the process in numbers, other ways to look at it."""
    verdict, process = judge(snapshot), snapshot.process
    counters = [each.counters for each in snapshot.frontends]
    rate = sum(each.session_rate.per_second(snapshot.now) for each in counters)
    servers = [each for pool in snapshot.backends for each in pool.servers]
    facts = {
        "sessions": in_count(sum(each.sessions for each in counters)),
        "new a second": in_count(rate),
        "servers up": f"{sum(each.up for each in servers)} of {len(servers)}",
        "uptime": in_time(process.uptime),
        "node": process.node,
        "pid": str(process.pid),
    }
    return tags.header(
        tags.div(
            tags.strong(verdict.verdict.value),
            tags.span(_which(verdict.pools), class_="which"),
            class_=f"verdict {state_of_verdict(verdict.verdict).style}",
        ),
        tags.dl([tags.div(tags.dt(name), tags.dd(value)) for name, value in facts.items()]),
        tags.nav(_links(options), tags.span(_pace(options, process.stopping), class_="pace")),
    )


def _which(pools: Sequence[str]) -> str:
    shown, more = pools[:3], len(pools) - 3
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def _links(options: PageOptions) -> list[Tag]:
    names = {"CSV": ";csv;norefresh", "JSON": ";json;norefresh"}
    if options.refresh is not None:
        names["stop reloading"] = ";norefresh"
    return [tags.a(name, href=options.uri + suffix) for name, suffix in names.items()]


def _pace(options: PageOptions, stopping: bool) -> str:
    pace = "" if options.refresh is None else f"reloads every {in_time(options.refresh)}"
    return "the proxy is stopping" if stopping else pace


def _overview(services: Sequence[Service]) -> Tag:
    """One word a service, each a link to its table."""
    return tags.div([_chip(each) for each in services if each.backend], class_="overview")


def _chip(service: Service) -> Tag:
    state = state_of_pool(service._pool)
    return tags.a(
        tags.b(state.symbol), " ", service.name, " ", tags.i(_up_of(service._pool)),
        href=f"#{service.anchor}", class_=f"chip {state.style}", title=state.word,
    )  # fmt: skip


def _up_of(pool: BackendSnapshot) -> str:
    return f"{sum(each.up for each in pool.servers)}/{len(pool.servers)}"


def _table(service: Service, now: float) -> Tag:
    rows = [frontend_row(each, now) for each in service.frontends]
    if service.backend is not None:
        pool = service.backend
        rows += [server_row(pool, each, now) for each in pool.servers]
        rows.append(backend_row(pool, now))
    return tags.section(
        tags.table(
            tags.colgroup([tags.col(class_=each.style) for each in HEADINGS]),
            tags.thead(tags.tr(_heading(service), [each.cell() for each in HEADINGS[1:]])),
            tags.tbody(rows),
        ),
        id=service.anchor,
    )


def _heading(service: Service) -> Any:
    """The service's name in the first column's place, and what is wrong with it."""
    parts: list[Any] = [tags.span(service.name, class_="service")]
    if service.backend is not None:
        state = state_of_verdict(judge_pool(service.backend))
        missing = ", ".join(each.name for each in service.backend.servers if is_missing(each))
        title = f"down: {missing}" if missing else state.word
        parts.append(tags.span(state.symbol, class_=f"mark {state.style}", title=title))
    return tags.th(parts, scope="col", class_="name")


def _events(snapshot: ClusterSnapshot) -> Tag:
    latest = list(reversed(snapshot.events))[:EVENTS_SHOWN]
    if not latest:
        return tags.section(tags.h2("Recent events"), tags.p("None so far."), class_="events")
    rows = [
        tags.tr(
            tags.td(tags.time(_clock_time(each.at))),
            tags.td(in_time(max(0.0, snapshot.now - each.at)), " ago", class_="ago"),
            tags.td(each.severity, class_=f"severity {each.severity}"),
            tags.td(each.subject, class_="subject"),
            tags.td(each.text),
        )
        for each in latest
    ]
    return tags.section(tags.h2("Recent events"), tags.table(tags.tbody(rows)), class_="events")


def _clock_time(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
