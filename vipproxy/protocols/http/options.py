"""What an http frontend adds to the keys of every frontend."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network

from attrs import frozen

from vipproxy.config.conditions import Condition
from vipproxy.config.declare import option
from vipproxy.config.http_kinds import FIELD_CHANGE, FIELD_NAME, NETWORK, HeaderChanges
from vipproxy.config.kinds import DURATION, FLAG, FLAG_WORD, TEXT, Repeated, choice, integer
from vipproxy.config.records import record
from vipproxy.config.rule_kinds import CONDITION, Pages, Rules, UseBackend
from vipproxy.config.rule_options import (
    backend_choice,
    content_rules,
    error_locations,
    error_pages,
    redirections,
    request_rules,
    response_rules,
)
from vipproxy.protocols.stats_page import PageOptions

Networks = tuple[IPv4Network | IPv6Network, ...]


@frozen
class ForwardedForOptions:
    """``forwarded-for = on except=127.0.0.0/8 header=X-Client``"""

    enabled: bool = option(FLAG, positional=True, default=True, help="whether the header is added")
    except_: Networks = option(
        Repeated(NETWORK), key="except", default=(), help="not for clients there; may be repeated"
    )
    header: str = option(FIELD_NAME, default="x-forwarded-for", help="the header's name")
    if_none: bool = option(FLAG_WORD, default=False, help="only where the client sent none")


@frozen
class ForwardedOptions:
    """``forwarded = on host by``"""

    enabled: bool = option(FLAG, positional=True, default=True, help="whether the header is added")
    host: bool = option(FLAG_WORD, default=False, help="also the Host that the client asked for")
    by: bool = option(FLAG_WORD, default=False, help="also the address that the client called")
    except_: Networks = option(
        Repeated(NETWORK), key="except", default=(), help="not for clients there; may be repeated"
    )


@frozen
class HttpOptions(PageOptions):
    """What an http frontend adds to the keys of every frontend."""

    monitor_uri: str | None = option(
        TEXT,
        default=None,
        help="a path that the proxy itself answers, with 200, for whoever watches it",
        haproxy="monitor-uri",
    )
    stats_uri: str | None = option(
        TEXT,
        default=None,
        help="where the statistics page is; what begins so is not asked of servers",
        haproxy="stats uri",
    )
    timeout_http_request: float | None = option(
        DURATION,
        default=None,
        help="a request's head must be complete by then; by default timeout-client",
        haproxy="timeout http-request",
    )
    timeout_http_keep_alive: float | None = option(
        DURATION,
        default=None,
        help="longest wait for another request; by default timeout-http-request",
        haproxy="timeout http-keep-alive",
    )
    timeout_tunnel: float = option(
        DURATION,
        default=3600.0,
        help="an upgraded connection without traffic in either direction ends after it",
        haproxy="timeout tunnel",
    )
    httpclose: bool = option(
        FLAG,
        default=False,
        help="connections end after one request: the client's, and those to servers",
        haproxy="option httpclose",
    )
    abortonclose: bool = option(
        FLAG,
        default=False,
        help="a client that ends its output before it is answered has left: nobody answers it",
        haproxy="option abortonclose",
    )
    forwarded_for: ForwardedForOptions | None = option(
        record(ForwardedForOptions),
        default=None,
        help="tell servers the client's address, in X-Forwarded-For",
        haproxy="option forwardfor",
    )
    forwarded: ForwardedOptions | None = option(
        record(ForwardedOptions),
        default=None,
        help="tell servers the client's address and the scheme, in Forwarded (RFC 7239)",
        haproxy="option forwarded",
    )
    request_header: HeaderChanges = option(
        FIELD_CHANGE,
        names=FIELD_NAME,
        default=(),
        help="a change to every request's header, before the backend's",
        haproxy="http-request set-header",
    )
    response_header: HeaderChanges = option(
        FIELD_CHANGE,
        names=FIELD_NAME,
        default=(),
        help="a change to every response's header, after the backend's",
        haproxy="http-response set-header",
    )
    use_backend: tuple[UseBackend, ...] = backend_choice()
    tcp_request_content: Rules = content_rules()
    http_request: Rules = request_rules()
    http_response: Rules = response_rules()
    redirect: Rules = redirections()
    errorfile: Pages = error_pages()
    errorloc: Pages = error_locations()
    monitor_fail: Condition | None = option(
        CONDITION,
        default=None,
        help="when whoever asks for monitor-uri is told 503",
        haproxy="monitor fail",
    )
    http_reuse: str = option(
        choice("never", "safe", "always"),
        default="safe",
        help="whether requests share connections to servers; safe: not the first of a client",
        haproxy="http-reuse",
    )
    pool_max_conn: int | None = option(
        integer(0, 1_000_000),
        default=None,
        help="idle connections to each server; by default as many as it had sessions at once",
        haproxy="pool-max-conn",
    )
    pool_purge_delay: float = option(
        DURATION,
        default=5.0,
        help="a connection to a server is closed when it has been idle for so long",
        haproxy="pool-purge-delay",
    )

    def __attrs_post_init__(self) -> None:
        for uri in (self.monitor_uri, self.stats_uri):
            if uri is not None and not (uri.startswith("/") and uri.isascii()):
                raise ValueError(f"the URI '{uri}' must begin with '/' and be plain ASCII")
        super().__attrs_post_init__()
