"""How the words of an action are read."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from vipproxy.config.actions import (
    Action,
    AddHeader,
    Allow,
    Auth,
    DelHeader,
    Deny,
    Redirect,
    Reject,
    ReplaceHeader,
    ReplacePart,
    Return,
    SetHeader,
    SetPart,
    SetStatus,
    UseService,
)
from vipproxy.config.formats import Format, read_format
from vipproxy.config.http_kinds import FRAMING, TOKEN
from vipproxy.config.kinds import BadValue, suggest
from vipproxy.config.words import Word, Words

PAGES = (
    200, 400, 401, 403, 404, 405, 407, 408, 410, 413, 421, 422, 425, 429, 500, 501, 502, 503, 504,
)  # fmt: skip
"""Statuses for which there is an error page."""
REDIRECTS = (301, 302, 303, 307, 308)
_RETURN_WORDS = (
    "status", "content-type", "string", "lf-string", "file", "hdr", "default-errorfiles",
)  # fmt: skip
_NAME_MATCHES = ("str", "beg", "end", "sub", "reg")

Reader = Callable[[Words], Action]


def _keyword(words: Words, *keywords: str) -> str | None:
    """The next word, if it is one of these."""
    return words.take("").text if words.peek(*keywords) else None


def _status(words: Words, allowed: tuple[int, ...] | range) -> int:
    word = words.take("a status code")
    if not re.fullmatch("[1-9][0-9]{2}", word.text) or int(word.text) not in allowed:
        hint = "" if isinstance(allowed, range) else f"one of {', '.join(map(str, allowed))}"
        raise word.wrong(f"'{word.text}' is no status that is possible here", hint)
    return int(word.text)


def _deny(words: Words) -> Action:
    status = 403
    if _keyword(words, "deny_status", "status"):
        status = _status(words, PAGES)
    return Deny(status)


def _deny_response(words: Words) -> Action:
    status = 502
    if _keyword(words, "deny_status", "status"):
        status = _status(words, PAGES)
    return Deny(status)


def _auth(words: Words) -> Action:
    if not _keyword(words, "realm"):
        return Auth(Format("Protected", ("Protected",)))
    realm = words.take("the realm")
    if '"' in realm.text:
        raise realm.wrong("a quote in a realm")
    return Auth(read_format(realm))


def _return(words: Words) -> Action:
    """``return status 200 content-type text/plain string "hello" hdr X-A b``"""
    status, content_type, headers = 200, None, []
    body: Format | bytes | None = None
    page = False
    while words.peek(*_RETURN_WORDS):
        keyword = words.take("").text
        if keyword == "status":
            status = _status(words, range(200, 600))
        elif keyword == "default-errorfiles":
            page = True
        elif keyword == "content-type":
            content_type = _text(words.take("the content type"))
        elif keyword == "hdr":
            headers.append((_field_name(words), read_format(words.take("a header's value"))))
        else:
            body = _body(keyword, words.take("what is returned"))
    if page and (status not in PAGES or body is not None or content_type or headers):
        raise BadValue("'default-errorfiles' is the page of a status, and nothing else", 0, 0)
    if body is not None and content_type is None:
        raise BadValue("a body needs a 'content-type'", 0, 0, "content-type text/plain")
    if body is not None and status in (204, 304):
        raise BadValue(f"a {status} has no body", 0, 0)
    if content_type is not None and body is None:
        raise BadValue("'content-type' without a body", 0, 0, 'string "..."')
    return Return(status, content_type, body or b"", tuple(headers), page)


def _body(keyword: str, word: Word) -> Format | bytes:
    if keyword == "lf-string":
        return read_format(word)
    if keyword == "string":
        return word.text.encode("utf-8", "surrogateescape")
    try:
        return Path(word.text).read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise word.wrong(f"'{word.text}' cannot be read: {reason}") from None


def _text(word: Word) -> str:
    if not re.fullmatch(r"[\t -~]+", word.text):
        raise word.wrong(f"'{word.text}' has characters that cannot be in a header")
    return word.text


def read_redirect(words: Words) -> Redirect:
    """``scheme https code 301``, ``prefix http://a drop-query``, ``location /x set-cookie A=1``"""
    kind = words.take("location, prefix or scheme")
    if kind.text not in ("location", "prefix", "scheme"):
        hint = suggest(kind.text, ("location", "prefix", "scheme"))
        raise kind.wrong(f"unknown redirection '{kind.text}'", hint)
    target = read_format(words.take(f"the {kind.text}"))
    code, flags, cookies = 302, set[str](), dict[str, str]()
    while words.peek(
        "code", "drop-query", "append-slash", "ignore-empty", "set-cookie", "clear-cookie"
    ):
        word = words.take("")
        if word.text == "code":
            code = _status(words, REDIRECTS)
        elif word.text.endswith("-cookie"):
            cookies[word.text.replace("-", "_")] = _cookie(words.take("the cookie"))
        else:
            flags.add(word.text.replace("-", "_"))
    return Redirect(
        kind.text, target, code, "drop_query" in flags, "append_slash" in flags,
        "ignore_empty" in flags, cookies.get("set_cookie"), cookies.get("clear_cookie"),
    )  # fmt: skip


