"""The plugin of the conformance suite: `{"do": ...}` says how it behaves."""

import os
import time
from dataclasses import dataclass
from typing import Any

from sandbar_sdk import (Counter, DeadLetter, Event, EventTimer, Fail, Fired, List, Map, Out, Plugin, ProcessingTimer,
                         Retry, Skip, Value, Window, Windows, log, plugin)


@dataclass
class Config:
    """What it is to do."""

    do: str
    number: int = 0


@plugin
class Every(Plugin):
    """Does one thing of many."""

    needs = ("headers", "coordinates")
    config: Config
    config_schema = "{}"

    count = Value[int]()
    seen = List[str]()
    by = Map[int]()
    later = EventTimer()
    clock = ProcessingTimer()
    windows = Windows[int](0, lambda count, event: count + 1).tumbling(1000, allowed_lateness=500)
    sessions = Windows[int](0, lambda count, event: count + 1, lambda one, other: one + other).session(1000)
    events = Counter("events seen")

    def open(self) -> None:
        self.act: Any = getattr(self, "do_" + self.config.do.replace("-", "_"), None)
        if self.act is None:
            raise ValueError(f"unknown: {self.config.do}")

    def process(self, event: Event, out: Out) -> None:
        self.events.add()
        self.act(event, out)

    def counted(self) -> int:
        n = (self.count.get() or 0) + 1
        self.count.set(n)
        return n

    @later.fires
    def on_later(self, fired: Fired, out: Out) -> None:
        n = self.counted()
        out.emit(fired.key, f"{fired.at} {n}")
        if self.config.do == "rearm" and n < 3:
            self.later.set(fired.at + 500)

    @clock.fires
    def on_clock(self, fired: Fired, out: Out) -> None:
        out.emit(fired.key, f"clock {fired.at}")

    @windows.closes
    def on_window(self, window: Window[int], out: Out) -> None:
        out.emit(window.key, f"{window.start} {window.value}")

    @sessions.closes
    def on_session(self, window: Window[int], out: Out) -> None:
        out.emit(window.key, f"{window.start} {window.end} {window.value}")

    def do_window(self, event: Event, out: Out) -> None:
        if not self.windows.add(event, out):
            out.emit(event.key, "late")

    def do_session(self, event: Event, out: Out) -> None:
        if not self.sessions.add(event, out):
            out.emit(event.key, "late")

    def do_echo(self, event: Event, out: Out) -> None:
        out.pass_on(event)

    def do_count(self, event: Event, out: Out) -> None:
        out.emit(event.key, self.counted())

    def do_list(self, event: Event, out: Out) -> None:
        if event.value is None:
            self.seen.clear()
            out.emit(event.key, "cleared")
        else:
            self.seen.push(event.text())
            out.emit(event.key, self.seen.items())

    def do_map(self, event: Event, out: Out) -> None:
        if event.value is None:
            self.by.clear()
        elif (text := event.text()).startswith("-"):
            self.by.delete(text[1:])
        else:
            self.by.put(text, (self.by.get(text) or 0) + 1)
        out.emit(event.key, dict(self.by.scan()))

    def do_delete(self, event: Event, out: Out) -> None:
        self.count.delete()
        out.emit(event.key, "deleted")

    def do_timer(self, event: Event, out: Out) -> None:
        self.later.set(event.timestamp + 1000)

    do_rearm = do_timer

    def do_cancel(self, event: Event, out: Out) -> None:
        self.later.set(event.timestamp + 1000)
        self.later.set(event.timestamp + 2000)
        self.later.clear(event.timestamp + 1000)

    def do_clock_timer(self, event: Event, out: Out) -> None:
        self.clock.set(0)

    def do_refuse(self, event: Event, out: Out) -> None:
        kinds = {b"skip": Skip, b"dead-letter": DeadLetter, b"fail": Fail, b"retry": Retry}
        kind = kinds.get(event.value or b"")
        if kind is None:
            out.pass_on(event)
            return
        out.emit(event.key, "never")
        self.count.set(99)
        raise kind("told to")

    def do_error(self, event: Event, out: Out) -> None:
        if event.value == b"bad":
            raise ValueError("no good")
        out.pass_on(event)

    def do_panic(self, event: Event, out: Out) -> None:
        if event.value == b"bad":
            os.abort()
        out.pass_on(event)

    def do_loop(self, event: Event, out: Out) -> None:
        while event.value == b"bad":
            pass
        out.pass_on(event)

    def do_memory(self, event: Event, out: Out) -> None:
        hoard = []
        while event.value == b"bad":
            hoard.append(bytes(1 << 20))
        out.pass_on(event)

    def do_log(self, event: Event, out: Out) -> None:
        for i in range(2000):
            log.info("line %d", i)
        out.pass_on(event)

    def do_print(self, event: Event, out: Out) -> None:
        print("hello")
        out.pass_on(event)

    def do_clock(self, event: Event, out: Out) -> None:
        out.emit(event.key, time.time_ns() // 1_000_000)

    def do_random(self, event: Event, out: Out) -> None:
        out.emit(event.key, os.urandom(8).hex())

    def do_files(self, event: Event, out: Out) -> None:
        try:
            with open("/etc/passwd"):
                out.emit(event.key, "yes")
        except OSError:
            out.emit(event.key, "no")

    def do_config(self, event: Event, out: Out) -> None:
        out.emit(event.key, self.config.number)
