"""What can be asked of a connection, a request or a response: HAProxy's sample fetches.

``hdr(host),lower`` is a fetch, its argument, and a converter. How each is read stands in
`vipproxy.rules.samples`; here is what there is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from attrs import field, frozen

from vipproxy.config.kinds import BadValue, suggest

STRING, INTEGER, ADDRESS, BOOLEAN = "string", "integer", "address", "boolean"
ANYWHERE, CONTENT, REQUEST, RESPONSE = "connection", "content", "request", "response"
"""What a fetch reads; what is known of the connection can be asked anywhere."""


@frozen
class Fetch:
    """What one name stands for."""

    type: str
    where: str = ANYWHERE
    argument: str = ""
    """In parentheses: NAME, BACKEND, SERVER (``backend/server``), USERLIST, NUMBER or TEXT."""
    optional: bool = False


FETCHES: Mapping[str, Fetch] = {
    "always_true": Fetch(BOOLEAN),
    "always_false": Fetch(BOOLEAN),
    "src": Fetch(ADDRESS),
    "src_port": Fetch(INTEGER),
    "dst": Fetch(ADDRESS),
    "dst_port": Fetch(INTEGER),
    "ssl_fc": Fetch(BOOLEAN),
    "nbsrv": Fetch(INTEGER, argument="BACKEND", optional=True),
    "queue": Fetch(INTEGER, argument="BACKEND", optional=True),
    "avg_queue": Fetch(INTEGER, argument="BACKEND", optional=True),
    "be_conn": Fetch(INTEGER, argument="BACKEND", optional=True),
    "be_sess_rate": Fetch(INTEGER, argument="BACKEND", optional=True),
    "srv_is_up": Fetch(BOOLEAN, argument="SERVER"),
    "fe_conn": Fetch(INTEGER),
    "fe_sess_rate": Fetch(INTEGER),
    "rand": Fetch(INTEGER, argument="NUMBER"),
    "str": Fetch(STRING, argument="TEXT"),
    "int": Fetch(INTEGER, argument="NUMBER"),
    "hostname": Fetch(STRING),
    "req.len": Fetch(INTEGER, CONTENT),
    "req.ssl_hello_type": Fetch(INTEGER, CONTENT),
    "req.ssl_sni": Fetch(STRING, CONTENT),
    "wait_end": Fetch(BOOLEAN, CONTENT),
    "method": Fetch(STRING, REQUEST),
    "path": Fetch(STRING, REQUEST),
    "url": Fetch(STRING, REQUEST),
    "query": Fetch(STRING, REQUEST),
    "base": Fetch(STRING, REQUEST),
    "url_param": Fetch(STRING, REQUEST, "NAME"),
    "hdr": Fetch(STRING, REQUEST, "NAME"),
    "fhdr": Fetch(STRING, REQUEST, "NAME"),
    "hdr_cnt": Fetch(INTEGER, REQUEST, "NAME"),
    "hdr_val": Fetch(INTEGER, REQUEST, "NAME"),
    "hdr_ip": Fetch(ADDRESS, REQUEST, "NAME"),
    "cook": Fetch(STRING, REQUEST, "NAME"),
    "req_ver": Fetch(STRING, REQUEST),
    "http_auth": Fetch(BOOLEAN, REQUEST, "USERLIST"),
    "http_auth_group": Fetch(STRING, REQUEST, "USERLIST"),
    "status": Fetch(INTEGER, RESPONSE),
    "res.hdr": Fetch(STRING, RESPONSE, "NAME"),
    "res.fhdr": Fetch(STRING, RESPONSE, "NAME"),
    "res.hdr_cnt": Fetch(INTEGER, RESPONSE, "NAME"),
    "res.hdr_val": Fetch(INTEGER, RESPONSE, "NAME"),
    "res.ver": Fetch(STRING, RESPONSE),
}

ALIASES: Mapping[str, str] = {
    "req_len": "req.len", "req_ssl_hello_type": "req.ssl_hello_type", "req_ssl_sni": "req.ssl_sni",
    "req.hdr": "hdr", "req.fhdr": "fhdr", "req.hdr_cnt": "hdr_cnt", "req.hdr_val": "hdr_val",
    "req.hdr_ip": "hdr_ip", "req.cook": "cook", "cook_val": "cook", "urlp": "url_param",
    "req.ver": "req_ver", "shdr": "res.hdr", "shdr_cnt": "res.hdr_cnt",
    "shdr_val": "res.hdr_val", "resp_ver": "res.ver", "res_ver": "res.ver",
}  # fmt: skip

MAPS = ("map", "map_str", "map_beg", "map_end", "map_sub", "map_dir", "map_dom", "map_reg")
CONVERTERS: Mapping[str, tuple[int, ...]] = {
    **dict.fromkeys(("lower", "upper", "length", "url_dec", "b64dec", "base64"), (0,)),
    **dict.fromkeys(("host_only", "port_only"), (0,)),
    **dict.fromkeys(("field", "word"), (2,)),
    **dict.fromkeys(MAPS, (1, 2)),
}
"""Each with the possible numbers of its arguments."""

MATCHES = ("str", "beg", "end", "sub", "dir", "dom", "reg", "len", "found", "bool", "int", "ip")
SUFFIXES = frozenset({"str", "beg", "end", "sub", "dir", "dom", "reg", "len"})
"""Matches that may be a part of a string fetch's name: ``path_beg``."""

