"""The variables of log formats (HAProxy's configuration manual, 8.2.6): what each says.

A variable is made once for a frontend's format, and is then a function from a record to text.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter

from attrs import frozen

from vipproxy.config.log_options import CaptureCookieOptions, Variable
from vipproxy.logs import dates
from vipproxy.logs.heads import (
    BAD_REQUEST,
    cookie_reader,
    header_reader,
    printable,
    printable_header,
    request_line,
)
from vipproxy.logs.record import Record
from vipproxy.values import Address

Text = Callable[[Record], str]
Field = Callable[[Record], str | int]
Captures = Sequence[tuple[str, int]]
"""Names of headers, and how many bytes of each are logged."""

NO_SERVER = "<NOSRV>"
_NEVER = -1
_SPECIAL = re.compile(r'["\\\]]')


@frozen
class Facts:
    """What a format knows besides the record."""

    frontend: str
    hostname: str
    request_headers: Captures = ()
    response_headers: Captures = ()
    cookie: CaptureCookieOptions | None = None


# -- times, in milliseconds ---------------------------------------------------------------


def _ms(seconds: float | None) -> int:
    return _NEVER if seconds is None else int(seconds * 1000)


def _early(value: int, record: Record) -> str:
    """What is not final yet has a plus sign (`logasap`)."""
    return f"+{value}" if record.early else str(value)


def request_time(record: Record) -> int:
    began, complete = record.began_at, record.requested_at
    return _NEVER if complete is None else _ms(complete - began)


def request_and_idle_time(record: Record) -> int:
    complete = record.requested_at
    return _NEVER if complete is None else _ms(complete - record.accepted_at)


def idle_time(record: Record) -> int:
    return _ms(record.began_at - record.accepted_at)


def queue_time(record: Record) -> int:
    return _ms(record.waited)


def connect_time(record: Record) -> int:
    return _ms(record.connecting)


def response_time(record: Record) -> int:
    return _ms(record.answering)


def active_time(record: Record) -> int:
    return _ms(record.ended_at - record.began_at)


def total_time(record: Record) -> int:
    return _ms(record.ended_at - record.accepted_at)


def data_time(record: Record) -> int:
    """What is left of the total."""
    times = (request_and_idle_time, queue_time, connect_time, response_time)
    return total_time(record) - sum(max(0, time(record)) for time in times)


# -- who and what -------------------------------------------------------------------------


def termination(record: Record) -> str:
    return record.ending.value + record.phase


def termination_and_cookies(record: Record) -> str:
    flags = record.cookie_flags
    return termination(record) + ("--" if flags is None else flags(record))


def retries(record: Record) -> str:
    return f"+{record.retries}" if record.redispatched else str(record.retries)


def server_name(record: Record) -> str:
    lease = record.lease
    return NO_SERVER if lease is None else lease.server.name


def _server_address(record: Record) -> Address:
    lease = record.lease
    return Address("-", 0) if lease is None else lease.server.address


def _request(record: Record) -> tuple[bytes, bytes, bytes]:
    """Method, target and version."""
    parts = request_line(record.request).split(b" ")
    return (parts[0], parts[1], parts[2]) if len(parts) == 3 else (b"", b"", b"")


def request_parts(record: Record) -> tuple[str, str, str]:
    """Method, target and version, printable."""
    method, target, version = map(printable, _request(record))
    return method, target, version


def _whole_request(record: Record) -> str:
    return printable(request_line(record.request)) if record.request else BAD_REQUEST


def _target(record: Record) -> bytes:
    return _request(record)[1]


def _path(record: Record) -> bytes:
    return _target(record).partition(b"?")[0]


def _path_only(record: Record) -> bytes:
    path = _path(record)
    return path if path.startswith(b"/") else b"/" + path.partition(b"://")[2].partition(b"/")[2]


def _query(record: Record) -> bytes:
    _, mark, query = _target(record).partition(b"?")
    return mark + query


def _hexadecimal_address(host: str) -> str:
    try:
        return ipaddress.ip_address(host).packed.hex().upper()
    except ValueError:
        return host


# -- captures -----------------------------------------------------------------------------


def captured(captures: Captures) -> Callable[[bytes], list[str]]:
    """What reads the values of captured headers, in their order, printably."""
    readers = [header_reader(name, length) for name, length in captures]
    return lambda lines: [printable_header(read(lines)) for read in readers]


def captured_cookie(cookie: CaptureCookieOptions | None, field: str) -> Callable[[bytes], str]:
    """What reads ``name=value``; empty where it is not there."""
    if cookie is None:
        return lambda lines: ""
    read = cookie_reader(field, cookie.name, cookie.length)
    return lambda lines: printable(read(lines))


def _in_braces(values: list[str]) -> str:
    return f"{{{'|'.join(values)}}}"


_NUMBERS: Mapping[str, Callable[[Record], int]] = {
    "Tc": connect_time,
    "Td": data_time,
    "Th": lambda record: 0,
    "Ti": idle_time,
    "Tq": request_and_idle_time,
    "TR": request_time,
    "Tr": response_time,
    "Tw": queue_time,
    "Tu": total_time,
    "ST": attrgetter("status"),
    "U": attrgetter("bytes_in"),
    "ac": attrgetter("process_sessions"),
    "bc": attrgetter("backend_sessions"),
    "fc": attrgetter("frontend_sessions"),
    "sc": attrgetter("server_sessions"),
    "bq": attrgetter("backend_queue"),
    "sq": attrgetter("server_queue"),
    "cp": attrgetter("client.port"),
    "fp": attrgetter("destination.port"),
    "sp": lambda record: _server_address(record).port,
    "lc": attrgetter("number"),
    "rt": attrgetter("number"),
    "Ts": lambda record: int(record.accepted_at),
    "pid": lambda record: os.getpid(),
}
_AS_THEY_ARE: Mapping[str, Text] = {
    "B": lambda record: _early(record.bytes_out, record),
    "Ta": lambda record: _early(active_time(record), record),
    "Tt": lambda record: _early(total_time(record), record),
    "rc": retries,
    "ts": termination,
    "tsc": termination_and_cookies,
    "ms": lambda record: f"{dates.milliseconds(record.accepted_at):03}",
    "T": lambda record: dates.gmt_date(record.accepted_at),
    "Tl": lambda record: dates.local_date(record.accepted_at),
    "t": lambda record: dates.exact_date(record.accepted_at),
    "tr": lambda record: dates.exact_date(record.began_at),
    "trg": lambda record: dates.gmt_date(record.began_at),
    "trl": lambda record: dates.local_date(record.began_at),
}
"""Numbers, dates and states, which no flag changes."""

_IN_HEXADECIMAL = frozenset({"cp", "fp", "sp", "Ts", "rt", "lc", "pid"})
_ADDRESSES: Mapping[str, Text] = {
    "ci": attrgetter("client.host"),
    "fi": attrgetter("destination.host"),
    "si": lambda record: _server_address(record).host,
}


def _texts(facts: Facts) -> Mapping[str, Text]:
    request_cookie = captured_cookie(facts.cookie, "cookie")
    response_cookie = captured_cookie(facts.cookie, "set-cookie")
    request_headers, response_headers = (
        captured(facts.request_headers),
        captured(facts.response_headers),
    )
    return {
        "CC": lambda record: request_cookie(record.request),
        "CS": lambda record: response_cookie(record.response),
        "H": lambda record: facts.hostname,
        "HM": lambda record: printable(_request(record)[0]),
        "HP": lambda record: printable(_path(record)),
        "HPO": lambda record: printable(_path_only(record)),
        "HQ": lambda record: printable(_query(record)),
        "HU": lambda record: printable(_target(record)),
        "HV": lambda record: printable(_request(record)[2]),
        "b": lambda record: record.backend.name if record.backend else facts.frontend,
        "f": lambda record: facts.frontend,
        "ft": lambda record: facts.frontend,
        "hr": lambda record: _in_braces(request_headers(record.request)),
        "hs": lambda record: _in_braces(response_headers(record.response)),
        "r": _whole_request,
        "s": server_name,
    }


# -- put together -------------------------------------------------------------------------


def fields_of(variable: Variable, facts: Facts) -> list[Field]:
    """What a variable becomes: one field, several for lists, none where it has nothing to say."""
    name, flags = variable.name, variable.flags
    if name in ("hrl", "hsl"):
        return _list_fields(name, flags, facts)
    if name in ("hr", "hs") and not (facts.request_headers, facts.response_headers)[name == "hs"]:
        return []
    if name in _AS_THEY_ARE:
        return [_AS_THEY_ARE[name]]
    if name in _ADDRESSES:
        return [_address(_ADDRESSES[name], flags)]
    if name in _NUMBERS:
        number = _NUMBERS[name]
        return [_hexadecimal(number) if "X" in flags and name in _IN_HEXADECIMAL else number]
    return [_text(_texts(facts)[name], flags)]


def _list_fields(name: str, flags: frozenset[str], facts: Facts) -> list[Field]:
    def field(number: int) -> Text:
        if name == "hrl":
            return lambda record: request_headers(record.request)[number]
        return lambda record: response_headers(record.response)[number]

    captures = facts.request_headers if name == "hrl" else facts.response_headers
    request_headers = response_headers = captured(captures)
    return [_text(field(number), flags) for number in range(len(captures))]


def _hexadecimal(read: Callable[[Record], int]) -> Text:
    return lambda record: f"{read(record):04X}"


def _address(read: Text, flags: frozenset[str]) -> Text:
    if "X" in flags:
        return lambda record: _hexadecimal_address(read(record))
    return _text(read, flags)


def _text(read: Text, flags: frozenset[str]) -> Text:
    """Quoted, escaped, and a dash where it would be nothing."""
    if "E" in flags:
        plain = read

        def read(record: Record) -> str:
            return _SPECIAL.sub(r"\\\g<0>", plain(record))

    if "Q" in flags:
        return lambda record: f'"{read(record)}"'
    return lambda record: read(record) or "-"
