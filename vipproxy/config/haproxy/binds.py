"""`bind` lines -> the addresses of a frontend, and what else they say."""

from __future__ import annotations

from vipproxy.config.document import Setting
from vipproxy.config.haproxy.addresses import binds
from vipproxy.config.haproxy.model import BadLine, Files, Part, Proxy, made
from vipproxy.config.haproxy.params import Given, Param, read

TLS = "binds have no TLS"
UNIX = {"mode": "mode", "user": "user", "group": "group", "uid": "user", "gid": "group"}
"""Parameters of Unix sockets, and our words for them."""

BIND = {
    each.name: each
    for each in (
        Param("name", "nothing to do", 1, note="binds have no names"),
        Param("id", "nothing to do", 1, note="binds are not numbered"),
        Param("interface", "not supported", 1, refused="addresses alone say where to listen"),
        Param("transparent", "addresses need not exist: always so"),
        Param("v4v6", "both families: so without it, too"),
        Param("v6only", "IPv6 alone"),
        Param("defer-accept", "nothing to do", note="the kernel tells when there is somebody"),
        Param("tfo", "nothing to do", note="TCP fast open is an optimisation"),
        Param("backlog", "nothing to do", 1, note="the kernel's queue has 1024 places"),
        Param("nice", "nothing to do", 1, note="sessions are equal"),
        Param("process", "nothing to do", 1, note="there is one process"),
        Param("thread", "nothing to do", 1, note="there is one process"),
        Param("shards", "nothing to do", 1, note="there is one process"),
        Param("maxconn", "not supported", 1, refused="'maxconn' is the frontend's"),
        Param("mss", "not supported", 1, refused="segments are the kernel's"),
        Param(
            "tcp-ut", "not supported", 1, refused="`# vipproxy: keepalive = user-timeout=` has it"
        ),
        Param("namespace", "not supported", 1, refused="network namespaces"),
        Param("accept-proxy", "`accept-proxy = on`"),
        Param("accept-netscaler-cip", "not supported", 1, refused="it is Netscaler's own"),
        Param("user", "`unix = user=`", 1),
        Param("group", "`unix = group=`", 1),
        Param("uid", "`unix = user=`", 1),
        Param("gid", "`unix = group=`", 1),
        Param("mode", "`unix = mode=`", 1),
        Param("ssl", "not supported", refused=TLS),
        Param("crt", "not supported", 1, refused=TLS),
        Param("crt-list", "not supported", 1, refused=TLS),
        Param("ca-file", "not supported", 1, refused=TLS),
        Param("crl-file", "not supported", 1, refused=TLS),
        Param("verify", "not supported", 1, refused=TLS),
        Param("alpn", "not supported", 1, refused=TLS),
        Param("npn", "not supported", 1, refused=TLS),
        Param("ciphers", "not supported", 1, refused=TLS),
        Param("ciphersuites", "not supported", 1, refused=TLS),
        Param("ecdhe", "not supported", 1, refused=TLS),
        Param("curves", "not supported", 1, refused=TLS),
        Param("no-sslv3", "not supported", refused=TLS),
        Param("no-tlsv10", "not supported", refused=TLS),
        Param("no-tlsv11", "not supported", refused=TLS),
        Param("no-tlsv12", "not supported", refused=TLS),
        Param("no-tlsv13", "not supported", refused=TLS),
        Param("no-tls-tickets", "not supported", refused=TLS),
        Param("force-tlsv12", "not supported", refused=TLS),
        Param("force-tlsv13", "not supported", refused=TLS),
        Param("ssl-min-ver", "not supported", 1, refused=TLS),
        Param("ssl-max-ver", "not supported", 1, refused=TLS),
        Param("strict-sni", "not supported", refused=TLS),
        Param("allow-0rtt", "not supported", refused=TLS),
        Param("proto", "not supported", 1, refused="HTTP/1.1 is spoken, and found by itself"),
    )
}


def bind_settings(files: Files, proxy: Proxy) -> dict[str, Setting]:
    """`bind`, `accept-proxy` and what else the bind lines of a proxy come to."""
    parts: list[Part] = []
    unix: dict[str, Part] = {}
    proxied: list[Given | None] = []
    for statement in proxy.own("bind"):
        try:
            if not statement.arguments:
                raise BadLine("'bind' expects an address and a port", statement.place)
            given = list(read(statement.arguments[1:], BIND, "'bind'"))
            found = list(binds(statement.arguments[0]))
        except BadLine as error:
            files.bad(error)
            continue
        only_v6 = any(each.name == "v6only" for each in given)
        parts += [each for each in found if not (only_v6 and each.text.startswith("0.0.0.0"))]
        proxied.append(next((each for each in given if each.name == "accept-proxy"), None))
        for each in given:
            if each.name in UNIX:
                key = UNIX[each.name]
                unix[key] = Part(f"{key}={each.value.text}", each.place)
            elif each.param.note:
                files.note_once(f"bind {each.name}", each.param.note, each.place)
    settings = {}
    if parts:
        settings["bind"] = made("bind", parts, parts[0].place)
    if unix:
        settings["unix"] = made("unix", unix.values(), next(iter(unix.values())).place)
    settings.update(_accept_proxy(files, proxied))
    return settings


def _accept_proxy(files: Files, proxied: list[Given | None]) -> dict[str, Setting]:
    """The whole frontend expects a PROXY header, or nobody of it."""
    given = [each for each in proxied if each is not None]
    if not given:
        return {}
    if None in proxied:
        message = "'accept-proxy' on some of a frontend's binds is not supported yet"
        files.bad(BadLine(message, given[0].place, "put them into frontends of their own"))
    part = Part("on", given[0].place)
    return {"accept-proxy": made("accept-proxy", [part], given[0].place)}
