"""What survives a restart: the file is replaced whole, and never stands in the way."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from vipproxy.interfaces import IStore
from vipproxy.state import SAVE_DELAY, FileStore, NoStore, StateKeeper


@implementer(IStore)
class FakeStore:
    """Remembers what it was given; fails, or waits, when told to."""

    def __init__(self, loaded: Any = None) -> None:
        self.loaded = {} if loaded is None else loaded
        self.saved: list[Mapping[str, Any]] = []
        self.error: Exception | None = None

    def load(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.loaded

    def save(self, state: Mapping[str, Any]) -> None:
        if self.error is not None:
            raise self.error
        self.saved.append(state)


class Files(SynchronousTestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = Path(directory.name) / "state.json"
        self.store = FileStore(self.path)

    def test_round_trip(self) -> None:
        """What was saved is loaded."""
        state = {"db": {"pins": {"192.168.1.220": "n1"}, "admin": {"n2": "maint"}}}
        self.store.save(state)
        self.assertEqual(self.store.load(), state)

    def test_no_file(self) -> None:
        """Without a file the state is empty."""
        self.assertEqual(self.store.load(), {})

    def test_replaced_whole(self) -> None:
        """A save that fails half-way leaves the old file as it was."""
        self.store.save({"a": 1})
        self.assertRaises(TypeError, self.store.save, {"a": 2, "b": object()})
        self.assertEqual(json.loads(self.path.read_text()), {"a": 1})

    def test_nothing_is_left_beside_it(self) -> None:
        """After a save there is one file."""
        self.store.save({"a": 1})
        self.assertEqual(list(self.path.parent.iterdir()), [self.path])

    def test_interfaces(self) -> None:
        """Both stores provide IStore."""
        verifyObject(IStore, self.store)
        verifyObject(IStore, NoStore())


class Keeper(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock, self.store, self.state = Clock(), FakeStore(), {"n": 0}
        self.keeper = StateKeeper(self.store, self.clock, lambda: dict(self.state))
        self.logged: list[str] = []
        observer: Any = self.hear
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def hear(self, event: Any) -> None:
        if event.get("log_format", "").startswith("the state"):
            self.logged.append(f"{event['what']}: {event['reason']}")

    def test_changes_are_gathered(self) -> None:
        """Many changes within a moment are one save, of the last of them."""
        for number in range(100):
            self.state["n"] = number
            self.keeper.changed()
        self.clock.advance(SAVE_DELAY)
        self.assertEqual(self.store.saved, [{"n": 99}])

    def test_a_steady_stream_is_saved(self) -> None:
        """Changes that never pause do not put the save off."""
        for _ in range(100):
            self.keeper.changed()
            self.clock.advance(SAVE_DELAY / 2)
        self.assertTrue(len(self.store.saved) >= 30)

    def test_finish_saves_the_rest(self) -> None:
        """Stopping saves what is unsaved, and leaves the clock empty."""
        self.keeper.changed()
        self.successResultOf(self.keeper.finish())
        self.assertEqual((self.store.saved, self.clock.getDelayedCalls()), ([{"n": 0}], []))

    def test_finish_without_changes(self) -> None:
        """Without changes nothing is written."""
        self.successResultOf(self.keeper.finish())
        self.assertEqual(self.store.saved, [])

    def test_unreadable(self) -> None:
        """A state that cannot be read is logged, and then empty."""
        self.store.error = ValueError("no JSON")
        self.assertEqual(self.successResultOf(self.keeper.load()), {})
        self.assertEqual(self.logged, ["read: no JSON"])

    def test_not_a_mapping(self) -> None:
        """A state of another shape is logged, and then empty."""
        self.store.loaded = [1, 2]
        self.assertEqual(self.successResultOf(self.keeper.load()), {})
        self.assertEqual(len(self.logged), 1)

    def test_unwritable(self) -> None:
        """A save that fails is logged, and the next change is saved again."""
        self.store.error = OSError(28, "No space left on device")
        self.keeper.changed()
        self.clock.advance(SAVE_DELAY)
        self.assertEqual(len(self.logged), 1)
        self.store.error = None
        self.keeper.changed()
        self.clock.advance(SAVE_DELAY)
        self.assertEqual(len(self.store.saved), 1)

    def test_asynchronous_store(self) -> None:
        """A store may take its time."""
        loading: Deferred[Any] = Deferred()
        self.store.loaded = loading
        loaded = self.keeper.load()
        self.assertNoResult(loaded)
        loading.callback({"n": 1})
        self.assertEqual(self.successResultOf(loaded), {"n": 1})
