"""State by the key of the record. What is kept is what JSON can say: text, numbers, True, False, None, lists, dicts."""

from collections.abc import Iterator
from typing import Generic, TypeVar, cast

from .codec import from_json, to_json
from .host import Declared

T = TypeVar("T")


class Store(Declared):
    """What the three kinds have in common.

    `version` says what the kept values mean, `readable_from` is the oldest version that the plugin can read as well.
    """

    def __init__(self, *, version: int = 1, readable_from: int = 1) -> None:
        self.version = version
        self.readable_from = readable_from


class Value(Store, Generic[T]):
    """One value for each key."""

    def get(self) -> T | None:
        """The value; None if there is none."""
        kept = self._host.state.get(self.index)
        return None if kept is None else cast(T, from_json(kept))

    def set(self, value: T) -> None:
        """Keeps a value, in place of the one that is there."""
        self._host.state.put(self.index, to_json(value))

    def delete(self) -> None:
        """Takes the value away."""
        self._host.state.delete(self.index)


class List(Store, Generic[T]):
    """Items for each key, in the order of their pushing."""

    def items(self) -> list[T]:
        """All items."""
        return [from_json(item) for item in self._host.state.items(self.index)]

    def push(self, item: T) -> None:
        """Puts an item behind the others."""
        self._host.state.append(self.index, to_json(item))

    def clear(self) -> None:
        """Takes all items away."""
        self._host.state.clear(self.index)


class Map(Store, Generic[T]):
    """Entries for each key, under keys of their own, which are text."""

    def get(self, key: str) -> T | None:
        """The value of an entry; None if there is none."""
        kept = self._host.state.get_entry(self.index, key.encode())
        return None if kept is None else cast(T, from_json(kept))

    def put(self, key: str, value: T) -> None:
        """Keeps an entry, in place of the one that is there."""
        self._host.state.put_entry(self.index, key.encode(), to_json(value))

    def delete(self, key: str) -> None:
        """Takes an entry away."""
        self._host.state.delete_entry(self.index, key.encode())

    def scan(self, prefix: str = "") -> Iterator[tuple[str, T]]:
        """The entries whose keys begin so, in the order of the bytes of their keys."""
        after: bytes | None = None
        while entries := self._host.state.scan(self.index, prefix.encode(), after, 1000):
            for key, value in entries:
                yield key.decode(), from_json(value)
            after = entries[-1][0]

    def clear(self) -> None:
        """Takes all entries away."""
        self._host.state.clear(self.index)
