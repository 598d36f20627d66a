"""HAProxy's times and sizes (configuration manual, 2.5), written as ours."""

from __future__ import annotations

import re

from vipproxy.config.haproxy.lexer import Word
from vipproxy.config.haproxy.model import BadLine, Part
from vipproxy.config.kinds import DURATION, LONGEST

SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
SIZES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
FOREVER = "24d"
"""As long as our timers, and HAProxy's, can be set."""


def seconds(word: Word, unit: str = "ms") -> float:
    """A time, which is in `unit` where it has none; raises BadLine."""
    match = re.fullmatch(r"([0-9]{1,18})([a-z]*)", word.text)
    if match is None:
        raise BadLine(f"'{word.text}' is not a time", word.place, "such as 30s or 90m")
    number, suffix = match.groups()
    factor = SECONDS.get(suffix or unit)
    if factor is None:
        message = f"unexpected character '{suffix[0]}' in the time '{word.text}'"
        raise BadLine(message, word.place, f"units: {', '.join(SECONDS)}")
    value = int(number) * factor
    if value > LONGEST:
        raise BadLine(f"the time '{word.text}' is too long", word.place, "at most 24d")
    return value


def time(word: Word, unit: str = "ms") -> Part:
    """A time as our configuration has it, as it is written where that is possible."""
    value = seconds(word, unit)
    as_it_is = word.text.isalnum() and not word.text.isdigit()
    return Part(word.text if as_it_is else DURATION.format(value), word.place)


def timeout(word: Word) -> Part:
    """The same of a timeout: none at all is no timeout."""
    return time(word) if seconds(word) else Part(FOREVER, word.place)


def in_seconds(word: Word) -> Part:
    """A time whose unit is seconds where it has none."""
    return time(word, "s")


def number(word: Word) -> Part:
    """A whole number; raises BadLine."""
    if not (word.text.isascii() and word.text.isdigit()):
        raise BadLine(f"'{word.text}' is not a whole number", word.place)
    return Part(str(int(word.text)), word.place)


def size(word: Word) -> Part:
    """A number with k, m or g; raises BadLine."""
    match = re.fullmatch(r"([0-9]{1,12})([kmg]?)", word.text.lower())
    if match is None:
        raise BadLine(f"'{word.text}' is not a size", word.place, "such as 1000, 100k or 1m")
    return Part(str(int(match.group(1)) * SIZES[match.group(2)]), word.place)


def text(word: Word) -> Part:
    """A word as it is; raises BadLine where an INI value cannot hold it."""
    if not word.text or word.text != word.text.strip() or not word.text.isprintable():
        raise BadLine("this text is empty, or has a control character", word.place)
    return Part(word.text, word.place)
