"""Stick tables: shown, filtered, changed."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence

from vipproxy.admin.commands.command import Command, Console, Level, number
from vipproxy.errors import Refused
from vipproxy.interfaces import PinView, TableView

OPERATORS: dict[str, Callable[[int, int], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "le": operator.le,
    "ge": operator.ge,
    "lt": operator.lt,
    "gt": operator.gt,
}
STORED = "server_id"
"""The only kind of data in our tables."""
KNOWN = frozenset(
    {
        "server_key", "gpt0", "gpt", "gpc0", "gpc0_rate", "gpc1", "gpc1_rate", "gpc", "gpc_rate",
        "conn_cnt", "conn_rate", "conn_cur", "sess_cnt", "sess_rate", "http_req_cnt",
        "http_req_rate", "http_err_cnt", "http_err_rate", "http_fail_cnt", "http_fail_rate",
        "bytes_in_cnt", "bytes_in_rate", "bytes_out_cnt", "bytes_out_rate",
    }
)  # fmt: skip
"""Those that HAProxy can store besides."""

Filter = Callable[[PinView], bool]

SHOW_USAGE = (
    'Optional argument only supports "data.<store_data_type>" <operator> <value> and key <key>'
)
CLEAR_USAGE = (
    'Required arguments: <table> "data.<store_data_type>" <operator> <value> or <table> key <key>'
)
SET_USAGE = "Required arguments: <table> key <key> [data.<store_data_type> <value>]*"


def _show(console: Console, words: Sequence[str]) -> str:
    tables = console.cluster.tables()
    if not words:
        return "".join(map(_header, tables))
    table = _find(tables, words[0])
    selects = _filter(words[1:], SHOW_USAGE)
    wanted = [pin for pin in table.pins if selects(pin)]
    if words[1:2] == ["key"] and not wanted:
        return ""
    if console.level < Level.OPERATOR:
        return _header(table) + "# contents not dumped due to insufficient privileges\n"
    return _header(table) + "".join(map(_entry, wanted))


def _clear(console: Console, words: Sequence[str]) -> str:
    if not words:
        raise Refused(CLEAR_USAGE)
    table = _find(console.cluster.tables(), words[0])
    wanted = _filter(words[1:], CLEAR_USAGE)
    console.control.drop_pins(table.name, [pin.key for pin in table.pins if wanted(pin)])
    return ""


def _set(console: Console, words: Sequence[str]) -> str:
    if not words:
        raise Refused(SET_USAGE)
    table = _find(console.cluster.tables(), words[0])
    if len(words) < 2:
        return ""
    if words[1] != "key":
        raise Refused(SET_USAGE)
    if len(words) < 3:
        raise Refused("Key value expected")
    server = None
    for kind, value in _pairs(words[3:]):
        _check_kind(kind)
        server = number(value)
        if server is None:
            raise Refused("Require a valid integer value to store")
    console.control.set_pin(table.name, words[2], server)
    return ""


def _pairs(words: Sequence[str]) -> list[tuple[str, str]]:
    values = [*words[1::2], ""]
    return list(zip(words[::2], values, strict=False))


def _find(tables: Sequence[TableView], name: str) -> TableView:
    for table in tables:
        if table.name == name:
            return table
    raise Refused("No such table")


def _filter(words: Sequence[str], usage: str) -> Filter:
    """What the words after the table's name select; all of it without any."""
    if not words:
        return lambda pin: True
    if words[0] == "key":
        if len(words) < 2:
            raise Refused("Key value expected")
        return lambda pin: pin.key == words[1]
    if not words[0].startswith("data."):
        raise Refused(usage)
    tests = [_test(words[i : i + 3], i // 3 + 1) for i in range(0, len(words), 3)]
    return lambda pin: all(test(pin) for test in tests)


def _test(words: Sequence[str], entry: int) -> Filter:
    """``data.server_id eq 1``"""
    try:
        _check_kind(words[0])
        if len(words) < 2 or words[1] not in OPERATORS:
            raise Refused('Require and operator among "eq", "ne", "le", "ge", "lt", "gt"')
        value = number(words[2]) if len(words) > 2 else None
        if value is None:
            raise Refused("Require a valid integer value to compare against")
    except Refused as refusal:
        raise Refused(f"Filter entry #{entry}: {refusal}") from None
    wanted, compare = value, OPERATORS[words[1]]
    return lambda pin: compare(pin.server_number, wanted)


def _check_kind(word: str) -> None:
    kind = word.removeprefix("data.")
    if word == kind or kind not in KNOWN | {STORED}:
        raise Refused("Unknown data type")
    if kind != STORED:
        raise Refused("Data type not stored in this table")


def _header(table: TableView) -> str:
    return f"# table: {table.name}, type: ip, size:{table.size}, used:{len(table.pins)}\n"


def _entry(pin: PinView) -> str:
    expires = round(pin.expires_in * 1000)
    return (
        f"{pin.number:#x}: key={pin.key} use={pin.users} exp={expires} "
        f"server_id={pin.server_number} server_key={pin.server}\n"
    )


COMMANDS = (
    Command(
        "show table",
        Level.USER,
        "show table <table> [<filter>]*",
        "report table usage stats or dump this table's contents (filter: data/key)",
        _show,
    ),
    Command(
        "set table",
        Level.OPERATOR,
        "set table <table> key <k> [data.* <v>]*",
        "update or create a table entry's data",
        _set,
    ),
    Command(
        "clear table",
        Level.OPERATOR,
        "clear table <table> [<filter>]*",
        "remove an entry from a table (filter: data/key)",
        _clear,
    ),
)
