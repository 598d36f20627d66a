"""Where logs go, and what their lines say: HAProxy's `log` and `log-format`."""

from __future__ import annotations

import re
from pathlib import Path

from attrs import frozen

from vipproxy.config.declare import option
from vipproxy.config.http_kinds import TOKEN
from vipproxy.config.kinds import (
    FLAG,
    PERMISSIONS,
    BadValue,
    Kind,
    choice,
    integer,
    simple,
    suggest,
)
from vipproxy.config.records import record
from vipproxy.values import Address

LEVELS = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
"""syslog's, by their numbers (RFC 5424, 6.2.1)."""
FACILITIES = (
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "auth2",
    "ftp", "ntp", "audit", "alert", "cron2", "local0", "local1", "local2", "local3", "local4",
    "local5", "local6", "local7",
)  # fmt: skip
"""syslog's, by their numbers, with HAProxy's names."""
HEADERS = (
    "local", "rfc3164", "rfc5424", "priority", "short", "timed", "iso", "raw", "traditional",
)  # fmt: skip
"""HAProxy's names for what stands before the text; `traditional` is how rsyslog writes files."""
STREAMS = ("stdout", "stderr")
SYSLOG_PORT = 514


@frozen
class FileName:
    """A file to write to, as ``file@/var/log/vipproxy.log``."""

    path: Path

    def __str__(self) -> str:
        return f"file@{self.path}"


Place = Address | Path | FileName | str
"""A UDP address, a Unix socket, a file, or one of STREAMS."""


def _read_place(text: str) -> Place:
    kind, _, rest = text.rpartition("@")
    if text in STREAMS:
        return text
    if kind not in ("", "udp", "unix", "file"):
        raise BadValue(f"unknown target '{kind}@'", 0, len(kind), suggest(kind, ("unix", "file")))
    if kind in ("unix", "file") or (not kind and "/" in rest):
        if not rest.startswith("/"):
            raise ValueError(f"the path '{rest}' must be absolute")
        return FileName(Path(rest)) if kind == "file" else Path(rest)
    try:
        return Address.parse(rest)
    except ValueError as error:
        if re.fullmatch(r"[0-9.]+|\[[0-9a-fA-F:.]+\]", rest):
            return Address.parse(f"{rest}:{SYSLOG_PORT}")
        hint = "ADDRESS:PORT, /dev/log, file@/PATH, stdout or stderr"
        raise BadValue(str(error), 0, len(text), hint) from None


PLACE: Kind[Place] = simple("ADDRESS:PORT|/SOCKET|file@/PATH|stdout|stderr", _read_place)


@frozen
class LogOptions:
    """``log = 127.0.0.1:514 facility=local0 level=info format=rfc5424 length=1024``"""

    place: Place = option(PLACE, positional=True, help="a syslog server, its socket, or a file")
    facility: str = option(
        choice(*FACILITIES), default="local0", help="what syslog is to sort it under"
    )
    level: str = option(
        choice(*LEVELS), default="debug", help="nothing less important than that is sent"
    )
    minlevel: str = option(
        choice(*LEVELS), default="emerg", help="what is more important is sent as this"
    )
    format: str | None = option(
        choice(*HEADERS),
        default=None,
        help="what stands before the text; by default local to syslog, traditional elsewhere",
    )
    length: int | None = option(
        integer(80, 65535),
        default=None,
        help="bytes of a line at most; by default 1024 to syslog, 16384 elsewhere",
    )
    mode: str = option(PERMISSIONS, default="0640", help="permissions of a new file, in octal")


@frozen
class CaptureCookieOptions:
    """``capture-cookie = SESSION length=32``"""

    name: str = option(
        simple("NAME", lambda text: text), positional=True, help="how its name begins"
    )
    length: int = option(integer(1, 1024), default=63, help="characters of name=value at most")


# -- formats ------------------------------------------------------------------------------

TCPLOG = "%ci:%cp [%t] %ft %b/%s %Tw/%Tc/%Tt %B %ts %ac/%fc/%bc/%sc/%rc %sq/%bq"
HTTPLOG = (
    "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc %sq/%bq"
    " %hr %hs %{+Q}r"
)
CLF = (
    '%{+Q}o %{-Q}ci - - [%trg] %r %ST %B "" "" %cp %ms %ft %b %s %TR %Tw %Tc %Tr %Ta %tsc %ac %fc'
    " %bc %sc %rc %sq %bq %CC %CS %hrl %hsl"
)
NAMED_FORMATS = {"tcplog": TCPLOG, "httplog": HTTPLOG, "clf": CLF}
"""HAProxy's own formats, as it declares them (configuration manual, 8.2)."""

HTTP_VARIABLES = frozenset(
    {
        "CC", "CS", "HM", "HP", "HPO", "HQ", "HU", "HV", "ST", "TR", "Ta", "Ti", "Tq", "Tr", "hr",
        "hrl", "hs", "hsl", "r", "tr", "trg", "trl", "tsc",
    }
)  # fmt: skip
VARIABLES = HTTP_VARIABLES | {
    "B", "H", "T", "Tc", "Td", "Th", "Tl", "Ts", "Tt", "Tu", "Tw", "U", "ac", "b", "bc", "bq", "ci",
    "cp", "f", "fc", "fi", "fp", "ft", "lc", "ms", "pid", "rc", "rt", "s", "sc", "si", "sp", "sq",
    "t", "ts",
}  # fmt: skip
"""What a format may name (configuration manual, 8.2.6)."""
UNSUPPORTED = frozenset({"ID", "bi", "bp", "sslc", "sslv"})
_FLAGS = frozenset("QXE")


@frozen
class Variable:
    """One variable of a format, with its flags: Q (quote), X (hexadecimal), E (escape)."""

    name: str
    flags: frozenset[str] = frozenset()


