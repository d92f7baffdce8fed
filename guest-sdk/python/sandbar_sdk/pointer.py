"""Pointers: where in a JSON document a value stands (RFC 6901)."""

import re
from typing import Any

from .config import FromText


class Pointer(FromText):
    """A pointer into JSON documents such as "/user/tags/0"; `~1` is a slash and `~0` a tilde in a name, the empty text
    is the document."""

    pattern = "^(/([^~]|~0|~1)*)?$"

    def __init__(self, text: str) -> None:
        """Reads it; a ValueError says what is wrong."""
        if text and not text.startswith("/"):
            raise ValueError(f'the JSON pointer "{text}" does not start with a slash')
        self._steps = text.split("/")[1:]
        for step in self._steps:
            if re.search("~(?![01])", step):
                raise ValueError(f'the step "{step}" of a JSON pointer has a tilde without 0 or 1 behind it')
        self._steps = [step.replace("~1", "/").replace("~0", "~") for step in self._steps]

    def find(self, document: Any) -> Any:
        """The value that it leads to; None if there is none."""
        for step in self._steps:
            if isinstance(document, dict) and step in document:
                document = document[step]
            elif isinstance(document, list) and re.fullmatch("0|[1-9][0-9]{0,8}", step) and int(step) < len(document):
                document = document[int(step)]
            else:
                return None
        return document
