"""How an option is declared: a field of an attrs class, made by `option`.

The built-in sections and the plugins declare theirs in the same way, and get parsing,
validation, help and documentation for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
from attrs import frozen

from vipproxy.config.kinds import BadValue, Kind

_METADATA = "vipproxy.option"


@frozen
class Option:
    """How a field is written in the configuration."""

    key: str
    kind: Kind[Any]
    help: str
    haproxy: str
    positional: bool
    unsupported: str
    names: Kind[Any] | None
    """Of what kind the names are, where the key is ``KEY NAME``."""
    repeated: bool
    """The key may stand several times, each with a value: rules, in the file's order."""

    @classmethod
    def of(cls, attribute: attrs.Attribute[Any]) -> Option | None:
        """The option that a field of an options class declares; None for other fields."""
        declared = attribute.metadata.get(_METADATA)
        if declared is None:
            return None
        key = declared["key"] or attribute.name.replace("_", "-")
        if declared["names"] is not None:
            key = key_of_names(key)
        return cls(**{**declared, "key": key})


def option(
    kind: Kind[Any],
    *,
    help: str,
    default: Any = attrs.NOTHING,
    key: str = "",
    haproxy: str = "",
    positional: bool = False,
    unsupported: str = "",
    names: Kind[Any] | None = None,
    repeated: bool = False,
) -> Any:
    """A field of an options class that users can set.

    Without `default` it must be given. `key` is how it is written, by default the field's name
    in kebab-case. `haproxy` names the HAProxy keyword that it replaces. In options of one line
    (server, check, stick...), a `positional` field is a bare word. `unsupported` is the
    sentence with which a known but not yet working option is refused.

    With `names` an option of a section is written ``KEY NAME = VALUE``, any number of times, each
    with another name of this kind; the field is a tuple of pairs, name and value.

    With `repeated`, which takes a key of `vipproxy.config.document.REPEATABLE`, the key (with
    `names`, one name) may stand several times; the field is a tuple of the values (or pairs).
    """
    declared = {
        "key": key,
        "kind": kind,
        "help": help,
        "haproxy": haproxy,
        "positional": positional,
        "unsupported": unsupported,
        "names": names,
        "repeated": repeated,
    }
    return attrs.field(default=default, kw_only=True, metadata={_METADATA: declared})


def key_of_names(key: str) -> str:
    """The key under which ``request-header X-User`` is declared: ``request-header NAME``."""
    return f"{key.partition(' ')[0]} NAME"


def options_of(cls: type) -> dict[str, tuple[str, Option]]:
    """The options that a class declares: key -> (field name, option); inherited ones come last."""
    found = {}
    for each in sorted(attrs.fields(cls), key=lambda field: field.inherited):
        declared = Option.of(each)
        if declared is not None:
            found[declared.key] = (each.name, declared)
    return found


def create(cls: type, values: Mapping[str, Any]) -> Any:
    """An instance of an options class; raises BadValue with what its validators say."""
    try:
        return cls(**values)
    except BadValue:
        raise
    except Exception as error:
        raise BadValue(str(error) or repr(error)) from None
