"""Counts the records of each key in windows of one size, one behind the other."""

from dataclasses import dataclass

from sandbar_sdk import Duration, Plugin, Windows, plugin


@dataclass
class Config:
    size: Duration
    allowed_lateness: Duration = Duration("0s")


@plugin
class WindowCount(Plugin):
    outputs = ("out", "late")
    needs = ("headers", "keeps-key")
    config: Config
    windows = Windows[int](0, lambda count, event: count + 1)

    def open(self):
        self.windows.tumbling(self.config.size, allowed_lateness=self.config.allowed_lateness)

    def process(self, event, out):
        if not self.windows.add(event, out):
            out.pass_on(event, output="late")

    @windows.closes
    def on_window(self, window, out):
        out.emit(window.key, {"start": window.start, "end": window.end, "count": window.value})
