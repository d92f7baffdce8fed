"""Reads a plugin's configuration, which is JSON, into the dataclass that the plugin declares."""

import dataclasses
import json
import types
from typing import Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

_SAID = {str: "text", bool: "true or false", int: "a whole number", float: "a number", type(None): "null",
         list: "a list", dict: "an object"}
_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null", list: "array",
          dict: "object"}


class FromText:
    """What a configuration writes as a text. It is made of the text; a ValueError says what is wrong with that."""

    pattern: ClassVar[str]
    """A regular expression that the text matches."""


class ConfigError(ValueError):
    """The configuration is not what the plugin declares."""


def read(kind: Any, text: str) -> Any:
    """The configuration as a `kind`; without a kind there must be none."""
    try:
        data = json.loads(text or "{}")
    except ValueError as error:
        raise ConfigError(f"the configuration is not JSON: {error}") from None
    if kind is None and data:
        raise ConfigError("the plugin takes no configuration")
    return None if kind is None else _fill(kind, data, "")


def schema(kind: Any) -> dict[str, Any]:
    """The JSON schema of a `kind`, by which the host refuses a wrong configuration before it runs."""
    origin, args = get_origin(kind) or kind, get_args(kind)
    if dataclasses.is_dataclass(kind):
        hints = get_type_hints(kind)
        fields = [field for field in dataclasses.fields(kind) if field.init]
        return {"type": "object", "properties": {_key(field): schema(hints[field.name]) for field in fields},
                "required": [_key(field) for field in fields if _is_needed(field)], "additionalProperties": False}
    if origin in (Union, types.UnionType):
        return {"anyOf": [schema(one) for one in args]}
    if origin is Literal:
        return {"enum": list(args)}
    if kind is Any:
        return {}
    if _is_text(kind):
        return {"type": "string", "pattern": kind.pattern}
    if origin not in _TYPES:
        raise TypeError(f"a configuration cannot have fields of type {kind}")
    inner = {} if not args else {"items": schema(args[0])} if origin is list else {
        "additionalProperties": schema(args[1])}
    return {"type": _TYPES[origin], **inner}


def _is_needed(field: "dataclasses.Field[Any]") -> bool:
    return field.default is field.default_factory is dataclasses.MISSING


def _fill(kind: Any, data: Any, path: str) -> Any:
    origin, args = get_origin(kind) or kind, get_args(kind)
    if origin in (Union, types.UnionType):
        kind = next((one for one in args if _fits(one, data)), kind)
        origin, args = get_origin(kind) or kind, get_args(kind)
    if not _fits(kind, data):
        what = f"the configuration's field `{path}`" if path else "the configuration"
        raise ConfigError(f"{what} is {json.dumps(data, ensure_ascii=False)}: {_said(kind)} was expected")
    if dataclasses.is_dataclass(kind):
        return _fill_fields(kind, data, path)
    if origin is list and args:
        return [_fill(args[0], item, f"{path}[{at}]") for at, item in enumerate(data)]
    if origin is dict and args:
        return {name: _fill(args[1], item, _below(path, name)) for name, item in data.items()}
    if _is_text(kind):
        try:
            return kind(data)
        except ValueError as error:
            raise ConfigError(f"the configuration's field `{path}`: {error}") from None
    return float(data) if kind is float else data


def _fits(kind: Any, data: Any) -> bool:
    """Whether the outermost of the data is of that kind."""
    origin = get_origin(kind) or kind
    if origin is Literal:
        return data in get_args(kind)
    if origin is float:
        return type(data) in (int, float)
    if _is_text(kind):
        return type(data) is str
    return kind is Any or type(data) is (dict if dataclasses.is_dataclass(kind) else origin)


def _fill_fields(kind: Any, data: dict[str, Any], path: str) -> Any:
    hints = get_type_hints(kind)
    fields = {_key(field): field for field in dataclasses.fields(kind) if field.init}
    for name in data:
        if name not in fields:
            raise ConfigError(f"the configuration has no field `{_below(path, name)}`; it has: {', '.join(fields)}")
    for name, field in fields.items():
        if name not in data and _is_needed(field):
            raise ConfigError(f"the configuration's field `{_below(path, name)}` is missing")
    names = {key: field.name for key, field in fields.items()}
    return kind(**{names[key]: _fill(hints[names[key]], item, _below(path, key)) for key, item in data.items()})


def _key(field: "dataclasses.Field[Any]") -> str:
    """What the configuration calls a field: `at_least` is at-least there."""
    return field.name.replace("_", "-")


def _is_text(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, FromText)


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _said(kind: Any) -> str:
    origin = get_origin(kind) or kind
    if origin is Literal:
        return " or ".join(json.dumps(one, ensure_ascii=False) for one in get_args(kind))
    if origin in (Union, types.UnionType):
        return " or ".join(_said(one) for one in get_args(kind))
    return "text" if _is_text(kind) else _SAID.get(origin, "an object")
