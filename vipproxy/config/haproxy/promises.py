"""What is better here than in HAProxy and stays so under a haproxy.cfg: a note for each.

Each note ends with the line that turns it off (docs/haproxy.md, "Different on purpose").
"""

from __future__ import annotations

from vipproxy.config.document import Section
from vipproxy.config.haproxy.model import Files


def promises(files: Files, sections: list[Section]) -> None:
    """A note for each that concerns something in the file, where that stands first."""
    backends = [each for each in sections if each.kind == "backend"]
    checked = [each for each in backends if _says(each, "check")]
    _note(
        files,
        [each for each in checked if not _both(sections, each, "initial-state")],
        "a checked server gets nobody before its first passed check; HAProxy would not wait",
        "# vipproxy: initial-state = up",
    )
    _note(
        files,
        [each for each in checked if "fastinter=" not in _value(each, "check")],
        "a refused connection counts as a failed check, and the next check comes at once",
        "default-server fastinter 2s",
    )
    _pins(files, backends)
    _note(
        files,
        [
            each
            for each in sections
            if each.kind == "frontend" and not _both(sections, each, "freebind")
        ],
        "ports are bound also where the machine does not have the address",
        "# vipproxy: freebind = off",
    )


def _pins(files: Files, backends: list[Section]) -> None:
    for section in backends:
        value = _value(section, "stick")
        if not value:
            continue
        where = next(each for each in section.settings if each.key == "stick").key_place
        says = _says(section, "on-marked-down")
        marked = "" if says else ", and all of its sessions have been shut down"
        files.note(
            f"a pin of {section.label} moves only when its server is marked down{marked}; "
            "until then its clients wait, and are not redispatched",
            where,
            "a backend without 'stick on' has no pins",
        )


def _note(files: Files, sections: list[Section], message: str, cure: str) -> None:
    if sections:
        first = sections[0]
        files.note(message, (first.line, first.column, first.length), f"off with: {cure}")


def _says(section: Section, key: str) -> bool:
    return any(each.key == key for each in section.settings)


def _value(section: Section, key: str) -> str:
    return next((each.value for each in section.settings if each.key == key), "")


def _both(sections: list[Section], section: Section, key: str) -> bool:
    """Whether a section has a key, or the defaults before it do."""
    before = sections[: sections.index(section)]
    defaults = next((each for each in reversed(before) if each.kind == "defaults"), None)
    return _says(section, key) or (defaults is not None and _says(defaults, key))
