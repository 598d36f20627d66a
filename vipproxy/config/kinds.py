"""Kinds of option values: each reads text and writes it back.

`parse` raises `BadValue`, whose offset points at the offending part of the text.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from attrs import field, frozen

from vipproxy.values import Address

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class BadValue(ValueError):
    """A value that cannot be read: `offset` and `length` mark the part that is wrong."""

    def __init__(self, message: str, offset: int = 0, length: int = 0, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.offset, self.length, self.hint = message, offset, length, hint

    @property
    def parts(self) -> tuple[BadValue, ...]:
        """Everything that is wrong, one by one."""
        return (self,)

    def moved(self, offset: int, length: int) -> BadValue:
        """The same, seen from a text in which this one begins at `offset`."""
        return BadValue(self.message, self.offset + offset, self.length or length, self.hint)


class BadValues(BadValue):
    """A value in which several parts are wrong."""

    def __init__(self, parts: Iterable[BadValue]) -> None:
        self._parts = tuple(parts)
        first = self._parts[0]
        super().__init__(first.message, first.offset, first.length, first.hint)

    @property
    def parts(self) -> tuple[BadValue, ...]:
        return self._parts

    def moved(self, offset: int, length: int) -> BadValue:
        return BadValues(part.moved(offset, length) for part in self._parts)


class Kind(Protocol[T_co]):
    """One kind of value."""

    @property
    def syntax(self) -> str:
        """What a user may write, for help texts."""

    def parse(self, text: str) -> T_co:
        """The value; raises BadValue."""

    def format(self, value: Any) -> str:
        """The text that `parse` would read as this value; secrets are masked."""


def is_secret(kind: Kind[Any]) -> bool:
    """Whether values of this kind must not be shown, not even in an error message."""
    return getattr(kind, "secret", False)


def suggest(word: str, known: Iterable[str]) -> str:
    """``did you mean 'x'? known: x, y`` for an unknown word."""
    known = list(known)
    if not known:
        return "known: none"
    close = difflib.get_close_matches(word, known, n=1)
    guess = f"did you mean '{close[0]}'? " if close else ""
    return f"{guess}known: {', '.join(known)}"


def words(text: str) -> Iterator[tuple[int, str]]:
    """The blank-separated words of a value, each with its offset."""
    for match in re.finditer(r"\S+", text):
        yield match.start(), match.group()


@frozen
class _Simple(Generic[T]):
    """A kind made of two functions; the reader raises ValueError with a sentence."""

    syntax: str
    reader: Callable[[str], T]
    writer: Callable[[T], str] = str
    secret: bool = False

    def parse(self, text: str) -> T:
        try:
            return self.reader(text)
        except BadValue:
            raise
        except ValueError as error:
            raise BadValue(str(error), 0, len(text)) from None

    def format(self, value: Any) -> str:
        return self.writer(value)


_MICROSECONDS = {
    "us": 1,
    "ms": 1_000,
    "s": 1_000_000,
    "m": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
}
LONGEST = 24 * 86400.0
"""Seconds; HAProxy's timers, and the kernel's, end at 2**31 milliseconds, a little later."""


def _read_pause(text: str) -> float:
    match = re.fullmatch(r"([0-9]{1,18})([a-z]*)", text)
    if match is None:
        raise ValueError(f"'{text}' is not a duration such as 5s or 90m")
    number, unit = match.groups()
    if not unit:
        raise BadValue(
            f"the duration '{text}' needs a unit", 0, len(text), f"such as {text}s or {text}ms"
        )
    if unit not in _MICROSECONDS:
        hint = suggest(unit, _MICROSECONDS)
        raise BadValue(f"unknown unit '{unit}'", len(number), len(unit), hint)
    seconds = int(number) * _MICROSECONDS[unit] / 1e6
    if seconds > LONGEST:
        raise BadValue(f"'{text}' is too long", 0, len(text), "at most 24d")
    return seconds


def _read_duration(text: str) -> float:
    seconds = _read_pause(text)
    if seconds == 0:
        raise ValueError(f"'{text}' is no time at all")
    return seconds


def _read_whole_seconds(text: str) -> float:
    seconds = _read_duration(text)
    if seconds != int(seconds) or seconds > 32767:
        raise ValueError(f"'{text}' is not a number of whole seconds from 1s to 32767s")
    return seconds


def _write_duration(seconds: float) -> str:
    microseconds = round(seconds * 1e6)
    if microseconds == 0:
        return "0s"
    unit = next(u for u, size in reversed(_MICROSECONDS.items()) if microseconds % size == 0)
    return f"{microseconds // _MICROSECONDS[unit]}{unit}"


def _read_address(text: str) -> Address:
    try:
        return Address.parse(text)
    except ValueError as error:
        if re.fullmatch(r"[A-Za-z][\w.-]*:\d+", text):
            message = f"host names such as '{text}' are not supported yet"
            raise BadValue(message, 0, len(text), "write the IP address") from None
        raise error from None


def _read_place(text: str) -> Path | Address:
    return Path(_read_text(text)) if "/" in text or ":" not in text else _read_address(text)


def _read_bind(text: str) -> Address:
    if re.fullmatch(r"unix@/[^\0]{1,106}|abns@[^\0]{1,106}", text):
        return Address(text, 0)
    return _read_address(text)


def _read_flag(text: str) -> bool:
    if text not in ("on", "off"):
        raise BadValue(f"'{text}' is neither on nor off", 0, len(text))
    return text == "on"


def _read_text(text: str) -> str:
    if not text:
        raise ValueError("a value is missing")
    return text


def _read_permissions(text: str) -> str:
    if re.fullmatch(r"0?[0-7]{3}", text) is None:
        raise ValueError(f"'{text}' are not permissions in octal such as 0600")
    return text


def simple(syntax: str, reader: Callable[[str], T], writer: Callable[[T], str] = str) -> Kind[T]:
    """A kind made of functions: the reader raises ValueError with a sentence."""
    return _Simple(syntax, reader, writer)


DURATION: Kind[float] = _Simple("DURATION", _read_duration, _write_duration)
"""Seconds, more than none."""
PAUSE: Kind[float] = _Simple("DURATION", _read_pause, _write_duration)
"""Seconds, perhaps none."""
WHOLE_SECONDS: Kind[float] = _Simple("DURATION", _read_whole_seconds, _write_duration)
"""Seconds as the kernel's keepalive knows them."""
ADDRESS: Kind[Address] = _Simple("ADDRESS:PORT", _read_address)
BIND: Kind[Address] = _Simple("ADDRESS:PORT", _read_bind)
"""An address, or a Unix socket: ``unix@/path`` or, with an abstract name, ``abns@name``."""
FLAG: Kind[bool] = _Simple("on|off", _read_flag, lambda on: "on" if on else "off")
TEXT: Kind[str] = _Simple("TEXT", _read_text)
SECRET: Kind[str] = _Simple("SECRET", _read_text, lambda _: "********", secret=True)
PATH: Kind[Path] = _Simple("PATH", lambda text: Path(_read_text(text)))
PLACE: Kind[Path | Address] = _Simple("PATH|ADDRESS:PORT", _read_place)
"""A Unix socket or a TCP port."""
PERMISSIONS: Kind[str] = _Simple("0600", _read_permissions)
FLAG_WORD: Kind[bool] = _Simple("", lambda _: True)
"""In options of one line: a bare word, whose presence says yes."""


