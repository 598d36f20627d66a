"""Whatever a plugin answers becomes a Deferred."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import txaio
from twisted.internet.defer import Deferred

txaio.use_twisted()


def as_deferred(function: Callable[..., Any], *args: Any) -> Deferred[Any]:
    """Call it: a value, an exception, a Deferred or a coroutine, all become a Deferred."""
    deferred: Deferred[Any] = txaio.as_future(function, *args)  # type: ignore[attr-defined]
    return deferred
