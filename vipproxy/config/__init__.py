"""Configuration: text -> frozen `ClusterConfig`, with every problem in one run.

Plugins declare their options with `option` and the kinds that stand here.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping
from pathlib import Path

from attrs import frozen

from vipproxy.config.build import build, cluster_config
from vipproxy.config.consistency import apply_rules, descriptors_suffice
from vipproxy.config.declare import option
from vipproxy.config.document import Document
from vipproxy.config.drafts import ClusterDraft
from vipproxy.config.haproxy import is_haproxy
from vipproxy.config.haproxy.wording import reword
from vipproxy.config.ini import read_ini, split_lines
from vipproxy.config.kinds import (
    ADDRESS,
    DURATION,
    FLAG,
    FLAG_WORD,
    PATH,
    PAUSE,
    SECRET,
    TEXT,
    BackendNames,
    BadValue,
    Kind,
    ListOf,
    choice,
    integer,
)
from vipproxy.config.options import ClusterConfig
from vipproxy.config.problems import Problem, Problems
from vipproxy.config.records import record
from vipproxy.errors import ConfigError
from vipproxy.interfaces import IPluginCatalog

__all__ = [
    "ADDRESS",
    "DURATION",
    "FLAG",
    "FLAG_WORD",
    "PATH",
    "PAUSE",
    "SECRET",
    "TEXT",
    "BackendNames",
    "BadValue",
    "Kind",
    "ListOf",
    "Loaded",
    "choice",
    "integer",
    "load",
    "loads",
    "option",
    "record",
]

SYNTAXES = ("auto", "ini", "haproxy")
"""How a file is written; `auto` looks into it."""


@frozen
class Loaded:
    """A configuration without errors."""

    config: ClusterConfig
    draft: ClusterDraft
    """The same with positions and origins, for `vipproxy.config.show.show`."""
    problems: Problems
    document: Document

    @property
    def warnings(self) -> list[Problem]:
        """All problems that are no notes."""
        return self.problems.serious


def load(path: str | Path, catalog: IPluginCatalog, syntax: str = "auto") -> Loaded:
    """Read a configuration file: INI, or a haproxy.cfg; `syntax` is one of SYNTAXES.

    Raises ConfigError, whose report names every problem, where there is an error in it, and
    where the file cannot be read.
    """
    return loads(read_text(path), catalog, str(path), syntax=syntax)


def read_text(path: str | Path) -> str:
    """What a file says; raises ConfigError."""
    try:
        data = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"{path}: error: cannot be read: {reason}") from None
    return data.decode("utf-8", "replace")


def loads(
    text: str,
    catalog: IPluginCatalog,
    name: str = "<string>",
    descriptor_limit: int | None = None,
    syntax: str = "auto",
) -> Loaded:
    """Read a configuration from text; problems call it `name`.

    `descriptor_limit` is the number of file descriptors that the process may come to have, by
    default its hard limit. Raises ConfigError.
    """
    return read(Problems(name, split_lines(text)), catalog, descriptor_limit, syntax)


def read(
    problems: Problems,
    catalog: IPluginCatalog,
    descriptor_limit: int | None = None,
    syntax: str = "auto",
    implied: Mapping[str, str] | None = None,
) -> Loaded:
    """Read a configuration from the lines of `problems`; raises ConfigError.

    `implied` replaces defaults of HAProxy's in a haproxy.cfg, by our keys.
    """
    theirs = syntax == "haproxy" or (syntax == "auto" and is_haproxy(problems.lines))
    if theirs:
        from vipproxy.config.haproxy.translate import read_haproxy  # not for those who have INI

        document = read_haproxy(problems, os.environ, implied or {})
    else:
        document = read_ini(problems)
    draft = build(document, catalog, problems)
    limit = _hard_limit() if descriptor_limit is None else descriptor_limit
    for problem in (*apply_rules(draft), *descriptors_suffice(draft, limit)):
        problems.add(problem)
    if theirs:
        problems.change(reword)
    if problems.has_errors:
        raise ConfigError(problems.report())
    return Loaded(cluster_config(draft, problems.source), draft, problems, document)


def _hard_limit() -> int | None:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return None if limit == resource.RLIM_INFINITY else limit
