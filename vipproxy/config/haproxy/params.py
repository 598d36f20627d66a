"""The parameters of `bind` and `server` lines: what each of them takes, and what becomes of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from attrs import frozen

from vipproxy.config.document import Place
from vipproxy.config.haproxy.lexer import Word
from vipproxy.config.haproxy.model import BadLine, between
from vipproxy.config.kinds import suggest


@frozen
class Param:
    """A word of such a line, and the words that it takes."""

    name: str
    help: str
    size: int = 0
    """Words after it."""
    note: str = ""
    """Why there is nothing to do."""
    refused: str = ""
    """Why it is an error."""


@frozen
class Given:
    """A parameter as it was given."""

    param: Param
    words: tuple[Word, ...]
    """With its name at the beginning."""

    @property
    def name(self) -> str:
        return self.param.name

    @property
    def value(self) -> Word:
        """What stands after its name."""
        return self.words[1]

    @property
    def place(self) -> Place:
        return between(self.words[0], self.words[-1])


def read(words: Iterable[Word], known: Mapping[str, Param], what: str) -> Iterator[Given]:
    """The parameters in the words of a line; raises BadLine at the first that is wrong."""
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        param = known.get(word.text)
        if param is None:
            hint = suggest(word.text, known).partition("known:")[0].strip()
            raise BadLine(f"unknown keyword '{word.text}' in {what}", word.place, hint)
        if len(waiting) < param.size:
            raise BadLine(f"'{word.text}' expects a value in {what}", word.place)
        given = Given(param, (word, *waiting[: param.size]))
        del waiting[: param.size]
        if param.refused:
            message = f"'{word.text}' in {what} is not supported yet: {param.refused}"
            raise BadLine(message, given.place)
        yield given
