"""Rules for requests, in HAProxy's order: who is let in, the monitor, the frontend's rules, the
choice of the backend, and its rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vipproxy.errors import BadRequest, NoServer
from vipproxy.framing.http1 import RequestHead
from vipproxy.interfaces import IBackend, IFrontend
from vipproxy.protocols.http.log import write_nothing, write_ruling
from vipproxy.protocols.http.options import HttpOptions
from vipproxy.protocols.http.response_rules import subject_of
from vipproxy.protocols.http.route import Route
from vipproxy.protocols.http.services import answer_of
from vipproxy.rules.answers import DROPPED, Answer, Service
from vipproxy.rules.choice import compile_admission, compile_choice
from vipproxy.rules.conditions import Scope
from vipproxy.rules.lists import RuleList, compile_rules, run
from vipproxy.rules.subject import Subject

if TYPE_CHECKING:
    from vipproxy.protocols.http.client import HttpClient
    from vipproxy.protocols.http.factory import HttpFactory
    from vipproxy.protocols.http.page import StatsPage


def has_rules(options: HttpOptions, backend: IBackend | None) -> bool:
    """Whether rules are asked about an http frontend's requests: also where nothing else says
    what is to become of them."""
    rules = (
        backend is None,
        options.tcp_request_content,
        options.http_request,
        options.redirect,
        options.use_backend,
        options.monitor_fail,
        options.stats_uri,
        backend is not None and (backend.options.http_request or backend.options.redirect),
    )
    return any(rules)


def _page(frontend: IFrontend, options: HttpOptions) -> StatsPage | None:
    if options.stats_uri is None:
        return None
    from vipproxy.protocols.http.page import StatsPage  # heavy, and seldom wanted

    return StatsPage(frontend, options)


class RequestRules:
    """One frontend's, with those of the backends that it uses."""

    def __init__(self, factory: HttpFactory) -> None:
        self._factory = factory
        options, frontend = factory.options, factory.frontend
        scope = Scope(frontend, frontend.options.acl)
        self._admits = compile_admission(options.tcp_request_content, scope)
        self._monitor_fails = scope.predicate(options.monitor_fail)
        self._lists = (
            compile_rules(options.http_request, scope, options.request_header),
            compile_rules(options.redirect, scope),
        )
        self._choose = compile_choice(options.use_backend, scope)
        self._page = _page(frontend, options)

    def route(self, client: HttpClient, head: RequestHead) -> Route | None:
        """The way that a request takes; None where the client is answered already."""
        subject = subject_of(client, head)
        if self._admits is not None and not self._admits(subject):
            client.frontend.counters.denied_requests += 1
            write_ruling(client, True)
            client.drop()
            return None
        if self._factory.monitor_path and head.path == self._factory.monitor_path:
            self._answer_monitor(client, subject)
            return None
        try:
            return self._route(client, subject)
        except BadRequest:
            client.frontend.counters.request_errors += 1
            write_ruling(client, True)
            client.answer(400)
            return None

    def _route(self, client: HttpClient, subject: Subject) -> Route | None:
        if self._ended(client, subject, self._lists, None) or self._shown(client, subject):
            return None
        backend = None if self._choose is None else self._choose(subject)
        route = self._factory.route if backend is None else self._factory.route_to(backend)
        if route is None:
            if client.log is not None:
                client.log.end(NoServer.ending, "C")
            client.answer(503)
            return None
        subject.backend = route.backend.name
        if client.log is not None:
            client.log.routed(route.backend)
        if self._ended(client, subject, route.request_rules, route.backend):
            return None
        return route

    def _shown(self, client: HttpClient, subject: Subject) -> bool:
        """The statistics page, behind the frontend's rules."""
        assert subject.request is not None
        said = None if self._page is None else self._page.answer(subject.request)
        if said is None:
            return False
        client.frontend.counters.intercepted += 1
        write_ruling(client, False, None)
        client.respond(said)
        return True

    def _answer_monitor(self, client: HttpClient, subject: Subject) -> None:
        client.frontend.counters.intercepted += 1
        write_nothing(client)
        fails = self._monitor_fails
        client.answer(503 if fails is not None and fails(subject) else 200)

    def _ended(
        self,
        client: HttpClient,
        subject: Subject,
        lists: Sequence[RuleList],
        backend: IBackend | None,
    ) -> bool:
        """Run rules; whether one of them has answered the client, or sent it away."""
        for rules in lists:
            verdict = run(rules, subject)
            if isinstance(verdict, Service):
                verdict = answer_of(verdict, client.frontend, subject)
            if isinstance(verdict, Answer):
                self._count(client, verdict.denied, backend)
                write_ruling(client, verdict.denied, backend)
                if backend is not None:
                    backend.counters.responded(verdict.status)
                client.respond(verdict)
                return True
            if verdict is DROPPED:
                self._count(client, True, backend)
                write_ruling(client, True, backend)
                client.drop()
                return True
        return False

    def _count(self, client: HttpClient, denied: bool, backend: IBackend | None) -> None:
        """As HAProxy: who is answered behind the frontend is not intercepted by it."""
        counters = client.frontend.counters
        if backend is not None:
            backend.counters.request_received(client.patience.seconds())
        if denied:
            counters.denied_requests += 1
            if backend is not None:
                backend.counters.denied_requests += 1
        elif backend is None:
            counters.intercepted += 1
