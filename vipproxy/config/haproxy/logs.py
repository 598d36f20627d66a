"""`log` and what is said of it -> `log`, `log-format` and their kin."""

from __future__ import annotations

from collections.abc import Iterator

from vipproxy.config.document import Setting
from vipproxy.config.haproxy import addresses
from vipproxy.config.haproxy.lexer import Word
from vipproxy.config.haproxy.model import BadLine, Files, Part, Proxy, Statement, made, setting
from vipproxy.config.haproxy.units import number

LEVELS = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
FORMATS = ("option httplog", "option tcplog", "log-format")
OPTIONS = {
    "option dontlognull": "dontlognull",
    "option dontlog-normal": "dontlog-normal",
    "option log-separate-errors": "log-separate-errors",
    "option logasap": "logasap",
}
STREAMS = {"stdout": "stdout", "stderr": "stderr", "fd@1": "stdout", "fd@2": "stderr"}


def global_logs(files: Files) -> Iterator[Setting]:
    """The targets of `global`, and those of `defaults` where `global` has none."""
    said = _targets(files.globals)
    if not said:
        found = (each for proxy in files.of_kind("defaults") for each in _targets(proxy.statements))
        said = list({str(each.line): each for each in found}.values())
    for statement in said:
        yield setting("log", statement, _target(files, statement))


def _targets(statements: list[Statement]) -> list[Statement]:
    named = (each for each in statements if each.name == "log" and not each.negated)
    return [each for each in named if each.arguments and each.arguments[0].text != "global"]


def _target(files: Files, statement: Statement) -> Iterator[Part]:
    """``log ADDRESS [len N] [format F] FACILITY [LEVEL [MINLEVEL]]``"""
    place, *words = statement.arguments
    yield _place(place)
    levels = iter(("level", "minlevel"))
    facility = False
    while words:
        word = words.pop(0)
        if word.text in ("len", "format") and words:
            value = words.pop(0)
            key = "length" if word.text == "len" else "format"
            yield Part(f"{key}={value.text}", value.place)
        elif word.text == "sample":
            raise BadLine("'sample' of 'log' is not supported yet", word.place)
        elif not facility:
            facility = True
            yield Part(f"facility={word.text}", word.place)
        else:
            level = next(levels, None)
            if level is None or word.text not in LEVELS:
                raise BadLine(f"'log' cannot handle '{word.text}'", word.place, ", ".join(LEVELS))
            yield Part(f"{level}={word.text}", word.place)


def _place(word: Word) -> Part:
    if word.text in STREAMS:
        return Part(STREAMS[word.text], word.place)
    text = word.text.removeprefix("unix@").removeprefix("udp@")
    if text.startswith("/"):
        return Part(text, word.place)
    if "@" in text:
        raise BadLine(f"a log to '{word.text}' is not supported yet", word.place)
    host, _, port = text.rpartition(":") if text.count(":") == 1 else (text, "", "514")
    found = addresses.resolve(host, "", word.place)
    return Part(f"[{found}]:{port}" if ":" in found else f"{found}:{port}", word.place)


def frontend_logs(files: Files, proxy: Proxy, mode: str) -> Iterator[Setting]:
    """What is written of a frontend's sessions, and whether anything is."""
    if mode == "stats":
        return
    if not _logs(files, proxy):
        if any(_targets(files.globals)):
            yield made(
                "log-format", [Part("none", proxy.place)], proxy.place, "there is no 'log' in it"
            )
        return
    statement = proxy.last(*FORMATS)
    if statement is not None:
        yield setting("log-format", statement, [_format(statement, mode)])
    for name, key in OPTIONS.items():
        option = proxy.last(name)
        if option is not None:
            yield setting(key, option, [Part("on", option.place)])
    for capture in proxy.own("capture request", "capture response", "capture cookie"):
        if mode == "http":
            yield _capture(capture)


def _logs(files: Files, proxy: Proxy) -> bool:
    """``log global``, or a target of the defaults; one of its own the frontend cannot have."""
    own = _targets(proxy.statements)
    if own and _targets(files.globals):
        raise BadLine("a log of a single section is not supported yet", own[0].place, "log global")
    said = proxy.all("log")
    return bool(said) and not said[-1].negated


def _format(statement: Statement, mode: str) -> Part:
    if statement.name == "log-format":
        word = statement.one("a format")
        return Part(word.text, word.place)
    if statement.name == "option httplog" and mode == "http":
        clf = any(word.text == "clf" for word in statement.arguments)
        return Part("clf" if clf else "httplog", statement.place)
    return Part("tcplog", statement.place)


def _capture(statement: Statement) -> Setting:
    """``capture request header NAME len N``, ``capture cookie NAME len N``"""
    words = statement.arguments
    if statement.name != "capture cookie":
        if not words or words[0].text != "header":
            raise BadLine(f"'{statement.name}' expects 'header'", statement.place)
        words = words[1:]
    if len(words) != 3 or words[1].text != "len":
        raise BadLine(f"'{statement.name}' expects a name, 'len' and a number", statement.place)
    length = number(words[2])
    if statement.name == "capture cookie":
        parts = [Part(words[0].text, words[0].place), Part(f"length={length.text}", length.place)]
        return setting("capture-cookie", statement, parts)
    key = f"{statement.name.replace(' ', '-')}-header {words[0].text}"
    return setting(key, statement, [length])
