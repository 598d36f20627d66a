"""A backend or listen section -> `[backend NAME]`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from vipproxy.config.document import Section, Setting
from vipproxy.config.haproxy.balancing import balance_setting
from vipproxy.config.haproxy.checks import check_settings, own_pace
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

PROXY_VERSIONS = {"send-proxy-v2": "v2", "send-proxy": "v1"}


def backend_section(files: Files, proxy: Proxy) -> Section | None:
    """The section; None where a listen section has no servers, and needs none."""
    servers = server_lines(files, proxy)
    if proxy.kind == "listen" and not servers:
        return None
    stats = [each for each in proxy.statements if each.name.startswith("stats ")]
    if proxy.kind == "backend" and stats:
        message = "statistics in a backend are not supported yet"
        files.bad(BadLine(message, stats[0].place, "the frontend may have them"))
    line, column, length = proxy.place
    settings = [
        *_settings(files, proxy, servers),
        *rule_settings(files, proxy, proxy.mode, front=False),
        *server_settings(files, proxy, servers, partial(_server_words, servers)),
    ]
    return Section(BACK, proxy.name, line, column, length, tuple(settings))


def _settings(files: Files, proxy: Proxy, servers: list[ServerLine]) -> Iterator[Setting]:
    composed: tuple[Callable[[], Iterable[Setting | None]], ...] = (
        lambda: [balance_setting(files, proxy)],
        lambda: [cookie_setting(files, proxy)],
        lambda: [stick_setting(files, proxy)],
        lambda: check_settings(files, proxy, servers),
        lambda: [keepalive_setting(proxy, "srvtcpka")],
        lambda: [_send_proxy(servers)],
        lambda: [_initial_state(files, servers)],
        lambda: [_marked_down(servers)],
        lambda: [_marked_up(files, servers)],
    )
    yield from proxy.back.values()
    for compose in composed:
        try:
            yield from (each for each in compose() if each is not None)
        except BadLine as error:
            files.bad(error)


def _server_words(servers: list[ServerLine], server: ServerLine) -> Iterator[Part]:
    """What a server has for itself where others have something else."""
    if server.checked:
        yield from own_pace(servers, server)
    version = _version(server)
    if version is not None and _send_proxy(servers) is None:
        yield Part(f"send-proxy={version.text}", version.place)
    given = server.given.get("on-marked-down")
    if given is not None and not _all_say(servers, "on-marked-down"):
        yield Part(f"on-marked-down={given.value.text}", given.place)


def _all_say(servers: list[ServerLine], name: str) -> bool:
    """Whether all servers say the same."""
    said = [each.given[name].value.text if name in each.given else None for each in servers]
    return len(set(said)) == 1


def _marked_down(servers: list[ServerLine]) -> Setting | None:
    name = "on-marked-down"
    if not servers or not _all_say(servers, name) or name not in servers[0].given:
        return None
    given = servers[0].given[name]
    return made(name, [Part(given.value.text, given.value.place)], given.place)


def _marked_up(files: Files, servers: list[ServerLine]) -> Setting | None:
    given = same_everywhere(files, servers, "on-marked-up")
    if given is None:
        return None
    return made("on-marked-up", [Part(given.value.text, given.value.place)], given.place)


def _version(server: ServerLine) -> Part | None:
    """The PROXY header that a server gets."""
    for name, version in PROXY_VERSIONS.items():
        if name in server.given:
            return Part(version, server.given[name].place)
    return None


def _send_proxy(servers: list[ServerLine]) -> Setting | None:
    """Of the backend, where all of its servers get the same header."""
    found = [_version(each) for each in servers]
    first = next((each for each in found if each is not None), None)
    if first is None or {each and each.text for each in found} != {first.text}:
        return None
    return made("send-proxy", [first], first.place)


def _initial_state(files: Files, servers: list[ServerLine]) -> Setting | None:
    """``init-state`` of HAProxy 3.1: `fully-up` and `up`, `down` and `fully-down` are one here."""
    given = same_everywhere(files, servers, "init-state")
    if given is None:
        return None
    state = given.value.text.removeprefix("fully-")
    return made("initial-state", [Part(state, given.value.place)], given.place)
