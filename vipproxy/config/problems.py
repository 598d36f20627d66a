"""What is wrong with a configuration, and how it is shown to a person."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum

from attrs import Factory, define, frozen


class Severity(Enum):
    ERROR = "error"
    """The proxy would not do what the file says: it does not start."""
    WARNING = "warning"
    """It starts, but somebody should look."""
    NOTE = "note"
    """Nothing is wrong; it is good to know."""


@frozen
class Problem:
    """One thing that is wrong. `line` and `column` count from 1; `length` is in characters."""

    severity: Severity
    message: str
    line: int = 1
    column: int = 1
    length: int = 1
    hint: str = ""

    @property
    def is_error(self) -> bool:
        return self.severity is Severity.ERROR

    def render(self, source: str, lines: Sequence[str], number: int | None = None) -> str:
        """``file:line:column: error: message``, the line, and a caret line with the hint.

        `number` is the line's in its file, where that is not its number in `lines`.
        """
        text = lines[self.line - 1] if self.line <= len(lines) else ""
        number = self.line if number is None else number
        # Tabs stay tabs, so that the carets stand where the terminal puts the text.
        indent = "".join(c if c == "\t" else " " for c in text[: self.column - 1])
        carets = "^" * max(1, min(self.length, len(text) - self.column + 1))
        return "\n".join(
            _printable(each).rstrip()
            for each in (
                f"{source}:{number}:{self.column}: {self.severity.value}: {self.message}",
                f"{number:5} | {text}",
                f"      | {indent}{carets} {self.hint}",
            )
        )


def _printable(text: str) -> str:
    """The file may hold anything; the terminal must not obey it."""
    return "".join(c if c.isprintable() or c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in text)


@define
class Problems:
    """Collects the problems of one file; saying the same twice is saying it once."""

    source: str
    lines: Sequence[str]
    parts: Sequence[tuple[str, int]] = ()
    """The files, where there are several: each with the number of its first line among all."""
    _found: dict[Problem, None] = Factory(dict)
    _secrets: dict[int, int] = Factory(dict)
    """Line -> the column from which on it is not shown."""

    def hide(self, line: int, column: int) -> None:
        """What stands there is a secret, and a terminal or a CI log no place for it."""
        self._secrets[line] = column

    def add(self, problem: Problem) -> None:
        self._found[problem] = None

    def change(self, change: Callable[[Problem], Problem]) -> None:
        """Replace each of them."""
        self._found = {change(problem): None for problem in self._found}

    def error(self, message: str, line: int, column: int, length: int = 1, hint: str = "") -> None:
        self.add(Problem(Severity.ERROR, message, line, column, length, hint))

    @property
    def sorted(self) -> list[Problem]:
        """In the order of the file."""
        return sorted(self._found, key=lambda problem: (problem.line, problem.column))

    @property
    def has_errors(self) -> bool:
        return any(problem.is_error for problem in self._found)

    @property
    def serious(self) -> list[Problem]:
        """Those that are no notes, in the order of the file."""
        return [problem for problem in self.sorted if problem.severity is not Severity.NOTE]

    def place(self, line: int) -> tuple[str, int]:
        """The file that a line is in, and its number there."""
        for source, first in reversed(self.parts):
            if line >= first:
                return source, line - first + 1
        return self.source, line

    def report(self, *, notes: bool = True) -> str:
        """All of them as `vipproxy check` prints them; empty where there are none."""
        lines = list(self.lines)
        for number, column in self._secrets.items():
            text = lines[number - 1]
            lines[number - 1] = text[: column - 1] + "*" * (len(text) - column + 1)
        shown = self.sorted if notes else self.serious
        return "\n".join(self._render(problem, lines) for problem in shown)

    def _render(self, problem: Problem, lines: Sequence[str]) -> str:
        source, number = self.place(problem.line)
        return problem.render(source, lines, number)
