"""The section `global` -> `[global]`."""

from __future__ import annotations

from collections.abc import Iterator

from vipproxy.config.document import Section, Setting
from vipproxy.config.haproxy import addresses
from vipproxy.config.haproxy.logs import global_logs
from vipproxy.config.haproxy.model import BadLine, Files, Part, Statement, made, setting

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
IMPLIED = {"identity": "HAProxy", "log-tag": "haproxy"}
"""What HAProxy calls itself, for tools that look for it."""
LISTENERS = "listening sockets are not handed over through it"


def global_section(files: Files) -> Section:
    place = files.global_place or (1, 1, 1)
    settings = [*_composed(files), *files.global_settings.values()]
    said = {each.key for each in settings}
    for key, value in IMPLIED.items():
        if key not in said:
            settings.append(made(key, [Part(value, place)], place, "HAProxy's default"))
    line, column, length = place
    return Section("global", "", line, column, length, tuple(settings))


def _composed(files: Files) -> Iterator[Setting]:
    for compose in (_stats_sockets, global_logs, _description):
        try:
            yield from compose(files)
        except BadLine as error:
            files.bad(error)


def _stats_sockets(files: Files) -> Iterator[Setting]:
    sockets = [each for each in files.globals if each.name == "stats socket"]
    for each in sockets:
        yield setting("stats-socket", each, _stats_socket(files, each))


def _description(files: Files) -> Iterator[Setting]:
    for each in files.globals:
        if each.name == "description":
            parts = [Part(word.text, word.place) for word in each.arguments]
            yield setting("description", each, parts)


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
    if address.startswith("/"):
        yield Part(address, path.place)
    elif "@" not in address.removeprefix("ipv4@").removeprefix("ipv6@"):
        yield next(addresses.binds(path))
    else:
        raise BadLine("a 'stats socket' that is no path is not supported yet", path.place)
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
