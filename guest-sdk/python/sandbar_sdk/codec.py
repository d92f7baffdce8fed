"""How values become bytes: bytes as they are, text as UTF-8, everything else as JSON without spaces."""

import json
import re
from typing import Any, NoReturn

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


_decode = json.JSONDecoder(parse_constant=_no_number).decode


def to_json(value: Any) -> bytes:
    """Compact JSON; a whole number has no fraction (3.0 is written as 3), as in the SDKs of other languages."""
    text = _encode(value)
    if ".0" in text or "e+" in text:
        text = _encode(_whole(value))
    return text.encode()


_DEEPEST = 128
"""Levels of JSON that are read. Python's reader needs the stack for each, and an exhausted stack ends the instance."""
_NO_BRACKETS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[^\[\]{}"]++', re.DOTALL)


def from_json(text: bytes) -> Any:
    """What JSON says; a ValueError if it is none, or nested deeper than 128 levels."""
    if text.count(b"[") + text.count(b"{") > _DEEPEST and _is_deep(_NO_BRACKETS.sub(b"", text)):
        raise ValueError(f"it is nested deeper than {_DEEPEST} levels")
    return _decode(text.decode())


def _is_deep(brackets: bytes) -> bool:
    if re.search(rb"[\[{]{%d}" % (_DEEPEST + 1), brackets):
        return True
    for _ in range(_DEEPEST):
        shorter = brackets.replace(b"[]", b"").replace(b"{}", b"")  # the innermost ones are gone
        if len(shorter) == len(brackets):
            return len(brackets) > _DEEPEST  # these are never closed: it is no JSON, but the reader would go down first
        brackets = shorter
    return len(brackets) > 0


def _whole(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**63:
        return int(value)
    if isinstance(value, dict):
        return {name: _whole(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_whole(item) for item in value]
    return value


def to_bytes(value: Any) -> bytes | None:
    """A record's value or a header's; None is null."""
    if value is None or type(value) is bytes:
        return value
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    return to_json(value)


def to_key(key: Any) -> bytes | None:
    """A record's key: bytes, text, or null."""
    if key is None or isinstance(key, (bytes, str, bytearray, memoryview)):
        return to_bytes(key)
    raise TypeError(f"a key is bytes, text or None, not {type(key).__name__}")


LAST_TIME = 2**63 - 1
"""The last millisecond that there is a number for."""


def is_time(time: int) -> bool:
    """Whether there is such a time: a whole number of 64 bits."""
    return isinstance(time, int) and -LAST_TIME - 1 <= time <= LAST_TIME


def to_time(time: int) -> int:
    """A time in milliseconds since 1970, checked."""
    if not is_time(time):
        raise TypeError(f"a time is a whole number of milliseconds since 1970, not {time!r}")
    return time
