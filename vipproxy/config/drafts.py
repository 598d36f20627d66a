"""Sections as they were read: their options, and where each of them came from."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from vipproxy.config.document import Section, Setting
from vipproxy.config.kinds import words
from vipproxy.config.options import BackendConfig, FrontendConfig, GlobalOptions, ServerConfig
from vipproxy.config.problems import Problem, Severity
from vipproxy.config.userlists import UserlistConfig


@frozen
class Origin:
    """Where an effective value comes from."""

    section: Section
    setting: Setting
    later: tuple[Setting, ...] = ()
    """Those that follow with the same key, where it may stand several times."""

    @property
    def settings(self) -> tuple[Setting, ...]:
        return (self.setting, *self.later)

    @property
    def inherited(self) -> bool:
        return self.section.kind == "defaults"


@frozen
class Draft:
    """What the drafts of all sections share."""

    section: Section
    origins: Mapping[str, Origin]
    """Key -> origin, of every option that does not have its default."""

    def says(self, key: str) -> bool:
        """Whether the section itself, not only [defaults], has the key."""
        return key in self.origins and not self.origins[key].inherited

    def error(self, message: str, key: str = "", word: str = "", hint: str = "") -> Problem:
        """An error at a key's value (or a word of it), or at the header without one."""
        return self._problem(Severity.ERROR, message, key, word, hint)

    def warning(self, message: str, key: str = "", word: str = "", hint: str = "") -> Problem:
        """The same as a warning."""
        return self._problem(Severity.WARNING, message, key, word, hint)

    def _problem(self, severity: Severity, message: str, key: str, word: str, hint: str) -> Problem:
        origin = self.origins.get(key)
        if origin is None:
            where = self.section
            return Problem(severity, message, where.line, where.column, where.length, hint)
        return at_setting(severity, message, origin.setting, word, hint)


def at_setting(
    severity: Severity, message: str, setting: Setting, word: str = "", hint: str = ""
) -> Problem:
    """A problem at a setting's value, or at one word of it."""
    for offset, each in words(setting.value):
        if each == word:
            column = setting.value_column + offset
            return Problem(severity, message, setting.line, column, len(word), hint)
    length = len(setting.value)
    return Problem(severity, message, setting.line, setting.value_column, length, hint)


@frozen
class GlobalDraft(Draft):
    options: GlobalOptions


@frozen
class Use:
    """A frontend's option names a backend."""

    backend: str
    key: str
    setting: Setting | None = None
    """Which of several settings of the key; None where there is but one."""


@frozen
class FrontendDraft(Draft):
    """Where something could not be read, `config` has None in its place."""

    config: FrontendConfig
    uses: tuple[Use, ...]


@frozen
class ServerDraft:
    setting: Setting
    config: ServerConfig


@frozen
class BackendDraft(Draft):
    """Servers that could not be read are not there."""

    config: BackendConfig
    servers: tuple[ServerDraft, ...]


@frozen
class UserlistDraft(Draft):
    config: UserlistConfig


@frozen
class ClusterDraft:
    """The whole file. `global_` is None where there is no such section."""

    global_: GlobalDraft | None
    frontends: tuple[FrontendDraft, ...]
    backends: tuple[BackendDraft, ...]
    userlists: tuple[UserlistDraft, ...] = ()
