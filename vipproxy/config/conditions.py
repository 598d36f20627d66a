"""Conditions: ``if is_api !internal or { path_beg /x }``, and the tests that they are made of."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path

from attrs import field, frozen

from vipproxy.config.kinds import BadValue, suggest
from vipproxy.config.samples import (
    ADDRESS,
    BOOLEAN,
    INTEGER,
    MATCHES,
    STRING,
    Sample,
    parse_sample,
)
from vipproxy.config.words import Word, Words, split_words

_NAME = re.compile(r"[A-Za-z0-9_.:-]+")
_DEFAULT_MATCH = {STRING: "str", INTEGER: "int", ADDRESS: "ip", BOOLEAN: "bool"}
_COMPARISONS = ("eq", "ge", "gt", "le", "lt")
_RANGE = re.compile(r"(-?[0-9]+)(:(-?[0-9]+)?)?|:(-?[0-9]+)")


@frozen
class Range:
    """Whole numbers; None is no bound."""

    low: int | None = None
    high: int | None = None


Pattern = str | Range | IPv4Network | IPv6Network


@frozen
class Test:
    """``hdr(host) -i -m beg www.``: true where any value matches any pattern."""

    text: str = field(eq=False)
    sample: Sample
    match: str
    ignore_case: bool
    patterns: tuple[Pattern, ...]


@frozen
class Term:
    """A name of an acl, or a test in braces; perhaps negated."""

    negated: bool
    name: str = ""
    test: Test | None = None
    offset: int = field(default=0, eq=False)
    length: int = field(default=0, eq=False)


@frozen
class Condition:
    """Alternatives, of each of which all terms must hold."""

    text: str = field(eq=False)
    unless: bool
    alternatives: tuple[tuple[Term, ...], ...]

    @property
    def terms(self) -> Iterator[Term]:
        for alternative in self.alternatives:
            yield from alternative


PREDEFINED: Mapping[str, str] = {
    "FALSE": "always_false",
    "HTTP": "req_ver -m found",
    "HTTP_1.0": "req_ver 1.0",
    "HTTP_1.1": "req_ver 1.1",
    "HTTP_CONTENT": "hdr_val(content-length) gt 0",
    "HTTP_URL_ABS": "url_reg ^[^/:]*://",
    "HTTP_URL_SLASH": "url_beg /",
    "HTTP_URL_STAR": "url *",
    "LOCALHOST": "src 127.0.0.1/8 ::1",
    "METH_CONNECT": "method CONNECT",
    "METH_DELETE": "method DELETE",
    "METH_GET": "method GET HEAD",
    "METH_HEAD": "method HEAD",
    "METH_OPTIONS": "method OPTIONS",
    "METH_POST": "method POST",
    "METH_PUT": "method PUT",
    "METH_TRACE": "method TRACE",
    "REQ_CONTENT": "req.len gt 0",
    "TRUE": "always_true",
    "WAIT_END": "wait_end",
}
"""HAProxy's own acls, which need not be declared."""


def parse_test(text: str) -> Test:
    """Read what stands after ``acl NAME =``, or between braces; raises BadValue."""
    words = split_words(text)
    return read_test(Words(words, len(text)), text)


def read_test(words: Words, text: str) -> Test:
    first = words.take("a criterion")
    sample = _sample(first)
    match, ignore_case, given = sample.match, False, list[Word]()
    while words and words.peek("-i", "-m", "-f", "-n", "--", "-u", "-M"):
        flag = words.take("")
        if flag.text == "-i":
            ignore_case = True
        elif flag.text == "-m":
            match = _match(words.take("the match after -m"))
        elif flag.text == "-f":
            given += _from_file(words.take("the file after -f"))
        elif flag.text == "--":
            break
        elif flag.text != "-n":  # names are never resolved here
            raise flag.wrong(f"'{flag.text}' is not supported")
    while words:
        given.append(words.take(""))
    match = match or _DEFAULT_MATCH[sample.type]
    _check_match(first, sample, match)
    return Test(text, sample, match, ignore_case, _patterns(match, given, first))


def _sample(word: Word) -> Sample:
    try:
        return parse_sample(word.text)
    except BadValue as error:
        raise error.moved(word.offset, word.length) from None


def _match(word: Word) -> str:
    if word.text not in MATCHES:
        raise word.wrong(f"unknown match '{word.text}'", suggest(word.text, MATCHES))
    return word.text


def _check_match(word: Word, sample: Sample, match: str) -> None:
    """Text can be read as a number or an address, and a number as text, but not all as all."""
    fits = {
        STRING: MATCHES,
        INTEGER: ("int", "str", "found", "bool"),
        ADDRESS: ("ip", "str", "found"),
        BOOLEAN: ("bool", "int", "found"),
    }[sample.type]
    if match not in fits:
        hint = f"it is of the type {sample.type}: {', '.join(fits)}"
        raise word.wrong(f"'{word.text}' cannot be matched as '{match}'", hint)


