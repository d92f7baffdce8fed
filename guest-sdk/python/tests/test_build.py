"""The component is built as the README says. Each needs ten seconds."""

import subprocess
import sys
from pathlib import Path

import pytest

import sandbar_sdk
from sandbar_sdk.__main__ import rename_export

PACKAGE = Path(sandbar_sdk.__file__).parent


def build(folder: Path, code: str, name: str = "app.py") -> "subprocess.CompletedProcess[str]":
    folder.joinpath(name).write_text(code)
    return subprocess.run(
        [sys.executable, "-m", "sandbar_sdk", name], cwd=folder, env={"PYTHONPATH": str(PACKAGE.parent), "PATH": ""},
        capture_output=True, text=True, check=False)


def test_an_export_gets_another_name() -> None:
    header, custom = b"\0asm\x0d\0\1\0", b"\x00\x05\x04open"
    before = header + custom + b"\x0b\x0f\x01\x00\x0bopen-plugin\x01"
    assert rename_export(before, b"open-plugin", b"open") == header + custom + b"\x0b\x08\x01\x00\x04open\x01"
    long = b"\x0b\x8f\x01\x01\x00\x04open" + bytes(136)
    assert rename_export(header + long, b"open", b"fire") == header + b"\x0b\x8f\x01\x01\x00\x04fire" + bytes(136)
    with pytest.raises(ValueError, match="the component has 0 exports `fire`"):
        rename_export(before, b"fire", b"open")


def test_a_component_is_built(tmp_path: Path) -> None:
    done = build(tmp_path, "from sandbar_sdk import Plugin, plugin\n@plugin\nclass A(Plugin): pass\n", "my-app.py")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    component = (tmp_path / "my-app.wasm").read_bytes()
    for name in (b"describe", b"open", b"process", b"fire"):
        assert rename_export(component, name, name) == component
    assert sorted(path.name for path in tmp_path.iterdir()) == ["my-app.py", "my-app.wasm"]


def test_what_cannot_be_built_says_why(tmp_path: Path) -> None:
    done = build(tmp_path, "import nowhere")
    assert done.returncode == 1 and done.stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'nowhere'"
    assert not (tmp_path / "app.wasm").exists()


def test_the_wit_is_that_of_the_repository() -> None:
    repository = PACKAGE.parents[2] / "wit" / "v0.1"
    if not repository.is_dir():
        pytest.skip("the package stands alone: there is no repository around it")
    for file in (PACKAGE / "wit").glob("*.wit"):
        assert file.read_bytes() == (repository / file.name).read_bytes(), file.name
