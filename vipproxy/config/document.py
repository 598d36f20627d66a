"""A configuration as text with positions: what every syntax is read into."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import Factory, field, frozen

NAMELESS = ("global", "defaults")
NAMED = ("frontend", "backend", "userlist")
SECTION_KINDS = (*NAMELESS, *NAMED)
REPEATABLE = frozenset(
    {
        "acl", "http-check", "http-request", "http-response", "log", "redirect", "stats-socket",
        "tcp-check", "tcp-request-connection", "tcp-request-content", "use-backend",
    }
)  # fmt: skip
"""First words of the keys that one section may have several times."""


Place = tuple[int, int, int]
"""A line and a column, both from 1, and a length in characters."""


@frozen
class Span:
    """A part of a value that another syntax writes at a place of its own."""

    offset: int
    """In the value."""
    length: int
    place: Place


@frozen
class Setting:
    """One ``key = value``. Lines and columns count from 1."""

    key: str
    """Blanks in it are single: ``server n1``."""
    value: str
    line: int
    column: int
    value_column: int
    spans: tuple[Span, ...] = ()
    """Where the parts of the value stand, if it is not written in one piece at `value_column`."""
    key_length: int | None = None
    """Of what stands at `column`, if that is not the key."""
    implied: str = ""
    """Why it holds, if the file does not say it."""

    @property
    def key_place(self) -> Place:
        return self.line, self.column, self.key_length or len(self.key)

    def place(self, offset: int = 0, length: int | None = None) -> Place:
        """Where a part of the value stands in the file; by default all of it."""
        if not self.spans:
            width = len(self.value) - offset if length is None else length
            return self.line, self.value_column + offset, width
        return next(
            (
                each.place
                for each in self.spans
                if each.offset <= offset < each.offset + each.length
            ),
            self.spans[0].place,
        )


@frozen
class Section:
    """One ``[kind name]`` with its settings, whose keys are unique but for those of rules."""

    kind: str
    name: str
    line: int
    column: int
    length: int
    """Of the header, in characters."""
    settings: tuple[Setting, ...] = field(default=())

    @property
    def header(self) -> str:
        return f"[{self.kind} {self.name}]" if self.name else f"[{self.kind}]"

    @property
    def label(self) -> str:
        """What problems call it: ``backend 'x'``, or ``[defaults]``."""
        return f"{self.kind} '{self.name}'" if self.name else f"[{self.kind}]"


@frozen
class Document:
    """All sections of a file, in its order."""

    source: str
    """The file's name, as problems show it."""
    sections: tuple[Section, ...]
    comments: Mapping[int, tuple[str, ...]] = Factory(dict)
    """Line -> what comments say about it, for those who write the file anew."""
    process: Mapping[str, str] = Factory(dict)
    """What a haproxy.cfg says to the command that starts it: `daemon`, `pidfile`."""

    def of_kind(self, kind: str) -> list[Section]:
        return [section for section in self.sections if section.kind == kind]
