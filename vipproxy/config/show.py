"""Effective values of every section, and where each of them comes from: `vipproxy show`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs

from vipproxy.config.declare import options_of
from vipproxy.config.drafts import ClusterDraft, Draft
from vipproxy.config.options import BackendOptions, GlobalOptions
from vipproxy.config.records import write_line

Row = tuple[str, str, str]
"""Key, value, origin."""


def show(cluster: ClusterDraft, source: str) -> str:
    """All of it as INI text, but for the origin at the end of each line; secrets are masked."""
    name = Path(source).name
    global_ = cluster.global_
    parts = [
        _section("[global]", _rows(global_.options if global_ else GlobalOptions(), global_, name))
    ]
    for frontend in cluster.frontends:
        rows = list(_rows(frontend.config.options, frontend, name))
        if frontend.config.protocol_options is not None:
            rows += _rows(frontend.config.protocol_options, frontend, name)
        parts.append(_section(frontend.section.header, rows))
    for backend in cluster.backends:
        rows = list(_rows(_resolved(backend.config.options), backend, name))
        for server in backend.servers:
            line = write_line(server.config.options)
            rows.append((server.setting.key, line, f"{name}:{server.setting.line}"))
        parts.append(_section(backend.section.header, rows))
    for userlist in cluster.userlists:
        rows = list(_rows(userlist.config.options, userlist, name))
        parts.append(_section(userlist.section.header, rows))
    return "\n\n".join(parts)


def _resolved(options: BackendOptions) -> BackendOptions:
    """With what the defaults that depend on other options come to."""
    mark_down = "shutdown-sessions" if options.shuts_sessions_down else "none"
    return attrs.evolve(options, timeout_queue=options.queue_limit, on_marked_down=mark_down)


def _rows(options: Any, draft: Draft | None, source: str) -> Iterator[Row]:
    """A row for each option that has a value."""
    for key, (field, option) in options_of(type(options)).items():
        value = getattr(options, field)
        if option.names is not None:
            for (name, each), number in _numbered(value):
                own = key.replace("NAME", name)
                yield own, option.kind.format(each), _origin(own, draft, source, number)
        elif option.repeated:
            for number, each in enumerate(value):
                yield key, option.kind.format(each), _origin(key, draft, source, number)
        elif value is not None and not option.unsupported:
            yield key, option.kind.format(value), _origin(key, draft, source)


def _numbered(pairs: Iterable[tuple[Any, Any]]) -> Iterator[tuple[tuple[Any, Any], int]]:
    """Each pair, and how many with the same name came before it."""
    seen: dict[Any, int] = {}
    for name, value in pairs:
        number = seen.get(name, 0)
        seen[name] = number + 1
        yield (name, value), number


def _origin(key: str, draft: Draft | None, source: str, number: int = 0) -> str:
    if draft is None or key not in draft.origins:
        return "default"
    origin = draft.origins[key]
    place = f"{source}:{origin.settings[number].line}"
    return f"[defaults] {place}" if origin.inherited else place


def _section(header: str, rows: Sequence[Row] | Iterator[Row]) -> str:
    """A section with its three columns aligned."""
    rows = list(rows)
    key_width = max((len(key) for key, _, _ in rows), default=0)
    value_width = max((len(value) for _, value, _ in rows), default=0)
    lines = [f"{k:{key_width}} = {v:{value_width}}  # {origin}" for k, v, origin in rows]
    return "\n".join([header, *lines])
