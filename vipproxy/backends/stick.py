"""The stick table: pins that keep the clients of one key on one server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from attrs import define, field
from twisted.internet.interfaces import IReactorTime

from vipproxy.config.options import StickOptions
from vipproxy.interfaces import LeaseRequest


@define(eq=False)
class Pin:
    """One entry. While sessions use it, it neither expires nor is evicted."""

    server: str
    used_at: float
    users: int = 0


@define(eq=False)
class StickTable:
    """Least recently used first. Connections in flight never evict a pin, at any table size."""

    options: StickOptions
    clock: IReactorTime
    exclusive: bool = field(init=False)
    """All clients share one pin: no two servers may ever serve at once."""
    _pins: dict[str, Pin] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        self.exclusive = self.options.key == "dst"

    def key_of(self, request: LeaseRequest) -> str:
        return request.destination.host if self.exclusive else request.client.host

    def lookup(self, key: str) -> Pin | None:
        """The pin of a key, unless it has expired."""
        pin = self._pins.get(key)
        if pin is not None and self._expired(pin):
            del self._pins[key]
            return None
        return pin

    def use(self, key: str, server: str) -> Pin | None:
        """Pin the key to a server for one more session; None where the table has no room."""
        pin = self._pins.pop(key, None)
        if pin is None:
            if len(self._pins) >= self.options.size and not self._evict():
                return None
            pin = Pin(server, self.clock.seconds())
        pin.server = server
        pin.used_at = self.clock.seconds()
        pin.users += 1
        self._pins[key] = pin  # at the end: the most recently used
        return pin

    def release(self, pin: Pin) -> None:
        pin.users -= 1
        pin.used_at = self.clock.seconds()

    def move(self, server: str, successor: str | None) -> bool:
        """A server was marked down: move an exclusive pin, drop others; True where there were any.

        Without a successor an exclusive pin stays, as HAProxy keeps it while all are down.
        """
        keys = [key for key, pin in self._pins.items() if pin.server == server]
        for key in keys:
            if not self.exclusive:
                del self._pins[key]
            elif successor is not None:
                self._pins[key].server = successor
        return bool(keys)

    def entries(self) -> list[tuple[str, Pin]]:
        """All that have not expired."""
        return [(key, pin) for key, pin in self._pins.items() if not self._expired(pin)]

    def expires_in(self, pin: Pin) -> float:
        """Seconds; 0 where it never does."""
        expire = self.options.expire
        return 0.0 if expire is None else max(0.0, pin.used_at + expire - self.clock.seconds())

    def set(self, key: str, server: str) -> None:
        """Pin a key by hand; without room for it the oldest idle entry goes, if there is one."""
        pin = self.use(key, server)
        if pin is not None:
            self.release(pin)

    def touch(self, key: str) -> None:
        """Note that an entry was used. Harmless where there is none."""
        pin = self.lookup(key)
        if pin is not None:
            pin.used_at = self.clock.seconds()

    def drop(self, key: str) -> bool:
        """Remove an entry; False where it is in use. Harmless where there is none."""
        pin = self._pins.get(key)
        if pin is not None and pin.users:
            return False
        self._pins.pop(key, None)
        return True

    def holder(self) -> str | None:
        """The server of an exclusive table's latest pin."""
        if not self.exclusive or not self._pins:
            return None
        return next(reversed(self._pins.values())).server

    def as_mapping(self) -> dict[str, str]:
        return {key: pin.server for key, pin in self._pins.items() if not self._expired(pin)}

    def restore(self, pins: Mapping[str, str]) -> None:
        """Take over the entries of an earlier run."""
        for key, server in list(pins.items())[-self.options.size :]:
            self._pins[key] = Pin(server, self.clock.seconds())

    def _expired(self, pin: Pin) -> bool:
        expire = self.options.expire
        return expire is not None and not pin.users and pin.used_at + expire <= self.clock.seconds()

    def _evict(self) -> bool:
        victim = next(self._idle_keys(), None)
        if victim is not None:
            del self._pins[victim]
        return victim is not None

    def _idle_keys(self) -> Iterator[str]:
        return (key for key, pin in self._pins.items() if not pin.users)
