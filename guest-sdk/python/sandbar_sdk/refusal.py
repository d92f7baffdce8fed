"""The errors by which a plugin says that a record, or a call, was not processed as usual."""


class Refusal(Exception):
    """What the four below have in common. What a refused record put out, wrote and set is taken back."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Skip(Refusal):
    """The record is left out, and counted."""


class DeadLetter(Refusal):
    """The record goes to the pipeline's dead letters, with the reason."""


class Fail(Refusal):
    """The pipeline stops at this record."""


class Retry(Refusal):
    """What the plugin depends on is not there: the whole call comes again, after a pause."""


def reason(error: Exception) -> str:
    """What an error says, in one text that can be written as UTF-8."""
    if isinstance(error, Refusal):
        said = error.reason
    elif isinstance(error, KeyError):  # says no more than the key
        said = f"{type(error).__name__}: {error}"
    else:
        said = str(error)
    return plain(said) or type(error).__name__


def plain(text: str) -> str:
    """The text, with half characters, which UTF-8 cannot write, made visible."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
