"""The URI of the statistics page, with HAProxy's options."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from vipproxy.admin.place import Place


class PlaceTests(SynchronousTestCase):
    def test_options(self) -> None:
        """Options stand after semicolons, in any order; before the first anything may stand."""
        for rest in (";up;norefresh", "/;norefresh;up", "foo;norefresh;csv;up?x=y"):
            place, _, _ = Place.parse("/admin", rest)
            self.assertEqual(place, Place("/admin", up=True, norefresh=True), rest)
        _, words, _ = Place.parse("/admin", ";csv;norefresh")
        self.assertEqual(words, {"csv", "norefresh"})

    def test_nothing(self) -> None:
        """The bare URI has no options."""
        self.assertEqual(Place.parse("/admin", ""), (Place("/admin"), frozenset(), ""))

    def test_scope(self) -> None:
        """A scope is a query, also where the configured URI has one already."""
        self.assertEqual(Place.parse("/admin", ";up?scope=we%20b")[0].scope, "we b")
        place, _, _ = Place.parse("/haproxy?stats", "=&scope=web")
        self.assertEqual(place.scope, "web")
        self.assertEqual(place.url(), "/haproxy?stats&scope=web")

    def test_outcome(self) -> None:
        """What became of a form stands as `st`, and is no part of the place."""
        place, _, outcome = Place.parse("/admin", ";st=DONE;up")
        self.assertEqual(outcome, "DONE")
        self.assertEqual(place.url(), "/admin;up")

    def test_url(self) -> None:
        """A place's URL has HAProxy's order: formats, then what is shown, then the scope."""
        place = Place("/admin", up=True, no_maint=True, norefresh=True, scope="a&b")
        self.assertEqual(place.url("csv"), "/admin;csv;up;no-maint;norefresh?scope=a%26b")
        self.assertEqual(place.url(up=False, scope=""), "/admin;no-maint;norefresh")

    @given(st.booleans(), st.booleans(), st.booleans(), st.text(max_size=64))
    def test_there_and_back(self, up: bool, no_maint: bool, norefresh: bool, scope: str) -> None:
        """The URL of a place leads to it."""
        for uri in ("/admin", "/haproxy?stats"):
            place = Place(uri, up, no_maint, norefresh, scope)
            url = place.url()
            self.assertEqual(Place.parse(uri, url[len(uri) :])[0], place)
            self.assertTrue(url.isascii() and url.isprintable())

    @given(st.text())
    def test_any_text(self, rest: str) -> None:
        """Whatever follows the URI, it is a place, and its URL a harmless one."""
        place, _, _ = Place.parse("/admin", rest)
        self.assertTrue(place.url().isascii())
