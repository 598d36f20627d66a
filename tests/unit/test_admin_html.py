"""HTML as text."""

from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from vipproxy.admin.html import raw, tags


class Reader(HTMLParser):
    """What is read: tags with their attributes, and all text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, attrs))

    def handle_data(self, data: str) -> None:
        self.text += data


class HtmlTests(SynchronousTestCase):
    def test_nested(self) -> None:
        """Elements hold text, elements, and lists of both."""
        made = tags.p("a", tags.b("c"), ["d", [tags.i("e")]], class_="note")
        self.assertEqual(made, '<p class="note">a<b>c</b>d<i>e</i></p>')

    def test_empty_elements(self) -> None:
        """Elements that have no content have no end."""
        self.assertEqual(tags.input(name="x"), '<input name="x">')
        self.assertEqual(tags.td(), "<td></td>")

    def test_raw(self) -> None:
        """Markup is not escaped once more."""
        self.assertEqual(tags.style(raw("a > b")), "<style>a > b</style>")

    @given(st.text(st.characters(blacklist_categories=("Cs", "Cc"))))
    def test_any_text(self, text: str) -> None:
        """Whatever is put in, as text or as an attribute, is read as it was."""
        read = Reader(tags.p(text, title=text))
        self.assertEqual(read.tags, [("p", [("title", text)])])
        self.assertEqual(read.text, text)
