"""Persistence by cookie: HAProxy's `cookie NAME insert|prefix|rewrite ...`.

Byte for byte what HAProxy 2.6 does (configuration manual, `cookie`); names are compared with
their case.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from vipproxy.config.cookie_options import CookieOptions
from vipproxy.framing.http1 import ResponseHead
from vipproxy.interfaces import IBackend, ILease
from vipproxy.logs.record import Record
from vipproxy.protocols.http.cookie_dates import NO_DATES, CookieDates, stamps

_COOKIE_FIELD = re.compile(rb"(?im)^(cookie):[ \t]*+([^\r]*)\r\n")
_PIECE = re.compile(rb'([;,]|\A)((?:"[^"]*+"|[^;,])*+)')
"""A delimiter and what follows it; HAProxy takes the comma for one too, but not within quotes."""

_CACHING_FIELD = re.compile(
    rb"\n(cache-control|pragma|expires|etag|last-modified):[ \t]*+([^\r]*)\r"
)
"""In lines in lower case; it begins with a literal, which is fast."""
_DIRECTIVES = frozenset({b"cache-control", b"pragma"})
_CACHEABLE = frozenset({200, 203, 204, 206, 300, 301, 404, 405, 410, 414, 501})
_PRIVATE = frozenset({b"private", b"no-cache", b"no-store", b"max-age=0", b"s-maxage=0"})
_SET_VALUE = rb'(?:[ \t]*+(?:"(?:[^"\\\r]|\\[^\r])*+"?|[^;,"\r \t]))*+'
_PATH = b"; path=/"
_EXPIRED = b"; Expires=Thu, 01-Jan-1970 00:00:01 GMT"


class Persistence:
    """What one backend's cookie does to heads."""

    def __init__(
        self, options: CookieOptions, backend: IBackend, seconds: Callable[[], float]
    ) -> None:
        """`seconds` tells the time since 1970."""
        self.options, self._backend, self._seconds = options, backend, seconds
        self._name = options.name.encode()
        self._hidden = options.insert and options.indirect
        """Servers do not see it."""
        self._dated = options.maxidle is not None or options.maxlife is not None
        self._fields: dict[str | None, bytes] = {}
        """The Set-Cookie line for each server's value, where it has no dates."""
        self._usual = re.compile(
            rb'\n([Cc]ookie: )((?![ \t;])[^",\r]*; )?%b=([^;",\r \t]*+)'
            rb'(?:; ((?![ \t])[^",\r]*[^",\r \t]))?\r\n' % re.escape(self._name)
        )
        """Our cookie, written as browsers do, with what they send before and after it."""
        self._theirs = re.compile(
            rb"(?m)^((?i:set-cookie):[ \t]*)%b[ \t]*=[ \t]*(%b)([^\r]*\r\n)"
            % (re.escape(self._name), _SET_VALUE)
        )
        """A server's own cookie of our name: what is before its value, the value, the rest."""

    # -- requests

    def read(self, lines: bytes) -> tuple[bytes, str | None, CookieDates | None]:
        """A request's lines as the server may see them, the cookie's value, and its dates.

        Of several cookies the first that names a server counts; the value is None where none
        does, or where it is too old.
        """
        at = lines.find(self._name)
        if at < 0:
            return lines, None, None
        match = self._usual.match(lines, lines.rfind(b"\n", 0, at))
        if match is None or lines.rfind(self._name) != at:
            return self._read_unusual(lines)
        text = match[3]
        if self.options.prefix:
            text, tilde, own = text.partition(b"~")
            if tilde:
                lines = lines[: match.start(3)] + own + lines[match.end(3) :]
        elif self._hidden:
            lines = _cut(lines, match)
        return lines, *self._understood(text)

    def _read_unusual(self, lines: bytes) -> tuple[bytes, str | None, CookieDates | None]:
        texts: list[bytes] = []
        edited = _COOKIE_FIELD.sub(lambda match: self._edit_field(match, texts), lines)
        if self._hidden or self.options.prefix:
            lines = edited
        value, dates = None, None
        for text in texts:
            value, dates = self._understood(text)
            if value is not None:
                break
        return lines, value, dates

    def _understood(self, text: bytes) -> tuple[str | None, CookieDates | None]:
        """A server's value, as it stands in the cookie, and what follows it after a bar."""
        value = text.decode("latin-1")
        if self._backend.server_of_cookie(value) is not None:
            return value, None
        if b"|" not in text:
            return None, None
        value = value.partition("|")[0]
        dates = CookieDates.parse(text)
        if dates is not None and dates.expired(self._seconds(), self.options):
            return None, None
        return (value if self._backend.server_of_cookie(value) is not None else None), dates

    def _edit_field(self, field: re.Match[bytes], texts: list[bytes]) -> bytes:
        """One Cookie line without ours, or without the prefix; nothing, where none is left."""
        kept: list[bytes] = []
        found, removed = len(texts), False
        for delimiter, piece in _PIECE.findall(field[2].rstrip(b" \t")):
            name, equals, value = piece.partition(b"=")
            if equals and name.strip(b" \t") == self._name:
                if not self.options.prefix:
                    texts.append(value.strip(b" \t"))
                    removed = True
                    continue
                piece = self._without_prefix(piece, texts)
            if not kept:
                kept.append(piece.lstrip(b" \t"))
            elif removed:
                kept.append(delimiter + b" " + piece.lstrip(b" \t"))
            else:
                kept.append(delimiter + piece)
            removed = False
        if found == len(texts):
            return field[0]
        return b"%b: %b\r\n" % (field[1], b"".join(kept)) if any(kept) else b""

    def _without_prefix(self, piece: bytes, texts: list[bytes]) -> bytes:
        name, _, value = piece.partition(b"=")
        text, tilde, own = value.lstrip(b" \t").partition(b"~")
        texts.append(text.rstrip(b" \t"))
        return b"%b=%b" % (name.rstrip(b" \t"), own) if tilde else piece

    # -- responses

    def write(
        self, head: ResponseHead, method: bytes, lease: ILease, dates: CookieDates | None
    ) -> bytes:
        """Do to the server's own cookie what the mode says; the fields to add to the response."""
        options = self.options
        found = self._name in head.lines and self._edit_theirs(head, lease)
        if not options.insert or (found and options.preserve):
            return b""
        if lease.by_cookie and not ((self._dated or dates) and self._is_stale(dates)):
            return b""
        field = self._set_cookie(lease.server.cookie, dates)
        if options.nocache and is_cacheable(head, method):
            return field + b"cache-control: private\r\n"
        return field

    def _edit_theirs(self, head: ResponseHead, lease: ILease) -> bool:
        """Whether there was any."""
        options, value = self.options, lease.server.cookie
        replacement = None
        if options.preserve:
            pass
        elif options.insert or (options.indirect and lease.by_cookie):
            replacement = b""
        elif value is not None and options.rewrite:
            replacement = rb"\g<1>%b=%b\3" % (self._name, value.encode())
        elif value is not None and options.prefix:
            replacement = rb"\g<1>%b=%b~\2\3" % (self._name, value.encode())
        if replacement is None:
            return self._theirs.search(head.lines) is not None
        head.lines, number = self._theirs.subn(replacement, head.lines)
        return number > 0

    def _is_stale(self, dates: CookieDates | None) -> bool:
        """A good cookie has dates that it should not have, or lacks one, or has an older one."""
        options, dates = self.options, dates or NO_DATES
        if (options.maxlife is not None) != bool(dates.first):
            return True
        if dates.last:
            return dates.last < int(self._seconds())
        return options.maxidle is not None

    def _set_cookie(self, value: str | None, dates: CookieDates | None) -> bytes:
        """The line that sets a server's cookie; a server without one takes the client's away."""
        if self._dated and value is not None:
            first = dates.first if dates is not None else 0
            stamp = stamps(self._seconds(), first, self.options)
            return self._line(value.encode() + stamp + _PATH)
        field = self._fields.get(value)
        if field is None:
            text = _EXPIRED if value is None else value.encode()
            field = self._fields[value] = self._line(text + _PATH)
        return field

    # -- for the log

    def flags(self, record: Record) -> str:
        """What became of the cookie: the end of HAProxy's termination state (manual, 8.5)."""
        return self._flag_of_request(record) + self._flag_of_response(record)

    def _flag_of_request(self, record: Record) -> str:
        if record.cookie is not None:
            valid = record.server_queue or (record.lease is not None and record.lease.by_cookie)
            return "V" if valid else "D"
        texts: list[bytes] = []
        for field in _COOKIE_FIELD.finditer(record.request):
            self._edit_field(field, texts)
        if not texts:
            return "N"
        dates = CookieDates.parse(texts[0]) if b"|" in texts[0] else None
        if dates is None or not dates.expired(record.began_at, self.options):
            return "I"
        return "O" if dates.outlived(record.began_at, self.options) else "E"

    def _flag_of_response(self, record: Record) -> str:
        if record.added.startswith(b"set-cookie:"):
            return "U" if record.lease is not None and record.lease.by_cookie else "I"
        theirs, left = (self._theirs.findall(each) for each in (record.response, record.edited))
        if not theirs:
            return "N"
        return "P" if theirs == left else "R" if left else "D"

    def _line(self, value: bytes) -> bytes:
        options = self.options
        words = [f"domain={domain}" for domain in options.domain]
        words += ["HttpOnly"] * options.httponly + ["Secure"] * options.secure
        words += options.attr
        return (
            b"; ".join(
                [b"set-cookie: %b=%b" % (self._name, value), *(word.encode() for word in words)]
            )
            + b"\r\n"
        )


def _cut(lines: bytes, ours: re.Match[bytes]) -> bytes:
    """The lines without our cookie, and without a Cookie field that held no other."""
    name, before, _, after = ours.groups(b"")
    kept = before + after if after else before.removesuffix(b"; ")
    field = name + kept + b"\r\n" if kept else b""
    return lines[: ours.start() + 1] + field + lines[ours.end() :]


def is_cacheable(head: ResponseHead, method: bytes) -> bool:
    """Whether HAProxy's `nocache` takes a response for cacheable, measured against 2.6."""
    cacheable = head.status in _CACHEABLE and method != b"POST"
    storable = False
    for name, text in _CACHING_FIELD.findall(head.lines.lower()):
        if name not in _DIRECTIVES:
            storable = True
            continue
        words = [word.strip(b" \t") for word in text.split(b",")]
        if name == b"pragma" and b"no-cache" in words:
            return False
        for word in words if name == b"cache-control" else ():
            if word in _PRIVATE:
                cacheable = False
            elif word == b"public":
                cacheable = True
            elif word.startswith((b"max-age=", b"s-maxage=")):
                storable = True
    return cacheable and storable
