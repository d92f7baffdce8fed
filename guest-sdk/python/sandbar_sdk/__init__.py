"""What the author of a Sandbar plugin in Python imports."""

from .config import ConfigError
from .event import Event, Fired, Header
from .logs import log
from .output import Counter, Gauge, Out
from .declare import Plugin, plugin
from .refusal import DeadLetter, Fail, Refusal, Retry, Skip
from .state import List, Map, Value
from .timer import EventTimer, ProcessingTimer

__all__ = [
    "ConfigError", "Counter", "DeadLetter", "Event", "EventTimer", "Fail", "Fired", "Gauge", "Header", "List", "Map",
    "Out", "Plugin", "ProcessingTimer", "Refusal", "Retry", "Skip", "Value", "log", "plugin",
]
