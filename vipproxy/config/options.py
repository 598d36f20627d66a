"""Every option of the configuration, declared once, and the frozen sections that hold them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attrs import frozen

from vipproxy import native
from vipproxy.config.check_steps import HTTP_STEP, TCP_STEP, Steps
from vipproxy.config.cookie_options import CookieOptions
from vipproxy.config.declare import option
from vipproxy.config.http_kinds import FIELD_CHANGE, FIELD_NAME, HeaderChanges
from vipproxy.config.kinds import (
    BIND,
    DURATION,
    FLAG,
    PATH,
    PAUSE,
    PERMISSIONS,
    TEXT,
    WHOLE_SECONDS,
    ListOf,
    choice,
    integer,
)
from vipproxy.config.log_options import FrontendLogOptions, GlobalLogOptions
from vipproxy.config.pin_options import FailBackOptions, StickOptions
from vipproxy.config.records import Chosen, plugin, record
from vipproxy.config.rule_kinds import Acls, Pages, Rules
from vipproxy.config.rule_options import (
    acls,
    connection_rules,
    error_locations,
    error_pages,
    redirections,
    request_rules,
    response_rules,
)
from vipproxy.config.server_options import CheckOptions, ServerOptions
from vipproxy.config.socket_options import StatsSocketOptions
from vipproxy.config.userlists import UserlistConfig
from vipproxy.values import Address

MOST_SESSIONS = 1_000_000
"""Of a frontend or the process: as many as there are file descriptors for."""


@frozen
class GlobalOptions(GlobalLogOptions):
    """``[global]``"""

    stats_socket: tuple[StatsSocketOptions, ...] = option(
        record(StatsSocketOptions),
        default=(),
        repeated=True,
        help="a command socket; may be given several times",
        haproxy="stats socket",
    )
    stats_timeout: float = option(
        DURATION,
        default=10.0,
        help="a silent user of a command socket is sent away after it",
        haproxy="stats timeout",
    )
    stats_maxconn: int = option(
        integer(1, 10_000),
        default=10,
        help="users of the command sockets at once; more wait",
        haproxy="stats maxconn",
    )
    state_file: Path | None = option(
        PATH, default=None, help="keeps pins and administrative states across restarts"
    )
    store: Chosen | None = option(
        plugin("store"), default=None, help="a plugin that keeps the state, instead of a file"
    )
    maxconn: int | None = option(
        integer(1, MOST_SESSIONS),
        default=None,
        help="sessions of all frontends; by default what the file descriptors allow",
        haproxy="maxconn",
    )
    grace: float = option(
        PAUSE,
        default=5.0,
        help="how long sessions may go on when the proxy stops",
        haproxy="hard-stop-after",
    )
    relay: str = option(
        choice("auto", "native", "twisted"),
        default="auto",
        help="what moves the bytes of plain TCP sessions: threads in C, or Twisted's reactor",
    )
    relay_threads: int = option(
        integer(1, 64),
        default=1,
        help="threads of the native relay: one for each core that it may use",
        haproxy="nbthread",
    )

    identity: str = option(
        choice("vipproxy", "HAProxy"),
        default="vipproxy",
        help="the name that 'show info' gives: some tools accept only HAProxy",
    )
    node: str | None = option(
        TEXT,
        default=None,
        help="the name that the statistics give; by default the machine's",
        haproxy="node",
    )
    description: str | None = option(
        TEXT, default=None, help="a text about this proxy, in 'show info'", haproxy="description"
    )

    def __attrs_post_init__(self) -> None:
        if self.relay == "native" and not native.available:
            raise ValueError(f"the native relay is not installed here: {native.why_not}")
        if self.relay == "twisted" and self.relay_threads != 1:
            raise ValueError("'relay-threads' are the native relay's; the Twisted engine has none")


@frozen
class KeepaliveOptions:
    """``keepalive = on`` or ``keepalive = idle=60s interval=10s count=6 user-timeout=90s``"""

    enabled: bool = option(FLAG, positional=True, default=True, help="SO_KEEPALIVE")
    idle: float | None = option(
        WHOLE_SECONDS, default=None, help="quiet time before the first probe: TCP_KEEPIDLE"
    )
    interval: float | None = option(
        WHOLE_SECONDS, default=None, help="time between probes: TCP_KEEPINTVL"
    )
    count: int | None = option(
        integer(1, 127), default=None, help="unanswered probes until the end: TCP_KEEPCNT"
    )
    user_timeout: float | None = option(
        DURATION, default=None, help="TCP_USER_TIMEOUT: sent bytes may stay unacknowledged so long"
    )


@frozen
class UnixOptions:
    """``unix = mode=0660 user=haproxy group=haproxy``"""

    mode: str | None = option(PERMISSIONS, default=None, help="permissions, in octal")
    user: str | None = option(TEXT, default=None, help="the owner's name or number")
    group: str | None = option(TEXT, default=None, help="the group's name or number")


@frozen
class FrontendOptions(FrontendLogOptions):
    """``[frontend NAME]``: a listener; the protocol adds its own options."""

    protocol: Chosen = option(
        plugin("protocol", inline=False), help="the frontend's type", haproxy="mode"
    )
    bind: tuple[Address, ...] = option(
        ListOf(BIND), help="where to listen; fd@N is an inherited socket", haproxy="bind"
    )
    backend: str | None = option(
        TEXT, default=None, help="the pool that serves it", haproxy="default_backend"
    )
    maxconn: int = option(
        integer(1, MOST_SESSIONS),
        default=2000,
        help="open sessions; more clients wait in the kernel's queue",
        haproxy="maxconn",
    )
    timeout_client: float = option(
        DURATION,
        default=30.0,
        help="a session without traffic in either direction ends after it",
        haproxy="timeout client",
    )
    keepalive: KeepaliveOptions | None = option(
        record(KeepaliveOptions),
        default=None,
        help="TCP keepalive towards the clients",
        haproxy="option clitcpka",
    )
    freebind: bool = option(
        FLAG,
        default=True,
        help="bind also where the machine does not have the address (IP_FREEBIND)",
        haproxy="transparent",
    )
    unix: UnixOptions | None = option(
        record(UnixOptions), default=None, help="whose the Unix sockets are", haproxy="mode"
    )
    acl: Acls = acls()
    tcp_request_connection: Rules = connection_rules()
    accept_proxy: bool = option(
        FLAG,
        default=False,
        help="clients send a PROXY protocol header first, or are closed",
        haproxy="accept-proxy",
    )


@frozen
class BackendOptions:
    """``[backend NAME]``: a pool of servers."""

    balance: Chosen = option(
        plugin("balancer"),
        default=Chosen(name="roundrobin"),
        help="how a server is chosen",
        haproxy="balance",
    )
    check: Chosen | None = option(
        plugin("check", CheckOptions), default=None, help="how servers are probed"
    )
    tcp_check: Steps = option(
        TCP_STEP,
        repeated=True,
        default=(),
        help="what check = tcp says and expects, step by step",
        haproxy="tcp-check",
    )
    http_check: Steps = option(
        HTTP_STEP,
        repeated=True,
        default=(),
        help="what check = http sends, and what else it expects",
        haproxy="http-check",
    )
    stick: StickOptions | None = option(
        record(StickOptions), default=None, help="keeps clients on one server", haproxy="stick on"
    )
    cookie: CookieOptions | None = option(
        record(CookieOptions), default=None, help="HTTP persistence", haproxy="cookie"
    )
    timeout_connect: float = option(
        DURATION, default=5.0, help="of one connection attempt", haproxy="timeout connect"
    )
    timeout_server: float = option(
        DURATION,
        default=30.0,
        help="a session without traffic in either direction ends after it",
        haproxy="timeout server",
    )
    timeout_queue: float | None = option(
        DURATION,
        default=None,
        help="longest wait for a server; by default timeout-connect",
        haproxy="timeout queue",
    )
    retries: int = option(
        integer(0, 100), default=3, help="connection attempts after the first", haproxy="retries"
    )
    redispatch: bool = option(
        FLAG,
        default=True,
        help="a refused client is sent to the next server",
        haproxy="option redispatch",
    )
    initial_state: str = option(
        choice("down", "up"),
        default="down",
        help="of a checked server before its first verdict",
        haproxy="init-state",
    )
    on_marked_down: str | None = option(
        choice("none", "shutdown-sessions"),
        default=None,
        help="by default shutdown-sessions where there is a stick, else none",
        haproxy="on-marked-down",
    )
    on_marked_up: str = option(
        choice("none", "shutdown-backup-sessions"),
        default="none",
        help="when an active server is up again, sessions on backups end",
        haproxy="on-marked-up",
    )
    all_backups: bool = option(
        FLAG,
        default=False,
        help="without active servers all backups serve, and not the first alone",
        haproxy="option allbackups",
    )
    fail_back: FailBackOptions | None = option(
        record(FailBackOptions),
        default=None,
        help="whether the pin of stick = dst returns to a better server; by default never",
    )
    keepalive: KeepaliveOptions | None = option(
        record(KeepaliveOptions),
        default=None,
        help="TCP keepalive towards the servers",
        haproxy="option srvtcpka",
    )
    send_proxy: str | None = option(
        choice("v1", "v2"),
        default=None,
        help="tell servers the client's address",
        haproxy="send-proxy",
    )
    request_header: HeaderChanges = option(
        FIELD_CHANGE,
        names=FIELD_NAME,
        default=(),
        help="a change to every request's header, after the frontend's",
        haproxy="http-request set-header",
    )
    response_header: HeaderChanges = option(
        FIELD_CHANGE,
        names=FIELD_NAME,
        default=(),
        help="a change to every response's header, before the frontend's",
        haproxy="http-response set-header",
    )

    acl: Acls = acls()
    http_request: Rules = request_rules()
    http_response: Rules = response_rules()
    redirect: Rules = redirections()
    errorfile: Pages = error_pages()
    errorloc: Pages = error_locations()
    log_health_checks: bool = option(
        FLAG,
        default=False,
        help="log every check that changes what is known of a server's health",
        haproxy="option log-health-checks",
    )

    @property
    def queue_limit(self) -> float:
        """Seconds that a client may wait for a server."""
        return self.timeout_connect if self.timeout_queue is None else self.timeout_queue

    @property
    def shuts_sessions_down(self) -> bool:
        """Whether a mark-down ends the server's sessions: by default where there is a pin."""
        if self.on_marked_down is None:
            return self.stick is not None
        return self.on_marked_down == "shutdown-sessions"


@frozen
class FrontendConfig:
    name: str
    options: FrontendOptions
    protocol_options: Any
    backends: tuple[str, ...]
    """Every backend it may use: its own, and those that its protocol's options name."""


@frozen
class ServerConfig:
    name: str
    options: ServerOptions


@frozen
class BackendConfig:
    name: str
    options: BackendOptions
    servers: tuple[ServerConfig, ...]


@frozen
class ClusterConfig:
    """All that a configuration file says, checked and complete."""

    options: GlobalOptions
    frontends: tuple[FrontendConfig, ...]
    backends: tuple[BackendConfig, ...]
    path: str = ""
    userlists: tuple[UserlistConfig, ...] = ()
