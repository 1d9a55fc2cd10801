"""Which errors are ours: those whose message says what to do next."""

from flumen.interceptor.errors import InterceptorError
from flumen.models.errors import ModelError
from flumen.replay.errors import ReplayError
from flumen.stack.errors import StackError
from flumen.stores.errors import StoreError
from flumen.streams.errors import StreamError


def is_ours(error: Exception) -> bool:
    """Say whether an error's message is meant for the user as it is."""
    return isinstance(error, (InterceptorError, ModelError, ReplayError, StackError, StoreError, StreamError))
