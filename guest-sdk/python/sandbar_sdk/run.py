"""Runs a plugin: what the component and the testing host have in common."""

from collections.abc import Sequence
from typing import Any

from . import config
from .event import Event, Fired
from .host import Declared
from .logs import log
from .output import Out
from .declare import Declarations, Plugin
from .refusal import DeadLetter, Fail, Refusal, Retry, reason


class Running:
    """An opened plugin. Always: what the author's code raises becomes a refusal, or ends the instance."""

    def __init__(self, kind: type[Plugin], declared: Declarations, host: Any, configuration: str) -> None:
        self.plugin = kind()
        groups: tuple[Sequence[Declared], ...] = (declared.stores, declared.timers, declared.metrics)
        numbers = {part: number for group in groups for number, part in enumerate(group)}
        for attribute in declared.attributes:
            setattr(self.plugin, attribute.name, attribute.bound(self.plugin, host, numbers))
        self._timers = declared.timers
        self._out = Out(host, kind.outputs)
        if declared.config is not None or configuration:
            self.plugin.config = config.read(declared.config, configuration)
        self.plugin.open()

    def process(self, event: Event) -> Refusal | None:
        """Why the record is refused, if it is. Raises Retry."""
        try:
            self.plugin.process(event, self._out)
        except (Retry, MemoryError):  # memory that is gone does not come back: the host replaces the instance
            raise
        except Refusal as refusal:
            return refusal
        except Exception as error:
            log.debug("the record becomes a dead letter", exc_info=error)
            return DeadLetter(reason(error))
        return None

    def fire(self, timer: int, key: bytes, at: int) -> None:
        """Calls what the timer calls. Raises Retry and Fail: there is no record to refuse."""
        fires = self._timers[timer]
        try:
            fires.call(self.plugin, Fired(fires.name, key, at), self._out)
        except (Retry, Fail, MemoryError):
            raise
        except Exception as error:
            log.debug("timer `%s` fails", fires.name, exc_info=error)
            raise Fail(reason(error)) from error
