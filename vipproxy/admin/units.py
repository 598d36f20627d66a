"""Numbers as people read them."""

from __future__ import annotations

_BYTE_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_TIME_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def in_bytes(count: int) -> str:
    """``0 B``, ``1.2 KiB``, ``345 MiB``: three digits at most."""
    size, unit = float(count), 0
    while size >= 999.5 and unit < len(_BYTE_UNITS) - 1:
        size, unit = size / 1024, unit + 1
    digits = 1 if unit and size < 99.95 else 0
    return f"{size:.{digits}f} {_BYTE_UNITS[unit]}"


def in_count(count: int) -> str:
    """``12,345``"""
    return f"{count:,}"


def in_time(seconds: float) -> str:
    """The two largest units: ``3d 4h``, ``5m 6s``, ``7s``."""
    left = int(seconds)
    parts: list[str] = []
    for name, size in _TIME_UNITS:
        number, left = divmod(left, size)
        if number or (name == "s" and not parts):
            parts.append(f"{number}{name}")
        elif parts:
            break
    return " ".join(parts[:2])
