"""What an http frontend does to messages on their way to one of its backends."""

from __future__ import annotations

from typing import Any

from vipproxy.framing.http_fields import FieldChanges
from vipproxy.interfaces import IBackend, IFrontend, IRequestBalancerPlugin
from vipproxy.protocols.http.cookie import Persistence
from vipproxy.protocols.http.errors import Pages
from vipproxy.protocols.http.options import HttpOptions
from vipproxy.protocols.http.response_rules import ResponseRules
from vipproxy.rules.conditions import Scope
from vipproxy.rules.lists import compile_rules


class Route:
    """One frontend's use of one backend; made once, and shared by all requests."""

    def __init__(
        self, frontend: IFrontend, options: HttpOptions, backend: IBackend, ruled: bool
    ) -> None:
        """`ruled`: rules look at every request, and change its header as the sections say."""
        self.backend, self.name = backend, backend.name
        theirs = backend.options
        reuses = options.http_reuse != "never" and not options.httpclose
        self.keeps_servers = reuses and theirs.send_proxy is None
        """Connections to servers outlive a request: not where a PROXY header has tied them."""
        self.server_limit: float = theirs.timeout_server
        self.pages = {**pages_of(options), **pages_of(theirs)}
        seconds = frontend.clock.seconds
        self.persistence = theirs.cookie and Persistence(theirs.cookie, backend, seconds)
        self.key_of = _key_reader(theirs.balance)
        scope = Scope(frontend, theirs.acl, backend)
        self.request_rules = (
            compile_rules(theirs.http_request, scope, theirs.request_header),
            compile_rules(theirs.redirect, scope),
        )
        """For `vipproxy.rules.lists.run`, the one after the other."""
        self.response_rules = ResponseRules.of(frontend, options, backend)
        """None where there are none."""
        self.request_changes = (
            () if ruled else _changes(options.request_header, theirs.request_header)
        )
        """HAProxy's order: first where the message comes by first."""
        self.response_changes = (
            _changes(theirs.response_header, options.response_header)
            if self.response_rules is None
            else ()
        )


def pages_of(options: Any) -> Pages:
    """What a section says instead of our own error pages."""
    return {**dict(options.errorfile), **dict(options.errorloc)}


def _key_reader(balance: Any) -> Any:
    """What the balancer wants to know of a request, if it wants anything."""
    if IRequestBalancerPlugin.providedBy(balance.plugin):
        return balance.plugin.key_reader(balance.options)
    return None


def _changes(*sections: Any) -> tuple[FieldChanges, ...]:
    """What each section changes, in their order; nothing for those that change nothing."""
    return tuple(FieldChanges.of(section) for section in sections if section)
