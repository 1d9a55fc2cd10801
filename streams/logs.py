"""Structured logs: one JSON object a line on standard error, coloured text where that is a terminal."""

import logging
import sys

import structlog

from flumen.interceptor.errors import InterceptorError
from flumen.models.errors import ModelError
from flumen.stores import StoreError
from flumen.streams.errors import StreamError

_OURS = (InterceptorError, ModelError, StoreError, StreamError)


def configure_logs(level: str) -> None:
    """Send our own lines and those of the libraries through one renderer."""
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    terminal = sys.stderr.isatty()
    renderer: structlog.types.Processor = (
        structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                renderer,
            ],
        )
    )
    handler.addFilter(_is_no_end_of_ours)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for noisy in ("faust", "mode", "aiokafka", "urllib3"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
    logging.getLogger("PIL").setLevel(logging.CRITICAL)  # what is wrong with an image, its dead letter says
    logging.getLogger("pysolr").setLevel(logging.CRITICAL)  # a line for each retry; `retry` has one for all
    logging.getLogger("librdkafka").addFilter(_is_worth_a_line)


def _is_no_end_of_ours(line: logging.LogRecord) -> bool:
    """Leave out what mode says, with a traceback, of an error of ours that ends a service: the worker says it."""
    error = line.exc_info[1] if line.exc_info else None
    return not (isinstance(error, _OURS) and "Crashed reason" in line.getMessage())


def _is_worth_a_line(line: logging.LogRecord) -> bool:
    """Leave out what librdkafka says ten times a second while a broker is down: the reader says it once."""
    return not line.getMessage().startswith("FAIL ")
