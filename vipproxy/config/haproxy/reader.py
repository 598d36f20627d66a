"""The lines of a haproxy.cfg -> its sections and statements, with conditions and inheritance."""

from __future__ import annotations

import re
from collections.abc import Mapping

from attrs import Factory, define

from vipproxy.config.document import Place, Setting
from vipproxy.config.haproxy.conditions import BadCondition, evaluate
from vipproxy.config.haproxy.global_table import GLOBAL, PREFIXES
from vipproxy.config.haproxy.keywords import LETTERS, find, unknown
from vipproxy.config.haproxy.lexer import LexError, Line, Word, split
from vipproxy.config.haproxy.model import BadLine, Files, Proxy, Statement, between
from vipproxy.config.haproxy.other_sections import OTHER_SECTIONS, OtherSection
from vipproxy.config.haproxy.proxy_table import PROXY
from vipproxy.config.ini import is_name
from vipproxy.config.kinds import suggest
from vipproxy.config.problems import Problems

SECTIONS = ("global", *LETTERS, *OTHER_SECTIONS)
NEGATIONS = ("no", "default")
OUR_COMMENT = re.compile(r"#\s*vipproxy:\s*([^=]*?)\s*=\s*(.*?)\s*$")
"""A line for us that HAProxy does not see: ``# vipproxy: KEY = VALUE``."""


def read(problems: Problems, environment: Mapping[str, str]) -> Files:
    """Every section in the lines of `problems`, to which everything wrong is added."""
    files = Files(problems)
    reader = _Reader(files, dict(environment))
    for number, text in enumerate(problems.lines, 1):
        reader.read(number, text)
    reader.finish()
    return files


@define
class _Branch:
    """An ``.if`` that is open."""

    place: Place
    active: bool
    taken: bool
    """A branch of it was active already."""


