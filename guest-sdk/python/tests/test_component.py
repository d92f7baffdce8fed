"""The exports of the component, as componentize-py calls them."""

import importlib
import logging
import random
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from sandbar_sdk import (Counter, DeadLetter, EventTimer, Fail, Gauge, List, Map, Plugin, ProcessingTimer, Refusal,
                         Retry, Skip, Value, log, plugin)

RAISED: dict[bytes, BaseException] = {
    b"skip": Skip("s"), b"dead": DeadLetter("d"), b"fail": Fail("f"), b"retry": Retry("r"), b"other": ValueError("o"),
    b"plain": Refusal("p"), b"half": ValueError("half \ud800"), b"memory": MemoryError(), b"exit": SystemExit(1),
}


class Many(Plugin):
    inputs = ("left", "right")
    needs = ("headers", "keeps-key")
    one = Value[int](version=3, readable_from=2)
    some = List[int]()
    named = Map[int]()
    later = EventTimer()
    clock = ProcessingTimer()
    seen = Counter("records seen")
    full = Gauge("how full")

    def process(self, event, out):
        if event.value in RAISED:
            raise RAISED[event.value]
        out.emit(event.input, random.random() if event.value == b"random" else event.value)

    @later.fires
    def on_later(self, fired, out):
        raise RAISED[fired.key]

    @clock.fires
    def on_clock(self, fired, out):
        out.emit(fired.key, fired.timer)


@pytest.fixture
def component(generated: SimpleNamespace) -> Iterator[Any]:
    plugin(Many)
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield importlib.import_module("sandbar_sdk.component").WitWorld()
    root.handlers, root.level = before


def event(value: bytes, input: int = 0) -> Any:
    return SimpleNamespace(input=input, key=b"k", value=value, timestamp=1, partition=0, offset=0, headers=[])


def test_describes_itself_in_the_order_of_declaration(component: Any) -> None:
    said = component.describe()
    assert (said.name, said.version, said.inputs, said.outputs) == ("many", "0.1.0", ["left", "right"], ["out"])
    assert [(store.name, store.kind.name, store.codec, store.schema_version, store.readable_from, store.ttl)
            for store in said.stores] == [("one", "VALUE", "json", 3, 2, 0), ("some", "LIST_OF", "json", 1, 1, 0),
                                          ("named", "MAP_OF", "json", 1, 1, 0)]
    assert [(timer.name, timer.clock.name) for timer in said.timers] == [
        ("later", "EVENT_TIME"), ("clock", "PROCESSING_TIME")]
    assert [(metric.name, metric.kind.name, metric.help) for metric in said.metrics] == [
        ("seen", "COUNTER", "records seen"), ("full", "GAUGE", "how full")]
    assert said.needs == type(said.needs).HEADERS | type(said.needs).KEEPS_KEY


def test_every_export_is_of_one_instance(component: Any) -> None:
    assert sys.modules["sandbar_sdk.component"].WitWorld() is component


@pytest.mark.parametrize(("value", "how", "why"), [
    (b"skip", "SKIP", "s"), (b"dead", "DEAD_LETTER", "d"), (b"fail", "FAIL", "f"), (b"other", "DEAD_LETTER", "o"),
    (b"plain", "DEAD_LETTER", "p"), (b"half", "DEAD_LETTER", "half \\ud800")])
def test_says_why_a_record_is_refused(component: Any, value: bytes, how: str, why: str) -> None:
    component.open_plugin("")
    refusal, reason = component.process(event(value)).value
    assert (refusal.name, reason) == (how, why)


def test_a_retry_is_the_failure_of_the_call(component: Any) -> None:
    component.open_plugin("{}")
    with pytest.raises(Exception) as raised:
        component.process(event(b"retry"))
    assert (type(raised.value.value).__name__, raised.value.value.value) == ("Failure_Retry", "r")


@pytest.mark.parametrize(("key", "failure", "why"), [
    (b"retry", "Failure_Retry", "r"), (b"fail", "Failure_Fail", "f"), (b"skip", "Failure_Fail", "s"),
    (b"other", "Failure_Fail", "o")])
def test_what_a_timer_raises_is_the_failure_of_the_call(component: Any, key: bytes, failure: str, why: str) -> None:
    component.open_plugin("")
    with pytest.raises(Exception) as raised:
        component.fire(0, key, 5)
    assert (type(raised.value.value).__name__, raised.value.value.value) == (failure, why)


@pytest.mark.parametrize(("value", "error"), [(b"memory", MemoryError), (b"exit", SystemExit)])
def test_what_no_plugin_recovers_from_ends_the_instance(
        component: Any, value: bytes, error: type[BaseException]) -> None:
    component.open_plugin("")
    with pytest.raises(error):
        component.process(event(value))


def test_a_wrong_configuration_is_refused_with_a_sentence(component: Any) -> None:
    with pytest.raises(Exception) as raised:
        component.open_plugin('{"a": 1}')
    assert raised.value.value == "the plugin takes no configuration"


def test_knows_its_inputs_and_timers_by_name(component: Any, generated: SimpleNamespace) -> None:
    component.open_plugin("")
    component.process(event(b"x", 1))
    component.fire(1, b"k", 5)
    assert [(message.output, message.key, message.value) for message in generated.emitted] == [
        (0, b"right", b"x"), (0, b"k", b"clock")]


def test_chance_begins_anew_with_each_call(
        component: Any, generated: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.urandom", lambda number: b"12345678"[:number])
    component.open_plugin("")
    for _ in range(2):
        component.process(event(b"random"))
    assert generated.emitted[0] == generated.emitted[1]


def test_chance_that_the_author_did_not_import_cannot_be_imported_later(
        generated: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "random")
    plugin(Many)
    component = importlib.import_module("sandbar_sdk.component").WitWorld()
    monkeypatch.setitem(sys.modules, "random", random)
    component.open_plugin("")
    assert "random" not in sys.modules


def test_what_is_logged_goes_to_the_host(component: Any, generated: SimpleNamespace) -> None:
    component.open_plugin("")
    log.info("line %d", 7)
    logging.getLogger("other").debug("not from others")
    logging.getLogger("other").warning("half \ud800")
    component.process(event(b"other"))
    assert generated.logged[:2] == [("INFO", "line 7"), ("WARN", "half \\ud800")]
    level, traceback = generated.logged[2]
    assert level == "DEBUG" and "Traceback" in traceback and "ValueError: o" in traceback


def test_without_a_plugin_nothing_is_built(generated: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbar_sdk.declare.plugins", [])
    with pytest.raises(TypeError, match="put `@plugin` above your class"):
        importlib.import_module("sandbar_sdk.component")
