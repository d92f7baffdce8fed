"""Records in and out, refusals, metrics, and what a class may declare."""

import logging

import pytest

from sandbar_sdk import Counter, DeadLetter, Fail, Gauge, Plugin, Refusal, Retry, Skip, Value, plugin
from sandbar_sdk.declare import Declarations
from sandbar_sdk.testing import Host


def run(process, *values: object, **given: object) -> Host[Plugin]:
    kind = type("Tried", (Plugin,), {"process": lambda self, event, out: process(event, out), **given})
    host = Host(kind)
    for value in values:
        host.push("key", value, 5, headers={"h": "1", "none": None})
    return host


def test_a_record_passes_as_it_is() -> None:
    host = run(lambda event, out: out.pass_on(event), b"\xff", None, "")
    assert [(out.output, out.key, out.value, out.timestamp) for out in host.outputs] == [
        ("out", b"key", b"\xff", 5), ("out", b"key", None, 5), ("out", b"key", b"", 5)]
    assert host.outputs[0].headers == [("h", b"1"), ("none", None)]


@pytest.mark.parametrize(("value", "bytes_"), [
    (b"\xff", b"\xff"), (bytearray(b"x"), b"x"), (memoryview(b"x"), b"x"), ("é", "é".encode()), (None, None),
    (7, b"7"), (7.0, b"7"), (7.5, b"7.5"), (True, b"true"), ([1, "é"], '[1,"é"]'.encode()),
    ({"b": 1, "a": None}, b'{"b":1,"a":null}'),
    (1e300, b"1e+300"), ([1e16, -0.0, {"x": (2.0,)}, "1.0"], b'[10000000000000000,0,{"x":[2]},"1.0"]')])
def test_values_become_bytes(value: object, bytes_: bytes | None) -> None:
    host = run(lambda event, out: out.emit("k", value), None)
    assert host.outputs[0].value == bytes_


def test_all_of_a_record_can_be_said() -> None:
    host = run(lambda event, out: out.emit(None, "v", timestamp=-1, headers=[("a", b"1"), ("a", 2)], output="late"),
               None, outputs=("out", "late"))
    out = host.outputs[0]
    assert (out.output, out.key, out.timestamp, out.headers) == ("late", None, -1, [("a", b"1"), ("a", b"2")])


@pytest.mark.parametrize(("emit", "why"), [
    (lambda out: out.emit(7, "v"), "a key is bytes, text or None, not int"),
    (lambda out: out.emit("k", {1, 2}), "Object of type set is not JSON serializable"),
    (lambda out: out.emit("k", 1, output="nix"), "there is no output `nix`; declared are: out"),
    (lambda out: out.emit("k", 1, timestamp=1.5), "a time is a whole number of milliseconds since 1970, not 1.5"),
    (lambda out: out.emit("k", 1, headers={"\ud800": ""}), "'utf-8' codec can't encode"),
    (lambda out: out.emit("k", float("inf")), "Out of range float values are not JSON compliant"),
])
def test_what_cannot_be_put_out_is_a_dead_letter(emit, why: str) -> None:
    host = run(lambda event, out: emit(out), None)
    assert host.outputs == [] and host.refused[0][1].reason.startswith(why)


def test_the_value_is_read_as_text_and_json() -> None:
    host = run(lambda event, out: out.emit(event.text(), event.json()), '{"a":[1,2.5]}')
    assert (host.outputs[0].key, host.outputs[0].json()) == (b'{"a":[1,2.5]}', {"a": [1, 2.5]})


