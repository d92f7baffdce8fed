"""Passes the records whose number at a JSON pointer is high enough, unchanged."""

from dataclasses import dataclass

from sandbar_sdk import Plugin, Pointer, plugin


@dataclass
class Config:
    field: Pointer
    at_least: float


@plugin
class Filter(Plugin):
    needs = ("headers", "keeps-key")
    config: Config

    def process(self, event, out):
        number = self.config.field.find(event.json())
        if type(number) in (int, float) and number >= self.config.at_least:
            out.pass_on(event)