@frozen
class LogFormat:
    """A line's format. `parts` are texts and variables; none for json and none."""

    text: str
    parts: tuple[str | Variable, ...] = ()

    @property
    def needs_http(self) -> bool:
        """It says what only HTTP has."""
        return any(
            isinstance(part, Variable) and part.name in HTTP_VARIABLES for part in self.parts
        )


_PART = re.compile(
    r"%(?:(?P<percent>%)|\[(?P<sample>[^\]]*)\]?|(?:\{(?P<flags>[^}]*)\})?(?P<name>[A-Za-z]+))"
)


def parse_format(text: str) -> LogFormat:
    """Read a name, or a format in HAProxy's language; raises BadValue."""
    if text in ("json", "none"):
        return LogFormat(text)
    if "%" not in text and text not in NAMED_FORMATS:
        known = (*NAMED_FORMATS, "json", "none")
        raise BadValue(f"unknown format '{text}'", 0, len(text), suggest(text, known))
    return LogFormat(text, tuple(_Parser(NAMED_FORMATS.get(text, text)).parts()))


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._common: frozenset[str] = frozenset()
        """The flags that %o has given to all that follow."""

    def parts(self) -> list[str | Variable]:
        found: list[str | Variable] = []
        at, text = 0, self._text
        while (percent := text.find("%", at)) >= 0:
            match = _PART.match(text, percent)
            if match is None:
                raise BadValue("'%' begins no variable", percent, 1, "write %% for the sign itself")
            _append(found, text[at:percent])
            self._add(found, match)
            at = match.end()
        _append(found, text[at:])
        return found

    def _add(self, found: list[str | Variable], match: re.Match[str]) -> None:
        offset, length = match.start(), match.end() - match.start()
        if match["percent"]:
            _append(found, "%")
            return
        if match["sample"] is not None:
            raise BadValue("sample expressions '%[...]' are not supported yet", offset, length)
        flags = self._flags(match)
        name = match["name"]
        if name == "o":
            self._common = flags
        elif name in UNSUPPORTED:
            raise BadValue(f"'%{name}' is not supported yet", offset, length)
        elif name not in VARIABLES:
            hint = suggest(name, sorted(VARIABLES))
            raise BadValue(f"unknown variable '%{name}'", offset, length, hint)
        else:
            found.append(Variable(name, flags))

    def _flags(self, match: re.Match[str]) -> frozenset[str]:
        flags = set(self._common)
        for word in (match["flags"] or "").split(","):
            sign, flag = word.strip()[:1], word.strip()[1:]
            if not word.strip():
                continue
            if sign not in ("+", "-") or flag not in _FLAGS:
                message = f"'{word.strip()}' is none of the flags Q, X and E, with + or -"
                raise BadValue(message, match.start("flags"), len(match["flags"]))
            (flags.add if sign == "+" else flags.discard)(flag)
        return frozenset(flags)


def _append(found: list[str | Variable], text: str) -> None:
    if found and isinstance(found[-1], str):
        found[-1] += text
    elif text:
        found.append(text)


LOG_FORMAT: Kind[LogFormat] = simple(
    "tcplog|httplog|clf|json|none|FORMAT", parse_format, lambda value: value.text
)


def _read_tag(text: str) -> str:
    if re.fullmatch(r"[!-Z\\^-~]{1,48}", text) is None:
        raise ValueError(f"'{text}' cannot be a program's name in a log")
    return text


_TAG: Kind[str] = simple("NAME", _read_tag)

HeaderCaptures = tuple[tuple[str, int], ...]
"""Names of headers, each once, and how many bytes of each are logged."""


@frozen
class GlobalLogOptions:
    """What [global] says of logs."""

    log: tuple[LogOptions, ...] = option(
        record(LogOptions),
        default=(),
        repeated=True,
        help="where logs go; may be given several times",
        haproxy="log",
    )
    log_tag: str = option(
        _TAG, default="vipproxy", help="the program's name in the log", haproxy="log-tag"
    )


@frozen
class FrontendLogOptions:
    """What a frontend says of its log."""

    log_format: LogFormat | None = option(
        LOG_FORMAT,
        default=None,
        help="what a line says; by default httplog or tcplog, as the protocol is",
        haproxy="log-format",
    )
    dontlognull: bool = option(
        FLAG,
        default=False,
        help="clients that send nothing are not logged",
        haproxy="option dontlognull",
    )
    dontlog_normal: bool = option(
        FLAG,
        default=False,
        help="what goes well is not logged",
        haproxy="option dontlog-normal",
    )
    log_separate_errors: bool = option(
        FLAG,
        default=False,
        help="what does not go well is logged as err, not info",
        haproxy="option log-separate-errors",
    )
    logasap: bool = option(
        FLAG,
        default=False,
        help="a line is written as soon as the server has answered",
        haproxy="option logasap",
    )
    capture_request_header: HeaderCaptures = option(
        integer(1, 8192),
        names=TOKEN,
        default=(),
        help="log so many bytes of a request's header; of Authorization the scheme alone",
        haproxy="capture request header",
    )
    capture_response_header: HeaderCaptures = option(
        integer(1, 8192),
        names=TOKEN,
        default=(),
        help="log so many bytes of a response's header",
        haproxy="capture response header",
    )
    capture_cookie: CaptureCookieOptions | None = option(
        record(CaptureCookieOptions),
        default=None,
        help="log a cookie, of requests and responses",
        haproxy="capture cookie",
    )

    @property
    def captures(self) -> bool:
        """It logs parts of HTTP messages."""
        return bool(
            self.capture_request_header or self.capture_response_header or self.capture_cookie
        )
