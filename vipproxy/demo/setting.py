"""From a configuration to a stage: ports that can be bound, services, fake nodes."""

from __future__ import annotations

import errno
import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
from attrs import evolve, frozen

from vipproxy.config.options import BackendConfig, ClusterConfig, FrontendConfig
from vipproxy.sockets import listening_socket
from vipproxy.testing import FakeCluster
from vipproxy.values import Address

LIFT = 10000
"""A port that cannot be bound is replaced by one that is so much higher, or the next free."""


@frozen
class PortTaken:
    """A port that the demo uses in place of another."""

    wanted: int
    taken: int
    reason: str


@frozen
class Service:
    """One virtual address of the cluster, as the demo's clients see it."""

    name: str
    kind: str
    """tcp, http or mysql."""
    address: Address
    backend: str
    shuts_down: bool
    """Mark-down ends its sessions."""
    pinned: bool
    """All its clients share one node."""
    cookie: bool
    """A cookie keeps a client on its node."""


def services_of(config: ClusterConfig) -> list[Service]:
    """The frontends that have a backend."""
    backends = {each.name: each.options for each in config.backends}
    return [
        Service(
            name=frontend.name.removeprefix("vip-"),
            kind=_kind(frontend),
            address=frontend.options.bind[0],
            backend=frontend.options.backend,
            shuts_down=backends[frontend.options.backend].shuts_sessions_down,
            pinned=backends[frontend.options.backend].stick is not None,
            cookie=backends[frontend.options.backend].cookie is not None,
        )
        for frontend in config.frontends
        if frontend.options.backend is not None
    ]


def cluster_of(config: ClusterConfig, reactor: Any) -> FakeCluster:
    """Fake nodes for the servers of the first backend; every node runs every service."""
    hosts = {each.name: each.options.address.host for each in config.backends[0].servers}
    kinds = {each.backend: each.kind for each in services_of(config)}
    running: dict[str, tuple[str, int]] = {}
    for backend in config.backends:
        running[backend.name] = kinds[backend.name], backend.servers[0].options.address.port
        port = _check_port(backend)
        if port is not None:
            running[f"{backend.name} check"] = "clustercheck", port
    return FakeCluster(reactor, running, hosts=hosts)


def settle(config: ClusterConfig, directory: str) -> tuple[ClusterConfig, list[PortTaken]]:
    """The configuration with its files in `directory`, and with ports that can be bound."""
    wanted: defaultdict[int, list[Address]] = defaultdict(list)
    for address in _addresses(config):
        wanted[address.port].append(address)
    taken = [
        PortTaken(port, _free_port(port, addresses, set(wanted)), reason)
        for port, addresses in wanted.items()
        if (reason := _obstacle(addresses))
    ]
    ports = {each.wanted: each.taken for each in taken}
    return _with_files(_with_ports(config, ports), Path(directory)), taken


def _kind(frontend: FrontendConfig) -> str:
    name, mode = frontend.options.protocol.name, frontend.options.protocol.plugin.mode
    return name if name == "mysql" else str(mode)


def _check_port(backend: BackendConfig) -> int | None:
    check = backend.options.check
    return None if check is None else check.common.port


def _addresses(config: ClusterConfig) -> Iterator[Address]:
    """Everything that the demo binds."""
    for frontend in config.frontends:
        yield from frontend.options.bind
    for backend in config.backends:
        port = _check_port(backend)
        for server in backend.servers:
            yield server.options.address
            if port is not None:
                yield evolve(server.options.address, port=port)


def _obstacle(addresses: list[Address]) -> str:
    """Why one of these cannot be bound; empty where all can."""
    for address in addresses:
        try:
            listening_socket(address, 1).close()
        except OSError as error:
            if error.errno == errno.EACCES:
                return "needs root"
            return os.strerror(error.errno or 0).lower()
    return ""


def _free_port(port: int, addresses: list[Address], taken: set[int]) -> int:
    for candidate in range(port % LIFT + LIFT, 65536):
        moved = [evolve(address, port=candidate) for address in addresses]
        if candidate not in taken and not _obstacle(moved):
            taken.add(candidate)
            return candidate
    raise OSError(errno.EADDRINUSE, f"no port is free in place of {port}")


def _with_files(config: ClusterConfig, directory: Path) -> ClusterConfig:
    """The demo leaves nothing behind, and needs no directory of the system's."""
    options = config.options
    sockets = tuple(evolve(each, address=directory / "stats") for each in options.stats_socket[:1])
    state_file = directory / "state.json"
    return evolve(config, options=evolve(options, stats_socket=sockets, state_file=state_file))


def _with_ports(config: ClusterConfig, ports: dict[int, int]) -> ClusterConfig:
    if not ports:
        return config

    def moved(value: Any) -> Any:
        if isinstance(value, Address):
            return evolve(value, port=ports.get(value.port, value.port))
        if isinstance(value, tuple):
            return tuple(moved(each) for each in value)
        return value

    return evolve(
        config,
        frontends=tuple(_in_options(each, moved) for each in config.frontends),
        backends=tuple(_in_backend(each, moved, ports) for each in config.backends),
    )


def _in_options(section: Any, change: Callable[[Any], Any]) -> Any:
    """The section with a change made to all values of its options."""
    options = section.options
    values = {each.name: getattr(options, each.name) for each in attrs.fields(type(options))}
    return evolve(section, options=evolve(options, **{k: change(v) for k, v in values.items()}))


def _in_backend(
    backend: BackendConfig, change: Callable[[Any], Any], ports: dict[int, int]
) -> BackendConfig:
    servers = tuple(_in_options(each, change) for each in backend.servers)
    check = backend.options.check
    if check is not None and check.common.port in ports:
        check = evolve(check, common=evolve(check.common, port=ports[check.common.port]))
    return evolve(backend, servers=servers, options=evolve(backend.options, check=check))
