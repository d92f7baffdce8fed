"""Builds a component: `python -m sandbar_sdk app.py -o app.wasm`. Owns all that has to be known of componentize-py."""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from . import __file__ as _package

_OPEN, _OPEN_IN_C = b"open", b"open-plugin"
"""The world's `open` cannot be linked beside the one of C's library: until the component is made it is called so."""


def main() -> None:
    """The command line."""
    arguments = argparse.ArgumentParser(prog="sandbar_sdk", description="Makes a plugin of a Python module.")
    arguments.add_argument("app", type=Path, help="the file that has the plugin, or a package's folder")
    arguments.add_argument("-o", "--output", type=Path, help="the component; APP.wasm if it is not given")
    given = arguments.parse_args()
    app: Path = given.app.resolve()
    output: Path = given.output or app.with_suffix(".wasm")
    if not app.exists():
        sys.exit(f"there is no `{given.app}`")
    with tempfile.TemporaryDirectory() as folder:
        raw = _componentize(app, Path(folder))
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_bytes(rename_export(raw, _OPEN_IN_C, _OPEN))


def _componentize(app: Path, folder: Path) -> bytes:
    package = Path(_package).parent
    wit, nothing, output = folder / "wit", folder / "nothing", folder / "raw.wasm"
    (nothing / "lib" / "site-packages").mkdir(parents=True)
    wit.mkdir()
    for file in (package / "wit").glob("*.wit"):
        text = file.read_bytes()
        if file.name == "record-processor.wit":
            text = text.replace(b"export open:", b"export %s:" % _OPEN_IN_C)
        (wit / file.name).write_bytes(text)
    (folder / "sandbar_entry.py").write_text(
        "import importlib, sys\n"
        "sys.dont_write_bytecode = True  # else what is made for the component's Python lands in the author's folders\n"
        f"importlib.import_module({app.stem!r})\n"
        "from sandbar_sdk.component import WitWorld\n")
    installed = [path for path in sys.path if path.endswith("-packages")]
    paths = dict.fromkeys(map(str, (folder, app.parent, package.parent, *installed)))
    # It is told where to look, and not to look for itself.
    done = subprocess.run(
        [sys.executable, "-c", "import componentize_py; componentize_py.script()", "-q", "-d", str(wit),
         "-w", "record-processor", "componentize", "sandbar_entry", "-o", str(output),
         *(word for path in paths for word in ("-p", path))],
        env={**os.environ, "VIRTUAL_ENV": str(nothing), "RUST_BACKTRACE": "0"}, stderr=subprocess.PIPE, text=True,
        errors="replace", check=False)
    if done.returncode != 0:
        sys.exit(done.stderr.split("AssertionError: ", 1)[-1].split("\n\nCaused by:", 1)[0].strip())
    return output.read_bytes()


def rename_export(component: bytes, name: bytes, to: bytes) -> bytes:
    """The component with another name for one of its exports."""
    parts, at, found = [component[:8]], 8, 0
    while at < len(component):
        section, start = component[at], at + 1
        size, start = _number(component, start)
        at = start + size
        content = component[start:at]
        if section == 11:  # exports
            found += content.count(_named(name))
            content = content.replace(_named(name), _named(to))
        parts += [bytes([section]), _leb128(len(content)), content]
    if found != 1:
        raise ValueError(f"the component has {found} exports `{name.decode()}`")
    return b"".join(parts)


def _named(name: bytes) -> bytes:
    return _leb128(len(name)) + name


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
    main()
