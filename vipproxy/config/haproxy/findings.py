"""What is worth saying about a haproxy.cfg beyond what is wrong with it: more than `haproxy -c`."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

from vipproxy.config.document import Place
from vipproxy.config.haproxy import addresses
from vipproxy.config.haproxy.model import BadLine, Files, Proxy

SMALL_TABLE = 100
"""Entries; connections under way need one each in HAProxy."""

WELL_KNOWN = {
    "glance-api": 9292,
    "glance-registry": 9191,
    "keystone-public": 5000,
    "keystone-admin": 35357,
    "nova-api": 8774,
    "nova-metadata": 8775,
    "novncproxy": 6080,
    "cinder": 8776,
    "neutron": 9696,
    "heat-api": 8004,
    "heat-cfn": 8000,
    "heat-cloudw": 8003,
    "ceilometer": 8777,
    "placement": 8778,
    "swift": 8080,
}
"""The ports of OpenStack's services, by what their proxies are called."""


def _misplaced(files: Files) -> None:
    """Keywords that their section cannot have: HAProxy ignores them."""
    for proxy in files.proxies:
        for statement in proxy.misplaced:
            lacks = "frontend" if proxy.kind == "backend" else "backend"
            message = f"'{statement.name}' is ignored: {proxy.label} has no {lacks} capability"
            hint = _cure_of_cookie(files, proxy) if statement.name == "cookie" else ""
            files.warn(message, statement.place, hint)


def _cure_of_cookie(files: Files, proxy: Proxy) -> str:
    home = proxy.last("default_backend")
    where = f"backend '{home.arguments[0].text}'" if home and home.arguments else "the backend"
    mode = "" if proxy.mode == "http" else ", and write 'mode http' in both: it is in tcp mode"
    return f"move it to {where}{mode}"


def _server_cookies(files: Files) -> None:
    """``cookie`` of servers, where no HTTP is spoken."""
    for proxy in files.of_kind("backend", "listen"):
        if proxy.mode == "http":
            continue
        for statement in proxy.own("server"):
            words = statement.arguments
            word = next((each for each in words[2:] if each.text == "cookie"), None)
            if word is not None:
                message = (
                    f"'cookie' of server '{words[0].text}' is ignored: {proxy.label} is in tcp mode"
                )
                files.warn(
                    message, word.place, "cookies need 'mode http', here and in the frontend"
                )


def _shared_names(files: Files) -> None:
    backends = {proxy.name: proxy for proxy in files.of_kind("backend")}
    for proxy in files.of_kind("frontend"):
        twin = backends.get(proxy.name)
        if twin is not None:
            message = f"a frontend and a backend share the name '{proxy.name}'"
            hint = f"the backend is in line {twin.header.number}"
            files.note(message, proxy.header.words[1].place, hint)


def _swapped_ports(files: Files) -> None:
    """Two services, each at the well-known port of the other."""
    used = [(service, port, place) for service, port, place in _services(files)]
    for service, port, place in used:
        for other, other_port, _ in used:
            if port == WELL_KNOWN[other] and other_port == WELL_KNOWN[service] and other != service:
                hint = f"{service} is at {WELL_KNOWN[service]}, {other} at {WELL_KNOWN[other]}"
                files.note(f"the ports of {service} and {other} look swapped", place, hint)


def _services(files: Files) -> Iterator[tuple[str, int, Place]]:
    for proxy in files.of_kind("frontend", "listen"):
        service = next((each for each in WELL_KNOWN if each in proxy.name), None)
        for bind in proxy.own("bind"):
            try:
                parts = list(addresses.binds(bind.arguments[0])) if bind.arguments else []
            except BadLine:
                continue
            if service is not None and parts and "@" not in parts[0].text:
                yield service, int(parts[0].text.rpartition(":")[2]), parts[0].place


def _small_tables(files: Files) -> None:
    for proxy in files.of_kind("backend", "listen"):
        for statement in proxy.own("stick-table"):
            for key, value in itertools.pairwise(statement.arguments):
                if key.text == "size" and value.text.isdigit() and int(value.text) < SMALL_TABLE:
                    message = (
                        f"a stick table of size {value.text}: HAProxy's is full with as many "
                        "connections under way, and then loses the pin"
                    )
                    hint = "here a pin is never lost; for HAProxy write size 1000"
                    files.note(message, value.place, hint)


def _no_redispatch(files: Files) -> None:
    found = [
        each
        for each in files.of_kind("backend", "listen")
        if len(each.own("server")) > 1 and not each.last("option redispatch")
    ]
    if found:
        names = f"{found[0].label}" if len(found) == 1 else f"{len(found)} backends"
        message = (
            f"{names} without 'option redispatch': whoever is refused by a server stays with it, "
            "and loses the connection after 'retries'"
        )
        place = found[0].base.place if found[0].base else found[0].place
        files.note(message, place, "option redispatch")


def _no_log(files: Files) -> None:
    logs = [each for each in files.globals if each.name == "log" and not each.negated]
    local = [each for proxy in files.proxies for each in proxy.own("log") if not each.negated]
    place = files.global_place or (1, 1, 1)
    if not logs and not local:
        message = "there is no 'log': HAProxy would log nothing"
        files.note(message, place, "log /dev/log local0, and 'log global' in defaults")


def _cannot_change(files: Files) -> None:
    """With HAProxy's default level tools can look, and change nothing."""
    for statement in files.globals:
        words = [each.text for each in statement.arguments]
        if statement.name == "stats socket" and "level" not in words:
            message = "the stats socket has level 'operator': its users cannot change servers"
            files.note(message, statement.place, "level admin")


def _missing_timeouts(files: Files) -> None:
    """HAProxy warns of it, too: then there is none at all."""
    for proxy in files.of_kind("frontend", "listen", "backend"):
        wanted = {"timeout-client": proxy.listens, "timeout-connect": proxy.balances}
        wanted["timeout-server"] = proxy.balances
        if not proxy.own("bind", "server"):
            continue
        missing = [key for key, needed in wanted.items() if needed and proxy.says(key) is None]
        if missing:
            names = ", ".join(f"'{key.replace('-', ' ')}'" for key in missing)
            files.warn(f"{proxy.label} has no {names}: it waits for ever", proxy.place)


FINDINGS: tuple[Callable[[Files], None], ...] = (
    _misplaced,
    _server_cookies,
    _shared_names,
    _swapped_ports,
    _small_tables,
    _no_redispatch,
    _no_log,
    _cannot_change,
    _missing_timeouts,
)


def findings(files: Files) -> None:
    """Add notes and warnings about the whole file."""
    for finding in FINDINGS:
        finding(files)
