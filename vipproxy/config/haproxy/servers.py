"""`server` and `default-server` lines -> the servers of a backend."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from attrs import define, field

from vipproxy.config.document import Setting
from vipproxy.config.haproxy import addresses
from vipproxy.config.haproxy.addresses import NotResolved
from vipproxy.config.haproxy.model import BadLine, Files, Part, Proxy, Statement, setting
from vipproxy.config.haproxy.params import Given, Param, read
from vipproxy.config.haproxy.units import number

TLS = "servers have no TLS"
CHECK_TLS = "checks have no TLS"

SERVER = {
    each.name: each
    for each in (
        Param("check", "`check`"),
        Param("no-check", "`check=off`"),
        Param("inter", "`check = ... interval=`", 1),
        Param("fastinter", "`check = ... fastinter=`", 1),
        Param("downinter", "`check = ... downinter=`", 1),
        Param("rise", "`check = ... rise=`", 1),
        Param("fall", "`check = ... fall=`", 1),
        Param("port", "`check = ... port=` or `check-port=`", 1),
        Param("addr", "`check-addr=`", 1),
        Param("weight", "`weight=`", 1),
        Param("backup", "`backup`"),
        Param("no-backup", "no `backup`"),
        Param("maxconn", "`maxconn=`", 1),
        Param("minconn", "not supported", 1, refused="limits do not move with the load"),
        Param("maxqueue", "not supported", 1, refused="queues have no limit but time"),
        Param("cookie", "`cookie=`", 1),
        Param("disabled", "`disabled`"),
        Param("enabled", "no `disabled`"),
        Param("on-marked-down", "`on-marked-down`", 1),
        Param("on-marked-up", "`on-marked-up`", 1),
        Param("send-proxy", "`send-proxy = v1`"),
        Param("no-send-proxy", "no `send-proxy`"),
        Param("send-proxy-v2", "`send-proxy = v2`"),
        Param("no-send-proxy-v2", "no `send-proxy`"),
        Param("check-send-proxy", "not supported", refused="checks send no PROXY header"),
        Param("init-state", "`initial-state`", 1),
        Param("init-addr", "a name that is unknown at start is an error without `none`", 1),
        Param("resolvers", "nothing to do", 1, note="names are resolved once, at the start"),
        Param("resolve-prefer", "nothing to do", 1, note="names are resolved once, at the start"),
        Param("resolve-net", "nothing to do", 1, note="names are resolved once, at the start"),
        Param("resolve-opts", "nothing to do", 1, note="names are resolved once, at the start"),
        Param("slowstart", "not supported", 1, refused="a server has its whole weight at once"),
        Param("track", "not supported", 1, refused="each server has its own checks"),
        Param("observe", "not supported", 1, refused="refused connections alone are news"),
        Param("error-limit", "not supported", 1, refused="refused connections alone are news"),
        Param("on-error", "not supported", 1, refused="refused connections alone are news"),
        Param("agent-check", "not supported", refused="there are no agents"),
        Param("agent-port", "not supported", 1, refused="there are no agents"),
        Param("agent-inter", "not supported", 1, refused="there are no agents"),
        Param("agent-addr", "not supported", 1, refused="there are no agents"),
        Param("agent-send", "not supported", 1, refused="there are no agents"),
        Param("id", "nothing to do", 1, note="servers are numbered in their order"),
        Param("non-stick", "not supported", refused="every server may have pins"),
        Param("redir", "not supported", 1, refused="clients are not redirected to servers"),
        Param("source", "not supported", 1, refused="the kernel chooses the address"),
        Param("interface", "not supported", 1, refused="the kernel chooses the interface"),
        Param("namespace", "not supported", 1, refused="network namespaces"),
        Param("usesrc", "not supported", 1, refused="the kernel chooses the address"),
        Param(
            "tcp-ut", "not supported", 1, refused="`# vipproxy: keepalive = user-timeout=` has it"
        ),
        Param("tfo", "nothing to do", note="TCP fast open is an optimisation"),
        Param("pool-max-conn", "`pool-max-conn` of the frontends", 1),
        Param("pool-purge-delay", "`pool-purge-delay` of the frontends", 1),
        Param("pool-low-conn", "nothing to do", 1, note="connections are not shared by threads"),
        Param("max-reuse", "not supported", 1, refused="a connection is reused as often as it may"),
        Param("log-proto", "nothing to do", 1, note="it is for logs"),
        Param("proto", "not supported", 1, refused="servers speak HTTP/1.1"),
        Param("check-proto", "not supported", 1, refused="servers speak HTTP/1.1"),
        Param("alpn", "not supported", 1, refused=TLS),
        Param("check-alpn", "not supported", 1, refused=CHECK_TLS),
        Param("check-ssl", "not supported", refused=CHECK_TLS),
        Param("check-sni", "not supported", 1, refused=CHECK_TLS),
        Param("no-check-ssl", "no TLS"),
        Param("no-ssl", "no TLS"),
        Param("ssl", "not supported", refused=TLS),
        Param("sni", "not supported", 1, refused=TLS),
        Param("verify", "nothing to do", 1, note="servers have no TLS"),
        Param("verifyhost", "nothing to do", 1, note="servers have no TLS"),
        Param("ca-file", "nothing to do", 1, note="servers have no TLS"),
        Param("crl-file", "nothing to do", 1, note="servers have no TLS"),
        Param("crt", "nothing to do", 1, note="servers have no TLS"),
        Param("ciphers", "nothing to do", 1, note="servers have no TLS"),
        Param("ciphersuites", "nothing to do", 1, note="servers have no TLS"),
        Param("force-tlsv12", "nothing to do", note="servers have no TLS"),
        Param("force-tlsv13", "nothing to do", note="servers have no TLS"),
        Param("no-sslv3", "nothing to do", note="servers have no TLS"),
        Param("no-tlsv10", "nothing to do", note="servers have no TLS"),
        Param("no-tlsv11", "nothing to do", note="servers have no TLS"),
        Param("no-tls-tickets", "nothing to do", note="servers have no TLS"),
        Param("ssl-min-ver", "nothing to do", 1, note="servers have no TLS"),
        Param("ssl-max-ver", "nothing to do", 1, note="servers have no TLS"),
        Param("no-ssl-reuse", "nothing to do", note="servers have no TLS"),
        Param("ssl-reuse", "nothing to do", note="servers have no TLS"),
    )
}

UNDONE = {
    "no-check": "check",
    "no-backup": "backup",
    "enabled": "disabled",
    "no-send-proxy": "send-proxy",
    "no-send-proxy-v2": "send-proxy-v2",
}
"""Parameters that take others back."""


@define
class ServerLine:
    """A server with its parameters, those of `default-server` among them."""

    statement: Statement
    name: str
    given: dict[str, Given] = field(factory=dict)
    own: frozenset[str] = frozenset()
    """What its own line says."""

    @property
    def checked(self) -> bool:
        return "check" in self.given


def server_lines(files: Files, proxy: Proxy) -> list[ServerLine]:
    """The servers of a proxy; what is wrong with a line is told, and the line left out."""
    defaults: dict[str, Given] = {}
    found: dict[str, ServerLine] = {}
    for statement in proxy.both("default-server", "server"):
        try:
            if statement.name == "default-server":
                _merge(defaults, files, statement, 0)
                continue
            server = _server(files, proxy, statement, dict(defaults))
            if server.name in found:
                first = found[server.name].statement.line.number
                hint = f"the other is in line {first}"
                word = statement.arguments[0]
                raise BadLine(f"a second server '{server.name}' in {proxy.label}", word.place, hint)
            found[server.name] = server
        except BadLine as error:
            files.bad(error)
    return list(found.values())


def _server(
    files: Files, proxy: Proxy, statement: Statement, given: dict[str, Given]
) -> ServerLine:
    words = statement.arguments
    if len(words) < 2:
        message = "'server' expects NAME and ADDRESS:PORT"
        raise BadLine(message, statement.place, "server NAME ADDRESS:PORT")
    own = _merge(given, files, statement, 2)
    return ServerLine(statement, words[0].text, given, own)


def _merge(
    given: dict[str, Given], files: Files, statement: Statement, skip: int
) -> frozenset[str]:
    """Add the parameters of a line to `given`; their names."""
    label = f"'{statement.name}'"
    own = list(read(statement.arguments[skip:], SERVER, label))
    for each in own:
        if each.param.note:
            files.note_once(f"server {each.name}", each.param.note, each.place)
        elif each.name in UNDONE:
            given.pop(UNDONE[each.name], None)
        else:
            given[each.name] = each
    return frozenset(each.name for each in own)


def server_settings(
    files: Files,
    proxy: Proxy,
    servers: list[ServerLine],
    more: Callable[[ServerLine], Iterable[Part]],
) -> Iterator[Setting]:
    """`server NAME = ADDRESS:PORT ...` of each, with `more` of its words."""
    port = _client_port(files, proxy)
    any_checked = any(server.checked for server in servers)
    for server in servers:
        try:
            parts = [_address(files, server, port), *_parts(server, any_checked), *more(server)]
        except BadLine as error:
            files.bad(error)
            continue
        if proxy.mode == "http" and "cookie" in server.given:
            given = server.given["cookie"]
            parts.append(Part(f"cookie={given.value.text}", given.place))
        if "disabled" in server.given or parts[0].text.startswith("0.0.0.0:"):
            parts.append(Part("disabled", server.statement.place))
        yield setting(f"server {server.name}", server.statement, parts)


def _client_port(files: Files, proxy: Proxy) -> int | None:
    """The port that all clients of the section call, if it is one alone."""
    ports = set()
    for each in _entrances(files, proxy):
        try:
            for bind in each.own("bind"):
                ports |= {
                    part.text.rpartition(":")[2] for part in addresses.binds(bind.arguments[0])
                }
        except (BadLine, IndexError):
            return None
    port = ports.pop() if len(ports) == 1 else ""
    return int(port) if port.isdigit() else None


def _entrances(files: Files, proxy: Proxy) -> list[Proxy]:
    """The sections by which clients come to a proxy's servers."""
    names = {
        each: {word.text for use in _uses(each) for word in use.arguments[:1]}
        for each in files.of_kind("frontend", "listen")
    }
    return [each for each, used in names.items() if each is proxy or proxy.name in used]


