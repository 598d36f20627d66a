"""Servers: their state, weight, health and address, and what is known of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from vipproxy.admin.commands import server_list, server_state
from vipproxy.admin.commands.command import (
    Command,
    Console,
    Level,
    Terse,
    find_server,
    number,
    split_server,
)
from vipproxy.admin.commands.server_address import set_address, set_check_address, set_check_port
from vipproxy.errors import Refused
from vipproxy.interfaces import Health
from vipproxy.values import AdminState

HEAVIEST = 256
Change = Callable[[Console, str, str, Sequence[str]], str]
"""Of a server (backend, name), by the words after what is to be changed."""


def _set_state(console: Console, backend: str, server: str, words: Sequence[str]) -> str:
    if words[:1] not in [[state.value] for state in AdminState]:
        raise Refused("'set server <srv> state' expects 'ready', 'drain' and 'maint'.")
    console.control.set_admin_state(backend, server, AdminState(words[0]))
    return ""


def _set_health(console: Console, backend: str, server: str, words: Sequence[str]) -> str:
    if words[:1] not in [[health.value] for health in Health]:
        raise Refused("'set server <srv> health' expects 'up', 'stopping', or 'down'.")
    console.control.set_health(backend, server, Health(words[0]))
    return ""


def _set_weight(console: Console, backend: str, server: str, words: Sequence[str]) -> str:
    """Absolute, or with ``%`` a share of the configuration's weight."""
    if not words:
        raise Refused("Require <weight> or <weight%>.")
    _, known = find_server(console, [f"{backend}/{server}"])
    match = re.match(r"([+-]?[0-9]{1,18})(%?)(.*)", words[0])
    if match is None:
        raise Terse("Empty weight string empty or preceded by garbage")
    if match[3]:
        raise Terse("Trailing garbage in weight string")
    weight = int(match[1])
    if match[2]:
        if weight < 0:
            raise Refused("Relative weight must be positive.")
        weight = min(known.initial_weight * weight // 100, HEAVIEST)
    elif not 0 <= weight <= HEAVIEST:
        raise Refused("Absolute weight can only be between 0 and 256 inclusive.")
    console.control.set_weight(backend, server, weight)
    return ""


def _no_agent(console: Console, backend: str, server: str, words: Sequence[str]) -> str:
    raise Refused("agent checks are not enabled on this server.")


def _no_agent_address(console: Console, backend: str, server: str, words: Sequence[str]) -> str:
    raise Terse("agent checks are not enabled on this server")


def _no_resolution(console: Console, backend: str, server: str, words: Sequence[str]) -> str:
    if not words:
        raise Refused("set server <b>/<s> fqdn requires a FQDN.")
    raise Refused("set server <b>/<s> fqdn failed because no resolution is configured.")


def _no_tls(console: Console, backend: str, server: str, words: Sequence[str]) -> str:
    raise Refused(
        "'set server <srv> ssl' cannot be set.  default-server should define ssl settings"
    )


CHANGES: dict[str, Change] = {
    "addr": set_address,
    "agent": _no_agent,
    "agent-addr": _no_agent_address,
    "agent-port": _no_agent_address,
    "agent-send": _no_agent,
    "check-addr": set_check_address,
    "check-port": set_check_port,
    "fqdn": _no_resolution,
    "health": _set_health,
    "ssl": _no_tls,
    "state": _set_state,
    "weight": _set_weight,
}
SET_SERVER_USAGE = f"usage: set server <backend>/<server> {' | '.join(CHANGES)}"


def _set_server(console: Console, words: Sequence[str]) -> str:
    backend, server = find_server(console, words)
    change = CHANGES.get("".join(words[1:2]))
    if change is None:
        raise Refused(SET_SERVER_USAGE)
    return change(console, backend, server.name, words[2:])


def _set_weight_of(console: Console, words: Sequence[str]) -> str:
    backend, server = find_server(console, words)
    return _set_weight(console, backend, server.name, words[1:])


def _get_weight(console: Console, words: Sequence[str]) -> str:
    _, server = find_server(console, words)
    return f"{server.weight} (initial {server.initial_weight})\n"


def _set_maxconn(console: Console, words: Sequence[str]) -> str:
    backend, server = find_server(console, words)
    if len(words) < 2:
        raise Refused("Require <maxconn>.")
    if not re.match(r"-?[0-9]", words[1]):
        raise Terse("maxconn string empty or preceded by garbage")
    value = number(words[1])
    if value is None:
        raise Terse("Trailing garbage in maxconn string")
    if value < 0:
        raise Refused("Value out of range.")
    console.control.set_server_maxconn(backend, server.name, value)
    return ""


def _set_state_to(state: AdminState) -> Callable[[Console, Sequence[str]], str]:
    def run(console: Console, words: Sequence[str]) -> str:
        console.control.set_admin_state(*split_server(words), state)
        return ""

    return run


def _set_checking(on: bool) -> Callable[[Console, Sequence[str]], str]:
    def run(console: Console, words: Sequence[str]) -> str:
        console.control.set_checking(*split_server(words), on)
        return ""

    return run


def _enable_agent(console: Console, words: Sequence[str]) -> str:
    find_server(console, words)
    raise Refused("Agent was not configured on this server, cannot enable.")


def _disable_agent(console: Console, words: Sequence[str]) -> str:
    """There is none, so it is disabled."""
    find_server(console, words)
    return ""


def _shut_sessions(console: Console, words: Sequence[str]) -> str:
    console.control.shut_server_sessions(*split_server(words))
    return ""


def _admin(
    name: str, usage: str, help: str, run: Callable[[Console, Sequence[str]], str]
) -> Command:
    return Command(name, Level.ADMIN, usage, help, run)


COMMANDS = (
    *server_list.COMMANDS,
    *server_state.COMMANDS,
    _admin("disable agent", "disable agent", "disable agent checks", _disable_agent),
    _admin("disable health", "disable health", "disable health checks", _set_checking(False)),
    _admin(
        "disable server",
        "disable server (DEPRECATED)",
        "disable a server for maintenance (use 'set server' instead)",
        _set_state_to(AdminState.MAINT),
    ),
    _admin("enable agent", "enable agent", "enable agent checks", _enable_agent),
    _admin("enable health", "enable health", "enable health checks", _set_checking(True)),
    _admin(
        "enable server",
        "enable server  (DEPRECATED)",
        "enable a disabled server (use 'set server' instead)",
        _set_state_to(AdminState.READY),
    ),
    Command(
        "get weight",
        Level.USER,
        "get weight <bk>/<srv>",
        "report a server's current weight",
        _get_weight,
    ),
    _admin(
        "set maxconn server",
        "set maxconn server <bk>/<srv>",
        "change a server's maxconn setting",
        _set_maxconn,
    ),
    _admin(
        "set server",
        "set server <bk>/<srv> [opts]",
        "change a server's state, weight, address or ssl",
        _set_server,
    ),
    _admin(
        "set weight",
        "set weight <bk>/<srv>  (DEPRECATED)",
        "change a server's weight (use 'set server' instead)",
        _set_weight_of,
    ),
    _admin(
        "shutdown sessions server",
        "shutdown sessions server <bk>/<srv>",
        "kill sessions on a server",
        _shut_sessions,
    ),
)
