"""How the servers of a backend are checked -> `check = NAME ...`, and the steps of checks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from attrs import define, field

from vipproxy.config.document import Place, Setting
from vipproxy.config.haproxy.lexer import Word
from vipproxy.config.haproxy.model import BadLine, Files, Part, Proxy, Statement, made, setting
from vipproxy.config.haproxy.servers import ServerLine, common_value
from vipproxy.config.haproxy.units import number, time, timeout
from vipproxy.config.words import quote

KINDS = {
    "option httpchk": "http",
    "option tcp-check": "tcp",
    "option mysql-check": "mysql",
    "option ssl-hello-chk": "ssl-hello",
    "option smtpchk": "smtp",
    "option pgsql-check": "pgsql",
    "option redis-check": "redis",
    "option ldap-check": "ldap",
}
"""HAProxy's options, and our names."""
KEYS = {"inter": "interval"}
"""HAProxy's names that are others here."""
TIMES = ("inter", "fastinter", "downinter")
NUMBERS = ("rise", "fall", "port")


def check_settings(files: Files, proxy: Proxy, servers: list[ServerLine]) -> Iterator[Setting]:
    """`check` and its steps, where a server of the proxy is checked."""
    first = next((each for each in servers if each.checked), None)
    if first is None:
        return
    option = proxy.last(*KINDS)
    place = option.place if option else first.given["check"].place
    request = _Request()
    if option is not None and option.name == "option httpchk":
        request.read_option(option)
        for statement in proxy.all("http-check send"):
            request.read_send(statement)
    kind = [*_kind(option, place), *([] if request.is_long else request.parts())]
    yield made("check", [*kind, *_pace(proxy, servers, place)], place)
    if request.is_long:
        yield made("http-check", [Part("send", place), *request.words()], place)
    if option is not None:
        yield from _steps(proxy, option)


def _kind(option: Statement | None, place: Place) -> Iterator[Part]:
    """The kind of the check, and its own words."""
    yield Part(KINDS[option.name] if option else "tcp", place)
    if option is None:
        return
    words = option.arguments
    if option.name in ("option mysql-check", "option pgsql-check"):
        yield from _login(option)
    elif option.name == "option smtpchk" and words:
        hello, domain = option.exactly(2, "HELO or EHLO, and a name")
        yield Part(f"hello={hello.text}", hello.place)
        yield Part(f"domain={domain.text}", domain.place)


def _pace(proxy: Proxy, servers: list[ServerLine], place: Place) -> Iterator[Part]:
    for name in (*TIMES, *NUMBERS):
        given = common_value(servers, name)
        if given is not None:
            read: Callable[[Word], Part] = time if name in TIMES else number
            yield Part(f"{KEYS.get(name, name)}={read(given.value).text}", given.place)
    limit = proxy.last("timeout check")
    if limit is not None:
        word = limit.one("a time")
        yield Part(f"timeout={timeout(word).text}", word.place)
    yield Part("hold-down=0s", place)


def own_pace(servers: list[ServerLine], server: ServerLine) -> Iterator[Part]:
    """What a server says of its checks that is not the backend's."""
    for name in (*TIMES, *NUMBERS):
        given = server.given.get(name)
        common = common_value(servers, name)
        if given is None or (common is not None and common.value.text == given.value.text):
            continue
        read: Callable[[Word], Part] = time if name in TIMES else number
        key = "check-port" if name == "port" else KEYS.get(name, name)
        yield Part(f"{key}={read(given.value).text}", given.place)


# -- steps ------------------------------------------------------------------------------------


def _steps(proxy: Proxy, option: Statement) -> Iterator[Setting]:
    """What the check says and expects, one line after the other."""
    if option.name == "option tcp-check":
        for statement in proxy.all(
            "tcp-check connect", "tcp-check send", "tcp-check send-binary", "tcp-check expect"
        ):
            yield setting("tcp-check", statement, _step(statement))
    if option.name == "option httpchk":
        for statement in proxy.all("http-check expect"):
            yield setting("http-check", statement, _step(statement))


