"""The errors of the console.

ConsoleError
├── TokensUnusable   the file of tokens cannot be read or written, or is none
├── BadPerson        a name that nobody may have, or a role that does not exist
├── BadQuestion      a request that asks for something that there is not
│   └── NotJson      a request to the API that is not sent as JSON
├── NotAllowed       whoever asks may not do it
├── NotThere         what was asked for is not there, or not any more
└── SwapRuns         another swap of the same model runs
"""

from flumen.models.errors import ModelError
from flumen.replay.errors import ReplayError
from flumen.stores.errors import StoreError
from flumen.streams.errors import StreamError


class ConsoleError(Exception):
    """Base of all errors of this package."""


class TokensUnusable(ConsoleError):
    """The file of tokens cannot be read or written, or holds something else; the message names it."""


class BadPerson(ConsoleError):
    """A person cannot be called so, or has no such role."""


class BadQuestion(ConsoleError):
    """What was asked for is not there, or was not asked for in a way that is understood."""


class NotJson(BadQuestion):
    """A request to the API is not marked as JSON."""


class NotAllowed(ConsoleError):
    """Who asks is not signed in, or may only look."""


class NotThere(ConsoleError):
    """What was asked for is not there, or not any more; the message says what there is."""


class SwapRuns(ConsoleError):
    """Another swap of the same model runs here; the message says whose."""


SHOWN = (ConsoleError, ModelError, ReplayError, StoreError, StreamError)
"""Errors whose message is meant for whoever asked."""
