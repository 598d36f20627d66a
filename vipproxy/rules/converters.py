"""Converters at work: what stands after a fetch, ``hdr(host),lower,field(1,.)``."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from urllib.parse import unquote_to_bytes

from vipproxy.config.samples import MAPS, Converter, Sample
from vipproxy.rules.maps import compile_map
from vipproxy.rules.subject import Subject
from vipproxy.rules.values import Value, text_of

Fetch = Callable[[Subject], Sequence[Value]]
"""Finds all values of a sample."""


def with_converters(fetch: Fetch, sample: Sample) -> Fetch:
    for converter in sample.converters:
        fetch = _converted(fetch, _CONVERTERS[converter.name](converter))
    return fetch


def _converted(fetch: Fetch, convert: Callable[[bytes], Value | None]) -> Fetch:
    def converted(subject: Subject) -> Sequence[Value]:
        values = (convert(text_of(value)) for value in fetch(subject))
        return [value for value in values if value is not None]

    return converted


def _field(converter: Converter) -> Callable[[bytes], bytes | None]:
    """The field of a number, between delimiters; with ``word`` empty ones do not count."""
    number, delimiters = int(converter.arguments[0]), converter.arguments[1].encode()
    pattern = re.compile(rb"[%b]" % re.escape(delimiters))
    skips = converter.name == "word"

    def pick(value: bytes) -> bytes | None:
        fields = [each for each in pattern.split(value) if each or not skips]
        index = number - 1 if number > 0 else number
        return fields[index] if -len(fields) <= index < len(fields) else None

    return pick


def _decoded(value: bytes) -> bytes | None:
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error:
        return None


def _host_only(value: bytes) -> bytes:
    """Without the port; the brackets of an IPv6 address stay."""
    return re.sub(rb":[0-9]*\Z", b"", value) if value.rfind(b"]") < value.rfind(b":") else value


def _port_only(value: bytes) -> int:
    match = re.search(rb":([0-9]{1,5})\Z", value)
    return int(match[1]) if match and value.rfind(b"]") < match.start() else 0


def _simple(convert: Callable[[bytes], Value | None]) -> Callable[
    [Converter], Callable[[bytes], Value | None]
]:  # fmt: skip
    return lambda converter: convert


_CONVERTERS: dict[str, Callable[[Converter], Callable[[bytes], Value | None]]] = {
    "lower": _simple(bytes.lower),
    "upper": _simple(bytes.upper),
    "length": _simple(len),
    "url_dec": _simple(lambda value: unquote_to_bytes(value.replace(b"+", b" "))),
    "b64dec": _simple(_decoded),
    "base64": _simple(base64.b64encode),
    "host_only": _simple(_host_only),
    "port_only": _simple(_port_only),
    **dict.fromkeys(MAPS, compile_map),
    "field": _field,
    "word": _field,
}
