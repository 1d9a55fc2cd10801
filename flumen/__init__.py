"""flumen classifies images as they arrive. These names are its public face; what else there is may move.

Each is imported when it is used: `import flumen` alone costs nothing, in whatever process a plugin of ours is loaded.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flumen.cli.learning.steps import (
        activate_model,
        load_images,
        read_experiment,
        register_model,
        run_experiment,
    )
    from flumen.interceptor import Batch, Column, Context, Intercepted, Interceptor, Kind, partition
    from flumen.models.evaluation.comparison import compare
    from flumen.models.experiments.answered import compare_runs
    from flumen.models.reports.contact_sheet import contact_sheet
    from flumen.models.repository import Repository
    from flumen.models.trainers.by_name import train_model
    from flumen.stores.kudu import KuduReader
    from flumen.stores.solr import SolrReader
    from flumen.streams.pipeline import Pipeline
    from flumen.streams.settings import Settings, load_settings
    from flumen.streams.wire import SourceImage

__all__ = [
    "Batch",
    "Column",
    "Context",
    "Intercepted",
    "Interceptor",
    "Kind",
    "KuduReader",
    "Pipeline",
    "Repository",
    "Settings",
    "SolrReader",
    "SourceImage",
    "activate_model",
    "compare",
    "compare_runs",
    "contact_sheet",
    "load_images",
    "load_settings",
    "partition",
    "read_experiment",
    "register_model",
    "run_experiment",
    "train_model",
]

_HOMES = {
    "flumen.cli.learning.steps": (
        "activate_model",
        "load_images",
        "read_experiment",
        "register_model",
        "run_experiment",
    ),
    "flumen.interceptor": ("Batch", "Column", "Context", "Intercepted", "Interceptor", "Kind", "partition"),
    "flumen.models.evaluation.comparison": ("compare",),
    "flumen.models.experiments.answered": ("compare_runs",),
    "flumen.models.reports.contact_sheet": ("contact_sheet",),
    "flumen.models.repository": ("Repository",),
    "flumen.models.trainers.by_name": ("train_model",),
    "flumen.stores.kudu": ("KuduReader",),
    "flumen.stores.solr": ("SolrReader",),
    "flumen.streams.pipeline": ("Pipeline",),
    "flumen.streams.settings": ("Settings", "load_settings"),
    "flumen.streams.wire": ("SourceImage",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
