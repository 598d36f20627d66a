"""Document + plugins -> the options of every section, with their origins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs
from attrs import define

from vipproxy.config.declare import Option, create, key_of_names, options_of
from vipproxy.config.document import Document, Section, Setting
from vipproxy.config.drafts import (
    BackendDraft,
    ClusterDraft,
    Draft,
    FrontendDraft,
    GlobalDraft,
    Origin,
    ServerDraft,
    Use,
    UserlistDraft,
)
from vipproxy.config.ini import is_name
from vipproxy.config.kinds import BackendNames, BadValue, Kind, at, is_secret, suggest
from vipproxy.config.options import (
    BackendConfig,
    BackendOptions,
    ClusterConfig,
    FrontendConfig,
    FrontendOptions,
    GlobalOptions,
    ServerConfig,
)
from vipproxy.config.problems import Problems
from vipproxy.config.records import Chosen, PluginLine, record
from vipproxy.config.rule_kinds import LOCATION, PAGE, USE_BACKEND, USE_TCP_BACKEND, UseBackend
from vipproxy.config.server_options import ServerOptions
from vipproxy.config.userlists import UserlistConfig, UserlistOptions
from vipproxy.interfaces import IPluginCatalog

_SECTION_OPTIONS: dict[str, type] = {
    "global": GlobalOptions,
    "frontend": FrontendOptions,
    "backend": BackendOptions,
    "userlist": UserlistOptions,
}
_NOT_IN_DEFAULTS = ("bind",)
_SERVER = record(ServerOptions)

Origins = Mapping[str, Origin]


def build(document: Document, catalog: IPluginCatalog, problems: Problems) -> ClusterDraft:
    """Read every section; everything wrong is added to `problems`."""
    return _Builder(catalog, problems).cluster(document)


def cluster_config(draft: ClusterDraft, path: str) -> ClusterConfig:
    """What the proxy runs on, from a draft without errors."""
    return ClusterConfig(
        draft.global_.options if draft.global_ else GlobalOptions(),
        tuple(each.config for each in draft.frontends),
        tuple(each.config for each in draft.backends),
        path,
        tuple(each.config for each in draft.userlists),
    )


@define
class _Builder:
    catalog: IPluginCatalog
    problems: Problems

    def cluster(self, document: Document) -> ClusterDraft:
        global_: GlobalDraft | None = None
        frontends, backends, userlists = [], [], []
        defaults: Origins = {}
        for section in document.sections:
            own = _origins(section)
            if section.kind == "defaults":
                self._check_defaults(own)
                defaults = own
            elif section.kind == "global":
                global_ = self._global(section, own)
            elif section.kind == "frontend":
                frontends.append(self._frontend(section, own, defaults))
            elif section.kind == "userlist":
                userlists.append(self._userlist(section, own))
            else:
                backends.append(self._backend(section, own, defaults))
        return ClusterDraft(global_, tuple(frontends), tuple(backends), tuple(userlists))

    # -- sections -----------------------------------------------------------------------------

    def _global(self, section: Section, own: Origins) -> GlobalDraft:
        self._refuse_unknown(section, own, options_of(GlobalOptions))
        options = self._options(GlobalOptions, section, own)
        return GlobalDraft(section, own, options)

    def _userlist(self, section: Section, own: Origins) -> UserlistDraft:
        self._refuse_unknown(section, own, options_of(UserlistOptions))
        options = self._options(UserlistOptions, section, own)
        return UserlistDraft(section, own, UserlistConfig(section.name, options))

    def _frontend(self, section: Section, own: Origins, defaults: Origins) -> FrontendDraft:
        options = self._options(FrontendOptions, section, {**defaults, **own})
        protocol = options.protocol.plugin if options.protocol else None
        extra: type | None = protocol.options if protocol else None
        known = {**options_of(FrontendOptions), **(options_of(extra) if extra else {})}
        if protocol is not None:  # else its keys cannot be told from unknown ones
            self._refuse_unknown(section, own, known)
        origins = _effective(known, own, defaults)
        protocol_options = self._options(extra, section, origins) if extra else None
        uses = tuple(_uses(options, protocol_options, origins))
        names = tuple(dict.fromkeys(use.backend for use in uses))
        config = FrontendConfig(section.name, options, protocol_options, names)
        return FrontendDraft(section, origins, config, uses)

    def _backend(self, section: Section, own: Origins, defaults: Origins) -> BackendDraft:
        known = options_of(BackendOptions)
        mine = {key: origin for key, origin in own.items() if not _is_server(key)}
        self._refuse_unknown(section, mine, {**known, "server NAME": None})
        origins = _effective(known, mine, defaults)
        options = self._options(BackendOptions, section, origins)
        servers = tuple(self._servers(origin for key, origin in own.items() if _is_server(key)))
        config = BackendConfig(section.name, options, tuple(each.config for each in servers))
        return BackendDraft(section, origins, config, servers)

    def _servers(self, origins: Iterable[Origin]) -> Iterable[ServerDraft]:
        for origin in origins:
            setting = origin.setting
            name = setting.key.partition(" ")[2]
            if not is_name(name):
                wrong = f"'{name}' cannot be a name" if name else "this server has no name"
                self._at_key(origin, wrong, "server NAME = ADDRESS:PORT")
                continue
            options = self._value(_SERVER, origin)
            if options is not None:
                yield ServerDraft(setting, ServerConfig(name, options))

    def _check_defaults(self, own: Origins) -> None:
        """Every key must mean something to somebody, and every value must be readable."""
        known = {**options_of(BackendOptions), **options_of(FrontendOptions)}
        if not {key_declared(key) for key in own} <= known.keys():
            known.update(self._protocol_options())
        known = {key: it for key, it in known.items() if _may_be_default(key, it[1])}
        for key, origin in own.items():
            found = known.get(key_declared(key))
            if found is not None:
                self._read(found[1], origin)
            else:
                self._unknown_key(origin, known)

    # -- options ------------------------------------------------------------------------------

    def _options(self, cls: type, section: Section, origins: Origins) -> Any:
        """An instance; it has None in the place of what must be given and could not be read."""
        values: dict[str, Any] = {}
        broken = False
        for key, (field, option) in options_of(cls).items():
            default = getattr(attrs.fields(cls), field).default
            if option.names is not None:
                value = self._named(key, option, option.names, origins)
            elif key in origins and option.repeated:
                value = self._repeated(option, origins[key])
            elif key in origins:
                value = self._read(option, origins[key])
            elif isinstance(default, Chosen):
                value = self._resolved(option, default, section)
            elif default is attrs.NOTHING:
                self._missing(section, option)
                value = None
            else:
                continue
            broken = broken or value is None
            if value is not None or default is attrs.NOTHING:
                values[field] = value
        return self._created(cls, values, section, broken)

    def _named(
        self, key: str, option: Option, names: Kind[Any], origins: Origins
    ) -> tuple[tuple[Any, Any], ...]:
        """The pairs of ``KEY NAME = VALUE``; those that cannot be read are left out.

        Names that differ in their case alone are one name.
        """
        found: list[tuple[Any, Any]] = []
        seen: set[str] = set()
        for each, origin in origins.items():
            if key_declared(each) != key:
                continue
            name, values = self._name(names, origin), self._repeated(option, origin)
            if name is None:
                continue
            if name.lower() in seen and not option.repeated:
                self._at_key(origin, f"'{each}' is given twice in {origin.section.label}")
                continue
            seen.add(name.lower())
            found += [(name, value) for value in values]
        return tuple(found)

    def _repeated(self, option: Option, origin: Origin) -> tuple[Any, ...]:
        """The values of all settings of a key; those that cannot be read are left out."""
        values = [self._read(option, attrs.evolve(origin, setting=s)) for s in origin.settings]
        return tuple(value for value in values if value is not None)

    def _name(self, names: Kind[Any], origin: Origin) -> Any:
        try:
            return names.parse(origin.setting.key.partition(" ")[2])
        except BadValue as error:
            self._at_key(origin, f"{error.message} in {origin.section.label}", error.hint)
            return None

    def _created(self, cls: type, values: dict[str, Any], section: Section, broken: bool) -> Any:
        try:
            return create(cls, values)
        except BadValue as error:
            if not broken:  # else it may have stumbled over a None
                self._at_header(section, f"{error.message} in {section.label}", error.hint)
            return None

    def _read(self, option: Option, origin: Origin) -> Any:
        """The value of a setting; None where it could not be read."""
        if option.unsupported:
            self._at_key(origin, option.unsupported)
            return None
        if not origin.setting.value:
            hint = f"{option.key} = {option.kind.syntax}"
            self._at_key(origin, f"'{option.key}' has no value in {origin.section.label}", hint)
            return None
        return self._value(self._with_plugins(option.kind), origin)

    def _value(self, kind: Kind[Any], origin: Origin) -> Any:
        setting = origin.setting
        if is_secret(kind):
            self.problems.hide(setting.line, setting.value_column)
        try:
            return at(0, kind, setting.value)
        except BadValue as error:
            for part in error.parts:
                message = f"{part.message} in {origin.section.label}"
                column = setting.value_column + part.offset
                self.problems.error(message, setting.line, column, part.length, part.hint)
            return None

    def _resolved(self, option: Option, default: Chosen, section: Section) -> Any:
        """A default that names a plugin, looked up."""
        try:
            return self._with_plugins(option.kind).parse(default.name)
        except BadValue as error:
            self._at_header(section, f"{error.message} in {section.label}", error.hint)
            return None

    def _with_plugins(self, kind: Kind[Any]) -> Kind[Any]:
        return kind.with_catalog(self.catalog) if isinstance(kind, PluginLine) else kind

    def _protocol_options(self) -> dict[str, tuple[str, Option]]:
        """The options of all protocols that have a name."""
        found: dict[str, tuple[str, Option]] = {}
        for name in self.catalog.names("protocol"):
            try:
                plugin = self.catalog.find("protocol", name)
            except LookupError:
                continue  # whoever uses it will be told
            if plugin.options is not None:
                found.update(options_of(plugin.options))
        return found

    # -- problems -----------------------------------------------------------------------------

    def _refuse_unknown(self, section: Section, own: Origins, known: Mapping[str, Any]) -> None:
        for key, origin in own.items():
            if key_declared(key) not in known:
                self._unknown_key(origin, known)

    def _unknown_key(self, origin: Origin, known: Mapping[str, Any]) -> None:
        key = origin.setting.key
        hint = self._other_home(key, origin.section.kind) or suggest(key, known)
        self._at_key(origin, f"unknown key '{key}' in {origin.section.label}", hint)

    def _other_home(self, key: str, kind: str) -> str:
        """A hint for keys that are right elsewhere, and for HAProxy's keywords."""
        for other, cls in _SECTION_OPTIONS.items():
            if other != kind and key_declared(key) in options_of(cls):
                return f"it belongs in a [{other}] section"
        if kind != "backend" and _is_server(key):
            return "it belongs in a [backend] section"
        for _, option in options_of(_SECTION_OPTIONS.get(kind, FrontendOptions)).values():
            if option.haproxy and _bare(option.haproxy) == _bare(key):
                return f"HAProxy's '{option.haproxy}' is '{option.key}' here"
        if kind == "frontend" and key_declared(key) in self._protocol_options():
            return "other protocols have it, this one has not"
        return ""

    def _missing(self, section: Section, option: Option) -> None:
        hint = f"{option.key} = {option.kind.syntax}"
        self._at_header(section, f"{section.label} has no '{option.key}'", hint)

    def _at_header(self, section: Section, message: str, hint: str = "") -> None:
        self.problems.add(Draft(section, {}).error(message, hint=hint))

    def _at_key(self, origin: Origin, message: str, hint: str = "") -> None:
        setting = origin.setting
        self.problems.error(message, setting.line, setting.column, len(setting.key), hint)


