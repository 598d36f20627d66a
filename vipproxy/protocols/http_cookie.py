"""Persistence by cookie: HAProxy's `cookie NAME [insert] [indirect] [nocache]`.

Byte for byte what HAProxy 2.6 does (configuration manual, `cookie`); names are compared with
their case.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from vipproxy.config.options import CookieOptions
from vipproxy.framing.http1 import ResponseHead
from vipproxy.interfaces import IBackend, ILease

_COOKIE_FIELD = re.compile(rb"(?im)^(cookie):[ \t]*+([^\r]*)\r\n")
_PIECE = re.compile(rb'([;,]|\A)((?:"[^"]*+"|[^;,])*+)')
"""A delimiter and what follows it; HAProxy takes the comma for one too, but not within quotes."""

_CACHING_FIELD = re.compile(
    rb"(?im)^(cache-control|pragma|expires|etag|last-modified):[ \t]*+([^\r]*)\r\n"
)
_CACHEABLE = frozenset({200, 203, 204, 206, 300, 301, 404, 405, 410, 414, 501})
_PRIVATE = frozenset({b"private", b"no-cache", b"no-store", b"max-age=0", b"s-maxage=0"})
_EXPIRED = b"; Expires=Thu, 01-Jan-1970 00:00:01 GMT"


class Persistence:
    """What one backend's cookie does to heads."""

    def __init__(self, options: CookieOptions, backend: IBackend) -> None:
        self.options, self._backend = options, backend
        self._name = options.name.encode()
        self._set_cookie = re.compile(
            rb"(?m)^(?i:set-cookie):[ \t]*%b[ \t]*=[^\r]*\r\n" % re.escape(self._name)
        )

    def read(self, fields: bytes) -> tuple[bytes, str | None]:
        """A request's fields as the server may see them, and the cookie's value.

        Of several cookies the first that names a server counts; the value is None where none
        does.
        """
        if self._name not in fields:
            return fields, None
        values: list[bytes] = []
        stripped = _COOKIE_FIELD.sub(lambda match: self._strip(match, values), fields)
        hidden = self.options.insert and self.options.indirect
        known = (value.decode("latin-1") for value in values)
        value = next((each for each in known if self._backend.server_of_cookie(each)), None)
        return stripped if hidden else fields, value

    def write(self, head: ResponseHead, method: bytes, lease: ILease) -> bytes:
        """Take the server's own cookie out of a response; the fields to add to it."""
        options = self.options
        if (options.insert or (options.indirect and lease.by_cookie)) and self._name in head.fields:
            head.fields = self._set_cookie.sub(b"", head.fields)
        if not options.insert or lease.by_cookie:
            return b""
        value = lease.server.cookie
        cookie = _EXPIRED if value is None else value.encode("latin-1")
        if options.nocache and is_cacheable(head, method):
            return b"set-cookie: %b=%b; path=/\r\ncache-control: private\r\n" % (self._name, cookie)
        return b"set-cookie: %b=%b; path=/\r\n" % (self._name, cookie)

    def _strip(self, field: re.Match[bytes], values: list[bytes]) -> bytes:
        """One Cookie line without ours; nothing, where it held no other."""
        kept: list[bytes] = []
        removed = False
        for delimiter, text in _PIECE.findall(field[2].rstrip(b" \t")):
            name, equals, value = text.partition(b"=")
            if equals and name.strip(b" \t") == self._name:
                values.append(value.strip(b" \t"))
                removed = True
                continue
            if not kept:
                kept.append(text.lstrip(b" \t"))
            elif removed:
                kept.append(delimiter + b" " + text.lstrip(b" \t"))
            else:
                kept.append(delimiter + text)
            removed = False
        return b"%b: %b\r\n" % (field[1], b"".join(kept)) if any(kept) else b""


def is_cacheable(head: ResponseHead, method: bytes) -> bool:
    """Whether HAProxy's `nocache` takes a response for cacheable, measured against 2.6."""
    cacheable = head.status in _CACHEABLE and method != b"POST"
    storable = False
    for name, word in _caching_words(head.fields):
        if name == b"pragma":
            if word == b"no-cache":
                return False
        elif name != b"cache-control":
            storable = True
        elif word in _PRIVATE:
            cacheable = False
        elif word == b"public":
            cacheable = True
        elif word.startswith((b"max-age=", b"s-maxage=")):
            storable = True
    return cacheable and storable


def _caching_words(fields: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The names and single words of the fields on caching, in lower case."""
    for name, text in _CACHING_FIELD.findall(fields):
        for word in text.lower().split(b","):
            yield name.lower(), word.strip(b" \t")
