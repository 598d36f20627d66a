"""A line of a haproxy.cfg -> words: quotes, escapes, comments and environment variables.

As in HAProxy's configuration manual, 2.2 and 2.3: a backslash escapes outside single quotes, and
variables are replaced inside double quotes only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from attrs import Factory, define, frozen

from vipproxy.config.document import Place

BLANKS = " \t"
ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}
ITSELF = " \\#\"'$"
"""What a backslash takes its meaning from."""

_VARIABLE = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([A-Za-z_.]\w*)(\[\*\])?(?:-([^}]*))?\})", re.ASCII)
_HEX = re.compile(r"[0-9A-Fa-f]{2}")


class LexError(ValueError):
    """A line that cannot be divided into words; `column` counts from 1."""

    def __init__(self, message: str, column: int, length: int = 1) -> None:
        super().__init__(message)
        self.message, self.column, self.length = message, column, length


@frozen
class Word:
    """A word as it is meant, and where it is written."""

    text: str
    line: int
    column: int
    length: int
    """Of what is written, with its quotes and escapes."""

    @property
    def place(self) -> Place:
        return self.line, self.column, self.length

    def part(self, offset: int, length: int) -> Place:
        """The place of some of its characters, where it is written as it is meant."""
        if len(self.text) != self.length:
            return self.place
        return self.line, self.column + offset, length


@frozen
class Line:
    """A line with at least a word, or a comment."""

    number: int
    words: tuple[Word, ...]
    comment: str = ""
    """What stands after ``#``."""

    @property
    def place(self) -> Place:
        """All of its words."""
        first, last = self.words[0], self.words[-1]
        return first.line, first.column, last.column + last.length - first.column

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(word.text for word in self.words)

    def __str__(self) -> str:
        return " ".join(self.texts)


def split(text: str, number: int, environment: Mapping[str, str]) -> Line:
    """The words of a line; raises LexError."""
    splitter = _Splitter(text, number, environment)
    splitter.run()
    return Line(number, tuple(splitter.words), splitter.comment)


@define
class _Splitter:
    text: str
    number: int
    environment: Mapping[str, str]
    words: list[Word] = Factory(list)
    comment: str = ""
    position: int = 0
    quote: str = ""
    quoted_at: int = 0
    begun: int | None = None
    """Where the word that is being read begins."""
    parts: list[str] = Factory(list)

    def run(self) -> None:
        while self.position < len(self.text):
            character = self.text[self.position]
            if character == "#" and not self.quote:
                self.comment = self.text[self.position + 1 :].strip()
                break
            self._step(character)
        if self.quote:
            raise LexError("this quote is not closed", self.quoted_at + 1)
        self._end_word()

    def _step(self, character: str) -> None:
        if not self.quote and character in BLANKS:
            self._end_word()
            self.position += 1
            return
        if self.begun is None:
            self.begun = self.position
        if character == "\\" and self.quote != "'":
            self._escape()
        elif character == "$" and self.quote == '"':
            self._variable()
        elif character in "\"'" and self.quote in ("", character):
            self.quoted_at = self.position
            self.quote = "" if self.quote else character
            self.position += 1
        else:
            self._take(character, 1)

    def _take(self, text: str, written: int) -> None:
        self.parts.append(text)
        self.position += written

    def _escape(self) -> None:
        follower = self.text[self.position + 1 : self.position + 2]
        if follower and follower in ITSELF:
            self._take(follower, 2)
        elif follower in ESCAPES:
            self._take(ESCAPES[follower], 2)
        elif follower == "x":
            digits = self.text[self.position + 2 : self.position + 4]
            if _HEX.fullmatch(digits) is None:
                raise LexError(r"'\x' needs two hexadecimal digits", self.position + 1, 2)
            self._take(chr(int(digits, 16)), 4)
        else:
            self._take("\\", 1)

    def _variable(self) -> None:
        match = _VARIABLE.match(self.text, self.position)
        if match is None:
            raise LexError("this is no variable", self.position + 1, 1)
        bare, braced, several, default = match.groups()
        value = self.environment.get(bare or braced, default or "")
        if several:
            self._take_several(value, len(match.group()))
        else:
            self._take(value, len(match.group()))

    def _take_several(self, value: str, written: int) -> None:
        """``"${NAME[*]}"``: each word of the value is a word of the line."""
        begun, after = self.begun, self.position + written
        for index, each in enumerate(value.split()):
            if index:
                self._end_word(after)
                self.begun = begun
            self.parts.append(each)
        self.position = after

    def _end_word(self, end: int | None = None) -> None:
        if self.begun is None:
            return
        length = (self.position if end is None else end) - self.begun
        self.words.append(Word("".join(self.parts), self.number, self.begun + 1, length))
        self.parts, self.begun = [], None


def parts_of(word: Word, separator: str) -> Iterator[Word]:
    """A word's parts between separators, as words with places of their own."""
    offset = 0
    for each in word.text.split(separator):
        line, column, length = word.part(offset, len(each))
        yield Word(each, line, column, length)
        offset += len(each) + len(separator)
