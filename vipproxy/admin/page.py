"""The statistics page: one table a service. Self-contained: no scripts, no further requests."""

from __future__ import annotations

import time
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from attrs import define, field, frozen

from vipproxy.admin.columns import EVERYTHING
from vipproxy.admin.filters import Filter
from vipproxy.admin.html import Html, raw, tags
from vipproxy.admin.page_form import action_bar, checkbox, outcome
from vipproxy.admin.place import Place
from vipproxy.admin.rows import (
    COLUMN_HEADINGS,
    COLUMN_WIDTHS,
    backend_row,
    frontend_row,
    server_row,
)
from vipproxy.admin.states import LEGEND, state_of_pool, state_of_verdict
from vipproxy.admin.units import in_count, in_time
from vipproxy.admin.verdict import is_missing, judge, judge_pool
from vipproxy.values import BackendSnapshot, ClusterSnapshot, FrontendSnapshot

STYLE = files("vipproxy.admin").joinpath("page.css").read_text("utf-8")
EVENTS_SHOWN = 12


@frozen
class PageOptions:
    """`refresh` is in seconds, None where the page does not reload."""

    place: Place
    refresh: float | None = None
    outcome: str = ""
    """What became of a form, in HAProxy's word for it."""
    token: str = ""
    """The secret of the page's forms; without it there are none."""
    hide_version: bool = False
    node: str = "on"
    """on, off, or the name to show."""
    description: str | None = None
    """By default the process's own."""

    @property
    def reloads(self) -> bool:
        return self.refresh is not None and not self.place.norefresh


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


def as_page(snapshot: ClusterSnapshot, options: PageOptions, wanted: Filter = EVERYTHING) -> bytes:
    """The whole HTML document, in UTF-8; `wanted` are the proxies and servers in its tables."""
    services = [each for each in _services(snapshot) if _is_wanted(each, wanted)]
    document = tags.html(
        _head(snapshot, options),
        tags.body(
            _strip(snapshot, options),
            outcome(options.outcome, options.place.url()),
            tags.div(_overview(services), _scope_form(options.place), class_="bar"),
            tags.div(
                [_table(each, snapshot.now, options, wanted) for each in services]
                or tags.p("No proxy has such a name."),
                role="main",
            ),
            _events(snapshot),
            tags.footer(_legend(), tags.span(_footer(snapshot, options))),
        ),
        lang="en",
    )
    return f"<!DOCTYPE html>\n{document}".encode("utf-8", "replace")


def _is_wanted(service: Service, wanted: Filter) -> bool:
    pool = service.backend
    if pool is not None and wanted.takes_proxy(pool):
        return True
    return any(map(wanted.takes_proxy, service.frontends))


def _services(snapshot: ClusterSnapshot) -> list[Service]:
    """In order of their numbers; a pool stands with the first frontend that leads to it."""
    pools = {each.name: each for each in snapshot.backends}
    found: dict[str, Service] = {}
    for frontend in snapshot.frontends:
        key = frontend.backend or f"\0{frontend.name}"
        service = found.setdefault(key, Service(pools.pop(frontend.backend, None)))
        service.frontends.append(frontend)
    return [*found.values(), *(Service(each) for each in pools.values())]


def _head(snapshot: ClusterSnapshot, options: PageOptions) -> Html:
    title = [judge(snapshot).verdict.value, _node(snapshot, options), "vipproxy"]
    return tags.head(
        tags.meta(charset="utf-8"),
        tags.meta(name="viewport", content="width=device-width, initial-scale=1"),
        tags.meta(name="color-scheme", content="light dark"),
        tags.link(rel="icon", href="data:,"),
        tags.title(" - ".join(filter(None, title))),
        tags.style(raw(STYLE)),
    )


def _node(snapshot: ClusterSnapshot, options: PageOptions) -> str:
    return {"on": snapshot.process.node, "off": ""}.get(options.node, options.node)


def _legend() -> list[Html]:
    return [tags.span(tags.b(each.symbol, class_=each.style), " ", each.word) for each in LEGEND]


def _footer(snapshot: ClusterSnapshot, options: PageOptions) -> str:
    version = "" if options.hide_version else f" {snapshot.process.version}"
    return f"vipproxy{version}, {snapshot.process.config_path}"


def _strip(snapshot: ClusterSnapshot, options: PageOptions) -> Html:
    """The top line: the verdict, the process in numbers, other ways to look at it."""
    verdict, process = judge(snapshot), snapshot.process
    about = process.description if options.description is None else options.description
    return tags.header(
        tags.div(
            tags.strong(verdict.verdict.value),
            tags.span(_which(verdict.pools), class_="which"),
            class_=f"verdict {state_of_verdict(verdict.verdict).style}",
        ),
        tags.dl(
            [
                tags.div(tags.dt(name), tags.dd(value, class_=style))
                for name, value, style in _facts(snapshot, options)
            ]
        ),
        tags.span(about, class_="about") if about else "",
        tags.nav(_links(options), tags.span(_pace(options, process.stopping), class_="pace")),
    )


