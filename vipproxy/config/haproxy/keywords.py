"""How a keyword of a haproxy.cfg is declared, and what can become of its statements."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from attrs import frozen

from vipproxy.config.document import Setting
from vipproxy.config.haproxy.lexer import Line, Word
from vipproxy.config.haproxy.model import FRONT, BadLine, Files, Part, Proxy, Statement, setting
from vipproxy.config.kinds import suggest

DEFAULTS, FRONTEND, LISTEN, BACKEND = "D", "F", "L", "B"
LETTERS = {"defaults": "D", "frontend": "F", "listen": "L", "backend": "B"}
EVERYWHERE, FRONTS, BACKS = "DFLB", "DFL", "DLB"

LONGEST = 3
"""Words of the longest keyword."""


def _store(files: Files, proxy: Proxy | None, side: str) -> dict[str, Setting]:
    """Where a translated setting goes."""
    if proxy is None:
        return files.global_settings
    return proxy.front if side == FRONT else proxy.back


@frozen
class Direct:
    """The statement's only argument is the value of one of our keys."""

    key: str
    side: str
    """FRONT or BACK."""
    read: Callable[[Word], Part]
    what: str = "a value"

    @property
    def help(self) -> str:
        return f"`{self.key}`"

    def take(self, files: Files, proxy: Proxy | None, statement: Statement) -> None:
        word = statement.one(self.what)
        _store(files, proxy, self.side)[self.key] = setting(self.key, statement, [self.read(word)])


@frozen
class Switch:
    """An option that turns one of our flags on, and with ``no`` off."""

    key: str
    side: str
    on: str = "on"
    off: str = "off"

    @property
    def help(self) -> str:
        return f"`{self.key} = {self.on}`"

    def take(self, files: Files, proxy: Proxy | None, statement: Statement) -> None:
        value = self.off if statement.negated else self.on
        part = Part(value, statement.place)
        _store(files, proxy, self.side)[self.key] = setting(self.key, statement, [part])


@frozen
class Kept:
    """Kept until the whole section is known, and translated with what belongs to it."""

    help: str
    one: str = ""
    """What its only argument is, where it has one."""

    def take(self, files: Files, proxy: Proxy | None, statement: Statement) -> None:
        if self.one:
            statement.one(self.one)


@frozen
class Noted:
    """Understood, and there is nothing to do: the note says why."""

    why: str

    @property
    def help(self) -> str:
        return f"nothing to do: {self.why}"

    def take(self, files: Files, proxy: Proxy | None, statement: Statement) -> None:
        if not statement.negated:
            files.note_once(statement.name, self.why, statement.place)


@frozen
class Refused:
    """Understood, and not supported: an error."""

    why: str = ""
    hint: str = ""

    @property
    def help(self) -> str:
        return f"not supported{f': {self.why}' if self.why else ''}"

    def take(self, files: Files, proxy: Proxy | None, statement: Statement) -> None:
        if statement.negated:
            return
        why = f": {self.why}" if self.why else ""
        message = f"'{statement.name}' is not supported yet{why}"
        raise BadLine(message, statement.place, self.hint)


@frozen
class Renamed:
    """An old name, taken as the new one."""

    new: str
    then: Direct

    @property
    def help(self) -> str:
        return f"{self.then.help}; the old name of `{self.new}`"

    def take(self, files: Files, proxy: Proxy | None, statement: Statement) -> None:
        self.then.take(files, proxy, statement)
        files.note(f"'{statement.name}' is the old name of '{self.new}'", statement.place)


Action = Direct | Switch | Kept | Noted | Refused | Renamed


@frozen
class Keyword:
    """One or more words at the beginning of a line, where they may stand, and what they do."""

    name: str
    action: Action
    where: str = EVERYWHERE

    @property
    def size(self) -> int:
        return self.name.count(" ") + 1

    def stands_in(self, kind: str) -> bool:
        return LETTERS.get(kind, "G") in self.where


def index(*tables: Iterable[Keyword]) -> dict[str, Keyword]:
    return {each.name: each for table in tables for each in table}


def find(known: Mapping[str, Keyword], line: Line, skip: int = 0) -> Keyword | None:
    """The longest keyword that a line begins with."""
    texts = line.texts[skip : skip + LONGEST]
    for size in range(len(texts), 0, -1):
        found = known.get(" ".join(texts[:size]))
        if found is not None:
            return found
    return None


def unknown(known: Mapping[str, Keyword], line: Line, label: str, skip: int = 0) -> BadLine:
    """What to say of a line whose keyword is unknown."""
    first = line.words[skip]
    siblings = [name.partition(" ")[2] for name in known if name.startswith(f"{first.text} ")]
    if siblings and len(line.words) > skip + 1:
        second = line.words[skip + 1]
        return BadLine(
            f"unknown {first.text} parameter '{second.text}' in {label}",
            second.place,
            suggest(second.text, dict.fromkeys(siblings)),
        )
    if siblings:
        return BadLine(
            f"'{first.text}' expects a parameter in {label}", first.place, suggest("", siblings)
        )
    names = list(dict.fromkeys(name.split()[0] for name in known))
    close = suggest(first.text, names).partition(" known:")[0]
    hint = close if close.startswith("did you mean") else ""
    return BadLine(f"unknown keyword '{first.text}' in {label}", first.place, hint)
