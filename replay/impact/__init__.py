"""What would be different with another model: on images that are stored, before it classifies what arrives."""

from flumen.replay.impact.answered import Answered, ask_both
from flumen.replay.impact.measuring import Impact, Slice, Transition, measure

__all__ = ["Answered", "Impact", "Slice", "Transition", "ask_both", "measure"]
