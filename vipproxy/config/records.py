"""Options of one line: ``server x = ADDRESS weight=2 backup``, ``check = http port=9200``.

A line is made of bare words (options declared `positional`), of ``key=value`` words and of flag
words (kind FLAG_WORD); a key of the kind `Repeated` may stand several times. Every part that is
wrong is reported at its own place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Generic, TypeVar

import attrs
from attrs import frozen
from zope.interface import implementer

from vipproxy.config.declare import Option, create, options_of
from vipproxy.config.kinds import (
    FLAG_WORD,
    BadValue,
    BadValues,
    Kind,
    Repeated,
    at,
    suggest,
    words,
)
from vipproxy.interfaces import IPluginCatalog

T = TypeVar("T")


@frozen
class Chosen:
    """A plugin that the configuration has chosen, with the options that it was given there.

    `plugin` is None only in defaults, until the configuration has looked the name up. `common`
    are the options that all plugins of this kind have (CheckOptions), or None.
    """

    name: str
    plugin: Any = None
    options: Any = None
    common: Any = None


@frozen
class _Place:
    """Where the value of an option goes: which class, which field."""

    cls: type
    field: str
    option: Option


class _Line:
    """The words of one line, read into the options of one or more classes."""

    def __init__(self, classes: Sequence[type]) -> None:
        self._values: dict[type, dict[str, Any]] = {cls: {} for cls in classes}
        self._places = {
            key: _Place(cls, field, option)
            for cls in classes
            for key, (field, option) in options_of(cls).items()
        }
        self._positionals = [key for key, it in self._places.items() if it.option.positional]
        self._seen: set[str] = set()

    def take(self, offset: int, word: str) -> None:
        """Read one word; raises BadValue."""
        key, shift = self._key_of(offset, word)
        place = self._places[key]
        repeated = isinstance(place.option.kind, Repeated)
        if key in self._seen and not repeated:
            raise BadValue(f"'{key}' is given twice", offset, len(word))
        self._seen.add(key)
        if place.option.unsupported:
            raise BadValue(place.option.unsupported, offset, len(word))
        text = word[shift:]
        if not text:
            raise _needs_value(key, place.option, offset, word)
        value = at(offset + shift, place.option.kind, text)
        values = self._values[place.cls]
        values[place.field] = (*values.get(place.field, ()), value) if repeated else value

    def missing(self) -> Iterable[str]:
        """What must be given, and was not."""
        for key, place in self._places.items():
            if key not in self._seen and _required(place):
                positional = place.option.positional
                yield (
                    place.option.kind.syntax if positional else f"{key}={place.option.kind.syntax}"
                )

    def instances(self) -> list[Any]:
        """An instance of each class; raises BadValue."""
        return [create(cls, values) for cls, values in self._values.items()]

    def _key_of(self, offset: int, word: str) -> tuple[str, int]:
        """Which option a word belongs to, and how many characters come before its value."""
        name, equals, _ = word.partition("=")
        if equals and self._has_value(name):
            return name, len(name) + 1
        waiting = next((key for key in self._positionals if key not in self._seen), None)
        if waiting is not None and _required(self._places[waiting]):
            return waiting, 0
        if word in self._places and self._places[word].option.kind is FLAG_WORD:
            return word, 0
        if waiting is not None and not (equals and re.fullmatch("[a-z][a-z0-9-]*", name)):
            return waiting, 0
        if self._has_value(word):
            raise _needs_value(word, self._places[word].option, offset, word)
        raise BadValue(f"unknown word '{name}'", offset, len(name), suggest(name, self._keys()))

    def _has_value(self, key: str) -> bool:
        place = self._places.get(key)
        if place is None:
            return False
        return not place.option.positional and place.option.kind is not FLAG_WORD

    def _keys(self) -> list[str]:
        return [key for key, place in self._places.items() if not place.option.positional]


def _required(place: _Place) -> bool:
    attribute: attrs.Attribute[Any] = getattr(attrs.fields(place.cls), place.field)
    return attribute.default is attrs.NOTHING


def _needs_value(key: str, option: Option, offset: int, word: str) -> BadValue:
    return BadValue(f"'{key}' needs a value", offset, len(word), f"{key}={option.kind.syntax}")


def read_line(text: str, classes: Sequence[type], start: int = 0) -> list[Any]:
    """One instance of each class, from the words of `text` after `start`; raises BadValue."""
    line = _Line(classes)
    wrong: list[BadValue] = []
    for offset, word in words(text):
        try:
            if offset >= start:
                line.take(offset, word)
        except BadValue as error:
            wrong.extend(error.parts)
    wrong.extend(BadValue(f"{what} is missing", 0, len(text)) for what in line.missing())
    if wrong:
        raise BadValues(wrong)
    return line.instances()


def write_line(options: Any) -> str:
    """The words that `read_line` would read as `options`; values that are None are left out."""
    positional, keyed = [], []
    for key, (field, option) in options_of(type(options)).items():
        value = getattr(options, field)
        if value is None:
            continue
        if option.positional:
            positional.append(option.kind.format(value))
        elif isinstance(option.kind, Repeated):
            keyed += [f"{key}={option.kind.format(each)}" for each in value]
        elif option.kind is not FLAG_WORD:
            keyed.append(f"{key}={option.kind.format(value)}")
        elif value:
            keyed.append(key)
    return " ".join(positional + keyed)


def line_syntax(classes: Iterable[type]) -> str:
    """How such a line is written, for help texts."""
    options = [option for cls in classes for _, option in options_of(cls).values()]
    return " ".join(sorted(map(_word_syntax, options), key=lambda word: "=" in word))


def _word_syntax(option: Option) -> str:
    if option.kind is FLAG_WORD:
        return option.key
    return option.kind.syntax if option.positional else f"{option.key}={option.kind.syntax}"


@frozen
class Record(Generic[T]):
    """The kind of a one-line option: its value is an instance of an options class."""

    cls: type[T]

    @property
    def syntax(self) -> str:
        return line_syntax([self.cls])

    def parse(self, text: str) -> T:
        value: T = read_line(text, [self.cls])[0]
        return value

    def format(self, value: Any) -> str:
        return write_line(value)


def record(cls: type[T]) -> Kind[T]:
    """A kind for options of one line, declared by an attrs class made with `option`."""
    return Record(cls)


@implementer(IPluginCatalog)
class NoPlugins:
    """The catalog before there is one."""

    def find(self, kind: str, name: str) -> Any:
        raise LookupError(f"unknown {kind} '{name}'")

    def names(self, kind: str) -> list[str]:
        return []


def _refuse_shared(name: str, classes: Sequence[type]) -> None:
    """A plugin cannot have an option that all plugins of its kind have: it would never be set."""
    seen: set[str] = set()
    for cls in classes:
        twice = sorted(seen & options_of(cls).keys())
        if twice:
            raise BadValue(f"'{name}' declares '{twice[0]}', which all such plugins have")
        seen |= options_of(cls).keys()


_CALL = re.compile(r"^(\s*[^\s(]+)\(([^\s()]*)\)(?=\s|$)")
"""HAProxy's way to write a name's first option; what replaces it has the same length."""


@frozen
class PluginLine:
    """The kind of an option that chooses a plugin by name or dotted path.

    With `inline` the words after the name are options: the plugin's own, and those of `common`;
    ``hdr(X-User)`` is another way to write ``hdr X-User``.
    Without, the plugin's options stand elsewhere, and `Chosen.options` stays None.
    """

    plugin_kind: str
    common: type | None = None
    inline: bool = True
    catalog: Any = attrs.field(factory=NoPlugins, repr=False)

    @property
    def syntax(self) -> str:
        return self.plugin_kind.upper() + (" ..." if self.inline else "")

    def with_catalog(self, catalog: Any) -> PluginLine:
        """The same kind, able to look plugins up."""
        return attrs.evolve(self, catalog=catalog)

    def parse(self, text: str) -> Chosen:
        text = _CALL.sub(r"\1 \2 ", text)
        offset, name = next(words(text), (0, ""))
        if not name:
            raise BadValue("a value is missing")
        found = self._find(offset, name)
        own = found.options if self.inline else None
        classes = [cls for cls in (own, self.common) if cls is not None]
        _refuse_shared(name, classes)
        values = read_line(text, classes, offset + len(name))
        return Chosen(
            name,
            found,
            options=values[0] if own is not None else None,
            common=values[-1] if self.common is not None else None,
        )

    def format(self, value: Any) -> str:
        lines = [write_line(each) for each in (value.options, value.common) if each is not None]
        return " ".join([value.name, *filter(None, lines)])

    def _find(self, offset: int, name: str) -> Any:
        try:
            return self.catalog.find(self.plugin_kind, name)
        except LookupError as error:
            known = self.catalog.names(self.plugin_kind)
            hint = "" if ":" in name or name in known else suggest(name, known)
            raise BadValue(str(error.args[0]), offset, len(name), hint) from None


def plugin(kind: str, common: type | None = None, *, inline: bool = True) -> Kind[Chosen]:
    """A kind that chooses a plugin of a kind (protocol, check, balancer, store)."""
    return PluginLine(kind, common, inline)
