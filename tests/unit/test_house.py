"""The rules of the house that a reader of one file cannot see broken."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import Interface, implementedBy
from zope.interface.interface import InterfaceClass
from zope.interface.verify import verifyClass

import vipproxy
from vipproxy import interfaces

ROOT = Path(vipproxy.__file__).parent
CHECKOUT = Path(__file__).parents[2]

LAYERS = (
    {"__main__"},
    {"cli"},
    {"demo", "haproxy"},
    {"tap", "testing"},
    {"service"},
    {"control"},
    {"listener", "state", "plugins"},
    {"announced"},
    {"frontend"},
    {"protocols"},
    {"admin", "connector", "relay", "backends", "logs"},
    {"checks"},
    {"dial", "futures"},
    {"rules"},
    {"framing"},
    {"streams"},
    {"captures", "sockets", "timers"},
    {"unix_sockets"},
    {"config"},
    {"interfaces"},
    {"errors"},
    {"values"},
    {"limits"},
    {"counters"},
    {"native"},
    {"__init__"},
)
"""Top to bottom. A room (a module or a package of vipproxy) imports itself and lower layers."""

STRANGERS = {"protocols": {"backends", "connector", "relay"}}
"""Lower rooms that are to be met through `interfaces` alone."""

CLOCKS = re.compile(
    r"\btime\.(time|monotonic|perf_counter)\b|^from time import"
    r"|^from twisted\.internet import .*\breactor\b",
    re.MULTILINE,
)
"""Ways to the time that a test cannot set; reading none of them is the rule."""

LONGEST = 400
"""Lines; about 300 is the aim."""


def height(room: str) -> int:
    """The number of its layer, 0 at the bottom."""
    return next(n for n, layer in enumerate(reversed(LAYERS)) if room in layer)


def sources() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").parts[0]


class Imports(ast.NodeVisitor):
    """Collects the rooms that a module imports, those in functions too, not those for types."""

    def __init__(self) -> None:
        self.rooms: set[str] = set()

    def visit_If(self, node: ast.If) -> None:
        if ast.unparse(node.test) == "TYPE_CHECKING":
            for other in node.orelse:
                self.visit(other)
        else:
            self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._add(alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            self._add(f"{node.module}.{alias.name}")

    def _add(self, name: str) -> None:
        package, _, rest = name.partition(".")
        if package == "vipproxy":
            room = rest.partition(".")[0]
            self.rooms.add(room if is_room(room) else "__init__")


def is_room(name: str) -> bool:
    return (ROOT / name / "__init__.py").exists() or (ROOT / f"{name}.py").exists()


def rooms_imported(source: str) -> set[str]:
    imports = Imports()
    imports.visit(ast.parse(source))
    return imports.rooms


def may_import(room: str, other: str) -> bool:
    if other in STRANGERS.get(room, ()):
        return False
    return room == other or height(other) < height(room)


class ImportTests(SynchronousTestCase):
    def test_downward_only(self) -> None:
        """Every import inside the package points to a lower layer."""
        wrong = [
            f"{path.relative_to(ROOT)} imports {other}"
            for path in sources()
            for other in sorted(rooms_imported(path.read_text()))
            if not may_import(room_of(path), other)
        ]
        self.assertEqual(wrong, [])

    def test_every_room_has_a_layer(self) -> None:
        """The table above names every module and package."""
        known = set().union(*LAYERS)
        self.assertEqual({room_of(path) for path in sources()} - known, set())

    def test_no_relative_imports(self) -> None:
        """Imports are absolute, so that the table sees them all."""
        relative = [
            str(path.relative_to(ROOT))
            for path in sources()
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.ImportFrom) and node.level
        ]
        self.assertEqual(relative, [])

    def test_reading_of_imports(self) -> None:
        """Imports of all forms are seen, in functions too; those for types alone are not."""
        source = (
            "from typing import TYPE_CHECKING\n"
            "import vipproxy.sockets\n"
            "from vipproxy import __version__, values\n"
            "if TYPE_CHECKING:\n"
            "    from vipproxy.service import ProxyService\n"
            "def later():\n"
            "    from vipproxy.config.ini import parse\n"
        )
        self.assertEqual(rooms_imported(source), {"sockets", "__init__", "values", "config"})

    def test_upward_is_refused(self) -> None:
        """Neither upward nor sideways, and no protocol knows a concrete pool."""
        refused = [("config", "service"), ("relay", "backends"), ("protocols", "backends")]
        self.assertEqual([may_import(*pair) for pair in refused], [False] * 3)


class FileTests(SynchronousTestCase):
    def test_docstrings(self) -> None:
        """Every module says what it is."""
        silent = [str(p) for p in sources() if ast.get_docstring(ast.parse(p.read_text())) is None]
        self.assertEqual(silent, [])

    def test_time_is_injected(self) -> None:
        """No module reads the time itself, or imports the global reactor as it is imported."""
        wrong = [str(path) for path in sources() if CLOCKS.search(path.read_text())]
        self.assertEqual(wrong, [])

    def test_length(self) -> None:
        """No module is long."""
        long = [str(p) for p in sources() if len(p.read_text().splitlines()) > LONGEST]
        self.assertEqual(long, [])


def broken_links(document: Path) -> list[str]:
    """The relative links of a Markdown file that lead nowhere."""
    links = re.findall(r"\]\(([^)#:]+)\)", document.read_text())
    return [f"{document.name}: {link}" for link in links if not (document.parent / link).exists()]


class DocumentTests(SynchronousTestCase):
    def test_links(self) -> None:
        """Every relative link of the documents leads to a file."""
        documents = [*CHECKOUT.glob("*.md"), *CHECKOUT.glob("docs/*.md")]
        self.assertEqual([link for each in documents for link in broken_links(each)], [])


class CiTests(SynchronousTestCase):
    def test_programs(self) -> None:
        """CI installs, and so names, every program that a test requires."""
        tests = "\n".join(path.read_text() for path in CHECKOUT.glob("tests/**/*.py"))
        required = set(re.findall(r"\brequire\(\"([\w-]+)\"\)", tests))
        script = (CHECKOUT / ".ci" / "run").read_text()
        missing = [name for name in required if not re.search(rf"# .*\b{name}\b.*:", script)]
        self.assertEqual(missing, [])


def is_seam(value: object) -> bool:
    return isinstance(value, InterfaceClass) and value.__module__.startswith(interfaces.__name__)


def claims() -> Iterator[tuple[type[Interface], type[Any]]]:
    """Every class of the package with every seam that it claims to provide."""
    for info in pkgutil.walk_packages(vipproxy.__path__, "vipproxy."):
        if info.name == "vipproxy.__main__":
            continue  # it runs the command
        for value in vars(importlib.import_module(info.name)).values():
            if isinstance(value, type) and value.__module__ == info.name:
                for seam in filter(is_seam, implementedBy(value)):
                    yield seam, value


class SeamTests(SynchronousTestCase):
    def test_classes_keep_their_word(self) -> None:
        """A class that claims an interface has its methods, with their arguments."""
        for seam, cls in claims():
            verifyClass(seam, cls)

    def test_no_dead_seams(self) -> None:
        """Each interface is named somewhere in the package besides its own definition."""
        text = "\n".join(path.read_text() for path in sources())
        seams = [name for name, value in vars(interfaces).items() if is_seam(value)]
        dead = [name for name in seams if len(re.findall(rf"\b{name}\b", text)) < 2]
        self.assertEqual(dead, [])