@define
class _Reader:
    files: Files
    environment: dict[str, str]
    kind: str = ""
    """Of the section that is being read; empty before the first, and after a bad header."""
    proxy: Proxy | None = None
    other: OtherSection | None = None
    defaults: Proxy | None = None
    """The last ones, for proxies that name none."""
    branches: list[_Branch] = Factory(list)
    comments: list[str] = Factory(list)
    """Those that wait for the line that they are about."""
    named: dict[str, Proxy] = Factory(dict)

    def read(self, number: int, text: str) -> None:
        ours = OUR_COMMENT.fullmatch(text.strip())
        if ours is not None:
            if self._active:
                self._take_ours(number, text, *ours.groups())
            return
        try:
            line = split(text, number, self.environment)
        except LexError as error:
            if self._active:
                self.files.bad(BadLine(error.message, (number, error.column, error.length)))
            return
        if line.comment:
            self.comments.append(line.comment)
        if not line.words:
            return
        self._attach_comments(number)
        try:
            self._line(line)
        except BadLine as error:
            self.files.bad(error)

    def _attach_comments(self, number: int) -> None:
        if self.comments:
            self.files.comments[number] = tuple(self.comments)
            self.comments = []

    def finish(self) -> None:
        self._attach_comments(len(self.files.problems.lines))
        for branch in self.branches:
            self.files.bad(BadLine("this '.if' has no '.endif'", branch.place))

    @property
    def _active(self) -> bool:
        return all(branch.active for branch in self.branches)

    def _line(self, line: Line) -> None:
        word = line.words[0]
        if word.text.startswith("."):
            self._directive(line)
        elif not self._active:
            return
        elif word.text in SECTIONS:
            self._section(line)
        elif not self.kind:
            if not self.files.problems.has_errors:
                hint = suggest(word.text, SECTIONS)
                raise BadLine(f"unknown keyword '{word.text}' out of section", word.place, hint)
        elif self.other is not None:
            self.other.take(self.files, line)
        elif self.kind == "global":
            self._global(line)
        elif self.proxy is not None:
            self._statement(line, self.proxy)

    # -- conditions -----------------------------------------------------------------------

    def _directive(self, line: Line) -> None:
        word = line.words[0]
        if word.text == ".if":
            outside = self._active
            branch = _Branch(word.place, active=False, taken=True)
            self.branches.append(branch)
            branch.active = outside and self._holds(line)
            branch.taken = branch.active or not outside
        elif word.text in (".elif", ".else", ".endif"):
            self._follow(line)
        elif word.text in (".notice", ".warning", ".alert", ".diag"):
            if self._active:
                self._announce(line)
        else:
            known = (".if", ".elif", ".else", ".endif", ".notice", ".warning", ".alert", ".diag")
            raise BadLine(f"unknown directive '{word.text}'", word.place, suggest(word.text, known))

    def _follow(self, line: Line) -> None:
        word = line.words[0]
        if not self.branches:
            raise BadLine(f"'{word.text}' without '.if'", word.place)
        branch = self.branches[-1]
        if word.text == ".endif":
            self.branches.pop()
            return
        branch.active = False
        if not branch.taken:
            branch.active = branch.taken = word.text == ".else" or self._holds(line)

    def _holds(self, line: Line) -> bool:
        text = " ".join(line.texts[1:])
        if not text:
            return False
        try:
            return evaluate(text, self.environment)
        except BadCondition as error:
            raise BadLine(error.message, between(line.words[1], line.words[-1])) from None

    def _announce(self, line: Line) -> None:
        text = " ".join(line.texts[1:])
        say = {".alert": lambda *it: self.files.bad(BadLine(*it)), ".warning": self.files.warn}
        say.get(line.words[0].text, self.files.note)(text, line.place)

    # -- sections -------------------------------------------------------------------------

    def _section(self, line: Line) -> None:
        kind = line.words[0].text
        self.kind, self.proxy, self.other = kind, None, None
        if kind == "global":
            self.files.global_place = self.files.global_place or line.place
            if len(line.words) > 1:
                raise BadLine("'global' has no name", line.words[1].place)
        elif kind in OTHER_SECTIONS:
            self.other = OTHER_SECTIONS[kind](line)
            self.other.begin(self.files)
        else:
            self._proxy(kind, line)

    def _proxy(self, kind: str, line: Line) -> None:
        words = list(line.words[1:])
        base = self.defaults
        if len(words) > 1 and words[-2].text == "from":
            base = self._base(words.pop())
            words.pop()
        name = words.pop(0) if words else None
        self.proxy = Proxy(kind, name.text if name else "", line, line.place, base)
        if kind == "defaults":
            self.proxy.base = base if base is not self.defaults else None
            self._remember_defaults(self.proxy)
        else:
            self._check_name(name, line)
        if words:
            self._old_form(self.proxy, words)
        self.files.proxies.append(self.proxy)

    def _base(self, word: Word) -> Proxy:
        if word.text not in self.named:
            hint = suggest(word.text, self.named)
            raise BadLine(f"defaults section '{word.text}' not found", word.place, hint)
        return self.named[word.text]

    def _remember_defaults(self, proxy: Proxy) -> None:
        self.defaults = proxy
        if proxy.name in self.named and proxy.name:
            first = self.named[proxy.name].header.number
            self.files.warn(
                f"a second defaults section '{proxy.name}'",
                proxy.place,
                f"the first is in line {first}",
            )
        if proxy.name:
            self.named[proxy.name] = proxy

    def _check_name(self, name: Word | None, line: Line) -> None:
        kind = line.words[0].text
        if name is None:
            raise BadLine(f"this {kind} has no name", line.place, f"write {kind} NAME")
        if not is_name(name.text):
            hint = "letters, digits and - _ . : can be in a name"
            raise BadLine(f"'{name.text}' cannot be a name", name.place, hint)
        assert self.proxy is not None
        for each in self.files.of_kind("frontend", "backend", "listen"):
            twins = each.listens == self.proxy.listens or each.balances == self.proxy.balances
            if each.name == name.text and twins:
                hint = f"the other is in line {each.header.number}"
                raise BadLine(f"a second proxy with the name '{name.text}'", name.place, hint)

    def _old_form(self, proxy: Proxy, words: list[Word]) -> None:
        """``listen NAME ADDRESS:PORT``, as it was before HAProxy 1.5."""
        if not proxy.listens:
            raise BadLine(f"'{proxy.kind}' cannot handle '{words[0].text}'", words[0].place)
        line, column, length = words[0].place
        self.files.note(
            f"an address on the line of '{proxy.kind}' is the old form of 'bind'", words[0].place
        )
        bind = Line(line, (Word("bind", line, column, length), *words))
        self._statement(bind, proxy)

    # -- statements -----------------------------------------------------------------------

    def _global(self, line: Line) -> None:
        negated = len(line.words) > 1 and line.words[0].text in NEGATIONS
        first = line.words[int(negated)].text
        keyword = find(GLOBAL, line, int(negated)) or next(
            (each for prefix, each in PREFIXES.items() if first.startswith(prefix)), None
        )
        if keyword is None:
            raise unknown(GLOBAL, line, "section 'global'", int(negated))
        statement = Statement(keyword, line, negated)
        self.files.globals.append(statement)
        if keyword.name in ("setenv", "presetenv", "unsetenv", "resetenv"):
            change_environment(self.environment, statement)
        keyword.action.take(self.files, None, statement)

    def _statement(self, line: Line, proxy: Proxy) -> None:
        negated = len(line.words) > 1 and line.words[0].text in NEGATIONS
        keyword = find(PROXY, line, int(negated))
        if keyword is None:
            self._unknown(line, proxy, int(negated))
            return
        statement = Statement(keyword, line, negated)
        if negated and not keyword.name.startswith(("option ", "log")):
            raise BadLine("only options and 'log' can be negated", line.words[0].place)
        if not keyword.stands_in(proxy.kind):
            self._misplaced(statement, proxy)
            return
        keyword.action.take(self.files, proxy, statement)
        proxy.statements.append(statement)

    def _misplaced(self, statement: Statement, proxy: Proxy) -> None:
        if proxy.kind == "defaults":
            raise BadLine(f"'{statement.name}' cannot stand in 'defaults'", statement.place)
        proxy.misplaced.append(statement)

    def _unknown(self, line: Line, proxy: Proxy, skip: int) -> None:
        word = line.words[skip]
        if word.text == "stats" and len(line.words) > skip + 1:
            glued = line.words[skip + 1]
            if glued.text.startswith("auth") and ":" in glued.text:
                raise self._glued_auth(glued)
        raise unknown(PROXY, line, proxy.label, skip)

    def _glued_auth(self, word: Word) -> BadLine:
        """``stats authroot:redhat``: a blank is missing, and a password is not to be shown."""
        user = word.text.removeprefix("auth").partition(":")[0]
        line, column, length = word.place
        self.files.problems.hide(line, column + len("auth") + len(user) + 1)
        return BadLine(
            f"unknown stats parameter 'auth{user}:...': a blank is missing after 'auth'",
            (line, column, length),
            f"write 'stats auth {user}:PASSWORD'",
        )

    # -- our own lines --------------------------------------------------------------------

    def _take_ours(self, number: int, text: str, key: str, value: str) -> None:
        begin = text.index(key, text.index("vipproxy:") + len("vipproxy:")) if key else 0
        value_column = text.rindex(value) + 1 if value else len(text)
        setting = Setting(" ".join(key.split()), value, number, begin + 1, value_column)
        if self.kind == "global":
            self.files.global_settings[setting.key] = setting
        elif self.proxy is not None:
            self.proxy.ours[setting.key] = setting
        else:
            self.files.bad(BadLine("a line for vipproxy outside of a section", setting.key_place))


def change_environment(environment: dict[str, str], statement: Statement) -> None:
    """What ``setenv`` and its kin do to the variables of the lines that follow."""
    name, words = statement.name, statement.arguments
    if name in ("setenv", "presetenv"):
        variable, value = statement.exactly(2, "a name and a value")
        if name == "setenv" or variable.text not in environment:
            environment[variable.text] = value.text
    elif name == "unsetenv":
        for word in words:
            environment.pop(word.text, None)
    else:
        kept = {word.text for word in words}
        for each in list(environment):
            if each not in kept:
                del environment[each]
