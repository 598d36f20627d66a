"""A field of HAProxy's statistics: its name, what kind of number it is, and its words.

The tags are HAProxy's (management guide, 9.3, `show stat typed`): origin, nature and scope, a
letter each.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

Value = str | int | float

ORIGINS = {"M": "Metric", "S": "Status", "K": "Key", "C": "Config", "P": "Product"}
NATURES = {
    "A": "Age", "a": "Avg", "C": "Counter", "D": "Duration", "G": "Gauge", "L": "Limit",
    "M": "Max", "m": "Min", "N": "Name", "O": "Output", "R": "Rate", "T": "Time",
}  # fmt: skip
SCOPES = {"C": "Cluster", "P": "Process", "S": "Service", "s": "System"}


@frozen(cache_hash=True)
class Field:
    """`kind` is HAProxy's type of the value: str, u32, u64 or s32."""

    name: str
    tags: str
    kind: str
    text: str

    @property
    def tag_words(self) -> Mapping[str, str]:
        """The tags spelt out, as in JSON."""
        tags = self.tags
        return {
            "origin": ORIGINS[tags[0]],
            "nature": NATURES[tags[1]],
            "scope": SCOPES[tags[2]],
        }


@frozen
class Datum:
    """A field with its value; `position` is its number in HAProxy's list."""

    position: int
    field: Field
    value: Value

    @property
    def kind(self) -> str:
        """HAProxy's name for the value's type; a field that was asked for as a float is one."""
        return "flt" if isinstance(self.value, float) else self.field.kind

    @property
    def text(self) -> str:
        """The value as HAProxy writes it, microseconds at most."""
        if isinstance(self.value, float):
            return f"{self.value:.6f}".rstrip("0").rstrip(".")
        return str(self.value)