SERVICES = ("prometheus-exporter",)


def _use_service(words: Words) -> Action:
    word = words.take("the service")
    if word.text not in SERVICES:
        raise word.wrong(f"unknown service '{word.text}'", suggest(word.text, SERVICES))
    return UseService(word.text)


def _cookie(word: Word) -> str:
    if not re.fullmatch(r"[!-+\--:<-~]+", word.text):
        raise word.wrong(f"'{word.text}' is no cookie", "NAME or NAME=VALUE")
    return word.text


def _name(words: Words) -> Word:
    word = words.take("the name of a header")
    try:
        TOKEN.parse(word.text)
    except BadValue as error:
        raise error.moved(word.offset, word.length) from None
    return word


def _field_name(words: Words) -> str:
    """A name whose field may be changed."""
    word = _name(words)
    if word.text.lower() in FRAMING:
        hint = "the proxy writes it, from what it has understood of the message"
        raise word.wrong(f"the header '{word.text}' cannot be changed", hint)
    return word.text


def _request_name(words: Words) -> str:
    """As `_field_name`; what a request's Host says may be changed, since it has one value."""
    if words.peek("Host", "host"):
        return words.take("").text
    return _field_name(words)


def _set_header(words: Words) -> Action:
    return SetHeader(_field_name(words), read_format(words.take("the header's value")))


def _set_request_header(words: Words) -> Action:
    return SetHeader(_request_name(words), read_format(words.take("the header's value")))


def _add_header(words: Words) -> Action:
    return AddHeader(_field_name(words), read_format(words.take("the header's value")))


def _del_header(words: Words) -> Action:
    word = words.take("the name of a header")
    match = "str"
    if _keyword(words, "-m"):
        method = words.take("the match after -m")
        if method.text not in _NAME_MATCHES:
            hint = suggest(method.text, _NAME_MATCHES)
            raise method.wrong(f"unknown match '{method.text}'", hint)
        match = method.text
    if match == "str":
        return DelHeader(_field_name(Words([word], word.length)))
    if match == "reg":
        _expression(word)
    return DelHeader(word.text, match)


def _expression(word: Word) -> str:
    try:
        re.compile(word.text.encode("utf-8", "surrogateescape"))
    except re.error as error:
        raise word.wrong(f"'{word.text}' is no regular expression: {error}") from None
    return word.text


def _replace_header(words: Words, each_value: bool = False) -> Action:
    name = _field_name(words)
    pattern = _expression(words.take("a regular expression"))
    return ReplaceHeader(name, pattern, read_format(words.take("the new value")), each_value)


def _replace_value(words: Words) -> Action:
    return _replace_header(words, each_value=True)


def _set_part(part: str) -> Reader:
    def read(words: Words) -> Action:
        word = words.take(f"the new {part}")
        value = read_format(word)
        fixed = value.fixed
        if part == "path" and fixed is not None and not fixed.startswith("/"):
            raise word.wrong(f"the path '{fixed}' must begin with '/'")
        if part == "method" and (fixed is None or not re.fullmatch("[A-Z]+", fixed)):
            raise word.wrong(f"'{word.text}' is no method", "such as GET")
        return SetPart(part, value)

    return read


def _replace_part(part: str) -> Reader:
    def read(words: Words) -> Action:
        pattern = _expression(words.take("a regular expression"))
        return ReplacePart(part, pattern, read_format(words.take(f"the new {part}")))

    return read


def _set_status(words: Words) -> Action:
    status = _status(words, range(200, 600))
    reason = _text(words.take("the reason")) if _keyword(words, "reason") else None
    return SetStatus(status, reason)


def _always(action: Action) -> Reader:
    return lambda words: action


HTTP_REQUEST: Mapping[str, Reader] = {
    "allow": _always(Allow()),
    "deny": _deny,
    "reject": _always(Reject()),
    "auth": _auth,
    "return": _return,
    "redirect": read_redirect,
    "use-service": _use_service,
    "set-header": _set_request_header,
    "add-header": _add_header,
    "del-header": _del_header,
    "replace-header": _replace_header,
    "replace-value": _replace_value,
    "set-method": _set_part("method"),
    "set-path": _set_part("path"),
    "set-query": _set_part("query"),
    "set-uri": _set_part("uri"),
    "replace-path": _replace_part("path"),
    "replace-uri": _replace_part("uri"),
}
HTTP_RESPONSE: Mapping[str, Reader] = {
    "allow": _always(Allow()),
    "deny": _deny_response,
    "set-header": _set_header,
    "add-header": _add_header,
    "del-header": _del_header,
    "replace-header": _replace_header,
    "replace-value": _replace_value,
    "set-status": _set_status,
}
TCP_REQUEST: Mapping[str, Reader] = {"accept": _always(Allow()), "reject": _always(Reject())}
REDIRECT: Mapping[str, Reader] = {"": read_redirect}
