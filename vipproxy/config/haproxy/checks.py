"""How the servers of a backend are checked -> `check = NAME ...`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from vipproxy.config.document import Place, Setting
from vipproxy.config.haproxy.lexer import Word
from vipproxy.config.haproxy.model import BadLine, Files, Part, Proxy, Statement, made
from vipproxy.config.haproxy.servers import ServerLine, pace
from vipproxy.config.haproxy.units import number, timeout

OPTIONS = ("option httpchk", "option tcp-check", "option mysql-check")
KEYS = {"inter": "interval", "rise": "rise", "fall": "fall"}
"""Of HAProxy's names those that have another one here, or the same."""
CODES = range(100, 600)


def check_setting(files: Files, proxy: Proxy, servers: list[ServerLine]) -> Setting | None:
    """`check`, where a server of the proxy is checked."""
    first = next((each for each in servers if each.checked), None)
    if first is None:
        return None
    option = _option(proxy)
    place = option.place if option else first.given["check"].place
    parts = [*_kind(files, proxy, option, place), *_pace(files, proxy, servers, place)]
    port = common_port(servers)
    if port is not None:
        parts.append(port)
    return made("check", parts, place)


def common_port(servers: list[ServerLine]) -> Part | None:
    """`port=`, where all servers that are checked have the same."""
    checked = [each for each in servers if each.checked]
    ports = {each.given["port"].value.text if "port" in each.given else None for each in checked}
    if len(ports) != 1 or None in ports:
        return None
    given = checked[0].given["port"]
    return Part(f"port={number(given.value).text}", given.place)


def _option(proxy: Proxy) -> Statement | None:
    return proxy.last(*OPTIONS)


def _kind(files: Files, proxy: Proxy, option: Statement | None, place: Place) -> Iterator[Part]:
    """The kind of the check, and its own words."""
    if option is None or option.name == "option tcp-check":
        yield Part("tcp", place)
        return
    name, read = KINDS[option.name]
    yield Part(name, place)
    try:
        yield from read(proxy, option)
    except BadLine as error:
        files.bad(error)


def _pace(files: Files, proxy: Proxy, servers: list[ServerLine], place: Place) -> Iterator[Part]:
    try:
        for name, part in pace(files, servers):
            yield Part(f"{KEYS.get(name, name)}={part.text}", part.place)
        limit = proxy.last("timeout check")
        if limit is not None:
            word = limit.one("a time")
            yield Part(f"timeout={timeout(word).text}", word.place)
    except BadLine as error:
        files.bad(error)
    yield Part("hold-down=0s", place)


# -- HTTP -------------------------------------------------------------------------------------


def _http(proxy: Proxy, option: Statement) -> Iterator[Part]:
    asked: dict[str, Part] = {}
    _read_option(option, asked)
    for statement in proxy.all("http-check send"):
        _read_send(statement, asked)
    yield from asked.values()
    yield from _expect(proxy)


def _read_option(option: Statement, asked: dict[str, Part]) -> None:
    """``option httpchk [URI | METHOD URI [VERSION]]``"""
    words = option.arguments
    if len(words) == 1:
        asked["path"] = Part(f"path={words[0].text}", words[0].place)
    elif words:
        asked["method"] = Part(f"method={words[0].text}", words[0].place)
        asked["path"] = Part(f"path={words[1].text}", words[1].place)
    if len(words) > 2:
        _read_version(words[2], asked)
    if len(words) > 3:
        raise BadLine(f"'option httpchk' cannot handle '{words[3].text}'", words[3].place)


def _read_version(word: Word, asked: dict[str, Part]) -> None:
    """A version with fields after it, as it was written before ``http-check send``."""
    version, *fields = re.split(r"\r\n|\n", word.text)
    if version not in ("HTTP/1.0", "HTTP/1.1"):
        raise BadLine(f"unknown version '{version}'", word.place, "HTTP/1.0 or HTTP/1.1")
    for each in filter(None, fields):
        name, _, value = each.partition(":")
        _take_field(name, value.strip(), word.place, asked)


