"""Computing for images that are stored already what they came without: their perceptual hash."""

from flumen.replay.backfill.hashing import Backfill, Report

__all__ = ["Backfill", "Report"]
