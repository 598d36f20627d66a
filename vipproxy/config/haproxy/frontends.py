"""A frontend or listen section -> `[frontend NAME]`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from vipproxy.config.document import Section, Setting
from vipproxy.config.haproxy.binds import bind_settings
from vipproxy.config.haproxy.forwarding import abortonclose, forwarded_for, http_reuse, httpclose
from vipproxy.config.haproxy.keepalive import keepalive_setting
from vipproxy.config.haproxy.logs import frontend_logs
from vipproxy.config.haproxy.model import (
    FRONT,
    BadLine,
    Files,
    Part,
    Proxy,
    Statement,
    made,
    setting,
)
from vipproxy.config.haproxy.rules import rule_settings
from vipproxy.config.haproxy.statistics import exporter, stats_settings
from vipproxy.config.haproxy.units import text, timeout

MODES = ("tcp", "http")
TCP_ONLY = ("tcp-request-inspect-delay",)
HTTP_ONLY = ("timeout-http-request", "timeout-http-keep-alive")


def frontend_section(files: Files, proxy: Proxy, has_servers: bool) -> Section:
    """`has_servers`: whether it is a listen section with servers of its own."""
    backend = _backend(proxy, has_servers)
    protocol = _protocol(files, proxy, backend)
    settings = (protocol, *_settings(files, proxy, protocol, backend))
    line, column, length = proxy.place
    return Section(FRONT, proxy.name, line, column, length, tuple(settings))


def mode_of(files: Files, proxy: Proxy) -> str:
    """tcp or http; anything else is told."""
    statement = proxy.last("mode")
    if statement is not None:
        word = statement.one("a mode")
        if word.text not in MODES:
            raise BadLine(f"mode '{word.text}' is not supported yet", word.place, "tcp or http")
    return proxy.mode


def _protocol(files: Files, proxy: Proxy, backend: Setting | None) -> Setting:
    """`tcp`, `http`, or `stats` for a section that does nothing else."""
    statement = proxy.last("mode")
    place = statement.place if statement else proxy.place
    try:
        mode = mode_of(files, proxy)
    except BadLine as error:
        files.bad(error)
        mode = "tcp"
    serves = backend is not None or proxy.own("use_backend")
    shows = exporter(proxy) or next(iter(proxy.under("stats")), None)
    if mode == "http" and not serves and shows is not None:
        return made("protocol", [Part("stats", shows.place)], shows.place)
    implied = "" if statement else "HAProxy's default"
    return made("protocol", [Part(mode, place)], place, implied)


def _backend(proxy: Proxy, has_servers: bool) -> Setting | None:
    """The pool that serves: its own, or the one that it names."""
    statement = proxy.last("default_backend")
    if has_servers:
        return made("backend", [Part(proxy.name, proxy.place)], proxy.place)
    if statement is None:
        return None
    word = statement.one("a backend")
    return setting("backend", statement, [Part(word.text, word.place)])


def _settings(
    files: Files, proxy: Proxy, protocol: Setting, backend: Setting | None
) -> Iterator[Setting]:
    http = protocol.value == "http"
    composed: tuple[Callable[[], Iterator[Setting]], ...] = (
        lambda: iter(bind_settings(files, proxy).values()),
        lambda: _own(files, proxy, protocol),
        lambda: _some(keepalive_setting(proxy, "clitcpka")),
        lambda: _some(_monitor(files, proxy, protocol)),
        lambda: _some(_tunnel(proxy, protocol)),
        lambda: _some(forwarded_for(files, proxy) if http else None),
        lambda: _some(http_reuse(files, proxy) if http else None),
        lambda: _some(httpclose(files, proxy) if http else None),
        lambda: _some(abortonclose(files, proxy) if http else None),
        lambda: stats_settings(files, proxy, protocol),
        lambda: rule_settings(files, proxy, protocol.value, front=True),
        lambda: frontend_logs(files, proxy, protocol.value),
        lambda: _some(backend),
    )
    for compose in composed:
        try:
            yield from compose()
        except BadLine as error:
            files.bad(error)


def _some(setting: Setting | None) -> Iterator[Setting]:
    if setting is not None:
        yield setting


def _own(files: Files, proxy: Proxy, protocol: Setting) -> Iterator[Setting]:
    for key, each in proxy.front.items():
        if key in HTTP_ONLY and protocol.value != "http":
            if protocol.value == "tcp":
                message = f"'{key.replace('-', ' ', 1)}' is ignored: {proxy.label} is in tcp mode"
                files.warn(message, each.key_place)
        elif key not in TCP_ONLY or protocol.value == "tcp":
            yield each


def _monitor(files: Files, proxy: Proxy, protocol: Setting) -> Setting | None:
    statement = proxy.last("monitor-uri")
    if statement is None:
        return None
    if protocol.value == "tcp":
        _ignored(files, proxy, statement)
        return None
    return setting("monitor-uri", statement, [text(statement.one("a path"))])


def _tunnel(proxy: Proxy, protocol: Setting) -> Setting | None:
    """Without one, HAProxy's tunnels have the timeout of the clients."""
    statement = proxy.last("timeout tunnel")
    if protocol.value == "stats":
        return None
    if statement is not None:
        return setting("timeout-tunnel", statement, [timeout(statement.one("a time"))])
    client = proxy.says("timeout-client")
    if protocol.value == "tcp" or client is None:
        return None
    part = Part(client.value, client.place())
    return made("timeout-tunnel", [part], client.key_place, "HAProxy's default: timeout client")


def _ignored(files: Files, proxy: Proxy, statement: Statement) -> None:
    """Only where it stands in the section itself: defaults are for all kinds of sections."""
    if statement in proxy.statements:
        message = f"'{statement.name}' is ignored: {proxy.label} is in tcp mode"
        files.warn(message, statement.place)
