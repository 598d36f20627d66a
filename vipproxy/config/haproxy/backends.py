"""A backend or listen section -> `[backend NAME]`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from vipproxy.config.document import Section, Setting
from vipproxy.config.haproxy.balancing import balance_setting
from vipproxy.config.haproxy.checks import check_setting, common_port
from vipproxy.config.haproxy.keepalive import keepalive_setting
from vipproxy.config.haproxy.model import BACK, BadLine, Files, Part, Proxy, made
from vipproxy.config.haproxy.persistence import cookie_setting, stick_setting
from vipproxy.config.haproxy.rules import rule_settings
from vipproxy.config.haproxy.servers import (
    ServerLine,
    same_everywhere,
    server_lines,
    server_settings,
)

MARKS = ("on-marked-down", "on-marked-up")
OF_ALL = "the backend's"


def backend_section(files: Files, proxy: Proxy) -> Section | None:
    """The section; None where a listen section has no servers, and needs none."""
    servers = server_lines(files, proxy)
    if proxy.kind == "listen" and not servers:
        return None
    line, column, length = proxy.place
    settings = [
        *_settings(files, proxy, servers),
        *rule_settings(files, proxy, proxy.mode, front=False),
        *_servers(files, proxy, servers),
    ]
    return Section(BACK, proxy.name, line, column, length, tuple(settings))


def _settings(files: Files, proxy: Proxy, servers: list[ServerLine]) -> Iterator[Setting]:
    composed: tuple[Callable[[], Setting | None], ...] = (
        lambda: balance_setting(files, proxy),
        lambda: cookie_setting(files, proxy),
        lambda: stick_setting(files, proxy),
        lambda: check_setting(files, proxy, servers),
        lambda: keepalive_setting(proxy, "srvtcpka"),
        lambda: _send_proxy(files, servers),
        lambda: _initial_state(files, servers),
        *(lambda name=name: _mark(files, servers, name) for name in MARKS),
    )
    yield from proxy.back.values()
    for compose in composed:
        try:
            setting = compose()
        except BadLine as error:
            files.bad(error)
        else:
            if setting is not None:
                yield setting


def _servers(files: Files, proxy: Proxy, servers: list[ServerLine]) -> Iterator[Setting]:
    try:
        common = common_port(servers)
    except BadLine:
        return  # told already, with the check
    port = common.text.partition("=")[2] if common else None
    yield from server_settings(files, proxy, servers, port)


def _mark(files: Files, servers: list[ServerLine], name: str) -> Setting | None:
    given = same_everywhere(files, servers, name, OF_ALL)
    if given is None:
        return None
    return made(name, [Part(given.value.text, given.value.place)], given.place)


def _send_proxy(files: Files, servers: list[ServerLine]) -> Setting | None:
    versions = {
        name for each in servers for name in ("send-proxy", "send-proxy-v2") if name in each.given
    }
    for name in sorted(versions):
        place = next(each.given[name].place for each in servers if name in each.given)
        if len(versions) > 1 or not all(name in each.given for each in servers):
            message = (
                f"'{name}' differs between the servers of a backend, which is not supported yet"
            )
            raise BadLine(message, place, f"{OF_ALL} holds for all of them")
        return made("send-proxy", [Part("v2" if name.endswith("v2") else "v1", place)], place)
    return None


def _initial_state(files: Files, servers: list[ServerLine]) -> Setting | None:
    """``init-state`` of HAProxy 3.1: `fully-up` and `up`, `down` and `fully-down` are one here."""
    given = same_everywhere(files, servers, "init-state", OF_ALL)
    if given is None:
        return None
    state = given.value.text.removeprefix("fully-")
    return made("initial-state", [Part(state, given.value.place)], given.place)
