"""The answer to a query, without I/O: MySQL's text result sets.

Source: the MariaDB knowledge base, "Result Set Packets". The answer is a column count, a
definition for each column, an EOF packet, the rows, and another EOF packet.
"""

from __future__ import annotations

from vipproxy.framing.mysql import PacketError

MOST_COLUMNS = 64
MOST_ROWS = 256

Row = tuple[str | None, ...]
"""A value for each column, None for NULL."""

_NULL = 0xFB
_LENGTH_SIZES = {0xFC: 2, 0xFD: 3, 0xFE: 8}


class ResultReader:
    """Makes rows of the payloads that answer one query.

    Error packets are for the caller to tell: no other packet of an answer begins like one.
    """

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self._columns = 0
        self._definitions_left = -1
        """-1 before the column count; 0 while the EOF packet behind them is due."""
        self._in_rows = False

    def receive(self, payload: bytes) -> bool:
        """Read the next packet's payload; True once the answer is complete.

        Raises PacketError for what cannot come there, and beyond the limits.
        """
        if self._in_rows:
            return self._receive_row(payload)
        if self._definitions_left < 0:
            return self._receive_count(payload)
        if self._definitions_left:
            self._definitions_left -= 1
        elif _is_end(payload):
            self._in_rows = True
        else:
            raise PacketError("more columns than announced")
        return False

    def _receive_count(self, payload: bytes) -> bool:
        """An OK packet in its place says that there is no result set."""
        if payload[:1] == b"\0":
            return True
        fields = _Fields(payload)
        count = fields.take_length()
        if count is None or not 1 <= count <= MOST_COLUMNS or not fields.at_end:
            raise PacketError("an answer that is no result set")
        self._columns = self._definitions_left = count
        return False

    def _receive_row(self, payload: bytes) -> bool:
        if _is_end(payload):
            return True
        if len(self.rows) == MOST_ROWS:
            raise PacketError(f"more than {MOST_ROWS} rows")
        fields = _Fields(payload)
        self.rows.append(tuple(fields.take_text() for _ in range(self._columns)))
        if not fields.at_end:
            raise PacketError("a row that is too long")
        return False


def _is_end(payload: bytes) -> bool:
    """An EOF packet; a row whose first value is very long begins with the same byte."""
    return payload[:1] == b"\xfe" and len(payload) < 9


class _Fields:
    """Reads length-encoded values one after the other; PacketError where they break off."""

    def __init__(self, payload: bytes) -> None:
        self._payload = payload
        self._at = 0

    @property
    def at_end(self) -> bool:
        return self._at == len(self._payload)

    def take_length(self) -> int | None:
        """A length-encoded number; None for the mark of a NULL."""
        first = self._take(1)[0]
        if first == _NULL:
            return None
        if first < _NULL:
            return first
        if first not in _LENGTH_SIZES:
            raise PacketError("a length that is none")
        return int.from_bytes(self._take(_LENGTH_SIZES[first]), "little")

    def take_text(self) -> str | None:
        length = self.take_length()
        return None if length is None else self._take(length).decode("utf-8", "replace")

    def _take(self, size: int) -> bytes:
        taken = self._payload[self._at : self._at + size]
        if len(taken) < size:
            raise PacketError("a result that breaks off")
        self._at += size
        return taken
