"""Which of our options there are: what a keyword becomes depends on it."""

from __future__ import annotations

from vipproxy.config.declare import options_of
from vipproxy.config.haproxy.keywords import Action, Noted
from vipproxy.config.options import BackendOptions, FrontendOptions, GlobalOptions

SECTIONS: dict[str, type] = {
    "global": GlobalOptions,
    "frontend": FrontendOptions,
    "backend": BackendOptions,
}


def known(section: str, key: str) -> bool:
    """Whether a section has an option of this key."""
    return key in options_of(SECTIONS[section])


def if_known(section: str, key: str, action: Action, why_not: str) -> Action:
    """An action for a keyword whose option there may be, else the note that says why not."""
    return action if known(section, key) else Noted(why_not)


LOGS = known("global", "log")
