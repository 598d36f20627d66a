"""HAProxy's log-format strings, as far as rules need them: ``%[req.hdr(host)]``, ``%ci``."""

from __future__ import annotations

import re
from collections.abc import Iterator

from attrs import field, frozen

from vipproxy.config.kinds import BadValue, suggest
from vipproxy.config.samples import Sample, parse_sample
from vipproxy.config.words import Word

ALIASES = {
    "ci": "of the client: its address",
    "cp": "its port",
    "fi": "the address that it called",
    "fp": "the port",
    "f": "the frontend",
    "b": "the backend",
    "s": "the server",
    "HM": "the request's method",
    "HP": "its path",
    "HQ": "its query string, with the question mark",
    "HU": "its target",
    "HV": "its version",
    "H": "this machine's name",
    "Ts": "the time, in seconds since 1970",
}
"""What one percent sign and letters stand for."""

_PART = re.compile(r"%(?:\[(?P<sample>[^\]]*)\]|(?P<percent>%)|(?P<alias>[A-Za-z]+))|[^%]+|%")


@frozen
class Alias:
    name: str


Part = str | Alias | Sample


@frozen
class Format:
    """Parts that are written one after the other."""

    text: str
    parts: tuple[Part, ...] = field(eq=False)

    @property
    def samples(self) -> Iterator[Sample]:
        return (part for part in self.parts if isinstance(part, Sample))

    @property
    def fixed(self) -> str | None:
        """The text, where it is always the same."""
        if all(isinstance(part, str) for part in self.parts):
            return "".join(part for part in self.parts if isinstance(part, str))
        return None


def read_format(word: Word) -> Format:
    """Read a word as a format; raises BadValue."""
    if any(ord(each) < 32 and each != "\t" for each in word.text):
        raise word.wrong("a control character in a value")
    return Format(word.text, tuple(_parts(word)))


def _parts(word: Word) -> Iterator[Part]:
    for match in _PART.finditer(word.text):
        if match["sample"] is not None:
            yield _sample(word, match["sample"])
        elif match["percent"]:
            yield "%"
        elif match["alias"]:
            if match["alias"] not in ALIASES:
                message = f"unknown variable '%{match['alias']}'"
                raise word.wrong(message, suggest(match["alias"], ALIASES))
            yield Alias(match["alias"])
        elif match.group() == "%":
            raise word.wrong("a single '%'", "%[sample], %ci, or %% for a percent sign")
        else:
            yield match.group()


def _sample(word: Word, text: str) -> Sample:
    try:
        sample = parse_sample(text)
    except BadValue as error:
        at = word.offset + max(0, word.text.find(text)) + error.offset
        length = error.length or len(text)
        raise BadValue(error.message, at, length, error.hint) from None
    if sample.match:
        raise word.wrong(f"'{text}' is a test, and no value")
    return sample