def _from_file(word: Word) -> list[Word]:
    """A pattern a line; lines that are empty or begin with # are left out."""
    try:
        lines = Path(word.text).read_text().splitlines()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise word.wrong(f"'{word.text}' cannot be read: {reason}") from None
    texts = [line.strip() for line in lines]
    return [Word(text, word.offset, word.length) for text in texts if text and text[0] != "#"]


def _patterns(match: str, given: list[Word], first: Word) -> tuple[Pattern, ...]:
    if match == "found" or (match == "bool" and not given):
        if given:
            raise given[0].wrong("'-m found' compares with nothing")
        return ()
    if not given:
        hint = "values to compare with, or -m found"
        raise first.wrong(f"'{first.text}' has no values, and so would never match", hint)
    if match in ("int", "len", "bool"):
        return tuple(_ranges(given))
    if match == "ip":
        return tuple(map(_network, given))
    for word in given:
        if match == "reg":
            _check_expression(word)
        _check_bytes(word)
    return tuple(word.text for word in given)


def _ranges(given: list[Word]) -> Iterator[Range]:
    comparison = "eq"
    for word in given:
        if word.text in _COMPARISONS:
            comparison = word.text
            continue
        match = _RANGE.fullmatch(word.text)
        if match is None:
            hint = f"a number, LOW:HIGH, or {', '.join(_COMPARISONS)} before one"
            raise word.wrong(f"'{word.text}' is no number", hint)
        yield _range(match, comparison)
    if given[-1].text in _COMPARISONS:
        raise given[-1].wrong(f"there is no number after '{given[-1].text}'")


def _range(match: re.Match[str], comparison: str) -> Range:
    low, colon, high, highest = match.groups()
    if colon or highest:
        return Range(_number(low), _number(high or highest))
    number = int(low)
    return {
        "eq": Range(number, number),
        "ge": Range(number, None),
        "gt": Range(number + 1, None),
        "le": Range(None, number),
        "lt": Range(None, number - 1),
    }[comparison]


def _number(text: str | None) -> int | None:
    return int(text) if text else None


def _network(word: Word) -> IPv4Network | IPv6Network:
    try:
        return ip_network(word.text, strict=False)
    except ValueError:
        hint = "such as 10.0.0.0/8 or 192.0.2.1"
        raise word.wrong(f"'{word.text}' is no network and no address", hint) from None


def _check_expression(word: Word) -> None:
    try:
        re.compile(word.text.encode("utf-8", "surrogateescape"))
    except re.error as error:
        raise word.wrong(f"'{word.text}' is no regular expression: {error}") from None


def _check_bytes(word: Word) -> None:
    if not word.text:
        raise word.wrong("an empty value")


# -- conditions


def read_condition(words: Words, text: str, start: int = 0) -> Condition:
    """Read ``if ...`` or ``unless ...`` to the end of the line; raises BadValue."""
    first = words.take("'if' or 'unless'")
    if first.text not in ("if", "unless"):
        raise first.wrong(f"'{first.text}' is neither 'if' nor 'unless'")
    alternatives: list[tuple[Term, ...]] = []
    terms: list[Term] = []
    last = first
    while words:
        last = words.take("")
        if last.plain and last.text in ("or", "||"):
            _end_alternative(alternatives, terms, last)
        else:
            terms.append(_term(last, words, text))
    _end_alternative(alternatives, terms, last)
    return Condition(text[first.offset :], first.text == "unless", tuple(alternatives))


def _end_alternative(alternatives: list[tuple[Term, ...]], terms: list[Term], last: Word) -> None:
    if not terms:
        raise last.wrong(f"there is no condition beside '{last.text}'")
    alternatives.append(tuple(terms))
    terms.clear()


def _term(word: Word, words: Words, text: str) -> Term:
    negated = False
    name, offset, length = word.text, word.offset, word.length
    while name.startswith("!"):
        negated = not negated
        name, offset, length = name[1:], offset + 1, length - 1
        if not name:
            after = words.take("what '!' negates")
            name, offset, length = after.text, after.offset, after.length
    if name == "{":
        return Term(negated, test=_anonymous(words, text, offset), offset=offset, length=1)
    if not _NAME.fullmatch(name):
        hint = "names of acls, !, or, and { ... } with blanks around the braces"
        raise BadValue(f"'{name}' is no name of an acl", offset, length, hint)
    return Term(negated, name, offset=offset, length=length)


def _anonymous(words: Words, text: str, opening: int) -> Test:
    inner: list[Word] = []
    while words:
        word = words.take("")
        if word.plain and word.text == "}":
            return read_test(Words(inner, word.offset), text[opening + 1 : word.offset].strip())
        inner.append(word)
    raise BadValue("this '{' has no '}'", opening, 1, "with blanks around both")
