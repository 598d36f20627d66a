"""What must hold between options: one small function a rule, each yields its problems.

Where the proxy would do something other than what a line says, it is an error.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from vipproxy.config.build import server_settings
from vipproxy.config.consistency.conditions import conditions_hold
from vipproxy.config.consistency.http import HTTP_RULES
from vipproxy.config.consistency.idle import amqp_heartbeats_fit, keepalive_can_act
from vipproxy.config.consistency.logs import LOG_RULES
from vipproxy.config.consistency.stats import STATS_RULES
from vipproxy.config.document import Setting
from vipproxy.config.drafts import (
    BackendDraft,
    ClusterDraft,
    FrontendDraft,
    ServerDraft,
    at_setting,
)
from vipproxy.config.kinds import suggest
from vipproxy.config.options import MOST_SESSIONS
from vipproxy.config.problems import Problem, Severity
from vipproxy.config.socket_options import StatsSocketOptions
from vipproxy.limits import RESERVED
from vipproxy.values import Address

Rule = Callable[[ClusterDraft], Iterable[Problem]]


def _frontend_needs_backend(cluster: ClusterDraft) -> Iterator[Problem]:
    for frontend in cluster.frontends:
        protocol = frontend.config.options.protocol
        served = {"backend", "use-backend", "http-request", "redirect"} & frontend.origins.keys()
        if protocol and protocol.plugin.needs_backend and not served:
            message = f"{frontend.section.label} has no backend"
            yield frontend.warning(message, hint="backend = NAME")


def _backend_exists(cluster: ClusterDraft) -> Iterator[Problem]:
    known = [backend.section.name for backend in cluster.backends]
    for frontend in cluster.frontends:
        for use in frontend.uses:
            if use.backend not in known:
                message = f"unknown backend '{use.backend}' in {frontend.section.label}"
                hint = suggest(use.backend, known)
                if use.setting is None:
                    yield frontend.error(message, use.key, use.backend, hint)
                else:
                    yield at_setting(Severity.ERROR, message, use.setting, use.backend, hint)


def _backend_is_used(cluster: ClusterDraft) -> Iterator[Problem]:
    used = {use.backend for frontend in cluster.frontends for use in frontend.uses}
    for backend in cluster.backends:
        if backend.section.name not in used:
            yield backend.warning(f"no frontend uses {backend.section.label}")


def _something_is_served(cluster: ClusterDraft) -> Iterator[Problem]:
    if not cluster.frontends:
        yield Problem(Severity.WARNING, "there is no frontend: nothing is served")


def _binds_differ(cluster: ClusterDraft) -> Iterator[Problem]:
    taken: list[tuple[Address, FrontendDraft]] = []
    for frontend in cluster.frontends:
        for bind in frontend.config.options.bind or ():
            for other, owner in taken:
                if _collide(bind, other):
                    message = (
                        f"{bind} in {frontend.section.label} is taken by {owner.section.label}"
                    )
                    yield frontend.error(message, "bind", str(bind), _as_said(other, owner))
                    break
            taken.append((bind, frontend))


def _as_said(bind: Address, frontend: FrontendDraft) -> str:
    return f"bind = {bind} in line {frontend.origins['bind'].setting.line}"


def _collide(one: Address, other: Address) -> bool:
    """Whether both cannot be bound; port 0 takes any free port (IPV6_V6ONLY is set)."""
    if one.is_unix or other.is_unix:
        return one == other
    if one.port != other.port or one.port == 0 or (":" in one.host) != (":" in other.host):
        return False
    return one.host == other.host or bool({one.host, other.host} & {"0.0.0.0", "::"})


def _has_servers(cluster: ClusterDraft) -> Iterator[Problem]:
    for backend in cluster.backends:
        if not server_settings(backend.section):
            message = f"{backend.section.label} has no servers"
            yield backend.warning(message, hint="server NAME = ADDRESS:PORT")


def _server_addresses_differ(cluster: ClusterDraft) -> Iterator[Problem]:
    for backend in cluster.backends:
        for server, twin in _twins(backend, lambda server: str(server.config.options.address)):
            address = server.config.options.address
            message = f"{address} is in {backend.section.label} twice"
            yield _at_server(Severity.WARNING, message, server, str(address), _see(twin))


def _cookies_differ(cluster: ClusterDraft) -> Iterator[Problem]:
    for backend in cluster.backends:
        for server, twin in _twins(backend, lambda server: server.config.options.cookie):
            cookie = server.config.options.cookie
            message = f"cookie value '{cookie}' is in {backend.section.label} twice"
            yield _at_server(Severity.ERROR, message, server, f"cookie={cookie}", _see(twin))


def _twins(
    backend: BackendDraft, key_of: Callable[[ServerDraft], str | None]
) -> Iterator[tuple[ServerDraft, ServerDraft]]:
    """Servers that agree in something with an earlier one."""
    first: dict[str, ServerDraft] = {}
    for server in backend.servers:
        key = key_of(server)
        if key is not None and key in first:
            yield server, first[key]
        elif key is not None:
            first[key] = server


def _see(server: ServerDraft) -> str:
    return f"server '{server.config.name}' in line {server.setting.line} has it"


def _at_server(
    severity: Severity, message: str, server: ServerDraft, word: str = "", hint: str = ""
) -> Problem:
    return at_setting(severity, message, server.setting, word, hint)


def _mark_down_needs_check(cluster: ClusterDraft) -> Iterator[Problem]:
    for backend in cluster.backends:
        wanted = backend.says("on-marked-down") and backend.config.options.shuts_sessions_down
        if wanted and "check" not in backend.origins:
            message = f"{backend.section.label} has no 'check', so nothing is ever marked down"
            yield backend.warning(message, "on-marked-down", hint="check = tcp")


def _steps_need_check(cluster: ClusterDraft) -> Iterator[Problem]:
    for backend in cluster.backends:
        check = backend.config.options.check
        for key in ("tcp-check", "http-check"):
            kind = key.partition("-")[0]
            if backend.says(key) and (check is None or check.name != kind):
                message = f"'{key}' in {backend.section.label} without 'check = {kind}'"
                yield backend.error(message, key, hint=f"check = {kind}")


def _pin_needs_shutdown(cluster: ClusterDraft) -> Iterator[Problem]:
    for backend in cluster.backends:
        stick = backend.config.options.stick
        if not stick or stick.key != "dst":
            continue
        message = f"'on-marked-down = none' contradicts 'stick = dst' in {backend.section.label}"
        hint = "old sessions would go on while new ones use another server: two would serve"
        if not backend.config.options.shuts_sessions_down:
            yield backend.error(message, "on-marked-down", hint=hint)
        for server in backend.servers:
            if server.config.options.on_marked_down == "none":
                word = "on-marked-down=none"
                yield _at_server(Severity.ERROR, message, server, word, hint)


def _pace_needs_check(cluster: ClusterDraft) -> Iterator[Problem]:
    for backend in cluster.backends:
        for server in backend.servers:
            options = server.config.options
            checked = "check" in backend.origins and options.check
            if not checked and (options.says_pace or options.check_addr):
                message = f"server '{server.config.name}' is not checked"
                hint = "its interval, rise, fall and check-addr have no effect"
                yield _at_server(Severity.WARNING, message, server, hint=hint)


def _fail_back_needs_pin(cluster: ClusterDraft) -> Iterator[Problem]:
    for backend in cluster.backends:
        options = backend.config.options
        if options.fail_back is None:
            continue
        if options.stick is None or options.stick.key != "dst":
            message = f"'fail-back' in {backend.section.label} without 'stick = dst'"
            yield backend.error(message, "fail-back", hint="there is no pin that could return")
        elif options.fail_back.after is not None and "check" not in backend.origins:
            message = f"'fail-back = after=...' in {backend.section.label} without a check"
            yield backend.error(message, "fail-back", hint="it is decided at checks")


def _marked_up_needs_backup(cluster: ClusterDraft) -> Iterator[Problem]:
    for backend in cluster.backends:
        wanted = backend.config.options.on_marked_up != "none" and backend.says("on-marked-up")
        if wanted and not any(server.config.options.backup for server in backend.servers):
            message = f"{backend.section.label} has no backup servers"
            yield backend.warning(message, "on-marked-up", hint="it has no effect")


def _not_all_backup(cluster: ClusterDraft) -> Iterator[Problem]:
    for backend in cluster.backends:
        servers = backend.servers
        if servers and all(server.config.options.backup for server in servers):
            message = f"all servers of {backend.section.label} are backup servers"
            yield _at_server(Severity.WARNING, message, servers[0], "backup")


def _one_place_for_state(cluster: ClusterDraft) -> Iterator[Problem]:
    if cluster.global_ and {"state-file", "store"} <= cluster.global_.origins.keys():
        hint = "the store replaces the file"
        yield cluster.global_.error("give 'store' or 'state-file', not both", "store", hint=hint)


def _stats_sockets_are_safe(cluster: ClusterDraft) -> Iterator[Problem]:
    """They are at different addresses; and HAProxy's language knows no password."""
    taken: set[Address | Path] = {
        bind for each in cluster.frontends for bind in each.config.options.bind or ()
    }
    for setting, options in _stats_sockets(cluster):
        place = options.address
        if place in taken:
            message = f"{place} is taken already"
            yield at_setting(Severity.ERROR, message, setting, str(place))
        if options.level == "admin" and isinstance(place, Address) and not _is_loopback(place):
            message = f"whoever can reach {place} may change everything"
            hint = "a Unix socket, or loopback; level=operator may look, and change little"
            yield at_setting(Severity.WARNING, message, setting, "level=admin", hint)
        taken.add(place)


