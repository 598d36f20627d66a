"""The documents say what the code does: options, configurations, problems, modules, commands."""

from __future__ import annotations

import contextlib
import io
import runpy

from attrs import frozen
from twisted.trial.unittest import SynchronousTestCase

from tests.documents import DOCS, DOCUMENTS, Modules, blocks
from tests.unit.config_fakes import FakeCatalog, FakePlugin
from vipproxy.admin.commands import COMMANDS
from vipproxy.cli import main
from vipproxy.config import SECRET, choice, loads, option
from vipproxy.config.declare import options_of
from vipproxy.config.reference import SECTIONS, reference
from vipproxy.errors import ConfigError
from vipproxy.plugins import Catalog, Plugin

MARK = "`vipproxy options` prints. -->\n\n"
UNLIMITED = 10**9


def report(text: str) -> str:
    """What `vipproxy check cluster.ini` would print."""
    try:
        return loads(text, Catalog(), "cluster.ini", UNLIMITED).problems.report()
    except ConfigError as error:
        return error.report


@frozen
class OddOptions:
    secret: str = option(SECRET, default="hunter2", help="is not shown")
    must: str = option(choice("a", "b"), help="is required")
    later: str = option(choice("a"), default="a", help="waits", unsupported="not yet")


class OddCatalog(FakeCatalog):
    """One plugin has all that is odd, another cannot be found."""

    def find(self, kind: str, name: str) -> FakePlugin:
        if name == "tcp":
            raise LookupError("cannot load 'tcp': No module named 'tcp'")
        return FakePlugin(OddOptions)


class ReferenceTests(SynchronousTestCase):
    def test_complete(self) -> None:
        """Every key of every section is in it."""
        text = reference(FakeCatalog())
        for title, cls in SECTIONS:
            part = text[text.index(f"### {title}\n") :]
            missing = [key for key in options_of(cls) if f"\n| `{key}` |" not in part]
            self.assertEqual(missing, [])

    def test_odd(self) -> None:
        """Secrets are masked; what is required, or not supported yet, is marked."""
        text = reference(OddCatalog())
        self.assertIn("| `secret` | `SECRET` | `********` | is not shown |  |\n", text)
        self.assertIn("| `must` | `a\\|b` | required | is required |  |\n", text)
        self.assertIn("| `later` | `a` | `a` | waits (not supported yet) |  |\n", text)

    def test_broken_plugin(self) -> None:
        """A plugin that cannot be loaded is told, and costs nobody else his place."""
        text = reference(OddCatalog())
        self.assertIn("#### protocol = tcp\n\ncannot load 'tcp': No module named 'tcp'\n", text)

    def test_once(self) -> None:
        """What two sections refer to stands there once."""
        self.assertEqual(reference(FakeCatalog()).count("#### keepalive\n"), 1)

    def test_document(self) -> None:
        """docs/configuration.md ends with what `vipproxy options` prints."""
        _, mark, rest = (DOCS / "configuration.md").read_text().partition(MARK)
        self.assertEqual(mark, MARK)
        self.assertEqual(rest, reference(Catalog()) + "\n")

    def test_command(self) -> None:
        """`vipproxy options` prints it."""
        with contextlib.redirect_stdout(io.StringIO()) as output:
            self.assertEqual(main(["options"]), 0)
        self.assertEqual(output.getvalue(), reference(Catalog()) + "\n")


class CodeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.modules = Modules()
        self.addCleanup(self.modules.remove)

    def test_good(self) -> None:
        """There is nothing to say about the configurations in the documents."""
        found = [text for path in DOCUMENTS for text in blocks(path, "ini")]
        self.assertGreater(len(found), 2)
        self.assertEqual([report(text) for text in found], [""] * len(found))

    def test_broken(self) -> None:
        """A broken one has the problems that are printed below it."""
        path = DOCS / "configuration.md"
        (broken,) = blocks(path, "ini broken")
        self.assertEqual([report(broken) + "\n"], blocks(path, "text"))

    def test_plugins_by_name(self) -> None:
        """The declared plugins are plugins."""
        (file,) = (path for path in self.modules.files if path.parent.name == "plugins")
        declared = [each for each in runpy.run_path(str(file)).values() if isinstance(each, Plugin)]
        self.assertEqual([each.name for each in declared], ["knock", "banner"])
        for each in declared:
            Catalog().find(each.kind, each.path)


class CommandTests(SynchronousTestCase):
    def test_stats_socket(self) -> None:
        """docs/haproxy.md lists the commands of the stats socket, each with its level."""
        listed = [line for line in (DOCS / "haproxy.md").read_text().splitlines() if "| `" in line]
        for command in COMMANDS:
            name = command.usage if command.words[0] != "help" else "help"
            escaped = name.replace("|", "\\|")
            row = f"| `{escaped}` | {command.level.name.lower()} |"
            self.assertTrue(any(line.startswith(row) for line in listed), row)
