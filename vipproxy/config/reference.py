"""Every option as Markdown, from its declaration: `vipproxy options`, docs/configuration.md."""

from __future__ import annotations

from typing import Any

import attrs
from attrs import define, field

from vipproxy.config.declare import Option, options_of
from vipproxy.config.kinds import FLAG_WORD
from vipproxy.config.options import (
    BackendOptions,
    FrontendOptions,
    GlobalOptions,
)
from vipproxy.config.records import PluginLine, Record
from vipproxy.config.server_options import ServerOptions
from vipproxy.config.userlists import UserlistOptions
from vipproxy.interfaces import IPluginCatalog

HEADINGS = ("key", "value", "default", "meaning", "in HAProxy")
SECTIONS = (
    ("[global]", GlobalOptions),
    ("[frontend NAME]", FrontendOptions),
    ("[backend NAME]", BackendOptions),
    ("[userlist NAME]", UserlistOptions),
)


def reference(catalog: IPluginCatalog) -> str:
    """A table for each section, each option of one line, and each plugin that has a name."""
    writer = _Writer(catalog)
    for title, cls in SECTIONS:
        writer.part("###", title, cls)
    writer.part("####", "server NAME", ServerOptions)
    return "\n".join(writer.lines)


@define
class _Writer:
    catalog: IPluginCatalog
    lines: list[str] = field(factory=list)
    _written: set[tuple[str, type]] = field(factory=set)

    def part(self, level: str, title: str, cls: type | None) -> None:
        """A table, and then whatever it refers to; what several refer to is written once."""
        if cls is None or (title, cls) in self._written:
            return
        self._written.add((title, cls))
        self._heading(level, title)
        self._row(*HEADINGS)
        self._row(*["---"] * len(HEADINGS))
        options = options_of(cls)
        for name, option in options.values():
            default = getattr(attrs.fields(cls), name).default
            self._row(*self._cells(option, default))
        for key, (_, option) in options.items():
            self._details(key, option.kind)

    def _details(self, key: str, kind: Any) -> None:
        if isinstance(kind, Record):
            self.part("####", key, kind.cls)
        elif isinstance(kind, PluginLine):
            self.part("####", key, kind.common)
            for name in self.catalog.names(kind.plugin_kind):
                self._plugin(kind.plugin_kind, f"{key} = {name}", name)

    def _plugin(self, kind: str, title: str, name: str) -> None:
        try:
            self.part("####", title, self.catalog.find(kind, name).options)
        except LookupError as error:  # somebody else's, and broken
            self._heading("####", title)
            self.lines.append(str(error.args[0]))

    def _cells(self, option: Option, default: Any) -> tuple[str, ...]:
        key = "" if option.positional else _code(option.key)
        help = option.help + (" (not supported yet)" if option.unsupported else "")
        return key, self._value(option), _default(option, default), help, _code(option.haproxy)

    def _value(self, option: Option) -> str:
        kind = option.kind
        if isinstance(kind, Record):
            return f"[words](#{option.key})"
        if isinstance(kind, PluginLine):
            names = [*self.catalog.names(kind.plugin_kind), "MODULE:NAME"]
            return ", ".join(map(_code, names)) + (" and words" if kind.inline else "")
        return _code(kind.syntax)

    def _heading(self, level: str, title: str) -> None:
        if self.lines:
            self.lines.append("")
        self.lines += [f"{level} {title}", ""]

    def _row(self, *cells: str) -> None:
        self.lines.append(f"| {' | '.join(cells)} |")


def _default(option: Option, default: Any) -> str:
    if default is attrs.NOTHING:
        return "required"
    if default in (None, ()) or option.kind is FLAG_WORD:
        return ""
    return _code(option.kind.format(default))


def _code(text: str) -> str:
    """A code span in a table, where a bare bar would end the cell."""
    return "`{}`".format(text.replace("|", r"\|")) if text else ""
