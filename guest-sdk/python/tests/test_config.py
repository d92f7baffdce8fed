"""The configuration: what is taken, and the sentence that says what is not."""

from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from sandbar_sdk import ConfigError, Duration, Plugin, Pointer
from sandbar_sdk.config import read, schema
from sandbar_sdk.declare import Declarations
from sandbar_sdk.testing import Host


@dataclass
class Server:
    port: int
    host: str = "here"


@dataclass
class Config:
    name: str
    at_least: float = 0.5
    on: bool = False
    number: int = 1
    mode: Literal["fast", "slow"] = "fast"
    maybe: int | None = None
    either: int | str = 0
    server: Server | None = None
    names: list[str] = field(default_factory=list)
    weights: dict[str, float] = field(default_factory=dict)
    servers: list[Server] = field(default_factory=list)
    anything: Any = None
    plain: dict = field(default_factory=dict)
    waits: Duration = Duration("0s")
    where: Pointer | None = None


def test_fields_are_filled_and_defaults_stay() -> None:
    text = """{"name": "é", "at-least": 3, "maybe": null, "either": "x", "server": {"port": 1}, "names": ["a"],
               "weights": {"w": 1}, "servers": [{"port": 2, "host": "there"}], "anything": [1], "plain": {"a": 1},
               "waits": "2m", "where": "/a"}"""
    config = read(Config, text)
    assert config == Config("é", 3.0, either="x", server=Server(1), names=["a"], weights={"w": 1.0},
                            servers=[Server(2, "there")], anything=[1], plain={"a": 1}, waits=Duration("120s"),
                            where=config.where)
    assert config.where is not None and config.where.find({"a": 7}) == 7
    assert type(config.at_least) is type(config.weights["w"]) is float


