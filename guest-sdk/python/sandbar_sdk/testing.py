"""Tests of a plugin without a sandbox: a model of the host that keeps state and timers in memory.

    host = Host(Count)
    host.push("a", "x")
    assert [record.text() for record in host.outputs] == ["1"]

Every record and every timer is a call of its own. Errors of a record end in `refused`, as in the host; a Retry, and
any error of a timer, are raised to the test. Always: a call that does not succeed leaves nothing behind.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from .codec import from_json, to_bytes, to_key
from .event import Event, Header
from .host import Message
from .output import Counter
from .declare import Declarations, Plugin
from .refusal import DeadLetter, Refusal
from .run import Running
from .state import List, Map
from .timer import EventTimer, ProcessingTimer, Timer

P = TypeVar("P", bound=Plugin)


@dataclass(frozen=True)
class Output:
    """A record that the plugin put out."""

    output: str
    key: bytes | None
    value: bytes | None
    timestamp: int
    headers: list[Header]

    def text(self) -> str:
        """The value as text; null is an empty one."""
        return (self.value or b"").decode()

    def json(self) -> Any:
        """The value read as JSON."""
        return from_json(self.value or b"null")


class Host(Generic[P]):
    """Runs a plugin. `config` is what JSON can say; an error of the plugin's opening is raised as it is."""

    def __init__(self, plugin: type[P], config: Any = None) -> None:
        self._kind, self._declared = plugin, Declarations.of(plugin)
        self._config = "" if config is None else json.dumps(config)
        self.outputs: list[Output] = []
        """What the plugin put out."""
        self.refused: list[tuple[int, Refusal]] = []
        """The records that were refused: their numbers, from 0 in the order of their pushing, and why."""
        self.metrics: dict[str, float] = {}
        """What was measured, by the metric's name: a counter's sum, a gauge's last number."""
        self.watermark = -(2**63)
        """Event time as it stands."""
        self.processing_time = 0
        """The host's clock."""
        self.state, self.timers, self.output = _State(), _Timers(self), _Output(self)
        self._pushed = self._time = 0
        self.restart()

    def restart(self) -> None:
        """A new instance, as after a crash: what the old one remembered in attributes is gone, state is not."""
        self._running = Running(self._kind, self._declared, self, self._config)
        self.plugin = cast(P, self._running.plugin)

    def push(self, key: bytes | str | None, value: Any, timestamp: int = 0, *, input: str | None = None,
             headers: Mapping[str, Any] | Iterable[tuple[str, Any]] = (), partition: int = 0,
             offset: int | None = None) -> None:
        """A record comes. Timers of event time that it sets and that are due fire behind it."""
        inputs = tuple(self._kind.inputs) or ("in",)
        if input is not None and input not in inputs:
            raise ValueError(f"there is no input `{input}`; declared are: {', '.join(inputs)}")
        number, self._pushed = self._pushed, self._pushed + 1
        pairs = headers.items() if isinstance(headers, Mapping) else headers
        event = Event(input or inputs[0], to_key(key), to_bytes(value), timestamp, partition,
                      number if offset is None else offset, [Header(name, to_bytes(of)) for name, of in pairs])
        refusal = self._call(event.key, timestamp, lambda: self._running.process(event))
        if refusal is not None:
            self.refused.append((number, refusal))
        self._fire(EventTimer, self.watermark)

    def advance(self, watermark: int) -> None:
        """Event time moves, behind what was pushed, and timers that are due fire. Back it never moves."""
        self.watermark = max(watermark, self.watermark)
        self._fire(EventTimer, self.watermark)

    def clock(self, now: int) -> None:
        """The host's clock moves, and timers that are due fire."""
        self.processing_time = now
        self._fire(ProcessingTimer, now)

    def kept(self, store: str, key: bytes | str) -> Any:
        """What a store keeps of a key: a value (or None), a list of items, a dict of entries."""
        for index, one in enumerate(self._declared.stores):
            if one.name == store:
                kept = self.state.kept.get((index, to_key(key)))
                if isinstance(one, Map):
                    return {name.decode(): from_json(value) for name, value in sorted((kept or {}).items())}
                if isinstance(one, List):
                    return [from_json(item) for item in kept or ()]
                return None if kept is None else from_json(kept)
        raise ValueError(f"there is no store `{store}`")

    def pending(self) -> list[tuple[int, str, bytes]]:
        """The timers that are set: time, name, key."""
        return sorted(self.timers.pending)

    def _fire(self, kind: type[Timer], until: int) -> None:
        """Fires what is due, in the order of time, name and key, until nothing is; what fires may set more."""
        numbers = {timer.name: at for at, timer in enumerate(self._declared.timers) if isinstance(timer, kind)}

        def fire(due: tuple[int, str, bytes]) -> None:
            self.timers.pending.discard(due)
            self._running.fire(numbers[due[1]], due[2], due[0])

        while due := min((one for one in self.timers.pending if one[0] <= until and one[1] in numbers), default=None):
            self._call(due[2], due[0], lambda due=due: fire(due))  # type: ignore[misc]
            if kind is ProcessingTimer:
                self._fire(EventTimer, self.watermark)

    def _call(self, key: bytes | None, time: int, call: Callable[[], Refusal | None]) -> Refusal | None:
        """Makes a call; takes back what it put out, wrote and set unless it succeeds."""
        kept, pending, outputs = dict(self.state.kept), set(self.timers.pending), len(self.outputs)
        self.state.key, self._time, self.state.keyless = key, time, False
        refusal: Refusal | None = DeadLetter("the call did not end")
        try:
            refusal = call()
            if self.state.keyless:
                refusal = DeadLetter("the record has no key")
        finally:
            if refusal is not None:
                self.state.kept, self.timers.pending = kept, pending
                del self.outputs[outputs:]
        return refusal


