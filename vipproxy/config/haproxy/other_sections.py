"""Sections that are no proxies: userlist, peers, resolvers and so on."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from attrs import Factory, define

from vipproxy.config.document import Section, Setting
from vipproxy.config.haproxy.lexer import Line, Word, parts_of
from vipproxy.config.haproxy.model import BadLine, Files, Part, made


@define
class OtherSection:
    """Read over, but for what `begin` says about it."""

    header: Line

    def begin(self, files: Files) -> None:
        """Called at its header."""

    def take(self, files: Files, line: Line) -> None:
        """Called with each of its lines."""


@define
class UserList(OtherSection):
    """``userlist``: names and passwords, for the rules that ask for them -> ``[userlist NAME]``."""

    settings: dict[str, Setting] = Factory(dict)

    def begin(self, files: Files) -> None:
        if len(self.header.words) < 2:
            raise BadLine("this userlist has no name", self.header.place, "write userlist NAME")
        files.userlists.append(self)

    def take(self, files: Files, line: Line) -> None:
        word, *words = line.words
        if word.text not in ("user", "group"):
            raise BadLine(f"unknown keyword '{word.text}' in a userlist", word.place, "user, group")
        if not words:
            raise BadLine(f"this {word.text} has no name", word.place)
        read = self._user if word.text == "user" else self._group
        key = f"{word.text} {words[0].text}"
        self.settings[key] = made(key, read(files, words[1:]), line.place)

    def section(self) -> Section:
        line, column, length = self.header.place
        name = self.header.words[1].text
        return Section("userlist", name, line, column, length, tuple(self.settings.values()))

    def _user(self, files: Files, words: list[Word]) -> Iterator[Part]:
        """``user NAME [password HASH | insecure-password TEXT] [groups NAME,...]``"""
        for key, value in zip(words[::2], words[1::2], strict=False):
            if key.text not in ("password", "insecure-password", "groups"):
                raise BadLine(f"unknown word '{key.text}' of a user", key.place)
            if key.text != "groups":
                files.problems.hide(value.line, value.column)
            yield Part(f"{key.text}={value.text}", value.place)

    def _group(self, files: Files, words: list[Word]) -> Iterator[Part]:
        """``group NAME [users NAME,...]``"""
        for key, value in zip(words[::2], words[1::2], strict=False):
            if key.text != "users":
                raise BadLine(f"unknown word '{key.text}' of a group", key.place)
            yield from (Part(each.text, each.place) for each in parts_of(value, ","))


@define
class Resolvers(OtherSection):
    """Names are resolved once, as HAProxy does without this section."""

    def begin(self, files: Files) -> None:
        message = "'resolvers' has nothing to do here: names are resolved when the file is read"
        files.note(message, self.header.place)


@define
class Peers(OtherSection):
    """Who has a table with peers is told there."""

    def begin(self, files: Files) -> None:
        files.note(
            "'peers' has nothing to do here: pins of 'stick on dst' agree without being exchanged",
            self.header.place,
        )


@define
class Foreign(OtherSection):
    """A section whose work is not done here."""

    def begin(self, files: Files) -> None:
        word = self.header.words[0]
        raise BadLine(f"section '{word.text}' is not supported yet", word.place)


OTHER_SECTIONS: dict[str, Callable[[Line], OtherSection]] = {
    "userlist": UserList,
    "resolvers": Resolvers,
    "peers": Peers,
    "mailers": Foreign,
    "program": Foreign,
    "ring": Foreign,
    "cache": Foreign,
    "http-errors": Foreign,
    "fcgi-app": Foreign,
    "log-forward": Foreign,
}
