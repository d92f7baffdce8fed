"""What lies between a plugin and its host: the component's imports, or the model of them in `testing`."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self


@dataclass(slots=True)
class Message:
    """A record on its way out, as the WIT has it."""

    output: int
    key: bytes | None
    value: bytes | None
    timestamp: int | None
    headers: list[Any]


class Declared:
    """A store, a timer or a metric: declared as an attribute of the class, used as one of the instance."""

    name: str = ""
    """The name of the attribute."""
    index: int = 0
    """The host's number for it."""
    _host: Any
    """Has `state`, `timers` and `output`, with the functions of the WIT."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = self.name or name

    def parts(self) -> "Sequence[Declared]":
        """What the host knows of it: itself, unless it is made of others."""
        return (self,)

    def check(self, owner: type) -> None:
        """A TypeError says what is wrong with it in this class."""

    def bound(self, plugin: Any, host: Any, numbers: "Mapping[Declared, int]") -> Self:
        """The same, as an instance has it: bound to a host, which has numbers for what is declared."""
        mine = copy.copy(self)
        mine.index, mine._host = numbers[self], host
        return mine

    def __getattr__(self, missing: str) -> Any:
        if missing == "_host":
            raise RuntimeError(f"`{self.name}` is used through the plugin: `self.{self.name}`")
        raise AttributeError(missing)
