"""Whether the images that are stored, and what a model says of them, are still as they were: by windows of time."""

from flumen.replay.drift.comparing import Drift, Found, find_drift
from flumen.replay.drift.reference import Reference, Span, of_training
from flumen.replay.drift.scanning import Scope, Window, scan

__all__ = ["Drift", "Found", "Reference", "Scope", "Span", "Window", "find_drift", "of_training", "scan"]
