"""Answers to MySQL queries, without I/O."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.mysql_server import Rows, result
from vipproxy.framing.mysql import PacketError, PacketReader, build_ok, build_row
from vipproxy.framing.mysql_results import MOST_COLUMNS, MOST_ROWS, ResultReader

END = b"\xfe\0\0\2\0"
# "SHOW GLOBAL VARIABLES WHERE Variable_name = 'read_only'", as MariaDB 10.11.19 answered it.
MARIADB = (
    "02",
    "0364656612696e666f726d6174696f6e5f736368656d61"  # information_schema
    "1153455353494f4e5f5641524941424c45531153455353494f4e5f5641524941424c4553"
    "0d5661726961626c655f6e616d650d5641524941424c455f4e414d45"  # Variable_name
    "0c2100c0000000fd0110000000",
    "0364656612696e666f726d6174696f6e5f736368656d61"
    "1153455353494f4e5f5641524941424c45531153455353494f4e5f5641524941424c4553"
    "0556616c75650e5641524941424c455f56414c5545"  # Value
    "0c210000300000fd0110000000",
    "fe00002200",
    "09726561645f6f6e6c79034f4646",
    "fe00002200",
)


def payloads(packets: bytes) -> list[bytes]:
    reader = PacketReader(1 << 20)
    reader.receive_data(packets)
    return [packet.payload for packet in iter(reader.next_packet, None)]


def read(*parts: bytes) -> ResultReader:
    """A reader that has got these payloads; all but the last were not the end."""
    reader = ResultReader()
    ends = [reader.receive(part) for part in parts]
    assert ends == [False] * (len(parts) - 1) + [True], ends
    return reader


class ResultTests(SynchronousTestCase):
    def test_mariadb(self) -> None:
        """An answer of MariaDB gives its rows."""
        rows = read(*map(bytes.fromhex, MARIADB)).rows
        self.assertEqual(rows, [("read_only", "OFF")])

    def test_our_own(self) -> None:
        """So does the answer of our fake server, which another project's client reads too."""
        self.assertEqual(read(*payloads(build_row("name", "value"))).rows, [("value",)])

    def test_no_rows(self) -> None:
        """An answer may have no rows, and an OK packet is an answer without any."""
        self.assertEqual(read(*payloads(result([]))).rows, [])
        self.assertEqual(read(*payloads(build_ok(1))).rows, [])

    text = st.none() | st.text(st.characters(codec="utf-8"), max_size=60)

    @given(st.lists(st.tuples(text, text), max_size=5))
    def test_any_rows(self, rows: Rows) -> None:
        """Any text and NULL come out as they went in."""
        self.assertEqual(read(*payloads(result(rows))).rows, rows)

    def test_long_values(self) -> None:
        """A value of more than 250 bytes has a longer length in front of it."""
        for size in (b"\xfc\x2c\x01", b"\xfd\x2c\x01\x00", b"\xfe\x2c\x01" + bytes(6)):
            rows = read(b"\1", b"column", END, size + b"x" * 300, END).rows
            self.assertEqual(rows, [("x" * 300,)])

    def test_nonsense(self) -> None:
        """What cannot come at its place raises PacketError."""
        for parts in (
            [b""],
            [b"\xfb/etc/passwd"],  # LOAD DATA LOCAL: the server wants a file
            [b"\xff"],
            [b"\1\1"],
            [bytes([MOST_COLUMNS + 1])],
            [b"\1", b"column", b"another"],
            [b"\1", b"column", END, b"\5abc"],
            [b"\1", b"column", END, b"\1ab"],
            [b"\2", b"column", b"column", END, b"\1a"],
            [b"\1", b"column", END, b"\xfe" + bytes([255] * 8)],
        ):
            self.assertRaises(PacketError, read, *parts)

    def test_bounded(self) -> None:
        """Rows without an end raise PacketError."""
        rows = [b"\1a"] * (MOST_ROWS + 1)
        self.assertRaises(PacketError, read, b"\1", b"column", END, *rows)

    @given(st.lists(st.binary(max_size=20), max_size=20))
    def test_any_bytes(self, parts: list[bytes]) -> None:
        """Any payloads are an answer, need more, or raise PacketError."""
        for start in ([], [b"\2", b"c", b"c", END]):
            reader = ResultReader()
            try:
                done = any(reader.receive(part) for part in [*start, *parts])
            except PacketError:
                continue
            self.assertLessEqual(len(reader.rows), len(parts))
            self.assertIn(done, (True, False))