def _origins(section: Section) -> dict[str, Origin]:
    """Where each key stands, in the order of their first settings."""
    found: dict[str, list[Setting]] = {}
    for each in section.settings:
        found.setdefault(each.key, []).append(each)
    return {key: Origin(section, first, tuple(later)) for key, (first, *later) in found.items()}


def _effective(known: Mapping[str, Any], own: Origins, defaults: Origins) -> Origins:
    """The section's own settings, and those of [defaults] that mean something to it."""
    both = {**defaults, **own}
    return {key: origin for key, origin in both.items() if key_declared(key) in known}


def key_declared(key: str) -> str:
    """The key under which a key is declared: another one where it has a name in it."""
    return key_of_names(key) if " " in key else key


def _may_be_default(key: str, option: Option) -> bool:
    """Not what belongs to one section, nor what would be done by frontend and backend both."""
    if key in _NOT_IN_DEFAULTS or option.repeated:
        return False
    return option.names is None or option.kind in (LOCATION, PAGE)


def _is_server(key: str) -> bool:
    return key.split(" ")[0] == "server"


def _bare(keyword: str) -> str:
    return keyword.replace("-", " ").replace("_", " ")


def _uses(options: FrontendOptions, protocol_options: Any, origins: Origins) -> Iterable[Use]:
    """The backends that a frontend's options name, each with the key that does."""
    if options.backend is not None:
        yield Use(options.backend, "backend")
    if protocol_options is None:
        return
    for key, (field, option) in options_of(type(protocol_options)).items():
        if isinstance(option.kind, BackendNames):
            yield from (Use(name, key) for name in getattr(protocol_options, field) or ())
        elif option.kind in (USE_BACKEND, USE_TCP_BACKEND):
            yield from _rule_uses(key, getattr(protocol_options, field), origins)


def _rule_uses(key: str, rules: Iterable[UseBackend], origins: Origins) -> Iterable[Use]:
    for rule in rules:
        name = rule.backend.fixed
        if name is not None:
            setting = next((s for s in origins[key].settings if s.value == rule.text), None)
            yield Use(name, key, setting)


def server_settings(section: Section) -> list[Setting]:
    """All settings of a backend that name a server, right or wrong."""
    return [each for each in section.settings if _is_server(each.key)]
