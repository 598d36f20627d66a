"""A haproxy.cfg read for a test: the configuration, or what is wrong with it."""

from __future__ import annotations

import re
from pathlib import Path

from vipproxy.config import Loaded, loads
from vipproxy.config.show import show
from vipproxy.errors import ConfigError
from vipproxy.plugins import Catalog

EXAMPLES = Path(__file__).parents[1] / "examples"
REFERENCE = (EXAMPLES / "openstack.cfg").read_text()
AS_IT_STANDS = REFERENCE.replace("stats auth root:", "stats authroot:")
"""With the typo that the guide has."""

UNLIMITED = 10**9


def load_cfg(text: str, name: str = "haproxy.cfg") -> Loaded:
    """Raises ConfigError."""
    return loads(text, Catalog(), name, UNLIMITED, "haproxy")


def report(text: str) -> str:
    """What `vipproxy check haproxy.cfg` would print."""
    try:
        return load_cfg(text).problems.report()
    except ConfigError as error:
        return error.report


def said(text: str) -> list[str]:
    """The first lines of all problems but notes, without the file's name."""
    quiet = (": note: ", "there is no frontend")
    return [each for each in heads(text) if not any(word in each for word in quiet)]


def heads(text: str) -> list[str]:
    """The first lines of all problems, without the file's name."""
    return re.findall(r"(?m)^haproxy\.cfg:(\d+:\d+: (?:error|warning|note): .*)$", report(text))


def shown(loaded: Loaded) -> str:
    """Every effective value, without its origin."""
    lines = show(loaded.draft, "x").splitlines()
    return "\n".join(line.partition("  #")[0].rstrip() for line in lines)
