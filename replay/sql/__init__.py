"""SQL over what Kudu holds."""

from flumen.replay.sql.querying import DUCKDB_SETTINGS, Batches, Result, query, query_batches
from flumen.replay.sql.scans import TABLES, Scan

__all__ = ["DUCKDB_SETTINGS", "TABLES", "Batches", "Result", "Scan", "query", "query_batches"]
