"""HAProxy's conditions (configuration manual, 2.4): ``.if`` in a file, ``-cc`` in a command."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from attrs import define

VERSION = "2.6.12"
"""Of the HAProxy whose configuration files are read here."""

FEATURES = frozenset({"ACCEPT4", "EPOLL", "GETADDRINFO", "POLL", "PROMEX", "SYSTEMD"})
"""Names of HAProxy's build options whose work is done here."""

_TOKEN = re.compile(r"\s*(&&|\|\||!|\(|\)|,|\"[^\"]*\"|[^\s(),!&|\"]+)")

Test = Callable[..., bool]


class BadCondition(ValueError):
    """A condition that cannot be read; `offset` counts from 0."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.message, self.offset = message, offset


def evaluate(text: str, environment: Mapping[str, str]) -> bool:
    """Whether a condition holds; raises BadCondition."""
    reader = _Reader(text, environment)
    value = reader.either()
    reader.end()
    return value


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(each) for each in re.findall(r"\d+", version.partition("-")[0]))


def _at_least(version: str) -> bool:
    return _numbers(VERSION) >= _numbers(version)


TESTS: dict[str, tuple[int, Test]] = {
    "defined": (1, lambda environment, name: name in environment),
    "feature": (1, lambda _, name: name in FEATURES),
    "streq": (2, lambda _, one, other: one == other),
    "strneq": (2, lambda _, one, other: one != other),
    "version_atleast": (1, lambda _, version: _at_least(version)),
    "version_before": (1, lambda _, version: not _at_least(version)),
    "openssl_version_atleast": (1, lambda _, version: False),
    "openssl_version_before": (1, lambda _, version: True),
    "ssllib_name_startswith": (1, lambda _, name: False),
    "enabled": (1, lambda _, name: name in ("POLL", "EPOLL", "GETADDRINFO")),
}


@define
class _Reader:
    """Recursive descent: ``||`` binds less than ``&&``, which binds less than ``!``."""

    text: str
    environment: Mapping[str, str]
    position: int = 0

    def either(self) -> bool:
        value = self.both()
        while self._accept("||"):
            value = self.both() or value
        return value

    def both(self) -> bool:
        value = self.term()
        while self._accept("&&"):
            value = self.term() and value
        return value

    def term(self) -> bool:
        if self._accept("!"):
            return not self.term()
        if self._accept("("):
            value = self.either()
            self._expect(")")
            return value
        begun = self.position
        name = self._next("a condition")
        if name in TESTS:
            return self._test(name)
        if re.fullmatch(r"-?\d+", name):
            return int(name) != 0
        raise BadCondition(f"unparsable conditional expression '{name}'", begun)

    def end(self) -> None:
        if self.text[self.position :].strip():
            raise BadCondition("unexpected text after the condition", self.position)

    def _test(self, name: str) -> bool:
        count, test = TESTS[name]
        begun = self.position
        self._expect("(")
        arguments: list[str] = []
        while not self._accept(")"):
            if arguments:
                self._expect(",")
            arguments.append(self._next("an argument").strip('"'))
        if len(arguments) != count:
            raise BadCondition(f"'{name}' takes {count} arguments", begun)
        return test(self.environment, *arguments)

    def _peek(self) -> str:
        match = _TOKEN.match(self.text, self.position)
        return match.group(1) if match else ""

    def _next(self, what: str) -> str:
        match = _TOKEN.match(self.text, self.position)
        if match is None:
            raise BadCondition(f"{what} is missing", self.position)
        self.position = match.end()
        return match.group(1)

    def _accept(self, token: str) -> bool:
        if self._peek() != token:
            return False
        self._next(token)
        return True

    def _expect(self, token: str) -> None:
        if not self._accept(token):
            raise BadCondition(f"'{token}' is missing", self.position)
