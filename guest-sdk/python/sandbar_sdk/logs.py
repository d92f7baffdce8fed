"""The plugin's log is Python's `logging`: in the component all of it goes to the host."""

import logging
from collections.abc import Callable

from .refusal import plain

log = logging.getLogger("plugin")
"""The plugin's own logger; every level of it is written. Others are written from INFO on."""
log.setLevel(logging.DEBUG)


class ToHost(logging.Handler):
    """Hands what is logged to the host."""

    def __init__(self, write: Callable[[str, str], None]) -> None:
        super().__init__()
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one line, or several if there is a traceback."""
        levels = ((logging.ERROR, "ERROR"), (logging.WARNING, "WARN"), (logging.INFO, "INFO"))
        level = next((name for least, name in levels if record.levelno >= least), "DEBUG")
        self._write(level, plain(self.format(record)))
