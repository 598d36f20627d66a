"""What of a pool survives a restart, as a mapping that JSON can hold.

What an operator has changed of a server in the configuration counts only as long as the
configuration says of it what it said then: a new value in the file wins, as with HAProxy's
`load-server-state-from-file`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from vipproxy.backends.server import Server
from vipproxy.config.options import ServerConfig
from vipproxy.config.records import record
from vipproxy.config.server_options import ServerOptions
from vipproxy.values import Address, AdminState

if TYPE_CHECKING:
    from vipproxy.backends.pool import Pool

_LINE = record(ServerOptions)


def state_of(pool: Pool) -> dict[str, Any]:
    """Pins, administrative states, weights, addresses, and servers that were added."""
    servers = pool.servers
    state: dict[str, Any] = {
        "added": {s.name: _LINE.format(s.config.options) for s in servers if s.added},
        "admin": {s.name: s.admin.value for s in servers if s.admin is not _initial_state(s)},
        "weights": _changes(servers, lambda s: (s.weight, s.config.options.weight)),
        "addresses": _changes(servers, lambda s: (str(s.address), str(s.config.options.address))),
    }
    if pool.pins is not None:
        state["pins"] = pool.pins.as_mapping()
    return {key: value for key, value in state.items() if value or key == "pins"}


def restore(pool: Pool, state: Mapping[str, Any]) -> None:
    """Take over what an earlier run saved; servers that are gone are left out.

    Raises AttributeError, TypeError or ValueError where it has another shape.
    """
    for name, line in state.get("added", {}).items():
        if pool.selection.named(name) is None:
            pool.operations.add(ServerConfig(name, _LINE.parse(line)))
    known = {server.name: server for server in pool.servers}
    for name, value in state.get("admin", {}).items():
        if name in known:
            known[name].admin = AdminState(value)
    for name, (weight, initial) in state.get("weights", {}).items():
        if name in known and known[name].config.options.weight == initial:
            known[name].weight = int(weight)
    for name, (address, configured) in state.get("addresses", {}).items():
        if name in known and str(known[name].config.options.address) == configured:
            known[name].address = Address.parse(address)
    for server in pool.servers:
        pool.verdicts.refresh(server)
    if pool.pins is not None:
        pins = state.get("pins", {})
        pool.pins.restore({key: name for key, name in pins.items() if name in known})


def _initial_state(server: Server) -> AdminState:
    """What it is in without being told; one that was added begins in maintenance."""
    out = server.added or server.config.options.disabled
    return AdminState.MAINT if out else AdminState.READY


def _changes(
    servers: list[Server], values: Callable[[Server], tuple[Any, Any]]
) -> dict[str, tuple[Any, Any]]:
    """By name, what differs from the configuration, and what that says."""
    pairs = {server.name: values(server) for server in servers}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
