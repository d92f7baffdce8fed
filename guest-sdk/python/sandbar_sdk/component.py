"""The component's exports. Owns all that knows what componentize-py generates; is imported when a component is built.

The entry that `python -m sandbar_sdk` writes imports the author's module, and then `WitWorld` from here.
"""

import logging
import os
import sys
from types import SimpleNamespace
from typing import Any

import componentize_py_types
import wit_world
from wit_world.imports import log as host_log
from wit_world.imports import output, state, timers, types

from .declare import Declarations, Plugin, plugins
from .event import Event
from .logs import ToHost, log
from .output import Counter
from .refusal import Fail, Refusal, Retry, Skip, reason
from .run import Running
from .state import List, Map
from .timer import EventTimer

if "datetime" in sys.modules:
    import _strptime  # noqa: F401  datetime imports it when it is called, when there are no files any more

_IMPORTS = SimpleNamespace(state=state, timers=timers, output=output)


class Component:
    """The exports, by the names that componentize-py has for them."""

    def __init__(self) -> None:
        if not plugins:
            raise TypeError("there is no plugin: put `@plugin` above your class")
        self._kind: type[Plugin] = plugins[-1]
        self._declared = Declarations.of(self._kind)
        self._inputs = tuple(self._kind.inputs) or ("in",)
        # The author's code imported it, or nobody has yet: componentize-py does so behind this. It goes on from call
        # to call, which would tell how the host cut the records.
        self._random: Any = sys.modules.get("random")
        logging.logThreads = logging.logProcesses = False
        logging.basicConfig(level=logging.INFO, handlers=[ToHost(_write)], format="%(message)s", force=True)

    def describe(self) -> Any:
        """What the plugin is."""
        kind, declared = self._kind, self._declared
        needs = types.Needs(0)
        for need in kind.needs:
            needs |= types.Needs[need.replace("-", "_").upper()]
        return types.Description(
            name=declared.name,
            version=kind.version,
            inputs=list(kind.inputs),
            outputs=list(kind.outputs),
            stores=[types.Store(one.name, _kind_of(one), "json", one.version, one.readable_from, 0, False)
                    for one in declared.stores],
            timers=[types.Timer(one.name, types.TimerClock.EVENT_TIME if isinstance(one, EventTimer)
                                else types.TimerClock.PROCESSING_TIME) for one in declared.timers],
            metrics=[types.Metric(one.name, types.MetricKind.COUNTER if isinstance(one, Counter)
                                  else types.MetricKind.GAUGE, one.help) for one in declared.metrics],
            config_schema=declared.config_schema,
            needs=needs,
        )

    def open_plugin(self, config: str) -> None:
        """Takes the configuration."""
        if self._random is None:
            sys.modules.pop("random", None)  # it would not be seeded: an import in a function fails, as others do
        self._seed()
        try:
            self._running = Running(self._kind, self._declared, _IMPORTS, config)
        except MemoryError:
            raise
        except Exception as error:
            log.debug("the configuration is refused", exc_info=error)
            raise componentize_py_types.Err(reason(error)) from None

    def process(self, raw: Any) -> Any:
        """A record."""
        self._seed()
        try:
            refusal = self._running.process(Event(
                self._inputs[raw.input], raw.key, raw.value, raw.timestamp, raw.partition, raw.offset, raw.headers))
        except Retry as retry:
            raise componentize_py_types.Err(types.Failure_Retry(reason(retry))) from None
        if refusal is None:
            return wit_world.Verdict_Done()
        return wit_world.Verdict_Refuse((_how(refusal), reason(refusal)))

    def fire(self, timer: int, key: bytes, at: int) -> None:
        """A timer."""
        self._seed()
        try:
            self._running.fire(timer, key, at)
        except Retry as retry:
            raise componentize_py_types.Err(types.Failure_Retry(reason(retry))) from None
        except Fail as fail:
            raise componentize_py_types.Err(types.Failure_Fail(reason(fail))) from None

    def _seed(self) -> None:
        if self._random is not None:
            self._random.seed(int.from_bytes(os.urandom(8), "little"))


def _kind_of(store: Any) -> Any:
    if isinstance(store, Map):
        return types.StoreKind.MAP_OF
    return types.StoreKind.LIST_OF if isinstance(store, List) else types.StoreKind.VALUE


def _how(refusal: Refusal) -> Any:
    if isinstance(refusal, Skip):
        return types.Refusal.SKIP
    return types.Refusal.FAIL if isinstance(refusal, Fail) else types.Refusal.DEAD_LETTER


def _write(level: str, message: str) -> None:
    host_log.write(host_log.Level[level], message)


_component = Component()


def WitWorld() -> Component:  # noqa: N802  the name is componentize-py's, which calls it once for each export
    """The one for all exports."""
    return _component
