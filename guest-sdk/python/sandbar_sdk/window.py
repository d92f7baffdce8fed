"""Windows: the records of each key, put together by their times.

Always: what is kept of a key are its open windows, in the order of their ends; for each of them a timer is set to the
moment at which it closes, and to the one at which it takes no record any more.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any, Generic, NamedTuple, Self, TypeVar, cast

from .codec import LAST_TIME, from_json, is_time, to_json
from .event import Event, Fired
from .host import Declared
from .output import Out
from .refusal import DeadLetter, Fail
from .state import Value
from .timer import EventTimer

T = TypeVar("T")
_Open = list[Any]
"""An open window as it is kept: start, end, value."""
_WINDOWS_MAX = 10_000
"""A record belongs to no more windows than this."""


class Window(NamedTuple, Generic[T]):
    """A window that is over."""

    key: bytes
    """The key of its records."""
    start: int
    """Its first moment, in milliseconds since 1970."""
    end: int
    """The moment behind its last one."""
    value: T
    """What became of its records."""


C = TypeVar("C", bound=Callable[[Any, Window[Any], Out], None])


class Windows(Declared, Generic[T]):
    """Windows over the records of each key. It declares a store and a timer of its name.

    `initial` is the value of a window without records; `add` makes, of the value so far and a record, the next one;
    `merge` makes one of two, if sessions become one. Values are what JSON can say.
    """

    callback: str = ""
    _plugin: Any

    def __init__(self, initial: T, add: Callable[[T, Event], T], merge: Callable[[T, T], T] | None = None, *,
                 version: int = 1, readable_from: int = 1) -> None:
        self._initial, self._add, self._merge = to_json(initial), add, merge
        self._size = self._every = self._gap = self._lateness = 0
        self._store: Value[list[_Open]] = Value(version=version, readable_from=readable_from)
        self._timer = _WindowTimer()

    def __set_name__(self, owner: type, name: str) -> None:
        super().__set_name__(owner, name)
        for part in self.parts():
            part.__set_name__(owner, name)

    def parts(self) -> Sequence[Declared]:
        """What the host knows of it."""
        return self._store, self._timer

    def check(self, owner: type) -> None:
        """A TypeError: nothing is called when a window is over."""
        if not callable(getattr(owner, self.callback or " ", None)):
            raise TypeError(f"windows `{self.name}` of {owner.__name__} call nothing when one is over: "
                            f"put `@{self.name}.closes` above a method")

    def bound(self, plugin: Any, host: Any, numbers: Mapping[Declared, int]) -> Self:
        """The same, as the instance has it."""
        mine = copy.copy(self)
        mine._plugin = plugin
        mine._store = self._store.bound(plugin, host, numbers)
        mine._timer = self._timer.bound(plugin, host, numbers)
        return mine

    def tumbling(self, size: int, *, allowed_lateness: int = 0) -> Self:
        """One behind the other, each of this size. Times are in milliseconds, here and below."""
        return self.hopping(size, size, allowed_lateness=allowed_lateness)

    def hopping(self, size: int, every: int, *, allowed_lateness: int = 0) -> Self:
        """Each of this size, a new one every so often: they overlap. They start at multiples of `every` since 1970."""
        if size < 1 or every < 1:
            raise ValueError("the size of windows and `every` are 1 ms at least")
        if every > size:
            raise ValueError("`every` of the windows is more than their size: what lies between would be in none")
        if size // every > _WINDOWS_MAX:
            raise ValueError(f"a record would be in {size // every} windows, {_WINDOWS_MAX} at most")
        self._size, self._every, self._gap = size, every, 0
        return self._allow(allowed_lateness)

    def session(self, gap: int, *, allowed_lateness: int = 0) -> Self:
        """Records between any two of which, in the order of their times, there is this gap at most. A session ends one
        gap behind its last record."""
        if gap < 1:
            raise ValueError("the gap of sessions is less than 1 ms")
        if self._merge is None:
            raise ValueError(f"sessions can become one: the windows `{self.name}` want a `merge`")
        self._size, self._gap = 0, gap
        return self._allow(allowed_lateness)

    def closes(self, method: C) -> C:
        """Says which method is called when a window is over, and again for each record that comes within the allowed
        lateness: `@windows.closes`. What it emits has the time of the window's last moment."""
        self.callback = method.__name__
        return method

    def add(self, event: Event, out: Out) -> bool:
        """Adds a record to its windows. False: it is too late for all of them."""
        windows, now = self._store.get() or [], self._timer.now()
        before = self._moments(windows, now)
        added: list[_Open] = []
        for start, end in self._spans(event.timestamp, windows):
            if self._gone(end) > now:
                of_it = [one for one in windows if self._is_part(one, start, end)]
                added.append([start, end, self._add(self._merged(of_it), event)])
                windows = [one for one in windows if not self._is_part(one, start, end)] + added[-1:]
        if not added:
            return False
        windows.sort(key=lambda one: one[1])
        self._store.set(windows)
        after = self._moments(windows, now)
        for at in sorted(before - after):
            self._timer.clear(at)
        for at in sorted(after - before):
            self._timer.set(at)
        for window in added:
            if _closed(window[1]) <= now:
                self._call(cast(bytes, event.key), window, out)
        return True

    def fire(self, fired: Fired, out: Out) -> None:
        """The timer fired: windows close, and those that take no record any more are given up."""
        windows = self._store.get() or []
        if left := [window for window in windows if self._gone(window[1]) > fired.at]:
            self._store.set(left)
            for at in self._moments(left, fired.at):  # if another lateness was allowed when they were opened
                self._timer.set(at)
        else:
            self._store.delete()
        for window in windows:
            if _closed(window[1]) == fired.at:
                self._call(fired.key, window, out)

    def _spans(self, time: int, windows: list[_Open]) -> list[tuple[int, int]]:
        """The windows of a record, in the order of their ends. A session is one with those that it touches."""
        if self._gap:
            first, last = time, time + self._gap
            touched = [one for one in windows if one[0] <= last and one[1] >= first]
            spans = [(min([first, *(one[0] for one in touched)]), max([last, *(one[1] for one in touched)]))]
        elif self._size:
            start = time - time % self._every
            spans = [(at, at + self._size) for at in range(start, time - self._size, -self._every)][::-1]
        else:
            raise Fail(f"the windows `{self.name}` are of no kind: call `tumbling`, `hopping` or `session` of them")
        if not is_time(spans[0][0]) or not is_time(spans[-1][1]):
            raise DeadLetter(f"the record's time, {time}, is beyond all windows")
        return spans

    def _is_part(self, window: _Open, start: int, end: int) -> bool:
        if self._gap:
            return bool(start <= window[0] and window[1] <= end)
        return window[:2] == [start, end]

    def _merged(self, windows: list[_Open]) -> T:
        values = [window[2] for window in windows] or [from_json(self._initial)]
        return cast(T, reduce(cast(Any, self._merge), values))

    def _gone(self, end: int) -> int:
        """The moment at which a window takes no record any more."""
        return min(_closed(end) + self._lateness, LAST_TIME)

    def _moments(self, windows: list[_Open], now: int) -> set[int]:
        """When something becomes of the windows."""
        return {at for _, end, _ in windows for at in (_closed(end), self._gone(end)) if at > now}

    def _call(self, key: bytes, window: _Open, out: Out) -> None:
        start, end, value = window
        getattr(self._plugin, self.callback)(Window(key, start, end, value), out.at(_closed(end)))

    def _allow(self, allowed_lateness: int) -> Self:
        if allowed_lateness < 0:
            raise ValueError("the allowed lateness is negative")
        self._lateness = allowed_lateness
        return self


class _WindowTimer(EventTimer):
    def call(self, plugin: Any, fired: Fired, out: Out) -> None:
        getattr(plugin, self.name).fire(fired, out)


def _closed(end: int) -> int:
    """The moment at which event time has passed a window: its last one."""
    return end - 1
