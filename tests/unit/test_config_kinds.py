"""Kinds of option values."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from vipproxy.config.kinds import (
    ADDRESS,
    BIND,
    DURATION,
    FLAG,
    PATH,
    PAUSE,
    PERMISSIONS,
    SECRET,
    TEXT,
    WHOLE_SECONDS,
    BadValue,
    Kind,
    ListOf,
    at,
    choice,
    integer,
    suggest,
)
from vipproxy.values import Address

KINDS: list[Kind[object]] = [
    ADDRESS,
    BIND,
    DURATION,
    PAUSE,
    WHOLE_SECONDS,
    FLAG,
    PATH,
    PERMISSIONS,
    TEXT,
    integer(0, 100),
    choice("red", "blue"),
    ListOf(ADDRESS),
    ListOf(integer(1, 9)),
]

ADDRESSES = st.builds(Address, st.ip_addresses().map(str), st.integers(0, 65535))


class RoundTrips(SynchronousTestCase):
    @settings(deadline=None)
    @given(st.integers(1, 24 * 86400 * 10**6))
    def test_durations(self, microseconds: int) -> None:
        """A duration is written so that it is read as the same number of seconds."""
        seconds = microseconds / 1e6
        self.assertEqual(DURATION.parse(DURATION.format(seconds)), seconds)

    @settings(deadline=None)
    @given(ADDRESSES)
    def test_addresses(self, address: Address) -> None:
        """An address is written so that it is read as the same address."""
        self.assertEqual(ADDRESS.parse(ADDRESS.format(address)), address)

    @settings(deadline=None)
    @given(st.lists(ADDRESSES, min_size=1).map(tuple))
    def test_lists(self, addresses: tuple[Address, ...]) -> None:
        """A list is written so that it is read as the same list."""
        kind = ListOf(ADDRESS)
        self.assertEqual(kind.parse(kind.format(addresses)), addresses)

    @settings(deadline=None)
    @given(st.sampled_from(KINDS), st.text())
    def test_anything(self, kind: Kind[object], text: str) -> None:
        """Any text is read, and then survives a round trip, or raises BadValue pointing into it."""
        try:
            value = kind.parse(text)
        except BadValue as error:
            for part in error.parts:
                self.assertLessEqual(part.offset + part.length, len(text))
        else:
            self.assertEqual(kind.parse(kind.format(value)), value)


class Durations(SynchronousTestCase):
    def test_units(self) -> None:
        """Every unit of HAProxy is known; the value is in seconds."""
        texts = ["250us", "50ms", "5s", "90m", "2h", "1d"]
        self.assertEqual(list(map(DURATION.parse, texts)), [0.00025, 0.05, 5, 5400, 7200, 86400])

    def test_missing_unit(self) -> None:
        """A bare number is refused, with the cure."""
        error = self.assertRaises(BadValue, DURATION.parse, "5")
        self.assertEqual(str(error), "the duration '5' needs a unit")
        self.assertEqual(error.hint, "such as 5s or 5ms")

    def test_zero(self) -> None:
        """A duration is more than nothing; a pause may be nothing."""
        self.assertRaises(BadValue, DURATION.parse, "0s")
        self.assertEqual(PAUSE.parse("0s"), 0.0)

    def test_too_long(self) -> None:
        """What no timer can hold is refused."""
        error = self.assertRaises(BadValue, DURATION.parse, "25d")
        self.assertEqual(error.hint, "at most 24d")

    def test_whole_seconds(self) -> None:
        """The kernel's keepalive knows only whole seconds."""
        self.assertEqual(WHOLE_SECONDS.parse("2000ms"), 2.0)
        self.assertRaises(BadValue, WHOLE_SECONDS.parse, "500ms")


class Words(SynchronousTestCase):
    def test_suggestion(self) -> None:
        """A close word is suggested, and all known ones are listed."""
        known = ["tcp", "http", "galera"]
        expected = "did you mean 'galera'? known: tcp, http, galera"
        self.assertEqual(suggest("galerra", known), expected)
        self.assertEqual(suggest("zzz", known), "known: tcp, http, galera")

    def test_nothing_is_known(self) -> None:
        """Where nothing is known, the hint says so."""
        self.assertEqual(suggest("x", []), "known: none")

    def test_secrets(self) -> None:
        """A secret is never written."""
        self.assertNotIn("hunter2", SECRET.format("hunter2"))

    def test_host_names(self) -> None:
        """A host name is refused with a word that says what to write."""
        error = self.assertRaises(BadValue, ADDRESS.parse, "node1:80")
        self.assertEqual(error.hint, "write the IP address")

    def test_all_parts_of_a_list(self) -> None:
        """Everything wrong in a list is reported at its own place."""
        error = self.assertRaises(BadValue, ListOf(integer(1, 9)).parse, "1 x 2 77")
        self.assertEqual([(p.offset, p.length) for p in error.parts], [(2, 1), (6, 2)])

    def test_kinds_that_raise(self) -> None:
        """A plugin's kind that raises something else is a bad value too."""

        class Broken:
            syntax = "X"

            def parse(self, text: str) -> str:
                raise ZeroDivisionError("oops")

            def format(self, value: object) -> str:
                return ""

        error = self.assertRaises(BadValue, at, 3, Broken(), "text")
        self.assertEqual((str(error), error.offset, error.length), ("oops", 3, 4))

    def test_path(self) -> None:
        """A path is a Path."""
        self.assertEqual(PATH.parse("/a/b"), Path("/a/b"))


class BindKinds(SynchronousTestCase):
    def test_unix(self) -> None:
        """A bind may be a Unix socket, and is written back as it was; a server may not."""
        for text in ("unix@/run/a b.sock", "abns@name", "127.0.0.1:80"):
            self.assertEqual(BIND.format(BIND.parse(text)), text)
        for text in ("unix@relative", "unix@", "abns@", "unix@/" + "x" * 107):
            self.assertRaises(BadValue, BIND.parse, text)
        self.assertRaises(BadValue, ADDRESS.parse, "unix@/run/a.sock")
