"""``check = http method=OPTIONS path=/ expect=2xx,3xx host=``: HAProxy's ``option httpchk``."""

from __future__ import annotations

import re
from typing import Any

from attrs import frozen
from zope.interface import implementer

from vipproxy.checks import CheckFailed
from vipproxy.checks.conversation import conversation
from vipproxy.checks.http_answer import Answer
from vipproxy.config.check_steps import Expect, Request
from vipproxy.config.declare import option
from vipproxy.config.kinds import BadValue
from vipproxy.interfaces import CheckTarget, ICheckPlugin
from vipproxy.values import CheckResult, CheckStatus

_CODE = re.compile(r"[1-9](\d\d|xx)")


@frozen
class StatusSet:
    """Status codes and classes, such as ``2xx,3xx`` or ``200,204``."""

    words: tuple[str, ...]

    def __contains__(self, code: int) -> bool:
        return str(code) in self.words or f"{code // 100}xx" in self.words


PLAIN = Request()
"""Without ``http-check = send ...``."""
PASSES_BY_DEFAULT = StatusSet(("2xx", "3xx"))


@frozen
class _StatusSetKind:
    syntax: str = "CODE|CLASS,..."

    def parse(self, text: str) -> StatusSet:
        offset = 0
        for word in text.split(","):
            if not _CODE.fullmatch(word):
                raise BadValue(
                    f"'{word}' is neither a status code such as 200 nor a class such as 2xx",
                    offset,
                    len(word),
                )
            offset += len(word) + 1
        return StatusSet(tuple(text.split(",")))

    def format(self, value: Any) -> str:
        return ",".join(value.words)


@frozen
class _Matching:
    """Text that may stand in a request line or header as it is."""

    syntax: str
    pattern: str
    name: str

    def parse(self, text: str) -> str:
        if not re.fullmatch(self.pattern, text):
            raise BadValue(f"'{text}' is not {self.name}", 0, len(text))
        return text

    def format(self, value: Any) -> str:
        return str(value)


@frozen
class HttpCheckOptions:
    """``check = http ...``"""

    method: str = option(
        _Matching("METHOD", r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", "an HTTP method"),
        default="OPTIONS",
        help="of the request",
        haproxy="option httpchk",
    )
    path: str = option(
        _Matching("PATH", r"[/*][!-~]*", "a path such as /status"),
        default="/",
        help="what is asked for",
        haproxy="option httpchk",
    )
    expect: StatusSet = option(
        _StatusSetKind(),
        default=PASSES_BY_DEFAULT,
        help="status codes and classes that pass",
        haproxy="http-check expect status",
    )
    host: str | None = option(
        _Matching("NAME", r"[!-~]+", "a host name"),
        default=None,
        help="sends a Host header",
        haproxy="http-check send hdr Host",
    )


@implementer(ICheckPlugin)
class HttpCheck:
    """Sends one request and judges the status line of the answer.

    The status line alone decides, as soon as it is there: sidecars such as clustercheck under
    xinetd reset the connection after it, and send no usable Content-Length.
    """

    options = HttpCheckOptions

    async def probe(self, target: CheckTarget, options: HttpCheckOptions) -> CheckResult:
        """L7_OK with the status code, or CheckFailed.

        L7_STATUS: a status that is not expected; L7_RESPONSE: no HTTP status line, or a body
        that is not expected (``http-check = expect string ...``).
        """
        actions = [step.action for step in target.steps]
        send = next((each for each in actions if isinstance(each, Request)), PLAIN)
        expects = [each for each in actions if isinstance(each, Expect)]
        async with conversation(target) as peer:
            peer.write(request(options, send))
            answer = Answer(peer)
            await answer.read_status()
            for expect in expects:
                await answer.check(expect)
        if not expects and answer.code not in options.expect:
            raise CheckFailed(CheckStatus.L7_STATUS, answer.reason, answer.code)
        return CheckResult(CheckStatus.L7_OK, answer.reason, answer.code)


def request(options: HttpCheckOptions, send: Request = PLAIN) -> bytes:
    """The bytes of the request: by default what HAProxy 2.6 sends, ``OPTIONS / HTTP/1.0``."""
    method, uri = send.method or options.method, send.uri or options.path
    version = send.version or "HTTP/1.0"
    names = {name.lower() for name, _ in send.headers}
    headers = list(send.headers)
    if options.host and "host" not in names:
        headers.insert(0, ("Host", options.host))
    if version == "HTTP/1.1":
        headers.append(("Connection", "close"))
    if send.body:
        headers.append(("Content-Length", str(len(send.body))))
    lines = [f"{method} {uri} {version}", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join(lines).encode("ascii") + b"\r\n\r\n" + send.body
