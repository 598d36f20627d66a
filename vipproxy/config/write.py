"""A Document -> INI text: what `vipproxy convert` writes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attrs import define, field

from vipproxy.config.document import NAMED, Document, Section, Setting


def write_ini(document: Document) -> str:
    """The document as an INI file, with the comments of the file that it was read from."""
    return "\n".join(_Writer(document).lines())


@define
class _Writer:
    document: Document
    _told: set[int] = field(factory=set)
    """Lines whose comments have been written."""

    def lines(self) -> Iterator[str]:
        sections = [each for each in self.document.sections if each.settings or each.kind in NAMED]
        for index, section in enumerate(sections):
            following = sections[index + 1] if index + 1 < len(sections) else None
            if index:
                yield ""
            yield from self._section(section)
            if following is None or following.line != section.line:
                yield from self._rest(section, following)
        yield ""

    def _section(self, section: Section) -> Iterator[str]:
        yield from self._comments(section.line)
        yield section.header
        said = [each for each in section.settings if not each.implied]
        yield from self._settings(section, said)
        for reason in dict.fromkeys(each.implied for each in section.settings if each.implied):
            yield f"# {reason}:"
            yield from self._settings(section, [s for s in section.settings if s.implied == reason])

    def _settings(self, section: Section, settings: Sequence[Setting]) -> Iterator[str]:
        width = max((len(each.key) for each in section.settings if not _has_name(each)), default=0)
        for each in settings:
            for line in sorted({each.line, *(span.place[0] for span in each.spans)}):
                yield from self._comments(line)
            key = each.key if _has_name(each) else f"{each.key:{width}}"
            yield f"{key} = {each.value}"

    def _comments(self, line: int) -> Iterator[str]:
        """Those about a line, once."""
        if line not in self._told:
            self._told.add(line)
            yield from (f"# {text}".rstrip() for text in self.document.comments.get(line, ()))

    def _rest(self, section: Section, following: Section | None) -> Iterator[str]:
        """Comments about lines of the section that came to nothing here."""
        for line in self.document.comments:
            after = following is None or following.line < section.line
            if section.line <= line and (after or (following and line < following.line)):
                yield from self._comments(line)


def _has_name(setting: Setting) -> bool:
    return " " in setting.key
