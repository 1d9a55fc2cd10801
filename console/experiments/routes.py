"""Where the pages of experiments, impacts and drift are, and their part of the API."""

from collections.abc import Callable

from starlette.routing import Route

from flumen.console.experiments import api, pages

Shown = Callable[..., Route]
"""As in `flumen.console.models.routes`."""


def experiment_routes(shown: Shown, root: str) -> list[Route]:
    """Return the routes; `root` is the API's."""
    return [
        shown("/experiments", pages.experiments),
        shown("/experiments/{name:path}", pages.experiment),
        shown("/impact", pages.impact),
        shown("/drift", pages.drift),
        shown("/drift/alone", pages.drift_alone),
        shown(f"{root}/experiments", api.experiments),
        shown(f"{root}/experiment", api.experiment),
        shown(f"{root}/impacts", api.impacts),
        shown(f"{root}/drift", api.drift),
    ]
