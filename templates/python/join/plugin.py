"""Joins records of two inputs that have the same key and are near in time."""

from dataclasses import dataclass
from typing import Any, Literal

from sandbar_sdk import Duration, EventTimer, Map, Plugin, plugin


@dataclass
class Within:
    before: Duration = Duration("0s")
    after: Duration = Duration("0s")


@dataclass
class Config:
    kind: Literal["inner"]
    within: Within


@plugin
class Join(Plugin):
    inputs = ("left", "right")
    outputs = ("out", "late")
    needs = ("headers", "keeps-key")
    config: Config
    rows = Map[list[Any]]()                # the values of an input and a time, in the order of their arrival
    join = EventTimer()                    # no partner can come any more

    def open(self):
        before, after = self.config.within.before, self.config.within.after
        if before + after < 0:
            raise ValueError(f"`before` and `after` together are {before + after} ms: they want to be 0 at least")
        # How far before and after a record its partners lie.
        self.reach = {"left": (before, after), "right": (after, before)}

    def process(self, event, out):
        value, time, now = event.json(), event.timestamp, self.join.now()
        kept = self.rows.get(row(event.input, time)) or []
        if time <= now:
            out.pass_on(event, output="late")
            return
        before, after = self.reach[event.input]
        for partner_time, partner in self.partners(event.input, time - before, time + after):
            left, right = (value, partner) if event.input == "left" else (partner, value)
            out.emit(event.key, {"left": left, "right": right}, timestamp=max(time, partner_time))
        if time + after > now:
            self.rows.put(row(event.input, time), [*kept, value])
            self.join.set(time + after)

    def partners(self, input, first, last):
        other = "right" if input == "left" else "left"
        for key, values in self.rows.scan(other):
            time = int(key.split()[1])
            if first <= time <= last:
                for value in values:
                    yield time, value

    @join.fires
    def on_join(self, fired, out):
        for input, (before, after) in self.reach.items():
            self.rows.delete(row(input, fired.at - after))


def row(input, time):
    return f"{input} {time:020}"           # as text in the order of time
