"""Takes the names of functions, and debug information, out of components: `python3 without_names.py FILE...`."""

import sys
from pathlib import Path

_CUSTOM, _MODULE, _COMPONENT = 0, 1, 4


def without_names(binary: bytes) -> bytes:
    """The same component, or core module, without them; and so for those that lie in it."""
    is_component = binary[6] == 1
    parts, at = [binary[:8]], 8
    while at < len(binary):
        section = binary[at]
        size, start = _number(binary, at + 1)
        at = start + size
        content = binary[start:at]
        if section == _CUSTOM and _is_name(content):
            continue
        if is_component and section in (_MODULE, _COMPONENT):
            content = without_names(content)
        parts += [bytes([section]), _leb128(len(content)), content]
    return b"".join(parts)


def _is_name(content: bytes) -> bool:
    size, start = _number(content, 0)
    name = content[start:start + size]
    return name in (b"name", b"component-name") or name.startswith(b".debug_")


def _number(of: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = of[at]
        value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
        if byte < 128:
            return value, at


def _leb128(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


if __name__ == "__main__":
    for file in map(Path, sys.argv[1:]):
        file.write_bytes(without_names(file.read_bytes()))
