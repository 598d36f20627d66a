"""What must hold between the options of HTTP: cookies, header changes, balancing by requests."""

from __future__ import annotations

from collections.abc import Iterator

from vipproxy.config.drafts import BackendDraft, ClusterDraft, at_setting
from vipproxy.config.problems import Problem, Severity
from vipproxy.interfaces import IRequestBalancerPlugin


def _modes(cluster: ClusterDraft, backend: BackendDraft) -> set[str]:
    """The modes of the frontends that use a backend."""
    return {
        frontend.config.options.protocol.plugin.mode
        for frontend in cluster.frontends
        if backend.section.name in frontend.config.backends and frontend.config.options.protocol
    }


def _cookie_needs_http(cluster: ClusterDraft) -> Iterator[Problem]:
    for backend in cluster.backends:
        if backend.says("cookie") and _modes(cluster, backend) == {"tcp"}:
            message = (
                f"'cookie' has no effect in {backend.section.label}: only tcp frontends use it"
            )
            yield backend.warning(message, "cookie", hint="cookies need protocol = http")


def _server_cookie_needs_backend_cookie(cluster: ClusterDraft) -> Iterator[Problem]:
    for backend in cluster.backends:
        for server in backend.servers:
            value = server.config.options.cookie
            if value is not None and "cookie" not in backend.origins:
                message = f"'cookie' of server '{server.config.name}' has no effect"
                hint = f"{backend.section.label} has no 'cookie'"
                word = f"cookie={value}"
                yield at_setting(Severity.WARNING, message, server.setting, word, hint)


def _cookie_needs_values(cluster: ClusterDraft) -> Iterator[Problem]:
    for backend in cluster.backends:
        if backend.config.options.cookie is None or "http" not in _modes(cluster, backend):
            continue
        for server in backend.servers:
            if server.config.options.cookie is None:
                message = f"server '{server.config.name}' has no cookie value: nobody stays on it"
                hint = "add cookie=VALUE"
                yield at_setting(Severity.WARNING, message, server.setting, hint=hint)


def _cookie_marks_differ(cluster: ClusterDraft) -> Iterator[Problem]:
    for backend in cluster.backends:
        cookie = backend.config.options.cookie
        for server in backend.servers:
            value = server.config.options.cookie or ""
            if cookie is not None and cookie.prefix and "~" in value:
                message = f"'~' in the cookie value of server '{server.config.name}'"
                hint = "it ends the prefix"
                word = f"cookie={value}"
                yield at_setting(Severity.ERROR, message, server.setting, word, hint)


def _prefix_reaches_clients(cluster: ClusterDraft) -> Iterator[Problem]:
    for backend in cluster.backends:
        cookie = backend.config.options.cookie
        if cookie is not None and cookie.prefix and cookie.indirect:
            message = f"'indirect' with 'prefix' in {backend.section.label}"
            hint = "clients never hear of new values of the application's cookie"
            yield backend.warning(message, "cookie", "indirect", hint)


def _header_changes_need_http(cluster: ClusterDraft) -> Iterator[Problem]:
    for backend in cluster.backends:
        if _modes(cluster, backend) != {"tcp"}:
            continue
        for key in backend.origins:
            if key.startswith(("request-header ", "response-header ")):
                message = f"'{key}' has no effect in {backend.section.label}"
                yield backend.warning(message, key, hint="only tcp frontends use it")


def _balance_needs_http(cluster: ClusterDraft) -> Iterator[Problem]:
    for backend in cluster.backends:
        balance = backend.config.options.balance
        by_request = balance and IRequestBalancerPlugin.providedBy(balance.plugin)
        if by_request and "tcp" in _modes(cluster, backend):
            message = (
                f"'balance = {balance.name}' in {backend.section.label} needs HTTP requests, "
                "and a tcp frontend uses it"
            )
            hint = "balance = source, or protocol = http in the frontend"
            yield backend.error(message, "balance", hint=hint)


HTTP_RULES = (
    _cookie_needs_http,
    _server_cookie_needs_backend_cookie,
    _cookie_needs_values,
    _cookie_marks_differ,
    _prefix_reaches_clients,
    _header_changes_need_http,
    _balance_needs_http,
)
