"""Which errors are ours: those whose message says what to do next."""

from interceptor.errors import InterceptorError
from models.errors import ModelError
from replay.errors import ReplayError
from stack.errors import StackError
from stores.errors import StoreError
from streams.errors import StreamError


def is_ours(error: Exception) -> bool:
    """Say whether an error's message is meant for the user as it is."""
    return isinstance(error, (InterceptorError, ModelError, ReplayError, StackError, StoreError, StreamError))
