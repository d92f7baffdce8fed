"""Timers of the key of the record. Each has a method that is called when it fires."""

from collections.abc import Callable
from typing import Any, TypeVar

from .codec import to_time
from .event import Fired
from .host import Declared
from .output import Out

F = TypeVar("F", bound=Callable[[Any, Fired, Out], None])


class Timer(Declared):
    """What both kinds have in common. A timer may be set to any number of times at once."""

    callback: str = ""

    def fires(self, method: F) -> F:
        """Says which method is called when it fires: `@later.fires`."""
        self.callback = method.__name__
        return method

    def check(self, owner: type) -> None:
        """A TypeError: it calls nothing."""
        if not callable(getattr(owner, self.callback or " ", None)):
            raise TypeError(f"timer `{self.name}` of {owner.__name__} calls nothing when it fires: "
                            f"put `@{self.name}.fires` above a method")

    def call(self, plugin: Any, fired: Fired, out: Out) -> None:
        """Calls what it calls when it fires."""
        getattr(plugin, self.callback)(fired, out)

    def set(self, at: int) -> None:
        """Sets it to a time, in milliseconds since 1970. Setting what is set is nothing new."""
        self._host.timers.set(self.index, to_time(at))

    def clear(self, at: int) -> None:
        """Takes a time back, whether or not it is set."""
        self._host.timers.clear(self.index, to_time(at))


class EventTimer(Timer):
    """Fires when event time reaches the time to which it is set."""

    def now(self) -> int:
        """Event time in milliseconds since 1970; -2**63 while nothing is known."""
        return int(self._host.timers.watermark())


class ProcessingTimer(Timer):
    """Fires when the host's clock reaches the time to which it is set."""

    def now(self) -> int:
        """The host's clock in milliseconds since 1970."""
        return int(self._host.timers.processing_time())
