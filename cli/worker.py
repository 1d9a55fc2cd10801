"""`flumen worker`."""

from typing import Annotated

import typer

from flumen.streams.importing import without_collections
from flumen.streams.live.stopping import StopRequest
from flumen.streams.logs import configure_logs
from flumen.streams.settings import load_settings


def worker(
    http_port: Annotated[
        int | None, typer.Option(help="Answer /metrics, /live, /ready and /health on this port.")
    ] = None,
) -> None:
    """Classify what arrives, until stopped by SIGTERM or Ctrl-C."""
    stop = StopRequest()  # before all that takes its time
    with without_collections():
        from flumen.streams.live.worker import run_worker

    settings = load_settings(http_port=http_port)
    configure_logs(settings.log_level)
    run_worker(settings, stop)