class _State:
    """Kept are bytes, a tuple of items, or a dict of entries. What is kept is replaced, never changed."""

    def __init__(self) -> None:
        self.kept: dict[tuple[int, bytes | None], Any] = {}
        self.key: bytes | None = None
        self.keyless = False

    def get(self, store: int) -> Any:
        self.keyless = self.keyless or self.key is None
        return self.kept.get((store, self.key))

    def put(self, store: int, kept: Any) -> None:
        self.keyless = self.keyless or self.key is None
        if self.key is not None:
            self.kept[store, self.key] = kept

    def delete(self, store: int) -> None:
        self.keyless = self.keyless or self.key is None
        self.kept.pop((store, self.key), None)

    clear = delete

    def append(self, store: int, item: bytes) -> None:
        self.put(store, (*self.items(store), item))

    def items(self, store: int) -> list[bytes]:
        return list(self.get(store) or ())

    def get_entry(self, store: int, user_key: bytes) -> bytes | None:
        return cast(bytes | None, (self.get(store) or {}).get(user_key))

    def put_entry(self, store: int, user_key: bytes, value: bytes) -> None:
        self.put(store, {**(self.get(store) or {}), user_key: value})

    def delete_entry(self, store: int, user_key: bytes) -> None:
        self.put(store, {name: value for name, value in (self.get(store) or {}).items() if name != user_key})

    def scan(self, store: int, prefix: bytes, after: bytes | None, limit: int) -> list[tuple[bytes, bytes]]:
        entries = sorted((self.get(store) or {}).items())
        return [one for one in entries if one[0].startswith(prefix) and (after is None or one[0] > after)][:limit]


class _Timers:
    def __init__(self, host: Host[Any]) -> None:
        self._host = host
        self.pending: set[tuple[int, str, bytes]] = set()

    def _one(self, timer: int, at: int) -> tuple[int, str, bytes]:
        state = self._host.state
        state.keyless = state.keyless or state.key is None
        return at, self._host._declared.timers[timer].name, state.key or b""

    def set(self, timer: int, at: int) -> None:
        self.pending.add(self._one(timer, at))

    def clear(self, timer: int, at: int) -> None:
        self.pending.discard(self._one(timer, at))

    def watermark(self) -> int:
        return self._host.watermark

    def processing_time(self) -> int:
        return self._host.processing_time


class _Output:
    def __init__(self, host: Host[Any]) -> None:
        self._host = host

    def emit(self, message: Message) -> None:
        time = self._host._time if message.timestamp is None else message.timestamp
        name = self._host._kind.outputs[message.output]
        self._host.outputs.append(Output(name, message.key, message.value, time, message.headers))

    def measure(self, metric: int, value: float) -> None:
        one, metrics = self._host._declared.metrics[metric], self._host.metrics
        metrics[one.name] = value + (metrics.get(one.name, 0) if isinstance(one, Counter) else 0)