_CALL = re.compile(r"([A-Za-z_][\w.]*)(?:\(([^()]*)\))?")


@frozen
class Converter:
    name: str
    arguments: tuple[str, ...] = ()
    table: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Of a map: patterns and what they stand for, in the file's order."""


@frozen
class Sample:
    """A fetch, ready to be compiled. `match` is what its name's suffix says, or empty."""

    name: str
    argument: str
    converters: tuple[Converter, ...]
    match: str
    fetch: Fetch

    @property
    def type(self) -> str:
        """Of the value, after the converters."""
        if not self.converters:
            return self.fetch.type
        return INTEGER if self.converters[-1].name in ("length", "port_only") else STRING


def parse_sample(text: str) -> Sample:
    """Read ``hdr(host),lower``; raises BadValue."""
    first = _CALL.match(text)
    if first is None:
        raise BadValue(
            f"'{text}' is nothing that can be asked", 0, len(text), suggest(text, _KNOWN)
        )
    name, match, fetch = _fetch(first[1])
    argument = first[2] or ""
    _check_argument(first[0], fetch, argument)
    return Sample(name, argument, _converters(text, first.end()), match, fetch)


def _fetch(written: str) -> tuple[str, str, Fetch]:
    """The fetch of a name, and the match that its suffix says."""
    name = ALIASES.get(written, written)
    if name in FETCHES:
        return name, "", FETCHES[name]
    stem, _, suffix = written.rpartition("_")
    stem = ALIASES.get(stem, stem)
    if suffix in SUFFIXES and stem in FETCHES and FETCHES[stem].type == STRING:
        return stem, suffix, FETCHES[stem]
    raise BadValue(f"unknown criterion '{written}'", 0, len(written), suggest(written, _KNOWN))


def _check_argument(written: str, fetch: Fetch, argument: str) -> None:
    if argument and not fetch.argument:
        raise BadValue(f"'{written}' takes no argument", 0, len(written))
    if not argument and fetch.argument and not fetch.optional:
        name = written.partition("(")[0]
        hint = f"{name}({fetch.argument})"
        raise BadValue(f"'{written}' needs an argument", 0, len(written), hint)
    if fetch.argument == "NUMBER" and not re.fullmatch(r"[1-9][0-9]{0,8}|0", argument):
        raise BadValue(f"'{argument}' is no number", 0, len(written))
    if fetch.argument == "SERVER" and not re.fullmatch(r"[^/]+/[^/]+", argument):
        raise BadValue(f"'{argument}' is no server", 0, len(written), "BACKEND/SERVER")


def _converters(text: str, at: int) -> tuple[Converter, ...]:
    found = []
    while at < len(text):
        match = _CALL.match(text, at + 1)
        if text[at] != "," or match is None:
            raise BadValue(f"'{text[at:]}' is no converter", at, len(text) - at, ",lower")
        name = match[1]
        if name not in CONVERTERS:
            message = f"unknown converter '{name}'"
            raise BadValue(message, match.start(), len(name), suggest(name, CONVERTERS))
        found.append(_converter(match))
        at = match.end()
    return tuple(found)


def _converter(match: re.Match[str]) -> Converter:
    name, length = match[1], len(match[0])
    numbers = CONVERTERS[name]
    arguments = tuple(match[2].split(",", max(numbers) - 1)) if match[2] else ()
    if len(arguments) not in numbers:
        known = " or ".join(str(number or "no") for number in numbers)
        raise BadValue(f"'{name}' takes {known} arguments", match.start(), length)
    if name in MAPS:
        return Converter(name, arguments, _table(name, arguments[0], match.start(), length))
    if arguments and not re.fullmatch(r"-?[1-9][0-9]{0,3}", arguments[0]):
        raise BadValue(f"'{arguments[0]}' is no position", match.start(), length, "from 1 on")
    return Converter(name, arguments)


def _table(name: str, path: str, offset: int, length: int) -> tuple[tuple[str, str], ...]:
    """A pattern and a value on each line of a map's file; comments begin with #."""
    try:
        lines = Path(path).read_text().splitlines()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BadValue(f"'{path}' cannot be read: {reason}", offset, length) from None
    found = []
    for line in lines:
        pattern, _, value = line.strip().replace("\t", " ").partition(" ")
        if not pattern or pattern.startswith("#"):
            continue
        if name == "map_reg":
            _check_expression(pattern, path, offset, length)
        found.append((pattern, value.strip()))
    return tuple(found)


def _check_expression(pattern: str, path: str, offset: int, length: int) -> None:
    try:
        re.compile(pattern.encode())
    except re.error as error:
        message = f"'{pattern}' in '{path}' is no regular expression: {error}"
        raise BadValue(message, offset, length) from None


_KNOWN = sorted({*FETCHES, *ALIASES, "path_beg", "path_end", "path_reg", "hdr_beg", "hdr_dom"})