def _take_field(name: str, value: str, place: Place, asked: dict[str, Part]) -> None:
    if name.lower() == "host":
        asked["host"] = Part(f"host={value}", place)
    elif name.lower() not in ("connection", "user-agent", "accept"):
        message = f"the field '{name}' in a check's request is not supported yet"
        raise BadLine(message, place, "Host is")


def _read_send(statement: Statement, asked: dict[str, Part]) -> None:
    words = list(statement.arguments)
    while words:
        word = words.pop(0)
        size = 2 if word.text == "hdr" else 1
        if word.text not in ("meth", "uri", "ver", "hdr"):
            message = f"'{word.text}' of 'http-check send' is not supported yet"
            raise BadLine(message, word.place, "known: meth, uri, ver, hdr")
        if len(words) < size:
            raise BadLine(f"'{word.text}' expects a value", word.place)
        values, words = words[:size], words[size:]
        if word.text == "meth":
            asked["method"] = Part(f"method={values[0].text}", values[0].place)
        elif word.text == "uri":
            asked["path"] = Part(f"path={values[0].text}", values[0].place)
        elif word.text == "hdr":
            _take_field(values[0].text, values[1].text, values[0].place, asked)


def _expect(proxy: Proxy) -> Iterator[Part]:
    """``http-check expect status 200``, or a regular expression for it."""
    for statement in proxy.all("http-check expect"):
        words = list(statement.arguments)
        negated = bool(words) and words[0].text == "!"
        if negated:
            words.pop(0)
        if len(words) != 2 or words[0].text not in ("status", "rstatus"):
            message = "only 'status' and 'rstatus' of 'http-check expect' are supported yet"
            raise BadLine(message, statement.place)
        codes = _codes(words[0].text, words[1])
        found = [code for code in CODES if (code in codes) != negated]
        yield Part(f"expect={','.join(_written(found))}", words[1].place)


def _codes(kind: str, word: Word) -> set[int]:
    if kind == "rstatus":
        try:
            pattern = re.compile(word.text)
        except re.error as error:
            raise BadLine(f"'{word.text}' is no regular expression: {error}", word.place) from None
        return {code for code in CODES if pattern.search(str(code))}
    codes: set[int] = set()
    for each in word.text.split(","):
        match = re.fullmatch(r"(\d{3})(?:-(\d{3}))?", each)
        if match is None:
            raise BadLine(f"'{each}' is no status code", word.place, "such as 200 or 200-399")
        codes.update(range(int(match.group(1)), int(match.group(2) or match.group(1)) + 1))
    return codes


def _written(codes: list[int]) -> Iterator[str]:
    """Whole classes as ``2xx``."""
    for family in range(1, 6):
        members = [code for code in codes if code // 100 == family]
        if len(members) == 100:
            yield f"{family}xx"
        else:
            yield from map(str, members)


# -- MySQL ------------------------------------------------------------------------------------


def _mysql(proxy: Proxy, option: Statement) -> Iterator[Part]:
    """``option mysql-check [user NAME [post-41|pre-41]]``"""
    words = list(option.arguments)
    if not words:
        return
    if words[0].text != "user" or len(words) < 2:
        raise BadLine("'option mysql-check' expects 'user NAME'", words[0].place)
    yield Part(f"user={words[1].text}", words[1].place)
    for word in words[2:]:
        if word.text != "post-41":
            hint = "post-41"
            raise BadLine(
                f"'{word.text}' of 'option mysql-check' is not supported yet", word.place, hint
            )


Reader = Callable[[Proxy, Statement], Iterator[Part]]

KINDS: dict[str, tuple[str, Reader]] = {
    "option httpchk": ("http", _http),
    "option mysql-check": ("mysql", _mysql),
}
