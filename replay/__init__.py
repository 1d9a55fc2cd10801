"""Looking back at what is stored: SQL over Kudu."""

from replay.errors import BadQuery, ReplayError

__all__ = ["BadQuery", "ReplayError"]
