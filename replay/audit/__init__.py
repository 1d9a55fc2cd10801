"""Holding the index against Kudu, image by image, and mending what differs."""

from flumen.replay.audit.audit import Audit, Beside, Pace, Stage
from flumen.replay.audit.findings import KINDS, Counts, Finding, Kind, Report

__all__ = ["KINDS", "Audit", "Beside", "Counts", "Finding", "Kind", "Pace", "Report", "Stage"]
