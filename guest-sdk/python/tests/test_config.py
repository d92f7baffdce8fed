"""The configuration: what is taken, and the sentence that says what is not."""

from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from sandbar_sdk import ConfigError, Plugin
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


def test_fields_are_filled_and_defaults_stay() -> None:
    text = """{"name": "é", "at_least": 3, "maybe": null, "either": "x", "server": {"port": 1}, "names": ["a"],
               "weights": {"w": 1}, "servers": [{"port": 2, "host": "there"}], "anything": [1], "plain": {"a": 1}}"""
    config = read(Config, text)
    assert config == Config("é", 3.0, either="x", server=Server(1), names=["a"], weights={"w": 1.0},
                            servers=[Server(2, "there")], anything=[1], plain={"a": 1})
    assert type(config.at_least) is type(config.weights["w"]) is float


@pytest.mark.parametrize(("text", "why"), [
    ("{", "the configuration is not JSON: Expecting property name enclosed in double quotes"),
    ("", "the configuration's field `name` is missing"),
    ("[1]", "the configuration is [1]: an object was expected"),
    ('{"name": 1}', "the configuration's field `name` is 1: text was expected"),
    ('{"name": "", "number": 1.0}', "the configuration's field `number` is 1.0: a whole number was expected"),
    ('{"name": "", "number": true}', "the configuration's field `number` is true: a whole number was expected"),
    ('{"name": "", "on": 1}', "the configuration's field `on` is 1: true or false was expected"),
    ('{"name": "", "at_least": "é"}', "the configuration's field `at_least` is \"é\": a number was expected"),
    ('{"name": "", "mode": "x"}', 'the configuration\'s field `mode` is "x": "fast" or "slow" was expected'),
    ('{"name": "", "maybe": "x"}', 'the configuration\'s field `maybe` is "x": a whole number or null was expected'),
    ('{"name": "", "server": {}}', "the configuration's field `server.port` is missing"),
    ('{"name": "", "server": {"port": 1, "prt": 2}}',
     "the configuration has no field `server.prt`; it has: port, host"),
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
        "name": {"type": "string"}, "at_least": number, "on": {"type": "boolean"}, "number": {"type": "integer"},
        "mode": {"enum": ["fast", "slow"]}, "maybe": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "either": {"anyOf": [{"type": "integer"}, {"type": "string"}]}, "server": {"anyOf": [server, {"type": "null"}]},
        "names": {"type": "array", "items": {"type": "string"}},
        "weights": {"type": "object", "additionalProperties": number},
        "servers": {"type": "array", "items": server}, "anything": {}, "plain": {"type": "object"}}
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
