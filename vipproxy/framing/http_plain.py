"""Plain HTTP/1.1 heads: complete, and with the fields that matter in their usual form.

Nearly all are. The compiled module reads them in one pass (native/heads.c); what it does not take,
and everything where there is no compiled module, is read by `http1`, with the same result.
"""

from __future__ import annotations

from typing import TypeVar

from vipproxy import native

Head = TypeVar("Head")


def _not_compiled(data: bytes, head_type: type[Head], /) -> tuple[Head, int] | None:
    return None


plain_request = native._engine.plain_request if native.available else _not_compiled
"""Takes bytes and `RequestHead`; the head with which they begin, and its size, or None."""

plain_response = native._engine.plain_response if native.available else _not_compiled
"""The same with `ResponseHead`, for a response that is not 1xx."""
