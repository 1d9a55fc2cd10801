"""Corrections of stored images: labels that were wrong, images that are to go and to stay away."""

from flumen.replay.corrections.corrector import Corrector
from flumen.replay.corrections.label_file import read_labels

__all__ = ["Corrector", "read_labels"]
