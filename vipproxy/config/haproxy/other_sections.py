"""Sections that are no proxies: userlist, peers, resolvers and so on."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define

from vipproxy.config.haproxy.lexer import Line
from vipproxy.config.haproxy.model import BadLine, Files


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
    """``userlist``: names and passwords, for the rules that ask for them."""

    def begin(self, files: Files) -> None:
        if len(self.header.words) < 2:
            raise BadLine("this userlist has no name", self.header.place, "write userlist NAME")
        files.userlists[self.header.words[1].text] = self.header.place

    def take(self, files: Files, line: Line) -> None:
        word = line.words[0]
        if word.text not in ("user", "group"):
            raise BadLine(f"unknown keyword '{word.text}' in a userlist", word.place)
        for key, value in zip(line.words, line.words[1:], strict=False):
            if key.text in ("password", "insecure-password"):
                files.problems.hide(value.line, value.column)


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
