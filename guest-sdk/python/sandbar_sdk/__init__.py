"""What the author of a Sandbar plugin in Python imports."""

from .config import ConfigError
from .event import Event, Fired, Header
from .logs import log
from .output import Counter, Gauge, Out
from .declare import Plugin, plugin
from .duration import Duration
from .pointer import Pointer
from .refusal import DeadLetter, Fail, Refusal, Retry, Skip
from .state import List, Map, Value
from .timer import EventTimer, ProcessingTimer
from .window import Window, Windows

__all__ = [
    "ConfigError", "Counter", "DeadLetter", "Duration", "Event", "EventTimer", "Fail", "Fired", "Gauge", "Header",
    "List", "Map", "Out", "Plugin", "Pointer", "ProcessingTimer", "Refusal", "Retry", "Skip", "Value", "Window",
    "Windows", "log", "plugin",
]
