"""Stored images, put to a model: chosen by a condition, as they were at one moment, answered as the live path does."""

from flumen.replay.scoring.scored import Scored, answer_columns
from flumen.replay.scoring.stored_images import Choice, Passed, Plan, StoredImages

__all__ = ["Choice", "Passed", "Plan", "Scored", "StoredImages", "answer_columns"]
