"""`http-response`: the backend's rules, then the frontend's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.interfaces import ISSLTransport

from vipproxy.errors import ResponseDenied
from vipproxy.framing.http1 import RequestHead, ResponseHead
from vipproxy.interfaces import IBackend, IFrontend
from vipproxy.protocols.http.counts import counters_of
from vipproxy.protocols.http.options import HttpOptions
from vipproxy.rules.answers import Answer
from vipproxy.rules.conditions import Scope
from vipproxy.rules.lists import RuleList, compile_rules, run
from vipproxy.rules.subject import Subject

if TYPE_CHECKING:
    from vipproxy.protocols.http.client import HttpClient
    from vipproxy.protocols.http.exchange import Exchange


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

    def refuse(self, exchange: Exchange, head: ResponseHead) -> bool:
        """Change a response's head; whether the response is refused, which ends the exchange."""
        client, lease = exchange.client, exchange.lease
        assert lease is not None
        if client.log is not None:
            client.log.heard_response(head.lines)
        subject = subject_of(client, exchange.head)
        subject.response = head
        server, status = lease.server, head.status
        subject.backend, subject.server = self._backend.name, server.name
        for rules in self._lists:
            verdict = run(rules, subject)
            if isinstance(verdict, Answer):
                for counters in (client.frontend.counters, *counters_of(exchange)):
                    counters.denied_responses += 1
                server.counters.requests += 1
                server.counters.responded(status)
                exchange.fail(ResponseDenied("a rule refuses the response", verdict.status))
                return True
        return False
