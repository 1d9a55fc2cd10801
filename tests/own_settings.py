"""Settings for a while that is longer than a test's: what is dear to make serves all tests of a file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flumen.stack.pytest_plugin import own_names
from flumen.streams.settings import Settings, load_settings


@contextmanager
def own_settings(stack: Any, models_root: Path, home: Path, **more: Any) -> Iterator[Settings]:
    """Settings as those of a test, with topics, tables and a core of their own, which are removed in the end."""
    with own_names(stack) as names:
        given = {"home": home, "models_root": str(models_root), "topic_partitions": 2, "kudu_partitions": 2}
        yield load_settings(**{**given, **stack.settings, **names.settings, **more})
