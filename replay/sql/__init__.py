"""SQL over what Kudu holds."""

from flumen.replay.sql.querying import DUCKDB_SETTINGS, TABLES, Result, Scan, query

__all__ = ["DUCKDB_SETTINGS", "TABLES", "Result", "Scan", "query"]
