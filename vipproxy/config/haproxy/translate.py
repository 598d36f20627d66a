"""The sections of a haproxy.cfg -> a Document, as if they had been written as INI."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from attrs import evolve

from vipproxy.config.declare import key_of_names, options_of
from vipproxy.config.document import Document, Section, Setting
from vipproxy.config.haproxy.backends import backend_section
from vipproxy.config.haproxy.findings import findings
from vipproxy.config.haproxy.frontends import frontend_section
from vipproxy.config.haproxy.globals import global_section, process_of
from vipproxy.config.haproxy.model import BadLine, Files, Part, Proxy, made
from vipproxy.config.haproxy.promises import promises
from vipproxy.config.haproxy.reader import read
from vipproxy.config.haproxy.units import FOREVER
from vipproxy.config.options import MOST_SESSIONS, BackendOptions, FrontendOptions
from vipproxy.config.problems import Problems

DEFAULT = "HAProxy's default"

IMPLIED = (
    ("timeout-client", FOREVER),
    ("timeout-connect", FOREVER),
    ("timeout-server", FOREVER),
    ("redispatch", "off"),
)
"""What holds in HAProxy where a file says nothing, and does not here."""


def read_haproxy(
    problems: Problems,
    environment: Mapping[str, str],
    implied: Mapping[str, str],
) -> Document:
    """The document in the lines of `problems`, to which everything wrong with it is added.

    `implied` replaces HAProxy's defaults, by our keys.
    """
    files = read(problems, environment)
    sections = list(_sections(files, implied))
    findings(files)
    promises(files, sections)
    return Document(problems.source, tuple(sections), files.comments, process_of(files))


def _sections(files: Files, implied: Mapping[str, str]) -> Iterator[Section]:
    yield global_section(files)
    yield from (each.section() for each in files.userlists)
    current: Proxy | None = None
    written = False
    for proxy in files.proxies:
        if proxy.kind == "defaults" or proxy.last("disabled"):
            continue
        if not written or proxy.base is not current:
            current, written = proxy.base, True
            yield _defaults(current, {**dict(IMPLIED), "maxconn": _maxconn(files), **implied})
        try:
            yield from _proxy(files, proxy)
        except BadLine as error:
            files.bad(error)


def _proxy(files: Files, proxy: Proxy) -> Iterator[Section]:
    backend = backend_section(files, proxy) if proxy.balances else None
    ours = _ours(proxy)
    if proxy.listens:
        front = frontend_section(files, proxy, backend is not None)
        yield _with(front, ours[0])
    if backend is not None:
        yield _with(backend, ours[1])


def _defaults(proxy: Proxy | None, implied: Mapping[str, str]) -> Section:
    """What proxies inherit, and what holds in HAProxy where nothing is said."""
    place = proxy.place if proxy else (1, 1, 1)
    said = {**proxy.front, **proxy.back} if proxy else {}
    if proxy is not None:
        said.update({key: each for side in _ours(proxy) for key, each in side.items()})
    for key, value in implied.items():
        if key not in said:
            said[key] = made(key, [Part(value, place)], place, DEFAULT)
    line, column, length = place
    return Section("defaults", "", line, column, length, tuple(said.values()))


def _maxconn(files: Files) -> str:
    """Of a frontend that has none: the whole process's."""
    setting = files.global_settings.get("maxconn")
    return setting.value if setting else str(MOST_SESSIONS)


def _ours(proxy: Proxy) -> tuple[dict[str, Setting], dict[str, Setting]]:
    """The lines for vipproxy, those of the frontend and those of the backend."""
    front: dict[str, Setting] = {}
    back: dict[str, Setting] = {}
    for key, setting in proxy.ours.items():
        declared = key_of_names(key) if " " in key else key
        ours = declared in options_of(BackendOptions) or declared == "server NAME"
        both = declared in options_of(FrontendOptions)
        into = back if ours and proxy.kind != "frontend" and not (both and proxy.listens) else front
        into[key] = setting
    return front, back


def _with(section: Section, ours: Mapping[str, Setting]) -> Section:
    """A section with settings that replace those of the same key."""
    kept: Iterable[Setting] = (each for each in section.settings if each.key not in ours)
    settings = (*kept, *ours.values())
    return evolve(section, settings=settings)
