"""INI text -> Document."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from vipproxy.config.document import Document, Section, Setting
from vipproxy.config.ini import read_ini, split_lines
from vipproxy.config.problems import Problems


def parse(text: str) -> tuple[Document, list[str]]:
    """The document, and what is wrong with it: ``line:column: message``."""
    problems = Problems("f", split_lines(text))
    document = read_ini(problems)
    return document, [f"{p.line}:{p.column}: {p.message}" for p in problems.sorted]


class Reading(SynchronousTestCase):
    def test_positions(self) -> None:
        """Sections and settings know where they stand."""
        document, problems = parse("# x\n[backend b]\n  server  n1\t=  1.2.3.4:80 a=b  \n; y\n")
        setting = Setting("server n1", "1.2.3.4:80 a=b", 3, 3, 17)
        expected = Section("backend", "b", 2, 1, 11, (setting,))
        self.assertEqual((document.sections, problems), ((expected,), []))

    def test_value(self) -> None:
        """Only the first '=' divides; comment signs in a value belong to it."""
        document, _ = parse("[global]\nkey = a=b # c ; d")
        self.assertEqual(document.sections[0].settings[0].value, "a=b # c ; d")

    def test_case(self) -> None:
        """Keys are case-sensitive."""
        document, problems = parse("[global]\nkey = 1\nKEY = 2\n")
        self.assertEqual([s.key for s in document.sections[0].settings], ["key", "KEY"])
        self.assertEqual(problems, [])

    def test_foreign_text(self) -> None:
        """A byte order mark and CRLF do not matter."""
        self.assertEqual(parse("\ufeff[global]\r\na = b\r\n")[0], parse("[global]\na = b\n")[0])

    def test_defaults_twice(self) -> None:
        """There may be several [defaults]."""
        self.assertEqual(parse("[defaults]\n[defaults]\n")[1], [])

    @settings(deadline=None)
    @given(st.text(alphabet=st.sampled_from("[]=#; \t\n\r\x00abdefglnrkocsut")) | st.text())
    def test_any_text(self, text: str) -> None:
        """Any text gives a document and problems within the text, never an exception."""
        problems = Problems("f", split_lines(text))
        read_ini(problems)
        for problem in problems.sorted:
            line = problems.lines[problem.line - 1]
            self.assertLessEqual(problem.column + problem.length - 1, len(line))
        problems.report().encode()


class Refusing(SynchronousTestCase):
    def wrong(self, text: str) -> list[str]:
        return parse(text)[1]

    def test_before_sections(self) -> None:
        """Text before the first header is reported once."""
        expected = ["1:1: text before the first section header"]
        self.assertEqual(self.wrong("a = b\nc = d\n[global]\n"), expected)

    def test_no_equals(self) -> None:
        """A line without '=' is wrong, and so is one that begins with it."""
        expected = ["2:2: there is no '=' here", "3:1: there is no key before '='"]
        self.assertEqual(self.wrong("[global]\n key value\n= x\n"), expected)

    def test_duplicate_key(self) -> None:
        """A key twice in a section is wrong, in two sections it is not; blanks do not matter."""
        text = "[backend b]\nserver n = 1\nserver  n = 2\n[backend c]\nserver n = 1\n"
        self.assertEqual(self.wrong(text), ["3:1: 'server n' is given twice in backend 'b'"])

    def test_unknown_section(self) -> None:
        """An unknown section is reported, its settings are not."""
        problems = Problems("f", split_lines("[fronted x]\nfoo = bar\n"))
        read_ini(problems)
        (problem,) = problems.sorted
        self.assertEqual(problem.message, "unknown section 'fronted'")
        self.assertTrue(problem.hint.startswith("did you mean 'frontend'?"))

    def test_names(self) -> None:
        """Frontends and backends need a name of HAProxy's characters, the others have none."""
        text = "[backend]\n[frontend a b]\n[global x]\n[frontend a/b]\n"
        expected = [
            "1:1: this backend has no name",
            "2:1: 'a b' cannot be a name",
            "3:1: [global] has no name",
            "4:1: 'a/b' cannot be a name",
        ]
        self.assertEqual(self.wrong(text), expected)

    def test_second_section(self) -> None:
        """Two sections of a kind cannot share a name; a frontend and a backend can."""
        text = "[backend x]\n[frontend x]\n[backend x]\n[global]\n[global]\n"
        self.assertEqual(self.wrong(text), ["3:1: a second backend 'x'", "5:1: a second [global]"])

    def test_open_header(self) -> None:
        """A header must be closed."""
        expected = ["1:1: a section header must end with ']'"]
        self.assertEqual(self.wrong("[global\n"), expected)

    def test_characters(self) -> None:
        """Control characters, and bytes that were no UTF-8, are reported where they stand."""
        text = b"[global]\na = \x00\nb = \xff\n".decode("utf-8", "replace")
        expected = ["2:5: not a character of UTF-8 text", "3:5: not a character of UTF-8 text"]
        self.assertEqual(self.wrong(text), expected)