def _facts(snapshot: ClusterSnapshot, options: PageOptions) -> list[tuple[str, str, str]]:
    """Name, value, style."""
    process = snapshot.process
    counters = [each.counters for each in snapshot.frontends]
    sessions = sum(each.sessions for each in counters)
    rate = sum(each.session_rate.per_second(snapshot.now) for each in counters)
    servers = [each for pool in snapshot.backends for each in pool.servers]
    full = sessions >= process.session_limit > 0
    facts = [
        ("sessions", f"{in_count(sessions)} of {in_count(process.session_limit)}", "full" * full),
        ("new a second", in_count(rate), ""),
        ("servers up", f"{sum(each.up for each in servers)} of {len(servers)}", ""),
        ("uptime", in_time(process.uptime), ""),
        ("node", _node(snapshot, options), ""),
        ("pid", str(process.pid), ""),
    ]
    return [each for each in facts if each[1]]


def _which(pools: Sequence[str]) -> str:
    shown, more = pools[:3], len(pools) - 3
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def _links(options: PageOptions) -> list[Html]:
    """Other ways to look at it: a link each."""
    place = options.place
    links = [
        ("CSV", place.url("csv", norefresh=True)),
        ("JSON", place.url("json", norefresh=True)),
        ("all servers" if place.up else "hide servers that are down", place.url(up=not place.up)),
    ]
    if options.refresh is not None:
        text = "stop reloading" if options.reloads else "reload again"
        links.append((text, place.url(norefresh=options.reloads)))
    return [tags.a(text, href=url) for text, url in links]


def _pace(options: PageOptions, stopping: bool) -> str:
    if stopping:
        return "the proxy is stopping"
    return f"reloads every {in_time(options.refresh or 0)}" if options.reloads else ""


def _scope_form(place: Place) -> Html:
    """A part of the names of the proxies to show."""
    path, mark, query = place.url(scope="").partition("?")
    kept = [tags.input(type="hidden", name=query, value="")] if mark else []
    return tags.form(
        kept,
        tags.label(
            "show only ",
            tags.input(name="scope", value=place.scope, size="12", maxlength="64", type="search"),
        ),
        " ",
        tags.button("Show", type="submit"),
        method="get", action=path, class_="scope",
    )  # fmt: skip


def _overview(services: Sequence[Service]) -> Html:
    """One word a service, each a link to its table."""
    return tags.div([_chip(each) for each in services if each.backend], class_="overview")


def _chip(service: Service) -> Html:
    state = state_of_pool(service._pool)
    return tags.a(
        tags.b(state.symbol), " ", service.name, " ", tags.i(_up_of(service._pool)),
        href=f"#{service.anchor}", class_=f"chip {state.style}", title=state.word,
    )  # fmt: skip


def _up_of(pool: BackendSnapshot) -> str:
    return f"{sum(each.up for each in pool.servers)}/{len(pool.servers)}"


def _table(service: Service, now: float, options: PageOptions, wanted: Filter) -> Html:
    rows = [frontend_row(each, now) for each in service.frontends if wanted.takes_proxy(each)]
    pool, bar = service.backend, None
    if pool is not None and wanted.takes_proxy(pool):
        boxes = bool(options.token)
        rows += [
            server_row(pool, each, now, checkbox(pool, each.name) if boxes else "")
            for each in filter(wanted.takes_server, pool.servers)
        ]
        rows.append(backend_row(pool, now))
        if boxes and pool.servers:
            bar = action_bar(pool, options.place.url(), options.token, _warning(options))
    return tags.section(
        tags.table(
            COLUMN_WIDTHS,
            tags.thead(tags.tr(_heading(service), COLUMN_HEADINGS)),
            tags.tbody(rows),
        ),
        bar or "",
        id=service.anchor,
    )


def _warning(options: PageOptions) -> Any:
    """A page that reloads forgets what is checked."""
    if not options.reloads:
        return ""
    link = tags.a("stop that", href=options.place.url(norefresh=True))
    return tags.small(" The page reloads, and then forgets what is checked: ", link)


def _heading(service: Service) -> Any:
    """The service's name in the first column's place, and what is wrong with it."""
    parts: list[Any] = [tags.span(service.name, class_="service")]
    if service.backend is not None:
        state = state_of_verdict(judge_pool(service.backend))
        missing = ", ".join(each.name for each in service.backend.servers if is_missing(each))
        title = f"down: {missing}" if missing else state.word
        parts.append(tags.span(state.symbol, class_=f"mark {state.style}", title=title))
    return tags.th(parts, scope="col", class_="name")


def _events(snapshot: ClusterSnapshot) -> Html:
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