def _step(statement: Statement) -> Iterator[Part]:
    """The words of a step."""
    yield Part(statement.name.partition(" ")[2], statement.place)
    yield from (Part(quote(word.text), word.place) for word in statement.arguments)


@define
class _Request:
    """What an HTTP check asks for."""

    method: Word | None = None
    uri: Word | None = None
    version: str = ""
    headers: list[tuple[str, str]] = field(factory=list)
    body: Word | None = None
    place: Place = (1, 1, 1)

    @property
    def is_long(self) -> bool:
        """Whether it needs a step of its own."""
        return bool(self.headers or self.body or self.version == "HTTP/1.1")

    def read_option(self, option: Statement) -> None:
        """``option httpchk [URI | METHOD URI [VERSION]]``"""
        words = option.arguments
        self.place = option.place
        if len(words) == 1:
            self.uri = words[0]
        elif words:
            self.method, self.uri = words[:2]
        if len(words) > 2:
            self._read_version(words[2])
        if len(words) > 3:
            raise BadLine(f"'option httpchk' cannot handle '{words[3].text}'", words[3].place)

    def read_send(self, statement: Statement) -> None:
        """``http-check send [meth M] [uri U] [ver V] [hdr NAME VALUE] [body B]``"""
        words = list(statement.arguments)
        self.place = statement.place
        while words:
            word = words.pop(0)
            size = 2 if word.text == "hdr" else 1
            if word.text not in ("meth", "uri", "ver", "hdr", "body", "comment"):
                message = f"'{word.text}' of 'http-check send' is not supported yet"
                raise BadLine(message, word.place, "known: meth, uri, ver, hdr, body")
            if len(words) < size:
                raise BadLine(f"'{word.text}' expects a value", word.place)
            values, words = words[:size], words[size:]
            self._take(word.text, values)

    def _take(self, name: str, values: list[Word]) -> None:
        if name == "meth":
            self.method = values[0]
        elif name == "uri":
            self.uri = values[0]
        elif name == "ver":
            self._read_version(values[0])
        elif name == "hdr":
            self.headers.append((values[0].text, values[1].text))
        elif name == "body":
            self.body = values[0]

    def _read_version(self, word: Word) -> None:
        """A version, with fields after it as they were written before ``http-check send``."""
        version, *fields = re.split(r"\r\n|\n", word.text)
        if version not in ("HTTP/1.0", "HTTP/1.1"):
            raise BadLine(f"unknown version '{version}'", word.place, "HTTP/1.0 or HTTP/1.1")
        self.version = version
        for each in filter(None, fields):
            name, _, value = each.partition(":")
            self.headers.append((name, value.strip()))

    def parts(self) -> Iterator[Part]:
        """As words of `check = http`."""
        if self.method is not None:
            yield Part(f"method={self.method.text}", self.method.place)
        if self.uri is not None:
            yield Part(f"path={self.uri.text}", self.uri.place)

    def words(self) -> Iterator[Part]:
        """As words of `http-check = send`."""
        for name, word in (("meth", self.method), ("uri", self.uri)):
            if word is not None:
                yield Part(f"{name} {quote(word.text)}", word.place)
        if self.version:
            yield Part(f"ver {self.version}", self.place)
        for name, value in self.headers:
            if name.lower() != "connection":
                yield Part(f"hdr {quote(name)} {quote(value)}", self.place)
        if self.body is not None:
            yield Part(f"body {quote(self.body.text)}", self.body.place)


def _login(option: Statement) -> Iterator[Part]:
    """``option mysql-check [user NAME [post-41|pre-41]]``, ``option pgsql-check user NAME``"""
    words = option.arguments
    if not words:
        return
    if words[0].text != "user" or len(words) < 2:
        raise BadLine(f"'{option.name}' expects 'user NAME'", words[0].place)
    yield Part(f"user={words[1].text}", words[1].place)
    for word in words[2:]:
        if word.text != "post-41":
            message = f"'{word.text}' of '{option.name}' is not supported yet"
            raise BadLine(message, word.place, "post-41")
