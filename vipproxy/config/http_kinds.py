"""Kinds of values that become parts of HTTP messages: none can break a message's framing."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_network

from attrs import frozen

from vipproxy.config.kinds import BadValue, Kind, simple, suggest, words

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_COOKIE_VALUE = re.compile(r"[!#-+\--:<-\[\]-{}~]+")
_DOMAIN = re.compile(r"\.?[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*")
_ATTRIBUTE = re.compile(r"[!-:<-~]+")
_FIELD_VALUE = re.compile(r"[\t -~\x80-\U0010ffff]*")
_PARAMETER = re.compile(r"[!\"$-%'-<>@-~]+")

FRAMING = frozenset(
    {
        "connection", "content-length", "host", "keep-alive", "proxy-connection", "te", "trailer",
        "transfer-encoding", "upgrade",
    }
)  # fmt: skip
"""Fields that say where a message ends, whom it is for, or what becomes of its connection."""

ACTIONS = ("set", "add", "delete")


def _matched(pattern: re.Pattern[str], text: str, what: str) -> str:
    if pattern.fullmatch(text) is None:
        raise ValueError(f"'{text}' is not {what}")
    return text


def _read_field_name(text: str) -> str:
    _matched(_TOKEN, text, "a header's name")
    if text.lower() in FRAMING:
        hint = "the proxy writes it, from what it has understood of the message"
        raise BadValue(f"the header '{text}' cannot be changed", 0, len(text), hint)
    return text


TOKEN: Kind[str] = simple("NAME", lambda text: _matched(_TOKEN, text, "a name in HTTP's sense"))
"""A token of RFC 9110 (5.6.2): the name of a field or of a cookie."""
FIELD_NAME: Kind[str] = simple("NAME", _read_field_name)
"""The name of a field that may be changed."""
COOKIE_VALUE: Kind[str] = simple(
    "TEXT", lambda text: _matched(_COOKIE_VALUE, text, "a cookie's value (RFC 6265), without '|'")
)
"""As RFC 6265 (4.1.1) has it; after a bar HAProxy's dates follow."""
DOMAIN: Kind[str] = simple("DOMAIN", lambda text: _matched(_DOMAIN, text, "a domain"))
ATTRIBUTE: Kind[str] = simple(
    "TEXT", lambda text: _matched(_ATTRIBUTE, text, "an attribute of a cookie")
)
PARAMETER: Kind[str] = simple(
    "NAME", lambda text: _matched(_PARAMETER, text, "the name of a parameter")
)
NETWORK: Kind[IPv4Network | IPv6Network] = simple(
    "NETWORK", lambda text: ip_network(text, strict=False)
)
"""``127.0.0.0/8``, ``fd00::/8``, or one address."""


@frozen
class FieldChange:
    """What is done to one field: `action` is one of ACTIONS, `value` is empty for delete."""

    action: str
    value: str = ""


@frozen
class _FieldChangeKind:
    """``set VALUE``, ``add VALUE`` or ``delete``; the value goes to the end of the line."""

    syntax: str = "set TEXT|add TEXT|delete"

    def parse(self, text: str) -> FieldChange:
        offset, action = next(words(text), (0, ""))
        if action not in ACTIONS:
            hint = suggest(action, ACTIONS)
            raise BadValue(f"unknown action '{action}'", offset, len(action), hint)
        value = text[offset + len(action) :].strip()
        if _FIELD_VALUE.fullmatch(value) is None:
            raise BadValue("a control character in a header's value", offset, len(text) - offset)
        if bool(value) == (action == "delete"):
            wrong = "takes no value" if value else "needs a value"
            raise BadValue(f"'{action}' {wrong}", offset, len(text) - offset)
        return FieldChange(action, value)

    def format(self, value: FieldChange) -> str:
        return f"{value.action} {value.value}".rstrip()


FIELD_CHANGE: Kind[FieldChange] = _FieldChangeKind()

HeaderChanges = tuple[tuple[str, FieldChange], ...]
"""What a section does to fields: their names, each once, and the changes."""
