"""What the README shows does what it says."""

import re
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def test_its_programs_run() -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    names: dict[str, object] = {"__name__": "readme"}
    exec("from sandbar_sdk import *", names)
    for block in blocks:
        exec(compile(block, str(README), "exec", dont_inherit=True), names)
    shown = [value for name, value in names.items() if name.startswith("test_")]
    assert len(blocks) > 3 and len(shown) == 1
    shown[0]()  # type: ignore[operator]

    from sandbar_sdk.testing import Host

    host = Host(names["HighBids"], {"at-least": 100})  # type: ignore[type-var]
    for price in (99, 100, "x"):
        host.push("a", {"price": price})
    assert [out.json() for out in host.outputs] == [{"price": 100}] and len(host.refused) == 1
    host = Host(names["CountByKey"])  # type: ignore[type-var]
    for key in "aba":
        host.push(key, None)
    assert [out.text() for out in host.outputs] == ["1", "1", "2"]
    host = Host(names["Spent"])  # type: ignore[type-var]
    for time in (1, 2, 4_000_000):
        host.push("a", {"price": 5}, time)
    host.advance(3_599_999)
    assert [(out.text(), out.timestamp) for out in host.outputs] == [("10", 3_599_999)]
    host = Host(names["Words"])  # type: ignore[type-var]
    host.push("a", "two words")
    assert len(host.outputs) == 4 and host.metrics == {"words": 2} and host.refused == []


def test_the_first_program_has_at_most_15_lines() -> None:
    first = README.read_text().split("```python\n")[1].split("```")[0]
    assert len(first.splitlines()) <= 15
