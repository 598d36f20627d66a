"""The engines by name, and what a test that needs the native one does without it."""

from __future__ import annotations

import importlib
import os
from typing import Any
from unittest import SkipTest

from attrs import define, field
from zope.interface import implementer

from vipproxy.interfaces import IRelayTaker
from vipproxy.relay.twisted import TwistedRelay
from vipproxy.values import Ending


def twisted_relay(reactor: Any) -> Any:
    return TwistedRelay(reactor)


def native_relay(reactor: Any) -> Any:
    """The native engine with one thread; skips the test, or fails it in CI, where there is none."""
    return _native(reactor, threads=1)


def native_relay_of_two(reactor: Any) -> Any:
    """The native engine with two threads."""
    return _native(reactor, threads=2)


def _native(reactor: Any, threads: int) -> Any:
    native_module()
    return importlib.import_module("vipproxy.relay.native").NativeRelay(reactor, threads=threads)


def native_module() -> Any:
    """The compiled module, under the same condition."""
    if not native_available():
        if os.environ.get("VIPPROXY_REQUIRE_REAL") == "1":
            raise AssertionError("the native engine is not compiled, and VIPPROXY_REQUIRE_REAL=1")
        raise SkipTest("the native engine is not compiled here")
    return importlib.import_module("vipproxy.native")._engine


def native_available() -> bool:
    try:
        return bool(importlib.import_module("vipproxy.native").available)
    except ModuleNotFoundError as error:
        if error.name not in ("vipproxy.native", "vipproxy.relay.native"):
            raise
        return False


@implementer(IRelayTaker)
@define(eq=False)
class Taker:
    """Writes down what it is told."""

    endings: list[Ending] = field(factory=list)

    def relay_ended(self, ending: Ending) -> None:
        self.endings.append(ending)
