"""A configuration as text with positions: what every syntax is read into."""

from __future__ import annotations

from attrs import field, frozen

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


@frozen
class Setting:
    """One ``key = value``. Lines and columns count from 1."""

    key: str
    """Blanks in it are single: ``server n1``."""
    value: str
    line: int
    column: int
    value_column: int


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

    def of_kind(self, kind: str) -> list[Section]:
        return [section for section in self.sections if section.kind == kind]
