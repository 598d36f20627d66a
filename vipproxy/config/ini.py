"""INI text -> Document: ``[kind name]`` headers, ``key = value``, ``#`` and ``;`` comment lines."""

from __future__ import annotations

import re

from attrs import Factory, define, evolve

from vipproxy.config.document import (
    NAMED,
    NAMELESS,
    REPEATABLE,
    SECTION_KINDS,
    Document,
    Section,
    Setting,
)
from vipproxy.config.kinds import suggest
from vipproxy.config.problems import Problems

_NAME = re.compile(r"[A-Za-z0-9_.:-]+")
_CONTROL = re.compile(r"[^\t\x20-\x7e\xa0-\ud7ff\ue000-\U0010ffff]|\ufffd")


def split_lines(text: str) -> list[str]:
    """The lines without their ends; a byte order mark at the beginning is dropped."""
    return [line.removesuffix("\r") for line in text.removeprefix("\ufeff").split("\n")]


def read_ini(problems: Problems) -> Document:
    """The document in the lines of `problems`, to which everything wrong with it is added."""
    reader = _Reader(problems)
    for number, line in enumerate(problems.lines, 1):
        reader.read(number, line)
    return Document(problems.source, tuple(reader.finish()))


def is_name(text: str) -> bool:
    """Whether a section or a server may be called so: HAProxy's set of characters."""
    return _NAME.fullmatch(text) is not None


@define
class _Reader:
    problems: Problems
    sections: list[Section] = Factory(list)
    section: Section | None = None
    """The one being read; after a bad header it is read, but not kept."""
    settings: list[Setting] = Factory(list)
    first_lines: dict[str, int] = Factory(dict)
    """Where each key of the section stands first."""

    def read(self, number: int, line: str) -> None:
        text = line.strip()
        column = len(line) - len(line.lstrip()) + 1
        bad = _CONTROL.search(line)
        if bad is not None:
            self.problems.error("not a character of UTF-8 text", number, bad.start() + 1)
        elif not text or text[0] in "#;":
            return
        elif text[0] == "[":
            self._header(number, column, text)
        else:
            self._setting(number, column, line.rstrip())

    def finish(self) -> list[Section]:
        self._keep()
        return self.sections

    def _keep(self) -> None:
        if self.section is not None and self.section.kind in SECTION_KINDS:
            self.sections.append(evolve(self.section, settings=tuple(self.settings)))
        self.settings, self.first_lines = [], {}

    def _header(self, number: int, column: int, text: str) -> None:
        self._keep()
        kind, _, name = " ".join(text[1:].removesuffix("]").split()).partition(" ")
        self.section = Section(kind, name, number, column, len(text))
        wrong = self._wrong_with(self.section, text)
        if wrong is not None:
            message, hint = wrong
            self.problems.error(message, number, column, len(text), hint)

    def _wrong_with(self, section: Section, text: str) -> tuple[str, str] | None:
        """What is wrong with a header, and a hint."""
        kind, name = section.kind, section.name
        if not text.endswith("]"):
            return "a section header must end with ']'", ""
        if kind not in SECTION_KINDS:
            return f"unknown section '{kind}'", suggest(kind, SECTION_KINDS)
        if kind in NAMELESS and name:
            return f"[{kind}] has no name", f"write [{kind}]"
        if kind in NAMED and not name:
            return f"this {kind} has no name", f"write [{kind} NAME]"
        if kind in NAMED and not is_name(name):
            return f"'{name}' cannot be a name", "letters, digits and - _ . : can be in a name"
        twin = next((s for s in self.sections if (s.kind, s.name) == (kind, name)), None)
        if twin is not None and kind != "defaults":
            return f"a second {section.label}", f"the first is in line {twin.line}"
        return None

    def _setting(self, number: int, column: int, line: str) -> None:
        length = len(line) - column + 1
        before, equals, after = line.partition("=")
        key = " ".join(before.split())
        if self.section is None:
            if not self.problems.has_errors:
                message = "text before the first section header"
                self.problems.error(message, number, column, length, "begin with [global]")
            return
        if not equals:
            self.problems.error("there is no '=' here", number, column, length, "KEY = VALUE")
        elif not key:
            self.problems.error("there is no key before '='", number, column, 1, "KEY = VALUE")
        elif key in self.first_lines and key.partition(" ")[0] not in REPEATABLE:
            message = f"'{key}' is given twice in {self.section.label}"
            hint = f"first in line {self.first_lines[key]}"
            self.problems.error(message, number, column, len(before.strip()), hint)
        else:
            value = after.strip()
            value_column = len(line) - len(after.lstrip()) + 1
            self.settings.append(Setting(key, value, number, column, value_column))
            self.first_lines.setdefault(key, number)