def _uses(proxy: Proxy) -> list[Statement]:
    return [*proxy.all("default_backend"), *proxy.own("use_backend")]


def _address(files: Files, server: ServerLine, port: int | None) -> Part:
    word = server.statement.arguments[1]
    try:
        host, number_ = addresses.server(word, port)
    except NotResolved as error:
        init = server.given.get("init-addr")
        if init is None or "none" not in init.value.text.split(","):
            raise
        files.warn(f"{error.message}: the server stays in maintenance", error.place, error.hint)
        host, number_ = "0.0.0.0", word.text.rpartition(":")[2]
    return Part(f"[{host}]:{number_}" if ":" in host else f"{host}:{number_}", word.place)


def _parts(server: ServerLine, any_checked: bool) -> Iterator[Part]:
    given = server.given
    for name in ("weight", "maxconn"):
        if name in given:
            yield Part(f"{name}={number(given[name].value).text}", given[name].place)
    if "backup" in given:
        yield Part("backup", given["backup"].place)
    if any_checked and not server.checked:
        yield Part("check=off", server.statement.place)
    elif "addr" in given:
        host = addresses.resolve(given["addr"].value.text, "", given["addr"].place)
        yield Part(f"check-addr={host}", given["addr"].place)


def common_value(servers: list[ServerLine], name: str) -> Given | None:
    """What most of the checked servers say, and none is silent about: it is the backend's."""
    found = [each.given.get(name) for each in servers if each.checked]
    given = [each for each in found if each is not None]
    if not given or len(given) < len(found):
        return None
    texts = [each.value.text for each in given]
    return max(given, key=lambda each: texts.count(each.value.text))


def same_everywhere(files: Files, servers: list[ServerLine], name: str) -> Given | None:
    """A parameter that our backend has once for all of its servers; others than that are told."""
    values = {each.given[name].value.text if name in each.given else None for each in servers}
    given = next((each.given[name] for each in servers if name in each.given), None)
    if given is not None and len(values) > 1:
        message = f"'{name}' differs between the servers of a backend, which is not supported yet"
        files.bad(BadLine(message, given.place, "default-server has it for all of them"))
    return given
