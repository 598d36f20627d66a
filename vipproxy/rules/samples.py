"""Fetches at work: each finds its values in a `Subject`.

As in HAProxy a header or parameter may have several values: a test looks at all of them, a format
takes the last header or cookie, and the first of anything else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from ipaddress import ip_address
from random import randrange
from socket import gethostname

from vipproxy.config.samples import Sample
from vipproxy.framing.http1 import RequestHead, ResponseHead
from vipproxy.framing.tls_hello import ClientHello, Incomplete, NotTls, parse_hello
from vipproxy.interfaces import IBackend, IFrontend
from vipproxy.rules.converters import Fetch, with_converters
from vipproxy.rules.subject import Subject
from vipproxy.rules.users import Userlist
from vipproxy.rules.values import Value, as_addresses, as_numbers, text_of

_MEMBER = re.compile(rb'(?:"(?:[^"\\]|\\.)*+"?|[^,"])++')
_COOKIE = re.compile(rb"\n(?i:cookie):([^\r]*)")
_AUTHORITY = re.compile(rb"[A-Za-z]+://[^/?]*")


def compile_fetch(sample: Sample, frontend: IFrontend, own: IBackend | None) -> Fetch:
    """What finds the values of a sample; `own` is the backend where none is named."""
    return with_converters(_fetch(sample, frontend, own), sample)


def compile_value(
    sample: Sample, frontend: IFrontend, own: IBackend | None
) -> Callable[[Subject], bytes]:
    """What finds one value, as text; empty where there is none."""
    fetch = _fetch(sample, frontend, own)
    which = -1 if "hdr" in sample.name or sample.name == "cook" else 0

    def one(subject: Subject) -> Sequence[Value]:
        values = fetch(subject)
        return (values[which],) if values else ()

    convert = with_converters(one, sample)

    def value(subject: Subject) -> bytes:
        values = convert(subject)
        return text_of(values[0]) if values else b""

    return value


# -- fetches


def _fetch(sample: Sample, frontend: IFrontend, own: IBackend | None) -> Fetch:
    name, argument = sample.name, sample.argument
    if name in _SIMPLE:
        return _SIMPLE[name]
    if name in _CONSTANT:
        return _CONSTANT[name](argument)
    if name in ("fe_conn", "fe_sess_rate"):
        return _of_frontend(name, frontend)
    if sample.fetch.argument == "BACKEND":
        backend = frontend.backends[argument] if argument else own
        assert backend is not None  # the configuration sees to it
        return _of_backend(name, backend, frontend.clock.seconds)
    if name == "srv_is_up":
        backend_name, _, server = argument.partition("/")
        pool = frontend.backends[backend_name]
        return lambda subject: (pool.is_usable(server),)
    if sample.fetch.argument == "USERLIST":
        return _of_users(name, Userlist(frontend.userlists[argument]))
    if name == "cook":
        return _cookies(argument.encode())
    if name == "url_param":
        return _parameters(argument.encode())
    return _header(name, argument)


def _request(subject: Subject) -> RequestHead:
    assert subject.request is not None
    return subject.request


def _response(subject: Subject) -> ResponseHead:
    assert subject.response is not None
    return subject.response


@lru_cache(1024)
def _address(host: str) -> Sequence[Value]:
    address = ip_address(host.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address,)


def _said(subject: Subject) -> Sequence[Value]:
    """How many bytes have come; raises Incomplete while there may be more."""
    if not subject.content and not subject.final:
        raise Incomplete
    return (len(subject.content),)


def _ended(subject: Subject) -> Sequence[Value]:
    if not subject.final:
        raise Incomplete
    return (True,)


def _hello(subject: Subject) -> ClientHello | None:
    """The TLS ClientHello; None where it is none, raises Incomplete where it may become one."""
    try:
        return parse_hello(subject.content)
    except NotTls:
        return None
    except Incomplete:
        if subject.final:
            return None
        raise


def _server_name(subject: Subject) -> Sequence[Value]:
    hello = _hello(subject)
    return (hello.server_name,) if hello is not None and hello.server_name else ()


def path_of(subject: Subject) -> bytes:
    return _request(subject).path.partition(b"?")[0]


def query_of(subject: Subject) -> bytes:
    return _request(subject).target.partition(b"?")[2]


def host_of(subject: Subject) -> bytes:
    """The first Host; empty without one."""
    values = _HOST(subject)
    return bytes(values[0]) if values and isinstance(values[0], bytes) else b""


_SIMPLE: dict[str, Fetch] = {
    "always_true": lambda subject: (True,),
    "always_false": lambda subject: (False,),
    "src": lambda subject: _address(subject.client.host),
    "src_port": lambda subject: (subject.client.port,),
    "dst": lambda subject: _address(subject.destination.host),
    "dst_port": lambda subject: (subject.destination.port,),
    "ssl_fc": lambda subject: (subject.secure,),
    "req.len": lambda subject: _said(subject) or (0,),
    "req.ssl_hello_type": lambda subject: () if _hello(subject) is None else (1,),
    "req.ssl_sni": lambda subject: _server_name(subject),
    "wait_end": lambda subject: _ended(subject),
    "method": lambda subject: (_request(subject).method,),
    "path": lambda subject: (path_of(subject),),
    "url": lambda subject: (_request(subject).target,),
    "query": lambda subject: (query_of(subject),) if b"?" in _request(subject).target else (),
    "base": lambda subject: (host_of(subject) + path_of(subject),),
    "req_ver": lambda subject: (b"1.%d" % _request(subject).minor,),
    "status": lambda subject: (_response(subject).status,),
    "res.ver": lambda subject: (b"1.%d" % _response(subject).minor,),
}


def _random(argument: str) -> Fetch:
    below = max(1, int(argument))
    return lambda subject: (randrange(below),)


def _always(value: Value) -> Fetch:
    return lambda subject: (value,)


_CONSTANT: dict[str, Callable[[str], Fetch]] = {
    "rand": _random,
    "str": lambda argument: _always(argument.encode("utf-8", "surrogateescape")),
    "int": lambda argument: _always(int(argument)),
    "hostname": lambda argument: _always(gethostname().encode()),
}


def _of_frontend(name: str, frontend: IFrontend) -> Fetch:
    counters, seconds = frontend.counters, frontend.clock.seconds
    if name == "fe_conn":
        return lambda subject: (counters.sessions,)
    return lambda subject: (counters.session_rate.per_second(seconds()),)


def _of_backend(name: str, backend: IBackend, seconds: Callable[[], float]) -> Fetch:
    return {
        "nbsrv": lambda subject: (backend.usable_servers,),
        "queue": lambda subject: (backend.queued,),
        "avg_queue": lambda subject: (_average_queue(backend),),
        "be_conn": lambda subject: (backend.counters.sessions,),
        "be_sess_rate": lambda subject: (backend.counters.session_rate.per_second(seconds()),),
    }[name]


def _of_users(name: str, users: Userlist) -> Fetch:
    if name == "http_auth":
        return lambda subject: (users.user_of(_request(subject).lines) is not None,)
    return lambda subject: users.groups_of(_request(subject).lines)


def _average_queue(backend: IBackend) -> int:
    """Clients that wait, for each usable server, rounded up; as HAProxy without any server."""
    servers = backend.usable_servers
    return -(-backend.queued // servers) if servers else 2 * backend.queued


def _header(name: str, argument: str) -> Fetch:
    field, _, occurrence = argument.partition(",")
    pattern = re.compile(rb"\n(?i:%b):[ \t]*+([^\r]*)" % re.escape(field.strip().encode()))
    kind = name.removeprefix("res.")
    of_response = name.startswith("res.")

    def lines(subject: Subject) -> bytes:
        return _response(subject).lines if of_response else _request(subject).lines

    def whole(subject: Subject) -> Sequence[Value]:
        return [text.rstrip(b" \t") for text in pattern.findall(lines(subject))]

    def members(subject: Subject) -> Sequence[Value]:
        values = [m.strip(b" \t") for t in pattern.findall(lines(subject)) for m in _members(t)]
        return _occurrence(values, occurrence)

    if kind == "fhdr":
        return lambda subject: _occurrence(whole(subject), occurrence)
    if kind == "hdr_cnt":
        return lambda subject: (len(members(subject)),)
    if kind == "hdr_val":
        return lambda subject: as_numbers(members(subject))
    if kind == "hdr_ip":
        return lambda subject: as_addresses(members(subject))
    return members


def _members(text: bytes) -> list[bytes]:
    return _MEMBER.findall(text) or [text]


def _occurrence(values: Sequence[Value], occurrence: str) -> Sequence[Value]:
    """All, or the one of this number; negative numbers count from the last."""
    if not occurrence:
        return values
    number = int(occurrence)
    index = number - 1 if number > 0 else number
    return (values[index],) if -len(values) <= index < len(values) else ()


_HOST = _header("fhdr", "host")


def _cookies(name: bytes) -> Fetch:
    def cookies(subject: Subject) -> Sequence[Value]:
        found: list[Value] = []
        for field in _COOKIE.findall(_request(subject).lines):
            for piece in field.split(b";"):
                key, equals, value = piece.partition(b"=")
                if equals and key.strip(b" \t") == name:
                    found.append(value.strip(b" \t"))
        return found

    return cookies


def _parameters(name: bytes) -> Fetch:
    def parameters(subject: Subject) -> Sequence[Value]:
        pieces = re.split(b"[&;]", query_of(subject))
        pairs = (piece.partition(b"=") for piece in pieces)
        return [value for key, equals, value in pairs if equals and key == name]

    return parameters
