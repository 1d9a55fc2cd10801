"""What would be different with another model: on images that are stored, before it classifies what arrives."""

from flumen.replay.impact.answered import Answered
from flumen.replay.impact.asking import ask_both
from flumen.replay.impact.measuring import Affected, Impact, Reading, Tally, Transition
from flumen.replay.impact.slices import Slice

__all__ = ["Affected", "Answered", "Impact", "Reading", "Slice", "Tally", "Transition", "ask_both"]
