"""One description of what is to be proxied, and each proxy's configuration made of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from attrs import frozen

LOOPBACK = "127.0.0.1"
MAXCONN = 10_000
STATISTICS_URI = "/admin"
COOKIE = "SERVERID"


@frozen
class Server:
    port: int
    check_port: int | None = None
    """Checked instead of its own port."""


@frozen
class Service:
    """One frontend, with a backend of its own."""

    name: str
    protocol: str
    """tcp, mysql or http; an http service inserts cookies."""
    port: int
    servers: Sequence[Server]
    check: str = "tcp"
    """tcp or http."""
    check_interval: str = "2s"

    @property
    def named_servers(self) -> Iterator[tuple[str, Server]]:
        return ((f"s{n}", server) for n, server in enumerate(self.servers, 1))


@frozen
class Setting:
    """What one proxy is started with; it has its own ports, so that several can run at once."""

    services: Sequence[Service]
    statistics_port: int
    directory: Path
    """Of the command socket."""
    threads: int = 1

    def service(self, name: str) -> Service:
        return next(each for each in self.services if each.name == name)


def vipproxy_text(setting: Setting) -> str:
    """The configuration of vipproxy: balancing, checks, timeouts and statistics are all on."""
    sections = [
        f"""\
[global]
stats-socket  = {setting.directory}/vipproxy.sock level=admin mode=0600
relay-threads = {setting.threads}

[defaults]
maxconn         = {MAXCONN}
timeout-connect = 5s
timeout-client  = 10m
timeout-server  = 10m

[frontend statistics]
protocol  = stats
bind      = {LOOPBACK}:{setting.statistics_port}
stats-uri = {STATISTICS_URI}
"""
    ]
    return "\n".join(sections + [_vipproxy_service(each) for each in setting.services])


def _vipproxy_service(service: Service) -> str:
    lines = [
        f"[frontend {service.name}]",
        f"protocol = {service.protocol}",
        f"bind     = {LOOPBACK}:{service.port}",
        f"backend  = {service.name}-servers",
        "",
        f"[backend {service.name}-servers]",
        "balance = roundrobin",
        f"check   = {service.check} interval={service.check_interval}",
    ]
    if service.protocol == "http":
        lines.append(f"cookie  = {COOKIE} insert indirect nocache")
    for name, server in service.named_servers:
        line = f"server {name} = {LOOPBACK}:{server.port}"
        if server.check_port is not None:
            line += f" check-port={server.check_port}"
        if service.protocol == "http":
            line += f" cookie={name}"
        lines.append(line)
    return "\n".join([*lines, ""])


def haproxy_text(setting: Setting) -> str:
    """The same for HAProxy; what is not written here has its default (no splicing, no log)."""
    sections = [
        f"""\
global
    nbthread {setting.threads}
    stats socket {setting.directory}/haproxy.sock level admin mode 600

defaults
    maxconn {MAXCONN}
    timeout connect 5s
    timeout client 10m
    timeout server 10m

frontend statistics
    mode http
    bind {LOOPBACK}:{setting.statistics_port}
    stats enable
    stats uri {STATISTICS_URI}
"""
    ]
    return "\n".join(sections + [_haproxy_service(each) for each in setting.services])


def _haproxy_service(service: Service) -> str:
    mode = "http" if service.protocol == "http" else "tcp"
    lines = [
        f"frontend {service.name}",
        f"    mode {mode}",
        f"    bind {LOOPBACK}:{service.port}",
        f"    default_backend {service.name}-servers",
        "",
        f"backend {service.name}-servers",
        f"    mode {mode}",
        "    balance roundrobin",
    ]
    if mode == "http":
        lines.append(f"    cookie {COOKIE} insert indirect nocache")
    if service.check == "http":
        lines.append("    option httpchk")
    for name, server in service.named_servers:
        line = f"    server {name} {LOOPBACK}:{server.port} check inter {service.check_interval}"
        if server.check_port is not None:
            line += f" port {server.check_port}"
        if mode == "http":
            line += f" cookie {name}"
        lines.append(line)
    return "\n".join([*lines, ""])


def forwarded(setting: Setting) -> list[Service]:
    """What portforward can serve."""
    return [each for each in setting.services if each.protocol != "http"]


def portforward_arguments(setting: Setting) -> list[str]:
    """It knows no balancing: each service has its first server."""
    return [f"{each.port}:{each.servers[0].port}" for each in forwarded(setting)]


def nginx_text(directory: Path, ports: Sequence[int]) -> str:
    """The origin of the http services: a small static body, connections kept open."""
    listens = "\n".join(f"        listen {LOOPBACK}:{port};" for port in ports)
    return f"""\
daemon off;
master_process off;
pid {directory}/nginx.pid;
error_log {directory}/nginx.log crit;
events {{
    worker_connections 4096;
}}
http {{
    access_log off;
    default_type application/json;
    keepalive_requests 100000000;
    keepalive_timeout 10m;
    client_body_temp_path {directory}/nginx-body;
    proxy_temp_path {directory}/nginx-proxy;
    fastcgi_temp_path {directory}/nginx-fastcgi;
    uwsgi_temp_path {directory}/nginx-uwsgi;
    scgi_temp_path {directory}/nginx-scgi;
    server {{
{listens}
        location / {{
            return 200 "{"x" * 200}";
        }}
    }}
}}
"""
