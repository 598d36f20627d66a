"""Plain HTTP/1.1 heads: complete, and with the fields that matter in their usual form.

Nearly all are. The compiled module reads them in one pass (native/heads.c); what it does not take,
and everything where there is no compiled module, is read by `http1`, with the same result.
"""

from __future__ import annotations

from vipproxy import native
from vipproxy.framing.http1 import RequestHead, ResponseHead


def plain_request(data: bytes) -> tuple[RequestHead, int] | None:
    """The head with which `data` begins, and its size; None where `http1` must read it."""
    plain = _request(data)
    if plain is None:
        return None
    size, method, target, lines, length, keep = plain
    return RequestHead(method, target, 1, lines, length, keep_alive=keep), size


def plain_response(data: bytes) -> tuple[ResponseHead, int] | None:
    """The same for a response that is not 1xx."""
    plain = _response(data)
    if plain is None:
        return None
    size, status, lines, length, chunked, keep = plain
    return ResponseHead(status, 1, lines, length, chunked, keep), size


def _not_compiled(data: bytes) -> None:
    return None


_request = native._engine.plain_request if native.available else _not_compiled
_response = native._engine.plain_response if native.available else _not_compiled