def integer(low: int, high: int) -> Kind[int]:
    """A whole number between `low` and `high`, both included."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit()):
            raise ValueError(f"'{text}' is not a whole number")
        if not low <= int(text) <= high:
            raise ValueError(f"{text} is not between {low} and {high}")
        return int(text)

    return _Simple(f"{low}..{high}", read)


def choice(*names: str) -> Kind[str]:
    """One of a few words."""

    def read(text: str) -> str:
        if text not in names:
            raise BadValue(f"unknown value '{text}'", 0, len(text), suggest(text, names))
        return text

    return _Simple("|".join(names), read)


@frozen
class ListOf(Generic[T]):
    """Blank-separated values of one kind; at least one."""

    item: Kind[T]

    @property
    def syntax(self) -> str:
        return f"{self.item.syntax} ..."

    @property
    def secret(self) -> bool:
        return is_secret(self.item)

    def parse(self, text: str) -> tuple[T, ...]:
        values: list[T] = []
        wrong: list[BadValue] = []
        for offset, word in words(text):
            try:
                values.append(at(offset, self.item, word))
            except BadValue as error:
                wrong.extend(error.parts)
        if wrong:
            raise BadValues(wrong)
        if not values:
            raise BadValue("a value is missing")
        return tuple(values)

    def format(self, value: Any) -> str:
        return " ".join(self.item.format(each) for each in value)


def at(offset: int, kind: Kind[T], text: str) -> T:
    """Read a part of a value, so that an error points into the whole.

    Kinds of plugins may raise any exception; it comes out as a BadValue too.
    """
    try:
        return kind.parse(text)
    except BadValue as error:
        raise error.moved(offset, len(text)) from None
    except Exception as error:
        raise BadValue(str(error) or repr(error), offset, len(text)) from None


@frozen
class Repeated(Generic[T]):
    """In options of one line: a key that may stand several times; the value is a tuple.

    `parse` and `format` are for one of them.
    """

    item: Kind[T]

    @property
    def syntax(self) -> str:
        return self.item.syntax

    def parse(self, text: str) -> T:
        return self.item.parse(text)

    def format(self, value: Any) -> str:
        return self.item.format(value)


@frozen
class BackendNames(ListOf[str]):
    """Names of backends: the configuration checks that they exist and counts them as used."""

    item: Kind[str] = field(default=TEXT)