@pytest.mark.parametrize(("value", "why"), [
    (None, "the value is null"), (b"\xff", "the value is not JSON: 'utf-8' codec"), ("{", "the value is not JSON: Exp"),
    ("NaN", "the value is not JSON: NaN is no JSON"), ("[" * 129 + "]" * 129, "the value is not JSON: it is nested"),
    ("[" * 100_000, "the value is not JSON: it is nested deeper than 128 levels"),
    ('{"a":[],"b":' * 129 + "1" + "}" * 129, "the value is not JSON: it is nested deeper than 128 levels"),
])
def test_what_is_no_json_is_a_dead_letter(value: object, why: str) -> None:
    host = run(lambda event, out: event.json(), value)
    assert isinstance(host.refused[0][1], DeadLetter) and host.refused[0][1].reason.startswith(why)


@pytest.mark.parametrize("value", [
    "[" * 128 + "]" * 128, '{"a":[],"b":' * 128 + "1" + "}" * 128, "[" + "[],{}," * 1000 + "1]",
    '["' + "[" * 1000 + '\\"["]',
])
def test_json_may_be_wide_and_128_levels_deep(value: str) -> None:
    assert run(lambda event, out: event.json(), value).refused == []


@pytest.mark.parametrize(("error", "kind", "why"), [
    (Skip("s"), Skip, "s"), (DeadLetter("d"), DeadLetter, "d"), (Fail("f"), Fail, "f"), (Refusal("r"), Refusal, "r"),
    (ValueError("no good"), DeadLetter, "no good"), (ValueError(), DeadLetter, "ValueError"),
    (KeyError("price"), DeadLetter, "KeyError: 'price'"), (ValueError("half \ud800"), DeadLetter, "half \\ud800"),
])
def test_errors_refuse_the_record(error: Exception, kind: type[Refusal], why: str) -> None:
    def process(event, out):
        out.emit("k", "never")
        raise error

    host = run(process, None)
    assert host.outputs == [] and (type(host.refused[0][1]), host.refused[0][1].reason) == (kind, why)


def test_a_retry_is_raised() -> None:
    def process(event, out):
        raise Retry("not there yet")

    with pytest.raises(Retry, match="not there yet"):
        run(process, None)


def test_the_traceback_is_logged_at_level_debug(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    run(lambda event, out: 1 / 0, None)
    assert [(record.name, record.levelname) for record in caplog.records] == [("plugin", "DEBUG")]
    assert "ZeroDivisionError" in caplog.text


def test_metrics_stay_when_a_record_is_refused() -> None:
    class Measures(Plugin):
        seen = Counter("records seen")
        size = Gauge("size of the last one")

        def process(self, event, out):
            self.seen.add()
            self.seen.add(0.5)
            self.size.set(len(event.text()))

    host = Host(Measures)
    for value in ("abc", "x", None):
        host.push("a", value)
    assert host.metrics == {"seen": 4.5, "size": 1}


def test_inputs_and_coordinates() -> None:
    class Two(Plugin):
        inputs = ("left", "right")

        def process(self, event, out):
            out.emit(event.key, [event.input, event.partition, event.offset])

    host = Host(Two)
    host.push("a", None)
    host.push("a", None, input="right", partition=3, offset=9)
    assert [out.json() for out in host.outputs] == [["left", 0, 0], ["right", 3, 9]]
    with pytest.raises(ValueError, match="there is no input `up`; declared are: left, right"):
        host.push("a", None, input="up")
    assert run(lambda event, out: out.emit(event.input, ""), None).outputs[0].key == b"in"


def test_names_and_what_has_a_meaning_of_its_own() -> None:
    class HighBids(Plugin):
        pass

    assert Declarations.of(HighBids).name == "high-bids"
    assert Declarations.of(type("X", (HighBids,), {"name": "mine"})).name == "mine"
    with pytest.raises(TypeError, match="`version` of Odd has a meaning of its own: give it another name"):
        plugin(type("Odd", (Plugin,), {"version": Value()}))
    with pytest.raises(TypeError, match="`keys` of Odd is no need"):
        plugin(type("Odd", (Plugin,), {"needs": ("keys",)}))


def test_a_plugin_has_to_process() -> None:
    host = Host(Plugin)
    host.push("a", None)
    assert host.refused[0][1].reason == "Plugin has no method `process`"
