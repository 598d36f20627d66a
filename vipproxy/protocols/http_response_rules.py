"""`http-response`: the backend's rules, then the frontend's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.interfaces import ISSLTransport

from vipproxy.errors import ResponseDenied
from vipproxy.framing.http1 import RequestHead, ResponseHead
from vipproxy.interfaces import IBackend, IFrontend, IServer
from vipproxy.protocols.http_options import HttpOptions
from vipproxy.rules.answers import Answer
from vipproxy.rules.conditions import Scope
from vipproxy.rules.lists import RuleList, compile_rules, run
from vipproxy.rules.subject import Subject

if TYPE_CHECKING:
    from vipproxy.protocols.http_client import HttpClient
    from vipproxy.protocols.http_exchange import Exchange


def subject_of(client: HttpClient, request: RequestHead) -> Subject:
    """A client's request, as rules see it."""
    secure = ISSLTransport.providedBy(client.transport)
    return Subject(client.address, client.destination, client.frontend.name, secure, request)


class ResponseRules:
    """Of one frontend and one of its backends; in place of their plain header changes."""

    def __init__(self, backend: IBackend, lists: tuple[RuleList, ...]) -> None:
        self._backend, self._lists = backend, lists

    @classmethod
    def of(
        cls, frontend: IFrontend, options: HttpOptions, backend: IBackend
    ) -> ResponseRules | None:
        """None where there are no rules."""
        theirs = backend.options
        if not (theirs.http_response or options.http_response):
            return None
        inner, outer = Scope(frontend, theirs.acl, backend), Scope(frontend, frontend.options.acl)
        lists = (
            compile_rules(theirs.http_response, inner, theirs.response_header),
            compile_rules(options.http_response, outer, options.response_header),
        )
        return cls(backend, lists)

    def apply(
        self, client: HttpClient, request: RequestHead, head: ResponseHead, server: IServer
    ) -> ResponseDenied | None:
        """Change the head; or, where the response is refused, count that, and say so."""
        subject = subject_of(client, request)
        subject.response, subject.backend, subject.server = head, self._backend.name, server.name
        for rules in self._lists:
            verdict = run(rules, subject)
            if isinstance(verdict, Answer):
                owners = client.frontend.counters, self._backend.counters, server.counters
                for counters in owners:
                    counters.denied_responses += 1
                return ResponseDenied("a rule refuses the response", verdict.status)
        return None


def denied(exchange: Exchange, head: ResponseHead) -> bool:
    """Let the rules, where there are any, change a response; whether they refuse it."""
    rules, lease, client = exchange.route.response_rules, exchange.lease, exchange.client
    if rules is None or lease is None:
        return False
    if client.log is not None:
        client.log.heard_response(head.lines)
    if error := rules.apply(client, exchange.head, head, lease.server):
        exchange.fail(error)
    return error is not None
