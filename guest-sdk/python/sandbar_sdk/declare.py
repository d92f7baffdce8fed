"""What the author of a plugin writes: a class, and `@plugin` above it."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar, get_type_hints

from .config import schema
from .event import Event
from .host import Declared
from .output import Metric, Out
from .state import Store
from .timer import Timer

NEEDS = ("headers", "coordinates", "keeps-key")


class Plugin:
    """A plugin. Stores, timers and metrics are attributes of the class; an attribute's name is theirs."""

    name: ClassVar[str] = ""
    """The plugin's name; if it is empty, that of the class: `HighBids` is high-bids."""
    version: ClassVar[str] = "0.1.0"
    """The plugin's version."""
    inputs: ClassVar[Sequence[str]] = ()
    """Names of the inputs, if there are several."""
    outputs: ClassVar[Sequence[str]] = ("out",)
    """Names of the outputs."""
    needs: ClassVar[Collection[str]] = ("headers",)
    """What the host is to send or may rely on: "headers"; "coordinates", which are partition and offset; "keeps-key",
    which promises that outputs have the key of their record."""
    config_schema: ClassVar[str] = ""
    """A JSON schema of the configuration; if it is empty, that of the dataclass."""
    config: Any = None
    """The configuration: annotate it with a dataclass, and it is filled from JSON."""

    def open(self) -> None:
        """Checks the configuration and prepares what is needed. An error refuses the start, with its text."""

    def process(self, event: Event, out: Out) -> None:
        """Called for each record. An error makes the record a dead letter, with the error's text."""
        raise NotImplementedError(f"{type(self).__name__} has no method `process`")


P = TypeVar("P", bound=Plugin)

plugins: list[type[Plugin]] = []
"""Those that `plugin` was given. A component is the last of them."""


def plugin(kind: type[P]) -> type[P]:
    """Says which class is the plugin: `@plugin` above it. What it declares is checked at once."""
    Declarations.of(kind)
    plugins.append(kind)
    return kind


@dataclass(frozen=True)
class Declarations:
    """What a class declares, in the order of declaration, which is that of the host's numbers."""

    name: str
    attributes: list[Declared]
    stores: list[Store]
    timers: list[Timer]
    metrics: list[Metric]
    config: Any
    config_schema: str

    @classmethod
    def of(cls, kind: type[Plugin]) -> "Declarations":
        """Reads a class; a TypeError says what is wrong with it."""
        found: dict[str, Declared] = {}
        for base in reversed(kind.__mro__):
            for attribute, value in vars(base).items():
                if isinstance(value, Declared):
                    found[attribute] = value
        for attribute in found:
            if hasattr(Plugin, attribute):
                raise TypeError(f"`{attribute}` of {kind.__name__} has a meaning of its own: give it another name")
        for value in found.values():
            value.check(kind)
        parts = [part for value in found.values() for part in value.parts()]
        for need in kind.needs:
            if need not in NEEDS:
                raise TypeError(f"`{need}` of {kind.__name__} is no need; there are: {', '.join(NEEDS)}")
        hint = get_type_hints(kind)["config"]
        config = None if hint is Any else hint
        kebab = "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in kind.__name__)
        return cls(
            name=kind.name or kebab.lstrip("-"),
            attributes=list(found.values()),
            stores=[part for part in parts if isinstance(part, Store)],
            timers=[part for part in parts if isinstance(part, Timer)],
            metrics=[part for part in parts if isinstance(part, Metric)],
            config=config,
            config_schema=kind.config_schema or (json.dumps(schema(config)) if config else ""),
        )