@pytest.mark.parametrize(("text", "why"), [
    ("{", "the configuration is not JSON: Expecting property name enclosed in double quotes"),
    ("", "the configuration's field `name` is missing"),
    ("[1]", "the configuration is [1]: an object was expected"),
    ('{"name": 1}', "the configuration's field `name` is 1: text was expected"),
    ('{"name": "", "number": 1.0}', "the configuration's field `number` is 1.0: a whole number was expected"),
    ('{"name": "", "number": true}', "the configuration's field `number` is true: a whole number was expected"),
    ('{"name": "", "on": 1}', "the configuration's field `on` is 1: true or false was expected"),
    ('{"name": "", "at-least": "é"}', "the configuration's field `at-least` is \"é\": a number was expected"),
    ('{"name": "", "mode": "x"}', 'the configuration\'s field `mode` is "x": "fast" or "slow" was expected'),
    ('{"name": "", "maybe": "x"}', 'the configuration\'s field `maybe` is "x": a whole number or null was expected'),
    ('{"name": "", "server": {}}', "the configuration's field `server.port` is missing"),
    ('{"name": "", "server": {"port": 1, "prt": 2}}',
     "the configuration has no field `server.prt`; it has: port, host"),
    ('{"name": "", "at_least": 1}', "the configuration has no field `at_least`; it has: name, at-least, on"),
    ('{"name": "", "waits": 1}', "the configuration's field `waits` is 1: text was expected"),
    ('{"name": "", "waits": "1"}', "the configuration's field `waits`: \"1\" is no duration: it wants a whole number"),
    ('{"name": "", "where": "a"}', "the configuration's field `where`: the JSON pointer \"a\" does not start with a"),
    ('{"name": "", "servers": [{"port": 1}, {"port": null}]}',
     "the configuration's field `servers[1].port` is null: a whole number was expected"),
    ('{"name": "", "names": "a"}', "the configuration's field `names` is \"a\": a list was expected"),
    ('{"name": "", "weights": {"w": []}}', "the configuration's field `weights.w` is []: a number was expected"),
])
def test_a_wrong_one_is_refused_with_a_sentence(text: str, why: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read(Config, text)
    assert str(raised.value).startswith(why)


def test_the_host_has_a_schema_to_check_it_by() -> None:
    whole = schema(Config)
    assert (whole["type"], whole["required"], whole["additionalProperties"]) == ("object", ["name"], False)
    server = {"type": "object", "properties": {"port": {"type": "integer"}, "host": {"type": "string"}},
              "required": ["port"], "additionalProperties": False}
    number = {"type": "number"}
    assert whole["properties"] == {
        "name": {"type": "string"}, "at-least": number, "on": {"type": "boolean"}, "number": {"type": "integer"},
        "mode": {"enum": ["fast", "slow"]}, "maybe": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "either": {"anyOf": [{"type": "integer"}, {"type": "string"}]}, "server": {"anyOf": [server, {"type": "null"}]},
        "names": {"type": "array", "items": {"type": "string"}},
        "weights": {"type": "object", "additionalProperties": number},
        "servers": {"type": "array", "items": server}, "anything": {}, "plain": {"type": "object"},
        "waits": {"type": "string", "pattern": "^-?[0-9]+(ms|s|m|h|d)$"},
        "where": {"anyOf": [{"type": "string", "pattern": "^(/([^~]|~0|~1)*)?$"}, {"type": "null"}]}}
    with pytest.raises(TypeError, match="a configuration cannot have fields of type <class 'set'>"):
        schema(set)


def test_a_schema_of_the_author_counts_and_none_means_no_configuration() -> None:
    assert Declarations.of(type("A", (Plugin,), {"config_schema": "{}"})).config_schema == "{}"
    assert Declarations.of(Plugin).config_schema == ""
    configured = type("B", (Plugin,), {"__annotations__": {"config": Server}})
    assert '"port"' in Declarations.of(configured).config_schema


def test_a_plugin_without_configuration_takes_none() -> None:
    assert read(None, "") is read(None, "{}") is read(None, "null") is None
    with pytest.raises(ConfigError, match="the plugin takes no configuration"):
        read(None, '{"a": 1}')


def test_the_plugin_has_it_when_it_opens_and_may_refuse_it() -> None:
    class Opens(Plugin):
        config: Server

        def open(self):
            if self.config.port == 0:
                raise ValueError("port 0 is nobody's")
            self.doubled = 2 * self.config.port

        def process(self, event, out):
            out.emit(event.key, self.doubled)

    host = Host(Opens, {"port": 4})
    host.push("a", None)
    assert host.outputs[0].text() == "8"
    with pytest.raises(ValueError, match="port 0 is nobody's"):
        Host(Opens, {"port": 0})
    with pytest.raises(ConfigError, match="`port` is missing"):
        Host(Opens)


@pytest.mark.parametrize(("text", "ms"), [
    ("0s", 0), ("1ms", 1), ("10s", 10_000), ("-2m", -120_000), ("1h", 3_600_000), ("7d", 604_800_000)])
def test_a_duration_is_a_number_of_milliseconds(text: str, ms: int) -> None:
    assert Duration(text) == ms


@pytest.mark.parametrize("text", [
    "", "s", "10", "10 s", "+1s", "--1s", "1.5s", "1s ", "1s\n", "1S", "1w", "é", "1é", "٣s", "99999999999d", "-", "-s",
    "99999999999999999999ms", "9" * 10_000 + "s"])
def test_another_text_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration: it wants a whole number and one of ms, s, m, h and d"):
        Duration(text)


@pytest.mark.parametrize(("pointer", "found"), [
    ("", {}), ("/foo", ["bar", {"b": None}]), ("/foo/0", "bar"), ("/", 0), ("/a~1b", 1), ("/c%d", 2), ("/m~0n", 8),
    ("/~01", 9), ("/ ", 7), ("/foo/1/b", None), ("/x", None), ("/foo/2", None), ("/foo/-", None), ("/foo/00", None),
    ("/foo/+1", None), ("/foo/٠", None), ("/foo/b", None), ("/a~1b/0", None), ("/foo/1/b/c", None), ("/foo/", None),
    ("/foo/" + "9" * 5000, None)])
def test_a_pointer_leads_to_a_value(pointer: str, found: object) -> None:
    document = {"foo": ["bar", {"b": None}], "": 0, "a/b": 1, "c%d": 2, " ": 7, "m~n": 8, "~1": 9}
    assert Pointer(pointer).find(document) == (found if pointer else document)


@pytest.mark.parametrize("text", ["a", "a/b", "/~", "/~2", "/a~", "/a~/b"])
def test_a_wrong_pointer_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="JSON pointer"):
        Pointer(text)
