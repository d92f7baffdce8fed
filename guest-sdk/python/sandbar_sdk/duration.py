"""Lengths of time as a configuration writes them."""

import re

from .config import FromText

_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_MS_MAX = 10**15
"""Longer than the time that there are timestamps for, and short enough to be added to any of them."""


class Duration(int, FromText):
    """A length of time, a number of milliseconds. It is made of a text such as "10s": a whole number, which may be
    negative, and a unit, `ms`, `s`, `m`, `h` or `d`."""

    pattern = "^-?[0-9]+(ms|s|m|h|d)$"

    def __new__(cls, text: str) -> "Duration":
        """Reads it; a ValueError says what is wrong."""
        read = re.fullmatch("(-?[0-9]{1,19})(ms|s|m|h|d)", text)
        ms = int(read[1]) * _UNITS[read[2]] if read else _MS_MAX + 1
        if abs(ms) > _MS_MAX:
            raise ValueError(f'"{text}" is no duration: it wants a whole number and one of ms, s, m, h and d, '
                             'such as "10s"')
        return super().__new__(cls, ms)
