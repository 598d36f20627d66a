"""Lines of a haproxy.cfg as words; what HAProxy 2.6 makes of the same lines was measured."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from vipproxy.config.haproxy.lexer import LexError, split

VARIABLES = {"X": "1 2", "A_b": "v", "EMPTY": ""}


def words(text: str) -> list[str]:
    return list(split(text, 1, VARIABLES).texts)


class WordTests(SynchronousTestCase):
    def test_blanks(self) -> None:
        """Blanks and tabs divide words."""
        self.assertEqual(words("  a\tb  c "), ["a", "b", "c"])

    def test_comment(self) -> None:
        """A comment begins at any '#' that is neither quoted nor escaped, in a word too."""
        line = split(r"a#b c", 1, {})
        self.assertEqual((line.texts, line.comment), (("a",), "b c"))
        self.assertEqual(words(r"""a\#b '#' "#" # no"""), ["a#b", "#", "#"])

    def test_quotes(self) -> None:
        """Quotes hold words together, and may stand in the middle of one; empty ones are a word."""
        self.assertEqual(words("""a"b c"'d e'f ''"""), ["ab cd ef", ""])

    def test_escapes(self) -> None:
        """A backslash takes the meaning from what follows; before other characters it stays."""
        self.assertEqual(words(r"a\ b \" \' \\ \$ \q"), ["a b", '"', "'", "\\", "$", r"\q"])
        self.assertEqual(words(r"\n\r\t\x41"), ["\n\r\tA"])
        self.assertEqual(words("a\\"), ["a\\"])

    def test_strong_quotes(self) -> None:
        """Between single quotes nothing has a meaning."""
        self.assertEqual(words(r"""'a\ "$X'"""), ['a\\ "$X'])

    def test_variables(self) -> None:
        """Variables are replaced in double quotes alone; unknown ones are empty."""
        self.assertEqual(words('"$X" "${X}" $X ${X}'), ["1 2", "1 2", "$X", "${X}"])
        self.assertEqual(words('"a${NO}b" "${NO-de f}" "${EMPTY-x}"'), ["ab", "de f", ""])

    def test_list(self) -> None:
        """``${X[*]}`` is as many words as the variable has."""
        self.assertEqual(words('"${X[*]}" b "p${X[*]}s"'), ["1", "2", "b", "p1", "2s"])

    def test_places(self) -> None:
        """Each word knows where it is written, quotes and all."""
        places = [word.place for word in split(' a "b c"  d', 7, {}).words]
        self.assertEqual(places, [(7, 2, 1), (7, 4, 5), (7, 11, 1)])

    def test_errors(self) -> None:
        """Open quotes and half hexadecimal numbers are told, with their column."""
        for text, column in (('a "b', 3), (" 'x", 2), (r"a\x4", 2), ('"${"', 2)):
            error = self.assertRaises(LexError, split, text, 1, {})
            self.assertEqual(error.column, column)

    @given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\n\r"), min_size=1)))
    def test_single_quotes_keep_everything(self, texts: list[str]) -> None:
        """Whatever has no single quote comes through single quotes as it is."""
        plain = [text.replace("'", "") for text in texts]
        self.assertEqual(words(" ".join(f"'{text}'" for text in plain)), plain)

    @given(st.text(alphabet="ab \t\\\"'#$\\{}x[*]-1"))
    def test_any_text(self, text: str) -> None:
        """Any line is words, or a LexError that points into it."""
        try:
            line = split(text, 1, VARIABLES)
        except LexError as error:
            self.assertTrue(1 <= error.column <= len(text))
        else:
            for word in line.words:
                self.assertTrue(0 < word.column <= word.column + word.length - 1 <= len(text))
