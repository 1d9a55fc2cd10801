"""Which errors are ours: those whose message says what to do next; and what else to say where no server answers."""

from pathlib import Path

from flumen.console.errors import ConsoleError
from flumen.interceptor.errors import InterceptorError
from flumen.models.errors import ModelError
from flumen.replay.errors import ReplayError
from flumen.stack.errors import StackError
from flumen.stack.layout import Endpoints, Layout
from flumen.stores.errors import StoreError, StoreUnavailable
from flumen.streams.errors import KafkaUnavailable, StreamError
from flumen.streams.settings import load_settings


def is_ours(error: Exception) -> bool:
    """Say whether an error's message is meant for the user as it is."""
    return isinstance(
        error,
        (ConsoleError, InterceptorError, ModelError, ReplayError, StackError, StoreError, StreamError),
    )


def elsewhere(error: Exception) -> str:
    """Return what to say of a server that does not answer, where no address was set and no stack started from here."""
    if not isinstance(error, (KafkaUnavailable, StoreUnavailable)):
        return ""
    settings = load_settings()
    if settings.model_fields_set & Endpoints.NAMES or Layout(settings.home.absolute()).root.exists():
        return ""
    return not_started(settings.home)


def not_started(home: Path) -> str:
    """Say that no stack was started from here, and what to do."""
    return (
        f"No stack was started from here: there is none in {home.absolute()}. `flumen up` starts one. If yours was "
        "started in another folder, go there, or set FLUMEN_HOME to the .flumen in it."
    )
