"""Finding plugins."""

from __future__ import annotations

from typing import Any

from twisted.application.service import IServiceMaker
from twisted.plugin import IPlugin
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import directlyProvides, implementer
from zope.interface.verify import verifyObject

from tests.processes import run_python
from vipproxy.interfaces import IBalancer, IBalancerPlugin, ICheckPlugin, IPluginCatalog
from vipproxy.plugins import Catalog, IDeclaration, Plugin

HERE = __name__


@implementer(ICheckPlugin)
class Check:
    options = None

    def probe(self, target: Any, options: Any) -> Any:
        return None


check = Check()


class NoProbe:
    options = None


directlyProvides(no_probe := NoProbe(), ICheckPlugin)


@implementer(ICheckPlugin)
class StrangeOptions(Check):
    options = int  # type: ignore[assignment]


class Raises:
    def __init__(self) -> None:
        raise ZeroDivisionError("no luck today")


class DottedPaths(SynchronousTestCase):
    def refused(self, path: str) -> str:
        """What the catalog says about a path."""
        return str(self.assertRaises(LookupError, Catalog().find, "check", path).args[0])

    def test_class(self) -> None:
        """A class is made into an object, once."""
        catalog = Catalog()
        found = catalog.find("check", f"{HERE}:Check")
        self.assertIsInstance(found, Check)
        self.assertIs(catalog.find("check", f"{HERE}:Check"), found)

    def test_object(self) -> None:
        """An object is taken as it is."""
        self.assertIs(Catalog().find("check", f"{HERE}:check"), check)

    def test_no_module(self) -> None:
        """A module that is not there is named."""
        expected = "cannot load 'nowhere.at_all:X': No module named 'nowhere'"
        self.assertEqual(self.refused("nowhere.at_all:X"), expected)

    def test_no_name(self) -> None:
        """A name that the module does not have is named."""
        self.assertIn("has no attribute 'Missing'", self.refused(f"{HERE}:Missing"))

    def test_malformed(self) -> None:
        """Half a path, or a strange one, is no more than a wrong one."""
        for path in (":", "x:", ":x", ".relative:X", "a b:c", "\0:x"):
            self.assertIn("cannot load", self.refused(path))

    def test_raising(self) -> None:
        """What the plugin's own code raises is told."""
        self.assertIn("ZeroDivisionError: no luck today", self.refused(f"{HERE}:Raises"))

    def test_wrong_kind(self) -> None:
        """A thing that is no plugin of the kind is refused."""
        expected = "'fractions:Fraction' is no check plugin: it does not provide ICheckPlugin"
        self.assertEqual(self.refused("fractions:Fraction"), expected)

    def test_incomplete(self) -> None:
        """A plugin that lacks a method is refused, and the method named."""
        self.assertIn("probe", self.refused(f"{HERE}:no_probe"))

    def test_options(self) -> None:
        """Options must be an attrs class."""
        self.assertIn("are not an attrs class", self.refused(f"{HERE}:StrangeOptions"))


class Names(SynchronousTestCase):
    def test_built_in(self) -> None:
        """The built-in plugins have their names."""
        catalog = Catalog()
        expected = {
            "protocol": {"tcp", "http", "mysql", "stats"},
            "check": {"tcp", "http", "mysql"},
            "balancer": {"roundrobin", "leastconn", "first", "random", "source"},
            "store": set(),
        }
        for kind, names in expected.items():
            self.assertLessEqual(names, set(catalog.names(kind)))

    def test_all_load(self) -> None:
        """Every built-in plugin can be loaded, and has the interface of its kind."""
        catalog = Catalog()
        for kind in ("protocol", "check", "balancer"):
            for name in catalog.names(kind):
                catalog.find(kind, name)

    def test_balancer(self) -> None:
        """A plugin found by name does its work."""
        plugin: IBalancerPlugin = Catalog().find("balancer", "first")
        verifyObject(IBalancer, plugin.balancer(None))

    def test_unknown(self) -> None:
        """An unknown name is a LookupError with a sentence."""
        error = self.assertRaises(LookupError, Catalog().find, "check", "nonsense")
        self.assertEqual(error.args[0], "unknown check 'nonsense'")

    def test_interfaces(self) -> None:
        """Catalog and declarations provide what they say."""
        verifyObject(IPluginCatalog, Catalog())
        plugin = Plugin("check", "x", "a:B")
        self.assertTrue(IPlugin.providedBy(plugin))
        verifyObject(IDeclaration, plugin)


LIGHT = """
import sys
from twisted.plugins import vipproxy_plugin
heavy = ("twisted.internet.reactor", "twisted.web", "twisted.internet.tcp")
print(*[name for name in sys.modules if name.startswith((*heavy, "vipproxy."))])
"""


class PluginModule(SynchronousTestCase):
    def test_light(self) -> None:
        """Importing the module of declarations imports neither the reactor nor the proxy."""
        status, output, errors = run_python("-c", LIGHT)
        self.assertEqual((status, errors), (0, ""))
        names = ("plugins", "interfaces", "counters", "errors", "values", "native")
        rooms = {".".join(name.split(".")[:2]) for name in output.split()}
        self.assertEqual(rooms - {f"vipproxy.{name}" for name in names}, set())

    def test_service(self) -> None:
        """It declares the twistd command."""
        from twisted.plugins import vipproxy_plugin

        self.assertTrue(IServiceMaker.providedBy(vipproxy_plugin.service))
        self.assertEqual(vipproxy_plugin.service.tapname, "vipproxy")
