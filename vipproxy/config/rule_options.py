"""The options that are lists of rules: several sections and protocols have them."""

from __future__ import annotations

from typing import Any

from vipproxy.config.declare import option
from vipproxy.config.kinds import Kind
from vipproxy.config.rule_kinds import (
    ACL,
    ACL_NAME,
    CONTENT_RULE,
    HTTP_REQUEST_RULE,
    HTTP_RESPONSE_RULE,
    LOCATION,
    PAGE,
    REDIRECT_RULE,
    STATUS,
    TCP_RULE,
    USE_BACKEND,
    USE_TCP_BACKEND,
)


def _rules(kind: Kind[Any], help: str, haproxy: str) -> Any:
    return option(kind, repeated=True, default=(), help=help, haproxy=haproxy)


def acls() -> Any:
    """Names for tests."""
    return option(
        ACL,
        names=ACL_NAME,
        repeated=True,
        default=(),
        help="a name for a test, for the conditions of rules; of several, any may hold",
        haproxy="acl",
    )


def connection_rules() -> Any:
    return _rules(
        TCP_RULE, "which clients are let in; decided as they connect", "tcp-request connection"
    )


def content_rules(over_tcp: bool = False) -> Any:
    """Over TCP they may look at what the client says first."""
    kind = CONTENT_RULE if over_tcp else TCP_RULE
    return _rules(kind, "which clients get a server", "tcp-request content")


def backend_choice(over_tcp: bool = False) -> Any:
    kind = USE_TCP_BACKEND if over_tcp else USE_BACKEND
    return _rules(kind, "another pool than `backend`: the first that fits", "use_backend")


def request_rules() -> Any:
    help = "a rule for requests; the frontend's come before the backend's"
    return _rules(HTTP_REQUEST_RULE, help, "http-request")


def response_rules() -> Any:
    help = "a rule for responses; the backend's come before the frontend's"
    return _rules(HTTP_RESPONSE_RULE, help, "http-response")


def redirections() -> Any:
    help = "sends clients elsewhere, where no http-request rule has answered them"
    return _rules(REDIRECT_RULE, help, "redirect")


def error_locations() -> Any:
    """In place of a page, a redirection; as pages they may be defaults."""
    return option(
        LOCATION,
        names=STATUS,
        default=(),
        help="a URL to which clients are sent instead of getting the error page",
        haproxy="errorloc",
    )


def error_pages() -> Any:
    """May be a default, though it has names: doing it twice does no harm."""
    return option(
        PAGE,
        names=STATUS,
        default=(),
        help="a file with the response that replaces the proxy's own error page",
        haproxy="errorfile",
    )
