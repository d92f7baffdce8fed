"""Counts the records of each key: for every record the number of those that its key has had."""

from sandbar_sdk import Plugin, Value, plugin


@plugin
class Count(Plugin):
    needs = ("keeps-key",)
    total = Value[int]()

    def process(self, event, out):
        total = (self.total.get() or 0) + 1
        self.total.set(total)
        out.emit(event.key, total)
