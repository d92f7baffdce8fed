"""Where a plugin's records and measurements go."""

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from .codec import to_bytes, to_key, to_time
from .event import Event, Header
from .host import Declared, Message


class Out:
    """Takes the records that a plugin puts out. They count only if the record behind them is not refused."""

    def __init__(self, host: Any, outputs: Sequence[str]) -> None:
        self._host = host
        self._outputs = {name: index for index, name in enumerate(outputs)}
        self._time: int | None = None

    def at(self, time: int) -> Self:
        """The same, with another timestamp for what is put out without one."""
        mine = copy.copy(self)
        mine._time = to_time(time)
        return mine

    def emit(self, key: bytes | str | None, value: Any, *, timestamp: int | None = None,
             headers: Mapping[str, Any] | Iterable[tuple[str, Any]] = (), output: str | None = None) -> None:
        """Puts out a new record.

        A value is bytes, text, None (null), or anything that JSON can say. The timestamp is that of the event, or of
        the timer, unless it is given. `output` is the name of a declared output, the first if none is given.
        """
        pairs = headers.items() if isinstance(headers, Mapping) else headers
        self._host.output.emit(Message(
            self._index(output),
            to_key(key),
            to_bytes(value),
            self._time if timestamp is None else to_time(timestamp),
            [Header(name.encode().decode(), to_bytes(value)) for name, value in pairs],
        ))

    def pass_on(self, event: Event, *, output: str | None = None) -> None:
        """Puts out a record as it came in: key, value, headers, timestamp."""
        self._host.output.emit(Message(self._index(output), event.key, event.value, event.timestamp, event._headers))

    def _index(self, output: str | None) -> int:
        if output is None:
            return 0
        try:
            return self._outputs[output]
        except KeyError:
            raise ValueError(f"there is no output `{output}`; declared are: {', '.join(self._outputs)}") from None


class Metric(Declared):
    """What both kinds have in common. What a refused record measured stays."""

    def __init__(self, help: str) -> None:
        self.help = help


class Counter(Metric):
    """Counts something."""

    def add(self, number: float = 1) -> None:
        """Adds to it."""
        self._host.output.measure(self.index, float(number))


class Gauge(Metric):
    """Shows how much of something there is."""

    def set(self, number: float) -> None:
        """Says how much it is now."""
        self._host.output.measure(self.index, float(number))
