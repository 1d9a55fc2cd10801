"""Holding the index against Kudu, image by image, and mending what differs."""

from flumen.replay.audit.audit import Audit
from flumen.replay.audit.findings import KINDS, Counts, Finding, Kind, Report

__all__ = ["KINDS", "Audit", "Counts", "Finding", "Kind", "Report"]
