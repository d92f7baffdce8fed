"""What a plugin is called with: a record that came in, or a timer that fired."""

from typing import Any, NamedTuple

from .codec import from_json
from .refusal import DeadLetter


class Header(NamedTuple):
    """A header of a record."""

    name: str
    value: bytes | None


class Event:
    """A record as it came in."""

    __slots__ = ("_headers", "input", "key", "offset", "partition", "timestamp", "value")

    def __init__(self, input: str, key: bytes | None, value: bytes | None, timestamp: int, partition: int,
                 offset: int, headers: list[Any]) -> None:
        self.input = input
        """The name of the declared input that it came through; "in" if none is declared."""
        self.key = key
        """The key; None is null."""
        self.value = value
        """The value; None is null (Kafka's tombstone)."""
        self.timestamp = timestamp
        """Event time in milliseconds since 1970."""
        self.partition = partition
        """The partition of Kafka that it comes from."""
        self.offset = offset
        """Its offset there."""
        self._headers = headers

    @property
    def headers(self) -> list[Header]:
        """The headers, in their order; none unless the plugin needs "headers", as it does by default."""
        return [Header(header.name, header.value) for header in self._headers]

    def text(self) -> str:
        """The value as text. One that is null or not UTF-8 is a dead letter."""
        if self.value is None:
            raise DeadLetter("the value is null")
        try:
            return self.value.decode()
        except UnicodeDecodeError as error:
            raise DeadLetter(f"the value is not UTF-8: {error}") from None

    def json(self) -> Any:
        """The value read as JSON. One that is null or not JSON is a dead letter."""
        if self.value is None:
            raise DeadLetter("the value is null")
        try:
            return from_json(self.value)
        except ValueError as error:
            raise DeadLetter(f"the value is not JSON: {error}") from None


class Fired(NamedTuple):
    """A timer that fired. State is that of its key."""

    timer: str
    """The timer's name."""
    key: bytes
    """The key for which it was set."""
    at: int
    """The time to which it was set, in milliseconds since 1970."""
