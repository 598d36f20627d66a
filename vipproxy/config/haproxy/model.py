"""What a haproxy.cfg says, section by section, before it is translated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from attrs import Factory, define, frozen

from vipproxy.config.document import Place, Setting, Span
from vipproxy.config.haproxy.lexer import Line, Word
from vipproxy.config.problems import Problem, Problems, Severity

if TYPE_CHECKING:
    from vipproxy.config.haproxy.keywords import Keyword
    from vipproxy.config.haproxy.other_sections import UserList

FRONT, BACK = "frontend", "backend"

PROXIES = ("frontend", "backend", "listen")


class BadLine(Exception):
    """A statement that is wrong, or not supported; `place` is the part of it that is."""

    def __init__(self, message: str, place: Place, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.place, self.hint = message, place, hint


@frozen
class Statement:
    """A line of a section, with the keyword that it begins with."""

    keyword: Keyword
    line: Line
    negated: bool = False
    """``no`` stands before it."""

    @property
    def name(self) -> str:
        return self.keyword.name

    @property
    def arguments(self) -> tuple[Word, ...]:
        return self.line.words[self.keyword.size + self.negated :]

    @property
    def place(self) -> Place:
        """Where its keyword stands."""
        return between(self.line.words[0], self.line.words[self.keyword.size + self.negated - 1])

    def one(self, what: str) -> Word:
        """Its only argument; raises BadLine."""
        (word,) = self.exactly(1, what)
        return word

    def exactly(self, count: int, what: str) -> tuple[Word, ...]:
        """Its arguments, `count` of them; raises BadLine."""
        if len(self.arguments) < count:
            raise BadLine(f"'{self.name}' expects {what}", self.place)
        if len(self.arguments) > count:
            extra = self.arguments[count]
            raise BadLine(f"'{self.name}' cannot handle '{extra.text}'", extra.place)
        return self.arguments


def between(first: Word, last: Word) -> Place:
    return first.line, first.column, last.column + last.length - first.column


@define
class Part:
    """A piece of a value, and where it comes from."""

    text: str
    place: Place


def setting(key: str, statement: Statement, parts: Iterable[Part], implied: str = "") -> Setting:
    """A setting whose value is made of parts with a blank between them."""
    line, column, length = statement.place
    return made(key, parts, (line, column, length), implied)


def made(key: str, parts: Iterable[Part], place: Place, implied: str = "") -> Setting:
    """The same of what no single statement says."""
    line, column, length = place
    text, spans = "", []
    for part in parts:
        text += " " if text else ""
        spans.append(Span(len(text), len(part.text), part.place))
        text += part.text
    return Setting(key, text, line, column, column, tuple(spans), length, implied)


@define(eq=False)
class Proxy:
    """A frontend, backend, listen or defaults section."""

    kind: str
    name: str
    header: Line
    place: Place
    """Of its header."""
    base: Proxy | None = None
    """The defaults that it inherits."""
    statements: list[Statement] = Factory(list)
    front: dict[str, Setting] = Factory(dict)
    """What it says of itself as a frontend, and needs no more translation."""
    back: dict[str, Setting] = Factory(dict)
    ours: dict[str, Setting] = Factory(dict)
    """Its comments for vipproxy."""
    misplaced: list[Statement] = Factory(list)
    """What it says, and cannot have as what it is."""

    @property
    def label(self) -> str:
        return f"{self.kind} '{self.name}'" if self.name else self.kind

    @property
    def listens(self) -> bool:
        return self.kind in ("frontend", "listen")

    @property
    def balances(self) -> bool:
        return self.kind in ("backend", "listen")

    def own(self, *names: str) -> list[Statement]:
        """Its own statements of these keywords, in order."""
        return [each for each in self.statements if each.name in names]

    def all(self, *names: str) -> list[Statement]:
        """Its own, else those that it inherits."""
        own = self.own(*names)
        return own if own or self.base is None else self.base.own(*names)

    def both(self, *names: str) -> list[Statement]:
        """What it inherits, and then its own."""
        return [*(self.base.own(*names) if self.base else ()), *self.own(*names)]

    def last(self, *names: str) -> Statement | None:
        """The one that counts where the last one does; None also where that is negated."""
        found = self.all(*names)
        return found[-1] if found and not found[-1].negated else None

    def under(self, word: str) -> list[Statement]:
        """All statements whose keyword begins with a word: own ones replace inherited ones."""
        own = [each for each in self.statements if each.name.split()[0] == word]
        return own if own or self.base is None else self.base.under(word)

    def says(self, key: str) -> Setting | None:
        """A translated setting, its own or inherited."""
        for source in (self, self.base):
            if source is not None:
                found = source.front.get(key) or source.back.get(key)
                if found is not None:
                    return found
        return None

    @property
    def mode(self) -> str:
        statement = self.last("mode")
        return statement.arguments[0].text if statement and statement.arguments else "tcp"


@define
class Files:
    """A whole configuration: all of its sections, and whom to tell what is wrong with it."""

    problems: Problems
    globals: list[Statement] = Factory(list)
    global_place: Place | None = None
    global_settings: dict[str, Setting] = Factory(dict)
    proxies: list[Proxy] = Factory(list)
    """With the defaults among them, in the order of the file."""
    userlists: list[UserList] = Factory(list)
    comments: dict[int, tuple[str, ...]] = Factory(dict)
    """Line -> what comments on it, and on the lines before it, say."""
    _noted: set[str] = Factory(set)

    def of_kind(self, *kinds: str) -> Iterator[Proxy]:
        return (each for each in self.proxies if each.kind in kinds)

    def say(self, severity: Severity, message: str, place: Place, hint: str = "") -> None:
        self.problems.add(Problem(severity, message, *place, hint))

    def bad(self, error: BadLine) -> None:
        self.say(Severity.ERROR, error.message, error.place, error.hint)

    def warn(self, message: str, place: Place, hint: str = "") -> None:
        self.say(Severity.WARNING, message, place, hint)

    def note_once(self, keyword: str, why: str, place: Place) -> None:
        """That a keyword has nothing to do here; where it stands first."""
        if keyword not in self._noted:
            self._noted.add(keyword)
            self.note(f"'{keyword}' has nothing to do here: {why}", place)

    def note_hash(self, place: Place) -> None:
        if "hash" not in self._noted:
            self._noted.add("hash")
            self.note("hashes are consistent here: keys stay when a server leaves", place)

    def note(self, message: str, place: Place, hint: str = "") -> None:
        self.say(Severity.NOTE, message, place, hint)
