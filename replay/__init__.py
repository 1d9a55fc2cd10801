"""Looking back at what is stored: SQL over Kudu."""

from flumen.replay.errors import BadQuery, ReplayError

__all__ = ["BadQuery", "ReplayError"]
