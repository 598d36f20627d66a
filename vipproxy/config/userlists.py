"""``[userlist NAME]``: names, passwords and groups, for `http_auth` in conditions."""

from __future__ import annotations

import re
from typing import Any

from attrs import field, frozen

from vipproxy.config.declare import option
from vipproxy.config.kinds import SECRET, BadValue, BadValues, Kind, ListOf, simple
from vipproxy.config.passwords import encrypted
from vipproxy.config.records import Record


def _read_name(text: str) -> str:
    if not re.fullmatch(r"[!-+\--9;-~]+", text):
        raise ValueError(f"'{text}' cannot be a name here")
    return text


def _read_names(text: str) -> tuple[str, ...]:
    return tuple(map(_read_name, text.split(",")))


def _read_hash(text: str) -> str:
    found = encrypted(b"", text.encode())
    if found is None or len(found) != len(text):
        raise ValueError("the password is not encrypted, or in a way that this system has not")
    return text


USER: Kind[str] = simple("NAME", _read_name)
NAMES: Kind[tuple[str, ...]] = simple("NAME,...", _read_names, ",".join)


@frozen
class _Hash:
    syntax: str = "HASH"
    secret: bool = True

    def parse(self, text: str) -> str:
        return _read_hash(text)

    def format(self, value: Any) -> str:
        return SECRET.format(value)


@frozen
class UserOptions:
    """``user root = password=$6$... groups=ops``"""

    password: str | None = option(
        _Hash(), default=None, help="as crypt(3) has it", haproxy="user ... password"
    )
    insecure_password: str | None = option(
        SECRET, default=None, help="the password itself", haproxy="user ... insecure-password"
    )
    groups: tuple[str, ...] | None = option(
        NAMES, default=None, help="to which the user belongs", haproxy="user ... groups"
    )

    def __attrs_post_init__(self) -> None:
        if (self.password is None) == (self.insecure_password is None):
            raise ValueError("a user has either a 'password' or an 'insecure-password'")


_KEYS = ("password", "insecure-password", "groups")


@frozen
class _SecretRecord(Record[UserOptions]):
    """A line of which no problem shows anything but its keys."""

    secret: bool = field(default=True)

    def parse(self, text: str) -> UserOptions:
        try:
            return super().parse(text)
        except BadValue as error:
            raise BadValues(_discreet(part) for part in error.parts) from None


def _discreet(error: BadValue) -> BadValue:
    """The same, which repeats keys alone."""
    message = re.sub(r"'([^']*)'", lambda m: m[0] if m[1] in _KEYS else "***", error.message)
    return BadValue(message, error.offset, error.length, error.hint)


@frozen
class UserlistOptions:
    """``[userlist NAME]``"""

    user: tuple[tuple[str, UserOptions], ...] = option(
        _SecretRecord(UserOptions), names=USER, default=(), help="a user", haproxy="user"
    )
    group: tuple[tuple[str, tuple[str, ...]], ...] = option(
        ListOf(USER), names=USER, default=(), help="who belongs to a group", haproxy="group"
    )

    def groups_of(self, user: str) -> frozenset[str]:
        """All groups of a user, wherever that is said."""
        own = next((options.groups for name, options in self.user if name == user), None)
        return frozenset(own or ()) | {name for name, users in self.group if user in users}


@frozen
class UserlistConfig:
    name: str
    options: UserlistOptions