def _stats_sockets(cluster: ClusterDraft) -> Iterable[tuple[Setting, StatsSocketOptions]]:
    """Each with its line; none where one of them could not be read."""
    draft = cluster.global_
    origin = draft.origins.get("stats-socket") if draft else None
    if draft is None or origin is None or draft.options is None:
        return ()
    options = draft.options.stats_socket
    same = len(origin.settings) == len(options)
    return zip(origin.settings, options, strict=True) if same else ()


def _is_loopback(address: Address) -> bool:
    return ipaddress.ip_address(address.host).is_loopback


RULES: tuple[Rule, ...] = (
    _frontend_needs_backend,
    _backend_exists,
    _backend_is_used,
    _something_is_served,
    _binds_differ,
    _has_servers,
    _server_addresses_differ,
    _cookies_differ,
    *HTTP_RULES,
    conditions_hold,
    *LOG_RULES,
    *STATS_RULES,
    _mark_down_needs_check,
    _steps_need_check,
    _pin_needs_shutdown,
    _pace_needs_check,
    _fail_back_needs_pin,
    _marked_up_needs_backup,
    _not_all_backup,
    _one_place_for_state,
    _stats_sockets_are_safe,
    keepalive_can_act,
    amqp_heartbeats_fit,
)


def apply_rules(cluster: ClusterDraft) -> Iterator[Problem]:
    """Everything that is wrong between options."""
    for rule in RULES:
        yield from rule(cluster)


def descriptors_suffice(cluster: ClusterDraft, limit: int | None) -> Iterator[Problem]:
    """Warn once where `maxconn` of all frontends needs more descriptors than `limit`.

    A session has two. `limit` is the hard limit (RLIMIT_NOFILE), None where there is none. A
    frontend with MOST_SESSIONS takes what there is room for.
    """
    maxconns = [frontend.config.options.maxconn for frontend in cluster.frontends]
    sessions = sum(each for each in maxconns if each < MOST_SESSIONS)
    if cluster.global_ is not None and cluster.global_.options is not None:
        sessions = min(sessions, cluster.global_.options.maxconn or sessions)
    needed = 2 * sessions + RESERVED
    if limit is None or needed <= limit:
        return
    message = (
        f"'maxconn' of all frontends is {sessions}, which needs {needed} file descriptors; "
        f"the limit is {limit}"
    )
    yield cluster.frontends[0].warning(message, "maxconn", hint="lower it, or raise ulimit -Hn")
