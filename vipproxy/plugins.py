"""Plugins: a name, or a dotted path, becomes an object. Light to import, for `twistd --help`."""

from __future__ import annotations

import importlib
from typing import Any

import attrs
from attrs import Factory, define, frozen
from twisted.plugin import IPlugin, getPlugins
from zope.interface import Attribute, Interface, Invalid, implementer
from zope.interface.verify import verifyObject

from vipproxy.interfaces import (
    IBalancerPlugin,
    ICheckPlugin,
    IPluginCatalog,
    IProtocolPlugin,
    IStorePlugin,
)

INTERFACES = {
    "protocol": IProtocolPlugin,
    "check": ICheckPlugin,
    "balancer": IBalancerPlugin,
    "store": IStorePlugin,
}


class IDeclaration(Interface):
    """What a module in `twisted.plugins` says about a plugin, without importing it."""

    kind: str = Attribute("protocol, check, balancer or store.")
    name: str = Attribute("How configurations call it.")
    path: str = Attribute("Where it is: package.module:Name.")


@implementer(IPlugin, IDeclaration)
@frozen
class Plugin:
    """Declares a plugin, in a module of `twisted/plugins`: kind, name, ``package.module:Name``."""

    kind: str
    name: str
    path: str


@implementer(IPluginCatalog)
@define
class Catalog:
    """All plugins that can be found. Each is made once."""

    _declared: dict[tuple[str, str], IDeclaration] | None = None
    _made: dict[tuple[str, str], Any] = Factory(dict)

    def find(self, kind: str, name: str) -> Any:
        """The plugin of a kind; raises LookupError, whose text is a sentence."""
        path = name if ":" in name else self._path_of(kind, name)
        if (kind, path) not in self._made:
            self._made[kind, path] = _verified(kind, path, _make(path))
        return self._made[kind, path]

    def names(self, kind: str) -> list[str]:
        """The names of a kind, in the order of their declaration."""
        return [name for of_kind, name in self._declarations() if of_kind == kind]

    def _path_of(self, kind: str, name: str) -> str:
        declared = self._declarations().get((kind, name))
        if declared is None:
            raise LookupError(f"unknown {kind} '{name}'")
        return declared.path

    def _declarations(self) -> dict[tuple[str, str], IDeclaration]:
        if self._declared is None:
            self._declared = {}
            for each in getPlugins(IDeclaration):
                self._declared.setdefault((each.kind, each.name), each)
        return self._declared


def _make(path: str) -> Any:
    """The object at a path; a class is called without arguments."""
    module, _, name = path.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
        return found() if isinstance(found, type) else found
    except Exception as error:  # code of users may raise anything
        raise LookupError(f"cannot load '{path}': {_text(error)}") from error


def _text(error: Exception) -> str:
    if isinstance(error, ImportError | AttributeError):
        return str(error)
    return f"{type(error).__name__}: {error}"


def _verified(kind: str, path: str, plugin: Any) -> Any:
    interface = INTERFACES[kind]
    if not interface.providedBy(plugin):
        raise LookupError(f"'{path}' is no {kind} plugin: it does not provide {interface.__name__}")
    try:
        verifyObject(interface, plugin)
    except Invalid as error:
        raise LookupError(f"'{path}' is no {kind} plugin: {error}") from None
    if plugin.options is not None and not attrs.has(plugin.options):
        raise LookupError(f"the options of '{path}' are not an attrs class")
    return plugin
