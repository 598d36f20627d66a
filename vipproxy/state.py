"""What survives a restart: pins and administrative states, kept by a store."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from vipproxy.futures import as_deferred
from vipproxy.interfaces import IStore

log = Logger()

SAVE_DELAY = 0.1
"""Seconds in which changes are gathered into one save."""


@implementer(IStore)
@frozen
class FileStore:
    """A JSON file (`state-file`), replaced whole, so that a crash leaves the old or the new."""

    path: Path

    def load(self) -> Any:
        try:
            return json.loads(self.path.read_text("utf-8"))
        except FileNotFoundError:
            return {}

    def save(self, state: Mapping[str, Any]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_name(self.path.name + ".new")
        with open(fresh, "w", encoding="utf-8") as file:
            json.dump(state, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path)


@implementer(IStore)
class NoStore:
    """Nothing is kept."""

    def load(self) -> Any:
        return {}

    def save(self, state: Mapping[str, Any]) -> None:
        pass


class StateKeeper:
    """Saves soon after a change. A store that fails is logged; traffic goes on."""

    def __init__(
        self, store: IStore, clock: IReactorTime, state: Callable[[], Mapping[str, Any]]
    ) -> None:
        self._store, self._clock, self._state = store, clock, state
        self._pending: IDelayedCall | None = None

    def load(self) -> Deferred[Mapping[str, Any]]:
        """The last saved state; empty where it cannot be read."""
        loaded = as_deferred(self._store.load)
        loaded.addCallback(_verified)
        return loaded.addErrback(self._failed, "read")

    def changed(self) -> None:
        """There is something new to save."""
        if self._pending is None:
            self._pending = self._clock.callLater(SAVE_DELAY, self._save)

    def finish(self) -> Deferred[Any]:
        """Save what is still unsaved."""
        if self._pending is None:
            return succeed(None)
        self._pending.cancel()
        return self._save()

    def _save(self) -> Deferred[Any]:
        self._pending = None
        return as_deferred(self._store.save, self._state()).addErrback(self._failed, "saved")

    def _failed(self, failure: Any, what: str) -> Mapping[str, Any]:
        log.error(
            "the state could not be {what}: {reason}", what=what, reason=failure.getErrorMessage()
        )
        return {}


def _verified(state: Any) -> Mapping[str, Any]:
    if not isinstance(state, Mapping):
        raise TypeError("the saved state is not a mapping")
    return state
