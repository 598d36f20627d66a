"""Lines of rules, split into words as HAProxy splits its own: quotes, and a backslash."""

from __future__ import annotations

import re

from attrs import frozen

from vipproxy.config.kinds import BadValue

_PIECE = re.compile(
    r"""\\(?:x[0-9a-fA-F]{2}|[ \\#"'nrt])"""
    r"""|'[^']*'|"(?:[^"\\]|\\.)*"|(?P<blank>\s+)|(?P<open>["'])|."""
)
_ESCAPE = re.compile(r"""\\(?:x([0-9a-fA-F]{2})|([ \\#"'nrt]))""")
_NAMED = {"n": "\n", "r": "\r", "t": "\t"}


@frozen
class Word:
    """A word without its quotes, and where it stands in the line."""

    text: str
    offset: int
    length: int
    plain: bool = True
    """Nothing of it is quoted: it may be a keyword."""

    def wrong(self, message: str, hint: str = "") -> BadValue:
        """An error at this word."""
        return BadValue(message, self.offset, self.length, hint)


def split_words(text: str) -> list[Word]:
    """The words of a line; raises BadValue for a quote without its end.

    A backslash before anything that it does not escape stands for itself, so that regular
    expressions need no second one.
    """
    found: list[Word] = []
    pieces: list[str] = []
    start, plain = 0, True
    for match in _PIECE.finditer(text + " "):
        piece = match.group()
        if match["open"] is not None:
            raise BadValue("this quote has no end", match.start(), 1)
        if match["blank"] is None:
            if not pieces:
                start, plain = match.start(), True
            plain = plain and piece[0] not in "\"'"
            pieces.append(_meaning(piece))
        elif pieces:
            found.append(Word("".join(pieces), start, match.start() - start, plain))
            pieces = []
    return found


def quote(text: str) -> str:
    """The word that `split_words` would read as `text`."""
    if text and not re.search(r"[\s\\\"']", text):
        return text
    return '"{}"'.format(text.replace("\\", "\\\\").replace('"', '\\"'))


def _meaning(piece: str) -> str:
    if piece[0] == "'":
        return piece[1:-1]
    return _ESCAPE.sub(_unescaped, piece[1:-1] if piece[0] == '"' else piece)


def _unescaped(match: re.Match[str]) -> str:
    code, letter = match.groups()
    return chr(int(code, 16)) if code else _NAMED.get(letter, letter)


class Words:
    """The words of a line, taken one by one; whoever wants one that is not there is told so."""

    def __init__(self, words: list[Word], end: int) -> None:
        self._words, self._end, self._at = words, end, 0

    @classmethod
    def of(cls, text: str) -> Words:
        return cls(split_words(text), len(text))

    def __bool__(self) -> bool:
        return self._at < len(self._words)

    def take(self, what: str) -> Word:
        """The next word; raises BadValue where `what` is missing."""
        if not self:
            raise BadValue(f"{what} is missing", 0, self._end)
        self._at += 1
        return self._words[self._at - 1]

    def peek(self, *keywords: str) -> bool:
        """Whether the next word is one of these keywords, or any word without them."""
        if not self:
            return False
        word = self._words[self._at]
        return not keywords or (word.plain and word.text in keywords)

    def finish(self) -> None:
        """Raises BadValue where a word is left."""
        if self:
            raise self._words[self._at].wrong(f"'{self._words[self._at].text}' is too much here")
