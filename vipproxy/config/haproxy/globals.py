"""The section `global` -> `[global]`."""

from __future__ import annotations

from collections.abc import Iterator

from vipproxy.config.document import Section
from vipproxy.config.haproxy.model import BadLine, Files, Part, Statement, setting

SOCKET_VALUES = ("level", "mode")
SOCKET_NOTES = {
    "user": "the socket is the proxy's own",
    "group": "the socket is the proxy's own",
    "uid": "the socket is the proxy's own",
    "gid": "the socket is the proxy's own",
    "process": "there is one process",
    "thread": "there is one process",
    "name": "there is one socket",
}
"""Parameters with a value that have nothing to do."""
LISTENERS = "listening sockets are not handed over through it"


def global_section(files: Files) -> Section:
    settings = dict(files.global_settings)
    sockets = [each for each in files.globals if each.name == "stats socket"]
    try:
        if sockets:
            settings["stats-socket"] = setting(
                "stats-socket", sockets[0], _stats_socket(files, sockets[0])
            )
        for each in sockets[1:]:
            raise BadLine("a second 'stats socket' is not supported yet", each.place)
    except BadLine as error:
        files.bad(error)
    line, column, length = files.global_place or (1, 1, 1)
    return Section("global", "", line, column, length, tuple(settings.values()))


def process_of(files: Files) -> dict[str, str]:
    """What is said to the command that starts the process."""
    said = (each for each in files.globals if each.name in ("daemon", "pidfile"))
    return {each.name: " ".join(word.text for word in each.arguments) for each in said}


def _stats_socket(files: Files, statement: Statement) -> Iterator[Part]:
    """``stats socket PATH level admin mode 600``"""
    if not statement.arguments:
        raise BadLine("'stats socket' expects a path", statement.place)
    path, *rest = statement.arguments
    address = path.text.removeprefix("unix@")
    if "@" in address or not address.startswith("/"):
        raise BadLine("a 'stats socket' that is no path is not supported yet", path.place)
    yield Part(address, path.place)
    words = list(rest)
    while words:
        word = words.pop(0)
        if word.text == "expose-fd" and words:
            words.pop(0)
            files.note_once("stats socket expose-fd", LISTENERS, word.place)
            continue
        if not words:
            raise BadLine(f"unknown keyword '{word.text}' in 'stats socket'", word.place)
        value = words.pop(0)
        if word.text in SOCKET_VALUES:
            yield Part(f"{word.text}={value.text}", value.place)
        elif word.text in SOCKET_NOTES:
            files.note_once(f"stats socket {word.text}", SOCKET_NOTES[word.text], word.place)
        else:
            raise BadLine(f"'{word.text}' of 'stats socket' is not supported yet", word.place)
