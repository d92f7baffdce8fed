"""A stand-in for what componentize-py generates, so that the component's exports can be tested without a sandbox."""

import enum
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest


def _record(name: str, *fields: str) -> type:
    return dataclass(type(name, (), {"__annotations__": dict.fromkeys(fields, Any)}))


class Err(Exception):
    """The failure of a result."""

    def __init__(self, value: Any) -> None:
        super().__init__(value)
        self.value = value


@pytest.fixture
def generated(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """The generated modules; `logged` and `emitted` are what the host was told."""
    said = SimpleNamespace(logged=[], emitted=[])
    words = {
        "StoreKind": enum.Enum("StoreKind", ["VALUE", "LIST_OF", "MAP_OF"]),
        "TimerClock": enum.Enum("TimerClock", ["EVENT_TIME", "PROCESSING_TIME"]),
        "MetricKind": enum.Enum("MetricKind", ["COUNTER", "GAUGE"]),
        "Refusal": enum.Enum("Refusal", ["SKIP", "DEAD_LETTER", "FAIL"]),
        "Needs": enum.Flag("Needs", ["COORDINATES", "HEADERS", "KEEPS_KEY"]),
        "Store": _record("Store", "name", "kind", "codec", "schema_version", "readable_from", "ttl", "refresh"),
        "Timer": _record("Timer", "name", "clock"),
        "Metric": _record("Metric", "name", "kind", "help"),
        "Description": _record("Description", "name", "version", "inputs", "outputs", "stores", "timers", "metrics",
                               "config_schema", "needs"),
        "Failure_Retry": _record("Failure_Retry", "value"),
        "Failure_Fail": _record("Failure_Fail", "value"),
    }
    modules: dict[str, dict[str, Any]] = {
        "componentize_py_types": {"Err": Err},
        "wit_world": {"Verdict_Done": _record("Verdict_Done"), "Verdict_Refuse": _record("Verdict_Refuse", "value")},
        "wit_world.imports": {},
        "wit_world.imports.types": words,
        "wit_world.imports.log": {
            "Level": enum.Enum("Level", ["DEBUG", "INFO", "WARN", "ERROR"]),
            "write": lambda level, message: said.logged.append((level.name, message)),
        },
        "wit_world.imports.state": {},
        "wit_world.imports.timers": {},
        "wit_world.imports.output": {"emit": said.emitted.append},
    }
    for name, content in modules.items():
        module = types.ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, module)
    monkeypatch.delitem(sys.modules, "sandbar_sdk.component", raising=False)
    yield said
    sys.modules.pop("sandbar_sdk.component", None)
